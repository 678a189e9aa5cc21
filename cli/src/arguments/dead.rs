//! Arguments of commands on dead jobs.

use clap::Args;
use upshot_queue::QueueName;

use super::{ApiAddress, Paging, values::duration};

#[derive(Debug, Args)]
pub struct Dead {
    /// Only this queue.
    #[arg(long)]
    pub queue: Option<QueueName>,
    #[command(flatten)]
    pub paging: Paging,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Which {
    /// The queue.
    pub queue: QueueName,
    /// Only this group, as `upshot dead` names it.
    #[arg(long)]
    pub group: Option<String>,
    /// Only this kind.
    #[arg(long)]
    pub kind: Option<String>,
    /// Only this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// At most this many, 1 to 10000; the same command again continues.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub limit: u64,
}

#[derive(Debug, Args)]
pub struct DeadRetry {
    #[command(flatten)]
    pub which: Which,
    /// The time between two jobs, such as 100ms, so that a dependency that has just recovered is
    /// not overrun; all at once by default.
    #[arg(long, value_name = "DURATION", value_parser = duration, allow_hyphen_values = true)]
    pub pace: Option<String>,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct DeadPurge {
    #[command(flatten)]
    pub which: Which,
    /// Only jobs that died at least this long ago, such as 7d; 0s for all.
    #[arg(long, value_name = "DURATION", value_parser = duration, allow_hyphen_values = true)]
    pub older_than: String,
    #[command(flatten)]
    pub api: ApiAddress,
}
