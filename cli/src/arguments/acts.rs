//! Arguments of `upshot audit-log`.

use chrono::{DateTime, Utc};
use clap::Args;
use upshot_access::{Right, acts::Ended};

use super::{ApiAddress, Paging, values::moment};

#[derive(Debug, Args)]
pub struct AuditLog {
    /// Only of this principal: the name or the id of a token or a person, or `local`.
    #[arg(long, value_name = "NAME")]
    pub principal: Option<String>,
    /// Only with this right, such as retry or configure.
    #[arg(long)]
    pub right: Option<Right>,
    /// Only about this: a job, a queue, a subject, a tenant, a token.
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// Only with this result: done, failed, refused, pending, unknown or suppressed.
    #[arg(long)]
    pub result: Option<Ended>,
    /// Only acts that ended at this time or later, such as 2026-03-14T09:30:00Z, or 2h for the last
    /// two hours.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<DateTime<Utc>>,
    /// Only acts that ended at this time or earlier.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<DateTime<Utc>>,
    /// Show mail addresses whole. Needs the right `see-arguments`, and is on record.
    #[arg(long)]
    pub reveal: bool,
    #[command(flatten)]
    pub paging: Paging,
    #[command(flatten)]
    pub api: ApiAddress,
}
