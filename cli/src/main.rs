//! The `upshot` binary: all services, and the operator's commands.
#![expect(clippy::print_stdout, reason = "a command answers on standard output")]

mod arguments;
mod commands;
mod running;

use std::{process::ExitCode, time::Duration};

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run(arguments));
    // A rendering that is still at it must not hold up the exit.
    runtime.shutdown_timeout(Duration::from_secs(2));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let settings = || arguments.settings();
    match &arguments.command {
        Command::Up => commands::up::run(settings()?).await,
        Command::Bridge => commands::services::bridge(settings()?).await,
        Command::Executor => commands::services::executor(settings()?).await,
        Command::Api => commands::services::api(settings()?).await,
        Command::Publish(publish) => commands::publish::run(settings()?, publish).await,
        Command::DemoOrders(demo) => commands::demo_orders::run(settings()?, demo).await,
        Command::Jobs(jobs) => commands::jobs::list(&settings()?, jobs).await,
        Command::Job(job) => commands::jobs::show(&settings()?, job).await,
        Command::Retry(retry) => commands::jobs::retry(&settings()?, retry).await,
        Command::Settings(which) => commands::settings::run(settings, which),
        Command::Openapi => {
            println!("{}", upshot_api::openapi());
            Ok(())
        }
    }
}
