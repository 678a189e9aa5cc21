//! The `upshot` binary: all services, and the operator's commands.
#![expect(clippy::print_stdout, reason = "a command answers on standard output")]

mod arguments;
mod commands;
mod doctor;
mod help;
mod running;

use std::{process::ExitCode, time::Duration};

use arguments::{Arguments, Command};

/// How long work that cannot be interrupted may hold up the exit.
const LAST_WORK: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments = Arguments::read();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run(arguments));
    // A rendering that is still at it must not hold up the exit.
    runtime.shutdown_timeout(LAST_WORK);
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
        Command::Up => Box::pin(commands::up::run(settings()?)).await,
        Command::Bridge => commands::services::bridge(settings()?).await,
        Command::Executor => Box::pin(commands::services::executor(settings()?)).await,
        Command::Api => commands::services::api(settings()?).await,
        Command::Publish(publish) => commands::publish::run(settings()?, publish).await,
        Command::DemoOrders(demo) => commands::demo_orders::run(settings()?, demo).await,
        Command::Jobs(jobs) => commands::jobs::list(&settings()?, jobs).await,
        Command::Job(job) => commands::jobs::show(&settings()?, job).await,
        Command::Retry(retry) => commands::change::retry(&settings()?, retry).await,
        Command::Cancel(cancel) => commands::change::cancel(&settings()?, cancel).await,
        Command::Reschedule(reschedule) => commands::change::reschedule(&settings()?, reschedule).await,
        Command::Prioritise(prioritise) => commands::change::prioritise(&settings()?, prioritise).await,
        Command::Queues(queues) => commands::queues::show(&settings()?, queues).await,
        Command::OutboxEnd(end) => commands::queues::end_group(&settings()?, end).await,
        Command::Pause(pause) => commands::queues::pause(&settings()?, pause).await,
        Command::Resume(resume) => commands::queues::resume(&settings()?, resume).await,
        Command::Unpark(unpark) => commands::queues::unpark(&settings()?, unpark).await,
        Command::Limit(limit) => commands::queues::limit(&settings()?, limit).await,
        Command::Dead(dead) => commands::dead::groups(&settings()?, dead).await,
        Command::DeadRetry(retry) => commands::dead::retry(&settings()?, retry).await,
        Command::DeadPurge(purge) => commands::dead::purge(&settings()?, purge).await,
        Command::Doctor(doctor) => Box::pin(commands::doctor::run(settings(), doctor)).await,
        Command::Settings(which) => commands::settings::run(settings, which),
        Command::Openapi => {
            println!("{}", upshot_api::openapi());
            Ok(())
        }
    }
}
