//! Arguments of the command on dead jobs.

use clap::Args;
use upshot_queue::QueueName;

use super::{ApiAddress, Paging};

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
