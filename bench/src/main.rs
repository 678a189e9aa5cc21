//! Measures all figures of `docs/performance.md` on one machine in one run.
//!
//! | module | its one thing |
//! |---|---|
//! | [`measure`] | one measurement a file |
//! | [`stage`] | what they all run on: private servers, settings, the `upshot` binary |
//! | [`service`] | a process under measurement, which ends with the bench |
//! | [`priority`] | priority for Redis on a machine with few cores |
//! | [`peer`] | BullMQ: whether it is installed, and its processes |
//! | [`usage`] | CPU time and memory of processes, from `/proc` |
//! | [`slowlog`] | script calls that held Redis up for long |
//! | [`machine`] | what the figures were taken on |
//! | [`disk`] | how quick the disk is just now |
//! | [`calls`] | calls of the queue's scripts one after the other, and what each costs Redis |
//! | [`load`] | events, published with confirms |
//! | [`drain`] | the rate at which a process works off what was prepared |
//! | [`bare_loop`], [`worker`] | the processes that this binary itself becomes |
//! | [`figures`], [`report`] | the results, their targets; table and JSON |
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is this program's answer")]
#![allow(
    clippy::disallowed_methods,
    reason = "its servers are on loopback, and it measures the client library"
)]

mod arguments;
mod bare_loop;
mod calls;
mod disk;
mod drain;
mod figures;
mod load;
mod machine;
mod measure;
mod peer;
mod priority;
mod report;
mod service;
mod slowlog;
mod stage;
mod usage;
mod worker;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Arguments, Role};
use figures::Figures;
use stage::Stage;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.role.is_none() {
        priority::last();
    }
    let ran = tokio::runtime::Runtime::new()
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match &arguments.role {
        Some(Role::BareLoop(options)) => bare_loop::run(options).await,
        Some(Role::Worker(options)) => worker::run(options).await,
        None => bench(&arguments).await,
    }
}

async fn bench(arguments: &Arguments) -> anyhow::Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let stage = Stage::set().await?;
    let machine = stage.machine.clone();
    println!("{machine}");
    let mut figures = Figures::default();
    let measured = tokio::select! {
        measured = measure::run(&stage, arguments, &mut figures) => measured,
        _ = interrupted.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminated.recv() => Err(anyhow::anyhow!("told to stop")),
    };
    // The servers end in order also after a measurement that failed.
    let cleared = stage.clear().await;
    measured?;
    cleared?;
    println!("\n{machine}\n{}", report::table(&figures));
    report::write(&figures, &machine, &arguments.out)?;
    println!("written to {}", arguments.out.display());
    Ok(())
}
