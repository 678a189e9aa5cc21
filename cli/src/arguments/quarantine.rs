//! Arguments of `upshot quarantine`.

use chrono::{DateTime, Utc};
use clap::Args;
use upshot_ledger::quarantine::{MessageId, row::DAMAGED};
use upshot_shared::Reason;

use super::{ApiAddress, Paging, values::moment};

#[derive(Debug, Args)]
pub struct Quarantine {
    /// Show what is known of this message.
    #[arg(conflicts_with_all = ["counts", "reason", "type", "source", "subject", "since", "until", "limit", "all", "cursor"])]
    pub id: Option<MessageId>,
    /// Show complete mail addresses in the detail of the message.
    #[arg(long, requires = "id")]
    pub reveal: bool,
    /// Show only how many messages there are, by reason.
    #[arg(long, conflicts_with_all = ["reason", "type", "source", "subject", "since", "until", "limit", "all", "cursor"])]
    pub counts: bool,
    /// Only with this reason, such as unknown_type or contract_violation.
    #[arg(long, value_parser = reason)]
    pub reason: Option<String>,
    /// Only of this event type.
    #[arg(long = "type", id = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Only of this source.
    #[arg(long)]
    pub source: Option<String>,
    /// Only about this subject, such as `order-1042`.
    #[arg(long)]
    pub subject: Option<String>,
    /// Only messages that first came at this time or later, such as 2026-03-14T09:30:00Z, or 2h for
    /// the last two hours.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<DateTime<Utc>>,
    /// Only messages that first came before this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<DateTime<Utc>>,
    #[command(flatten)]
    pub paging: Paging,
    #[command(flatten)]
    pub api: ApiAddress,
}

/// Checks a reason and passes it on.
fn reason(text: &str) -> Result<String, String> {
    if text != DAMAGED {
        text.parse::<Reason>().map_err(|why| why.to_string())?;
    }
    Ok(text.to_owned())
}
