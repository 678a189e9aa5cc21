//! Arguments of commands on outcomes.

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use upshot_queue::{JobId, QueueName};

use super::{ApiAddress, Paging, values::moment};

#[derive(Debug, Args)]
pub struct Outcomes {
    /// open, overdue, awaiting, reopened, achieved_in_time, achieved_late, partial, missed, cancelled
    /// or waived.
    #[arg(long)]
    pub status: Option<String>,
    /// Only open ones that will probably be late.
    #[arg(long, conflicts_with = "status")]
    pub at_risk: bool,
    /// Instead of a list, the figures by route, kind, tenant or cause.
    #[arg(long, value_enum, conflicts_with_all = ["status", "at_risk", "queue", "route", "kind", "tenant", "limit", "all", "cursor"])]
    pub by: Option<By>,
    #[command(flatten)]
    pub which: WhichOutcomes,
    #[command(flatten)]
    pub paging: Paging,
    #[command(flatten)]
    pub api: ApiAddress,
}

/// What figures are grouped by.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum By {
    Route,
    Kind,
    Tenant,
    Cause,
}

/// Which outcomes.
#[derive(Debug, Args)]
pub struct WhichOutcomes {
    /// Only of this queue.
    #[arg(long)]
    pub queue: Option<QueueName>,
    /// Only of this route.
    #[arg(long)]
    pub route: Option<String>,
    /// Only of this kind.
    #[arg(long)]
    pub kind: Option<String>,
    /// Only of this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    #[command(flatten)]
    pub period: Period,
}

/// A period.
#[derive(Debug, Args)]
pub struct Period {
    /// From this time on: a time such as 2026-03-14T09:00:00Z, or how long ago, such as 24h. It is the
    /// due time of outcomes without a verdict, else the time of the verdict.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<DateTime<Utc>>,
    /// Up to this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<DateTime<Utc>>,
}

#[derive(Debug, Args)]
pub struct Overdue {
    #[command(flatten)]
    pub which: WhichOutcomes,
    #[command(flatten)]
    pub paging: Paging,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Story {
    /// The business key, such as `order-1042`.
    pub subject: String,
    #[command(flatten)]
    pub period: StoryPeriod,
    /// Show complete mail addresses.
    #[arg(long)]
    pub reveal: bool,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Erase {
    /// The business key, such as `order-1042`.
    pub subject: String,
    #[command(flatten)]
    pub api: ApiAddress,
}

/// A part of a story.
#[derive(Debug, Args)]
pub struct StoryPeriod {
    /// Only what happened from this time on: a time such as 2026-03-14T09:00:00Z, or how long ago,
    /// such as 24h.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<DateTime<Utc>>,
    /// Only what happened up to this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<DateTime<Utc>>,
}

#[derive(Debug, Args)]
pub struct Tenants {
    /// Show this tenant, day by day.
    #[arg(conflicts_with_all = ["sort", "limit", "all", "cursor"])]
    pub tenant: Option<String>,
    /// What comes first, of 30 days: most missed outcomes by default.
    #[arg(long, value_parser = ["missed", "overdue", "late", "verdicts"])]
    pub sort: Option<String>,
    #[command(flatten)]
    pub paging: Paging,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Overview {
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Alarms {
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Objectives {
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Waive {
    /// The job's id.
    pub id: JobId,
    /// Why; it stays with the outcome.
    #[arg(long)]
    pub reason: String,
    #[command(flatten)]
    pub by: ByWhom,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Note {
    /// The job's id.
    pub id: JobId,
    /// The note.
    pub text: String,
    #[command(flatten)]
    pub by: ByWhom,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Owner {
    /// The job's id.
    pub id: JobId,
    /// The name of the person or team that takes charge.
    pub owner: String,
    #[command(flatten)]
    pub by: ByWhom,
    #[command(flatten)]
    pub api: ApiAddress,
}

/// The operator.
#[derive(Debug, Args)]
pub struct ByWhom {
    /// Your name, as others will read it (unverified).
    #[arg(long, env = "USER", hide_env_values = true, default_value = "unknown", value_name = "NAME")]
    pub by: String,
}
