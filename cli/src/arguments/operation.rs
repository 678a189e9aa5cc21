//! Arguments of commands on operations: acts on many jobs.

use chrono::{DateTime, Utc};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use upshot_queue::{JobId, OperationId, Phase, Priority, QueueName, State};

use super::{
    ApiAddress, Paging,
    outcomes::ByWhom,
    values::{duration, moment},
};

#[derive(Debug, Args)]
pub struct Operation {
    #[command(subcommand)]
    pub what: OperationCommand,
}

#[derive(Debug, Subcommand)]
pub enum OperationCommand {
    /// Count the jobs that an act would change, or change them at once with --now.
    ///
    /// The selection is frozen: jobs that come into the state later are left alone.
    Create(Box<OperationCreate>),
    /// List operations, the newest first.
    List(OperationList),
    /// Show an operation: what it counted, its progress, who and why.
    Show(OperationShow),
    /// Change the jobs that an operation counted.
    Start(OperationStart),
    /// Change no further job until the operation is resumed.
    Pause(OperationSteer),
    /// Continue an operation that is paused, or that its stop rule stopped.
    Resume(OperationSteer),
    /// End an operation. What it changed stays changed.
    Abort(OperationSteer),
}

/// What an operation does to each job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OperationAct {
    /// Makes dead jobs run again.
    Retry,
    /// Cancels jobs that have not ended.
    Cancel,
    /// Forgets dead or cancelled jobs.
    Purge,
    /// Moves scheduled or ready jobs to another time.
    Reschedule,
    /// Gives waiting jobs another priority.
    Prioritise,
    /// Releases parked jobs.
    Unpark,
    /// Settles outcomes that are overdue or missed.
    Waive,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub struct OperationCreate {
    /// The queue of the jobs.
    pub queue: QueueName,
    /// What to do to each job.
    pub act: OperationAct,
    /// Jobs in this state.
    #[arg(long, group = "which")]
    pub state: Option<State>,
    /// Jobs whose outcomes are overdue or missed.
    #[arg(long, group = "which", value_name = "STATUS")]
    pub outcome: Option<String>,
    /// This job; may be repeated.
    #[arg(long, group = "which", value_name = "JOB")]
    pub id: Vec<JobId>,
    /// Of dead jobs only those of this group, as `upshot dead` names it.
    #[arg(long)]
    pub group: Option<String>,
    /// Of parked jobs only those that wait for this condition.
    #[arg(long)]
    pub condition: Option<String>,
    /// Only this kind.
    #[arg(long)]
    pub kind: Option<String>,
    /// Only this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only this route.
    #[arg(long)]
    pub route: Option<String>,
    /// Only jobs that came into the state at this time, or later: a time such as
    /// 2026-03-14T09:00:00Z, or how long ago, such as 2h.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<DateTime<Utc>>,
    /// The same for a time that is earlier than this.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<DateTime<Utc>>,
    /// Why; waive needs it.
    #[arg(long)]
    pub reason: Option<String>,
    /// The time between two jobs, such as 100ms, so that a dependency that has just recovered is
    /// not overrun.
    #[arg(long, value_name = "DURATION", value_parser = duration, allow_hyphen_values = true)]
    pub pace: Option<String>,
    /// Stop when this many of the jobs that a retry set going failed of one cause; 0 for never. 10 if
    /// left out.
    #[arg(long, value_name = "N")]
    pub same_cause: Option<u32>,
    /// Of reschedule: how long after the change the jobs run, such as 15m.
    #[arg(long = "in", value_name = "DURATION", value_parser = duration, allow_hyphen_values = true, conflicts_with = "at")]
    pub delay: Option<String>,
    /// Of reschedule: when the jobs run.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub at: Option<DateTime<Utc>>,
    /// Of prioritise: critical, high, normal or low.
    #[arg(long)]
    pub priority: Option<Priority>,
    /// Change the jobs at once, without a dry run. cancel and purge do not take it.
    #[arg(long)]
    pub now: bool,
    #[command(flatten)]
    pub by: ByWhom,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct OperationList {
    /// Only this queue.
    #[arg(long)]
    pub queue: Option<QueueName>,
    /// counting, counted, running, paused, stopped, aborted, done or failed.
    #[arg(long)]
    pub state: Option<Phase>,
    #[command(flatten)]
    pub paging: Paging,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct OperationShow {
    /// The operation's id.
    pub id: OperationId,
    /// Show each change until the operation neither counts nor runs.
    #[arg(long)]
    pub follow: bool,
    /// List the jobs that it did not change, each with the reason.
    #[arg(long, conflicts_with = "follow")]
    pub refusals: bool,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct OperationStart {
    /// The operation's id.
    pub id: OperationId,
    /// The number of jobs that it counted; cancel and purge need it.
    #[arg(long, value_name = "N")]
    pub confirm: Option<u64>,
    #[command(flatten)]
    pub by: ByWhom,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct OperationSteer {
    /// The operation's id.
    pub id: OperationId,
    #[command(flatten)]
    pub by: ByWhom,
    #[command(flatten)]
    pub api: ApiAddress,
}
