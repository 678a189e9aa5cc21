//! Arguments of commands on schedules.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use upshot_queue::QueueName;

use super::ApiAddress;

#[derive(Debug, Args)]
pub struct Schedules {
    #[command(subcommand)]
    pub what: ScheduleCommand,
}

#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// List schedules: when each is due next, how its last run came out, and what keeps it from running.
    List(ScheduleList),
    /// Show one schedule, its next due times with what the clocks do to them, and its last run.
    Show(ScheduleShow),
    /// Make a schedule, or change one that was made so.
    Create(Box<ScheduleCreate>),
    /// Pause a schedule: it is not due until it is resumed.
    Pause(ScheduleName),
    /// Resume a paused schedule. Due times of the pause get no job.
    Resume(ScheduleName),
    /// Run a schedule now, beside its due times.
    Run(ScheduleName),
    /// Remove a schedule that was made with `create`. Its jobs stay.
    Delete(ScheduleName),
    /// Put the schedules of a settings file in force, in all processes.
    ///
    /// Those that the file does not name end, unless they were made with `create`. Those that differ keep
    /// their next due time, unless `cron`, `zone` or `every` differ. Changes nothing in a queue that has
    /// another version than the expected one.
    Apply(ScheduleApply),
}

#[derive(Debug, Args)]
pub struct ScheduleList {
    /// Only those of this queue.
    #[arg(long, value_name = "QUEUE")]
    pub queue: Option<QueueName>,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct ScheduleShow {
    /// The queue.
    pub queue: QueueName,
    /// The schedule.
    pub name: String,
    /// Show its arguments too.
    #[arg(long)]
    pub reveal: bool,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct ScheduleName {
    /// The queue.
    pub queue: QueueName,
    /// The schedule.
    pub name: String,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct ScheduleCreate {
    /// The queue of its jobs.
    pub queue: QueueName,
    /// Its name, unique in the queue.
    pub name: String,
    /// The kind of its jobs.
    #[arg(long, value_name = "KIND")]
    pub job: String,
    /// The version of the arguments.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub args_version: u32,
    /// When it is due: minute, hour, day of month, month and day of week, such as `30 6 * * MON-FRI`,
    /// with seconds in front if they matter.
    #[arg(long, value_name = "EXPRESSION", required_unless_present = "every", conflicts_with = "every")]
    pub cron: Option<String>,
    /// The time zone of --cron, such as Europe/Berlin; UTC by default.
    #[arg(long, value_name = "ZONE", requires = "cron")]
    pub zone: Option<String>,
    /// When it is due, as an interval, such as 5m.
    #[arg(long, value_name = "TIME")]
    pub every: Option<String>,
    /// The arguments of each job, as a JSON object.
    #[arg(long, value_name = "JSON", value_parser = parse_object, default_value = "{}", hide_default_value = true)]
    pub args: Map<String, Value>,
    /// The tenant of its jobs.
    #[arg(long, value_name = "T")]
    pub tenant: Option<String>,
    /// The subject of its jobs.
    #[arg(long, value_name = "SUBJECT")]
    pub subject: Option<String>,
    /// How urgent its jobs are: critical, high, normal or low.
    #[arg(long, value_name = "CLASS", default_value = "normal")]
    pub priority: String,
    /// By when the outcome of each job is expected, counted from the due time.
    #[arg(long, value_name = "TIME")]
    pub within: Option<String>,
    /// Which missed runs it makes up for: none, latest or all.
    #[arg(long, value_name = "WHICH", default_value = "latest", value_parser = ["none", "latest", "all"])]
    pub catch_up: String,
    /// How many of them at most, with `--catch-up all`.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub catch_up_most: u32,
    /// By how much a run is put off at most.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub jitter: String,
    /// Change the schedule that is there.
    #[arg(long)]
    pub replace: bool,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct ScheduleApply {
    /// A settings file, such as upshot.toml.
    pub file: PathBuf,
    /// Only this queue; without it, all queues of the file.
    pub queue: Option<QueueName>,
    /// The version that the file is based on, from `schedule list --json`; 0 if none is stored. Without it,
    /// the stored one.
    #[arg(long, value_name = "N")]
    pub expect_version: Option<u64>,
    #[command(flatten)]
    pub api: ApiAddress,
}

fn parse_object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("it is no JSON object ({error})"))
}
