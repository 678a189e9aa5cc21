//! The command line.

mod access;
mod acts;
mod configuration;
mod dead;
mod jobs;
mod link;
mod operation;
mod outcomes;
mod quarantine;
mod queues;
mod schedules;
mod values;

use std::path::PathBuf;

use upshot_queue::QueueName;

pub use access::{Login, Logout, Me, Place, Token, TokenCommand, TokenCreate};
pub use acts::AuditLog;
pub use configuration::{Config, ConfigApply, ConfigCommand, ConfigDiff, ConfigShow};
pub use dead::Dead;
pub use jobs::{Cancel, Job, Jobs, Prioritise, Reschedule, Retry, Why};
pub use link::{Link, LinkCommand, LinkId, LinkWith};
pub use operation::{Operation, OperationCommand, OperationCreate, OperationList, OperationShow};
pub use outcomes::{
    Alarms, By, Erase, Note, Objectives, Outcomes, Overdue, Overview, Owner, Period, Story, Tenants, Waive,
    WhichOutcomes,
};
pub use quarantine::Quarantine;
pub use queues::{Confirm, OutboxEnd, Pause, Queues, SetLimit, Signal, Unpark};
pub use schedules::{ScheduleApply, ScheduleCommand, ScheduleCreate, ScheduleName, Schedules};

use clap::{ArgMatches, Args, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use upshot_runtime::{Settings, settings::Program};

use crate::{app::usual_file, help, profiles::Name};

/// Upshot turns domain events into business outcomes: events come over RabbitMQ, Redis holds
/// durable jobs, and each job shows whether its expected outcome was achieved, in time, with
/// evidence.
#[derive(Debug, Parser)]
#[command(name = "upshot", version, max_term_width = 100)]
pub struct Arguments {
    /// A settings file; `upshot settings` prints all keys with their defaults. Without one,
    /// `upshot.toml` in the working folder is read where it exists.
    #[arg(long, global = true, env = "UPSHOT_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON instead of text: one document, or one a line for lists and streams.
    #[arg(long, global = true)]
    pub json: bool,
    /// The profile that names the API and holds the token for it (`upshot profiles`).
    #[arg(
        id = "profile",
        long = "as",
        global = true,
        env = "UPSHOT_PROFILE",
        hide_env_values = true,
        value_name = "NAME"
    )]
    pub profile: Option<Name>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process, with a private RabbitMQ and Redis unless
    /// UPSHOT_AMQP_URL and UPSHOT_REDIS_URL name others.
    Up,
    /// Run the bridge alone: it turns events from RabbitMQ into jobs in Redis.
    Bridge,
    /// Run an executor alone: it runs the jobs.
    Executor,
    /// Run the HTTP API alone.
    Api,
    /// Check everything that the settings name.
    ///
    /// Checks settings, contracts, Redis, RabbitMQ, the file store and the mail server. It changes
    /// nothing and mails nothing; in the store it writes and deletes one small file. It exits with
    /// 1 if a check fails. JSON: `checks`, each with subject, check, outcome (`ok`, `warning`,
    /// `failed`), what was seen, and the remedy.
    Doctor,
    /// Recount every expectation, and name what the books do not explain.
    ///
    /// Compares the books of each queue with its jobs, indexes and rows, in Redis itself. It changes
    /// nothing, and takes as long as there are jobs. It exits with 1 if something is unexplained:
    /// keys were changed manually or lost. JSON: `unexplained`, and of each queue `differences`,
    /// `fallen` counts, and `events` with job, subject, what is wrong and since when.
    Audit(AuditCommand),
    /// Publish events from files, with publisher confirms.
    ///
    /// Checks each event as the bridge will check it. An event that cannot be accepted is not
    /// published; the others are, and the command exits with 1.
    Publish(Publish),
    /// List jobs.
    Jobs(Jobs),
    /// Show one job, its timeline, or the progress of a running job.
    Job(Job),
    /// Say what holds a job now, and when it will probably start and finish.
    ///
    /// One reason: its time, a failed attempt, a limit or rate, a pause, a signal, a missing worker, other
    /// jobs. `also` has what would hold it next. Start and finish are ranges from recent figures.
    Why(Why),
    /// Run a dead or parked job again. A dead job gets fresh budgets for failures.
    Retry(Retry),
    /// Cancel a job: a waiting job at once, a running job through its handler.
    Cancel(Cancel),
    /// Move a waiting job to another time.
    Reschedule(Reschedule),
    /// Give a waiting job another priority.
    Prioritise(Prioritise),
    /// Show where queues look well and outcomes do not, route by route.
    ///
    /// Shows what the infrastructure says about each route beside what its outcomes say. A line `!`
    /// says where the two disagree: a calm queue can have overdue outcomes.
    Overview(Overview),
    /// List outcomes, or their figures by route, kind, tenant or cause.
    ///
    /// Outcomes without a verdict come oldest due first, verdicts newest first. Without --status, those
    /// that need attention come first: overdue, reopened, open, missed, and so on.
    Outcomes(Outcomes),
    /// List outcomes that are late and have no verdict, the oldest due first.
    Overdue(Overdue),
    /// Show what became of the outcomes of each tenant today and in 30 days, or of one tenant by day.
    Tenants(Tenants),
    /// Show how much of each route's budget of errors is left, and how fast it is used up.
    ///
    /// For routes with an `objective` in the settings. The budget is for 30 days; what is late, missed
    /// or partial uses it up. At a burn of 1 the budget lasts exactly for the 30 days.
    Objectives(Objectives),
    /// Show what is wrong now, by cause: a route, a queue, a reason, never a single job.
    ///
    /// The API looks every few seconds, and tells the webhook of `alarms.webhook` when an alarm comes
    /// on and when it is over.
    Alarms(Alarms),
    /// Tell everything about a business key, in order of time.
    ///
    /// Over all queues: the event, each attempt and why it failed, waits with their length, changes by
    /// operators, steps, files and mails, and each verdict.
    Story(Story),
    /// Erase what is kept about a business key.
    ///
    /// Erases jobs that have ended, verdicts of forgotten jobs, the signals that answered these jobs,
    /// and what is listed about messages in quarantine. Counts stay. Files, sent mails, messages in
    /// RabbitMQ and receipts in `upshot.outcomes.history` are not erased.
    Erase(Erase),
    /// Settle an outcome that will not come, with a reason.
    ///
    /// The outcome then counts as waived. A job that has not ended continues.
    Waive(Waive),
    /// Write a note to an outcome, for the next person who looks at it.
    Note(Note),
    /// Name the person or team in charge of an outcome.
    Owner(Owner),
    /// Show the queues: jobs by state, and what delays them.
    Queues(Queues),
    /// Pause a queue, or a kind of its jobs: nothing starts, running jobs continue.
    Pause(Pause),
    /// End a pause.
    Resume(Pause),
    /// Send a signal to the jobs that wait for it, now or later.
    ///
    /// The queue keeps the signal (`keep_signals`), so a job that waits later finds it. Sending it
    /// again changes nothing. The first payload stays; a different one is recorded as a
    /// contradiction.
    Signal(Signal),
    /// Confirm outcomes that await their proof, or say that the work did not come out right.
    ///
    /// Each job whose outcome awaits the key ends at once, and no handler runs. The queue keeps the
    /// confirmation (`keep_signals`) for an outcome that awaits the key later. Sending it again changes
    /// nothing. The other verdict, or the same id with other content, is recorded as a contradiction.
    Confirm(Confirm),
    /// Release the jobs that handlers parked for a condition.
    ///
    /// Releases all jobs that are parked for it at this moment, which may be none. Nothing is kept
    /// for later jobs. `upshot queues` lists the conditions; `upshot retry` releases a single job.
    Unpark(Unpark),
    /// Set or clear a limit or a weight, in all processes at once.
    ///
    /// Replaces the previous limit entirely; options you leave out are cleared.
    Limit(SetLimit),
    /// Show, compare or apply the configuration of queues (retention, shares, retries, limits).
    Config(Config),
    /// List, make, pause, run and remove schedules: jobs at due times, without an event.
    Schedule(Schedules),
    /// Drop a group of readers of a queue's outbox that has stopped reading.
    ///
    /// Entries that no other group needs are then removed.
    OutboxEnd(OutboxEnd),
    /// Show failures by cause: dead jobs, and those that run again; or the history of one cause.
    Dead(Dead),
    /// Retry, cancel, purge, move, release or waive many jobs: a dry run first.
    Operation(Operation),
    /// List messages that could not be accepted, or show one of them.
    ///
    /// The newest comes first. Listing takes no message out of RabbitMQ, where the messages are, in
    /// the queue upshot.quarantine.
    Quarantine(Quarantine),
    /// Log in to an API, and keep the token in a profile for other commands.
    ///
    /// Keeps address and token under the name of --as in upshot/profiles.toml of the configuration
    /// folder, readable by its owner only. A server on this machine that asks for no authentication
    /// needs no login.
    Login(Login),
    /// Forget a profile and its token.
    Logout(Logout),
    /// List the profiles: the servers that you have logged in to.
    Profiles,
    /// Show who or what the API takes you for, and what you may do.
    Me(Me),
    /// Make, list, rotate and revoke API tokens of services.
    Token(Token),
    /// Make and revoke links that show an end user one job or one subject.
    Link(Link),
    /// List what principals did, the last first, with refusals and failed logins.
    ///
    /// Every change over the API is on record before it is made. An act without a result is `unknown`:
    /// the process ended before it, or Redis took no result. JSON: of each act the principal, address,
    /// right, operation, target, what was asked, reason, result, and what was there before and after.
    AuditLog(AuditLog),
    /// Print the annotated default settings, or the ones in force.
    Settings(SettingsCommand),
    /// Print a completion script for a shell.
    ///
    /// Evaluate it where the shell starts, such as `source <(upshot completion bash)` in ~/.bashrc.
    Completion(Completion),
    /// Print the OpenAPI document of the HTTP API.
    Openapi,
    /// Print the AsyncAPI document of the events that come in and the receipts that go out.
    Asyncapi,
}

#[derive(Debug, Args)]
pub struct Completion {
    /// bash, zsh or fish.
    #[arg(value_parser = shell)]
    pub shell: Shell,
}

/// The shells that have a script.
pub const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

fn shell(name: &str) -> Result<Shell, String> {
    let known = SHELLS.into_iter().find(|shell| shell.to_string() == name);
    known.ok_or_else(|| "there are scripts for bash, zsh and fish".to_owned())
}

#[derive(Debug, Args)]
pub struct AuditCommand {
    /// Only this queue.
    #[arg(long, value_name = "QUEUE")]
    pub queue: Option<QueueName>,
}

#[derive(Debug, Args)]
pub struct Publish {
    /// Files with one CloudEvent, a list of them, or one a line; `-` reads
    /// standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Where the API is, and the token for it.
#[derive(Clone, Debug, Args)]
pub struct ApiAddress {
    /// Where the API is, such as http://127.0.0.1:8080 or host:8080; by default that of --as, of a
    /// running `upshot up`, of the profile `default`, or api.listen.
    #[arg(long, env = "UPSHOT_API_URL", hide_env_values = true, value_name = "URL")]
    pub api: Option<String>,
    /// The file with the API token; by default UPSHOT_TOKEN holds the token, or the profile.
    #[arg(long, env = "UPSHOT_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Send the token over plain HTTP to another machine, where others may read it.
    #[arg(
        long,
        env = "UPSHOT_TOKEN_OVER_HTTP",
        hide_env_values = true,
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub token_over_http: bool,
    /// The profile. [`Arguments`] has the same argument for all commands; clap passes its value on.
    #[arg(
        id = "profile",
        long = "as",
        env = "UPSHOT_PROFILE",
        hide_env_values = true,
        value_name = "NAME",
        help = "The profile that names the API and holds the token for it (`upshot profiles`)"
    )]
    pub profile: Option<Name>,
}

#[derive(Debug, Args)]
pub struct SettingsCommand {
    /// Print the settings in force (file and variables applied), and check them.
    #[arg(long)]
    pub effective: bool,
}

/// How much of a list to show.
#[derive(Debug, Args)]
pub struct Paging {
    /// At most this many.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
    /// All of them, page by page.
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// Where to continue; a list that was cut prints its cursor at the end.
    #[arg(long)]
    pub cursor: Option<String>,
}

/// The parsed command line of a program.
#[derive(Debug)]
pub struct Said {
    config: Option<PathBuf>,
    /// Whether answers are JSON.
    pub json: bool,
    /// The command.
    pub command: Asked,
    /// Everything that can be said.
    pub line: clap::Command,
}

/// The requested command.
#[derive(Debug)]
pub enum Asked {
    /// A command that every program has.
    Ours(Box<Command>),
    /// The program's own command, and its arguments.
    Own(String, ArgMatches),
}

impl Arguments {
    /// Parses the command line of a program with these commands. An error is a mistake, or the
    /// requested help.
    pub fn read(program: &Program, own: Vec<clap::Command>) -> Result<Said, clap::Error> {
        let names: Vec<String> = own.iter().map(|command| command.get_name().to_owned()).collect();
        let line = help::command(program, own);
        let matches = line.clone().try_get_matches()?;
        if let Some((name, behind)) = matches.subcommand()
            && names.iter().any(|own| own == name)
        {
            let config = behind.get_one::<PathBuf>("config").cloned();
            let command = Asked::Own(name.to_owned(), behind.clone());
            return Ok(Said { config, json: behind.get_flag("json"), command, line });
        }
        let Self { config, json, profile: _, command } = Self::from_arg_matches(&matches)?;
        Ok(Said { config, json, command: Asked::Ours(Box::new(command)), line })
    }
}

impl Said {
    /// The settings in force.
    pub fn settings(&self, program: &Program) -> Result<Settings, upshot_runtime::settings::Error> {
        // A variable that is not Unicode is not one of Upshot's.
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let file = self.config.clone().or_else(usual_file);
        Settings::load(program, file.as_deref(), variables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        let words = ["upshot"].into_iter().chain(line.split_whitespace());
        Arguments::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn what_can_be_said_is_understood() {
        let id = "mrtu2hq6wcbcvkoxmzkhxbs7da";
        for line in [
            format!("job {id} --timeline"),
            format!("retry {id} --args -"),
            format!("cancel {id}"),
            format!("why {id} --json"),
            format!("reschedule {id} --in 5m"),
            format!("prioritise {id} high"),
            "queues --json".to_owned(),
            "--json jobs --state dead --all --cursor invoices~4.1".to_owned(),
            "pause invoices --kind invoice.issue".to_owned(),
            "resume invoices".to_owned(),
            "unpark invoices breaker:smtp".to_owned(),
            "signal invoices order-1042-confirmed --tenant acme --payload {\"by\":\"ann\"}".to_owned(),
            "signal invoices order-1042-confirmed".to_owned(),
            "signal invoices order-1042-confirmed --withdraw".to_owned(),
            "signal invoices --tenant acme -- -1042".to_owned(),
            "confirm invoices order-1042-paid --tenant acme --id p-1 --fact receipt=r-17 --fact by=".to_owned(),
            "confirm invoices order-1042-paid --missed refused".to_owned(),
            "limit invoices key:smtp --rate 2.5 --burst 3 --concurrency 4".to_owned(),
            "limit invoices tenant:acme --weight 2".to_owned(),
            "limit invoices queue --clear".to_owned(),
            "outbox-end invoices audit".to_owned(),
            "quarantine --reason unknown_type --type a.v1 --source /shop --since 2h --until 2026-03-14T09:30:00Z".to_owned(),
            format!("quarantine {id}"),
            "quarantine --counts".to_owned(),
            "--as prod jobs".to_owned(),
            "jobs --as prod --token-file /run/secrets/token".to_owned(),
            "login --as prod --api https://upshot.example --token-stdin".to_owned(),
            "logout --as prod".to_owned(),
            "me --token-over-http".to_owned(),
            "token create shop --role producer --tenant acme --source /shops/berlin".to_owned(),
            "token create ops --role administrator --all-tenants --local --expires-in 90d".to_owned(),
            "token rotate 0f3a5b7c9d1e --overlap 0s".to_owned(),
            format!("link job {id} --tenant acme --expires-in 7d"),
            "link subject order-1042".to_owned(),
            "link revoke 0f3a5b7c9d1e2f40-1773480413000".to_owned(),
            "audit-log --principal shop --right edit-arguments --target invoices --result unknown --since 2h".to_owned(),
            "tenants --sort overdue --limit 20".to_owned(),
            "tenants acme".to_owned(),
            "dead --queue invoices".to_owned(),
            "operation create invoices retry --state dead --group 5f1d7a84db00d2fc --pace 100ms --same-cause 0".to_owned(),
            "operation create invoices purge --state dead --until 7d --tenant acme".to_owned(),
            "operation create invoices waive --outcome missed --reason late --since 2026-03-14".to_owned(),
            format!("operation create invoices reschedule --id {id} --id {id} --in 15m --now"),
            "operation list --state running --queue invoices".to_owned(),
            format!("operation show {id} --follow"),
            format!("operation start {id} --confirm 1204"),
            format!("operation abort {id}"),
            "dead --kind invoice.issue --since 24h --until 1h --past".to_owned(),
            "dead 5f1d7a84db00d2fc --queue invoices".to_owned(),
            "jobs --group 5f1d7a84db00d2fc --since 24h --until 2026-03-14T09:30:00Z".to_owned(),
        ] {
            parse(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn a_profile_may_be_named_before_the_command_and_behind_it() {
        for line in ["--as prod jobs", "jobs --as prod", "--as test jobs --as prod"] {
            let Command::Jobs(jobs) = parse(line).unwrap().command else { panic!("{line}") };
            assert_eq!(jobs.api.profile.map(|name| name.to_string()).as_deref(), Some("prod"), "{line}");
        }
        let Command::Token(token) = parse("--as prod token list").unwrap().command else { panic!() };
        let TokenCommand::List(list) = token.what else { panic!() };
        assert_eq!(list.place.api.profile.map(|name| name.to_string()).as_deref(), Some("prod"));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (line, words) in [
            ("cancel 1042", &["1042", "26 characters"][..]),
            ("reschedule mrtu2hq6wcbcvkoxmzkhxbs7da --in soon", &["soon", "--in", "30s"]),
            ("reschedule mrtu2hq6wcbcvkoxmzkhxbs7da", &["--in"]),
            ("prioritise mrtu2hq6wcbcvkoxmzkhxbs7da urgent", &["urgent", "critical"]),
            ("pause Invoices{}", &["Invoices{}", "queue name"]),
            ("unpark invoices", &["<CONDITION>"]),
            ("signal invoices", &["<KEY>"]),
            ("confirm invoices", &["<KEY>"]),
            ("confirm invoices a --fact =b", &["=b", "NAME=TEXT"]),
            ("signal invoices a --withdraw --payload 1", &["--withdraw", "--payload"]),
            ("signal invoices a --payload ann", &["ann", "--payload", "into quotes"]),
            ("unpark Invoices{} breaker:smtp", &["Invoices{}", "queue name"]),
            ("limit invoices smtp --concurrency 1", &["smtp", "key:NAME"]),
            ("limit invoices key:smtp", &["--concurrency", "--clear"]),
            ("limit invoices key:smtp --clear --rate 1", &["--clear", "--rate"]),
            ("limit invoices key:smtp --burst 3", &["--rate"]),
            ("limit invoices key:smtp --rate nan", &["nan", "--rate", "0.000001 to 1000000"]),
            ("limit invoices key:smtp --rate inf", &["inf", "--rate", "1000000"]),
            ("limit invoices key:smtp --rate -1", &["-1", "--rate", "0.000001"]),
            ("limit invoices key:smtp --rate 1e-300", &["1e-300", "--rate", "0.000001"]),
            ("limit invoices tenant:a --weight nan", &["nan", "--weight", "0.01 to 100"]),
            ("limit invoices tenant:a --weight -1", &["-1", "--weight", "0.01 to 100"]),
            ("reschedule mrtu2hq6wcbcvkoxmzkhxbs7da --in 101y", &["101y", "--in", "century"]),
            ("reschedule mrtu2hq6wcbcvkoxmzkhxbs7da --in -5s", &["-5s", "--in", "30s"]),
            ("operation create invoices retry --state dead --pace 9999999999999999999y", &["--pace", "30s"]),
            ("operation create invoices retry", &["--state", "--outcome", "--id"]),
            ("operation create invoices retry --state dead --outcome missed", &["--state", "--outcome"]),
            ("operation create invoices sing --state dead", &["sing", "retry", "unpark"]),
            ("operation list --state over", &["over", "--state", "stopped"]),
            ("operation show 1042", &["1042", "26 characters"]),
            ("jobs --limit 0", &["0", "--limit"]),
            ("jobs --all --limit 3", &["--all", "--limit"]),
            ("jobs --state done", &["done", "--state", "succeeded"]),
            ("quarantine 1042", &["1042", "26 characters"]),
            ("quarantine --reason bad", &["bad", "--reason", "malformed_json, not_a_cloud_event"]),
            ("audit-log --right root", &["root", "--right", "see-arguments"]),
            ("audit-log --result bad", &["bad", "--result", "suppressed"]),
            ("quarantine --since yesterday", &["yesterday", "--since", "24h"]),
            ("quarantine mrtu2hq6wcbcvkoxmzkhxbs7da --reason oversize", &["--reason"]),
            ("job mrtu2hq6wcbcvkoxmzkhxbs7da --follow --timeline", &["--timeline"]),
            ("jobs --as a/b", &["a/b", "--as", "1 to 64 letters"]),
            ("token create shop --role producer --tenant acme", &["--source"]),
            ("token create shop --role viewer", &["--tenant", "--all-tenants"]),
            ("token create shop --role viewer --tenant a --all-tenants", &["--tenant", "--all-tenants"]),
            ("token create shop --role root --all-tenants", &["root", "administrator"]),
            ("token create shop --role viewer --all-tenants --right all", &["all", "see-arguments"]),
            ("token create shop --role viewer --all-tenants --expires-in 1ms", &["1ms", "at least 1s"]),
            ("token rotate 0f3a5b7c9d1e --overlap 31d", &["31d", "at most 30d"]),
            ("token revoke shop", &["shop", "upshot token list"]),
        ] {
            let said = parse(line).unwrap_err();
            for word in words {
                assert!(said.contains(word), "{line}: `{word}` is not in: {said}");
            }
        }
        let words = ["upshot", "unpark", "invoices", "kind invoice.issue@2"];
        let said = Arguments::try_parse_from(words).unwrap_err().to_string();
        assert!(said.contains("`kind invoice.issue@2`") && said.contains("has a handler"), "{said}");
    }
}
