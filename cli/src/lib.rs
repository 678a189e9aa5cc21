//! The `upshot` binary: all services, and the operator's commands.

mod arguments;
mod commands;
mod doctor;
mod help;
mod output;
mod running;

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use arguments::{Arguments, Command};
use output::Output;

/// How long work that cannot be interrupted may delay the exit.
const LAST_WORK: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => return output::usage(&error),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return output::ended(Err(error).context("no runtime")),
    };
    let mut out = Output::standard(arguments.json);
    let ended = runtime.block_on(run(arguments, &mut out));
    // A running render must not delay the exit.
    runtime.shutdown_timeout(LAST_WORK);
    output::ended(ended)
}

async fn run(arguments: Arguments, out: &mut Output) -> anyhow::Result<()> {
    let settings = || arguments.settings();
    match &arguments.command {
        Command::Up => Box::pin(commands::up::run(settings()?, out)).await,
        Command::Bridge => commands::services::bridge(settings()?).await,
        Command::Executor => Box::pin(commands::services::executor(settings()?)).await,
        Command::Api => commands::services::api(settings()?).await,
        Command::Publish(publish) => commands::publish::run(settings()?, publish, out).await,
        Command::DemoOrders(demo) => commands::demo_orders::run(settings()?, demo, out).await,
        Command::Jobs(jobs) => commands::jobs::list(&settings()?, jobs, out).await,
        Command::Job(job) => commands::jobs::show(&settings()?, job, out).await,
        Command::Retry(retry) => commands::change::retry(&settings()?, retry, out).await,
        Command::Cancel(cancel) => commands::change::cancel(&settings()?, cancel, out).await,
        Command::Reschedule(reschedule) => commands::change::reschedule(&settings()?, reschedule, out).await,
        Command::Prioritise(prioritise) => commands::change::prioritise(&settings()?, prioritise, out).await,
        Command::Queues(queues) => commands::queues::show(&settings()?, queues, out).await,
        Command::OutboxEnd(end) => commands::queues::end_group(&settings()?, end, out).await,
        Command::Pause(pause) => commands::queues::pause(&settings()?, pause, out).await,
        Command::Resume(resume) => commands::queues::resume(&settings()?, resume, out).await,
        Command::Unpark(unpark) => commands::queues::unpark(&settings()?, unpark, out).await,
        Command::Limit(limit) => commands::queues::limit(&settings()?, limit, out).await,
        Command::Dead(dead) => commands::dead::groups(&settings()?, dead, out).await,
        Command::DeadRetry(retry) => commands::dead::retry(&settings()?, retry, out).await,
        Command::DeadPurge(purge) => commands::dead::purge(&settings()?, purge, out).await,
        Command::Doctor => Box::pin(commands::doctor::run(settings(), out)).await,
        Command::Settings(which) => commands::settings::run(settings, which, out),
        Command::Openapi => Ok(out.json(&upshot_api::openapi())?),
    }
}
