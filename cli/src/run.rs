//! Dispatches commands.

use upshot_executor::Jobs;
use upshot_runtime::{Settings, settings::Program};

use crate::{arguments::Command, commands, output::Output};

/// Runs one of Upshot's own commands.
pub(crate) async fn run(
    command: &Command,
    program: &Program,
    settings: impl Fn() -> anyhow::Result<Settings>,
    jobs: Jobs,
    line: clap::Command,
    out: &mut Output,
) -> anyhow::Result<()> {
    match command {
        Command::Up => Box::pin(commands::up::run(settings()?, jobs, out)).await,
        Command::Bridge => Box::pin(commands::services::bridge(settings()?)).await,
        Command::Executor => Box::pin(commands::services::executor(settings()?, jobs)).await,
        Command::Api => commands::services::api(settings()?).await,
        Command::Publish(publish) => commands::publish::run(settings()?, publish, out).await,
        Command::Jobs(jobs) => commands::jobs::list(&settings()?, jobs, out).await,
        Command::Job(job) => commands::jobs::show(&settings()?, job, out).await,
        Command::Why(why) => commands::why::show(&settings()?, why, out).await,
        Command::Retry(retry) => commands::change::retry(&settings()?, retry, out).await,
        Command::Cancel(cancel) => commands::change::cancel(&settings()?, cancel, out).await,
        Command::Reschedule(reschedule) => commands::change::reschedule(&settings()?, reschedule, out).await,
        Command::Prioritise(prioritise) => commands::change::prioritise(&settings()?, prioritise, out).await,
        Command::Overview(overview) => commands::overview::show(&settings()?, overview, out).await,
        Command::Outcomes(outcomes) => commands::outcomes::list(&settings()?, outcomes, out).await,
        Command::Overdue(overdue) => commands::outcomes::overdue(&settings()?, overdue, out).await,
        Command::Tenants(tenants) => commands::tenants::show(&settings()?, tenants, out).await,
        Command::Objectives(objectives) => commands::objectives::show(&settings()?, objectives, out).await,
        Command::Alarms(alarms) => commands::alarms::show(&settings()?, alarms, out).await,
        Command::Erase(erase) => commands::erase::run(&settings()?, erase, out).await,
        Command::Story(story) => commands::story::tell(&settings()?, story, out).await,
        Command::Waive(waive) => commands::waive::waive(&settings()?, waive, out).await,
        Command::Note(note) => commands::waive::note(&settings()?, note, out).await,
        Command::Owner(owner) => commands::waive::owner(&settings()?, owner, out).await,
        Command::Queues(queues) => commands::queues::show(&settings()?, queues, out).await,
        Command::OutboxEnd(end) => commands::queues::end_group(&settings()?, end, out).await,
        Command::Pause(pause) => commands::queues::pause(&settings()?, pause, out).await,
        Command::Resume(resume) => commands::queues::resume(&settings()?, resume, out).await,
        Command::Confirm(confirm) => commands::queues::confirm(&settings()?, confirm, out).await,
        Command::Signal(signal) => commands::queues::signal(&settings()?, signal, out).await,
        Command::Unpark(unpark) => commands::queues::unpark(&settings()?, unpark, out).await,
        Command::Limit(limit) => commands::queues::limit(&settings()?, limit, out).await,
        Command::Config(config) => {
            commands::configuration::run(program, &settings()?, &config.what, out).await
        }
        Command::Schedule(schedule) => {
            Box::pin(commands::schedules::run(program, &settings()?, &schedule.what, out)).await
        }
        Command::Dead(dead) => commands::dead::groups(&settings()?, dead, out).await,
        Command::Operation(operation) => commands::operation::run(&settings()?, &operation.what, out).await,
        Command::Quarantine(asked) => commands::quarantine::show(&settings()?, asked, out).await,
        Command::Login(login) => commands::login::run(&settings()?, login, out).await,
        Command::Logout(logout) => commands::profiles::logout(logout, out),
        Command::Profiles => commands::profiles::list(out),
        Command::Me(me) => commands::me::show(&settings()?, me, out).await,
        Command::Token(token) => Box::pin(commands::token::run(settings()?, &token.what, out)).await,
        Command::Link(link) => commands::link::run(&settings()?, &link.what, out).await,
        Command::AuditLog(asked) => commands::audit_log::show(&settings()?, asked, out).await,
        Command::Audit(audit) => Box::pin(commands::audit::run(settings()?, audit, out)).await,
        Command::Doctor => Box::pin(commands::doctor::run(settings(), out)).await,
        Command::Settings(which) => commands::settings::run(program, settings, which, out),
        Command::Completion(completion) => commands::completion::print(line, completion, out),
        Command::Openapi => Ok(out.json(&upshot_api::openapi())?),
        Command::Asyncapi => Ok(out.json(&upshot_api::asyncapi(&settings()?)?)?),
    }
}
