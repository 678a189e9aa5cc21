//! Arguments of the command on dead jobs.

use chrono::{DateTime, Utc};
use clap::Args;
use upshot_queue::QueueName;

use super::{ApiAddress, Paging, values::moment};

#[derive(Debug, Args)]
pub struct Dead {
    /// Show the history of this group: when it failed, whose jobs it hit, what was done about it.
    #[arg(conflicts_with_all = ["kind", "since", "until", "past", "limit", "all", "cursor"])]
    pub group: Option<String>,
    /// Only this queue.
    #[arg(long)]
    pub queue: Option<QueueName>,
    /// Only this kind.
    #[arg(long)]
    pub kind: Option<String>,
    /// Only groups with a failure at this time or later, such as 2026-03-14T09:30:00Z, or 2h for the
    /// last two hours.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<DateTime<Utc>>,
    /// Only groups with a failure before this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<DateTime<Utc>>,
    /// Groups that have no jobs now, instead of those with some.
    #[arg(long)]
    pub past: bool,
    #[command(flatten)]
    pub paging: Paging,
    #[command(flatten)]
    pub api: ApiAddress,
}
