//! Arguments of commands on jobs.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;
use upshot_queue::{FailureClass, JobId, Priority, QueueName, State, TraceId};

use super::{
    ApiAddress, Paging,
    values::{duration, moment},
};

#[derive(Debug, Args)]
pub struct Jobs {
    /// scheduled, ready, running, parked, succeeded, dead or cancelled.
    #[arg(long)]
    pub state: Option<State>,
    /// Only this queue.
    #[arg(long)]
    pub queue: Option<QueueName>,
    /// Only this kind.
    #[arg(long)]
    pub kind: Option<String>,
    /// Only this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only this subject, such as `order-1042`.
    #[arg(long)]
    pub subject: Option<String>,
    /// Only subjects that begin with this text, such as `order-10`.
    #[arg(long, value_name = "TEXT", conflicts_with = "subject")]
    pub subject_prefix: Option<String>,
    /// Only this route, such as `order.completed.v1:invoice.issue`.
    #[arg(long)]
    pub route: Option<String>,
    /// Only jobs whose last failure has this class: transient, throttled, permanent, unclear,
    /// timed_out, crashed, expired, refuted or unconfirmed.
    #[arg(long)]
    pub class: Option<FailureClass>,
    /// Only jobs that are in their state since this time or later, such as 2026-03-14T09:30:00Z.
    /// A day or how long ago, such as 24h, is a time too.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<DateTime<Utc>>,
    /// Only jobs that are in their state since before this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<DateTime<Utc>>,
    /// Only the trace with this id: 32 hexadecimal digits.
    #[arg(long, value_name = "ID")]
    pub trace: Option<TraceId>,
    /// Only this group of failures, as `upshot dead` names it: jobs that run again, then dead ones.
    #[arg(long)]
    pub group: Option<String>,
    #[command(flatten)]
    pub paging: Paging,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Job {
    /// The job's id.
    pub id: JobId,
    /// Show each change until the job has ended.
    #[arg(long)]
    pub follow: bool,
    /// Show what happened to the job, one line each, oldest first.
    #[arg(long, conflicts_with = "follow")]
    pub timeline: bool,
    /// Show the arguments too. Personal data in them is hidden.
    #[arg(long, conflicts_with_all = ["follow", "timeline"])]
    pub args: bool,
    /// Show personal data: mail addresses in texts, and with --args what `redact.paths` names.
    #[arg(long, conflicts_with = "follow")]
    pub reveal: bool,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Why {
    /// The job's id.
    pub id: JobId,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Retry {
    /// The job's id.
    pub id: JobId,
    /// Run the job with other arguments: a file with JSON; `-` reads standard input. They must keep
    /// the contract of the job's event type; the job keeps the previous arguments. Completed steps
    /// run again; the command first shows what they did.
    #[arg(long, value_name = "FILE")]
    pub args: Option<PathBuf>,
    /// Agree that completed steps run again and their effects happen twice.
    #[arg(long, requires = "args")]
    pub yes: bool,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Cancel {
    /// The job's id.
    pub id: JobId,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Reschedule {
    /// The job's id.
    pub id: JobId,
    /// How long from now, such as 30s or 5m; 0s for at once.
    #[arg(long = "in", value_name = "DURATION", value_parser = duration, allow_hyphen_values = true)]
    pub delay: String,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Prioritise {
    /// The job's id.
    pub id: JobId,
    /// critical, high, normal or low.
    pub priority: Priority,
    #[command(flatten)]
    pub api: ApiAddress,
}
