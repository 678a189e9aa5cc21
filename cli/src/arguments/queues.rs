//! Arguments of commands on queues.

use clap::{ArgGroup, Args};
use upshot_queue::{Condition, LimitKey, QueueName, Rate, Weight};

use super::ApiAddress;

#[derive(Debug, Args)]
pub struct Queues {
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Pause {
    /// The queue.
    pub queue: QueueName,
    /// Only jobs of this kind.
    #[arg(long)]
    pub kind: Option<String>,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct OutboxEnd {
    /// The queue.
    pub queue: QueueName,
    /// The group; `upshot queues` shows the groups that need entries.
    pub group: String,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Unpark {
    /// The queue.
    pub queue: QueueName,
    /// The condition, such as `breaker:smtp`: by its name, or as `upshot queues` lists it.
    pub condition: Condition,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Signal {
    /// The queue.
    pub queue: QueueName,
    /// The key that the jobs wait for, such as `order-1042 confirmed`.
    pub key: String,
    /// The tenant of the jobs; without it, conditions without a tenant.
    #[arg(long, value_name = "T")]
    pub tenant: Option<String>,
    /// The payload for the jobs, as JSON; null by default.
    #[arg(long, value_name = "JSON", value_parser = parse_payload, default_value = "null", hide_default_value = true)]
    pub payload: serde_json::Value,
    /// Forget the signal instead: it was sent by mistake. Jobs that it answered keep their answer.
    #[arg(long, conflicts_with = "payload")]
    pub withdraw: bool,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Confirm {
    /// The queue whose jobs await it.
    pub queue: QueueName,
    /// The key that the outcome awaits; `upshot job` shows it.
    pub key: String,
    /// The tenant of the jobs; without it, jobs without a tenant.
    #[arg(long, value_name = "T")]
    pub tenant: Option<String>,
    /// The id of the confirmation: the same id with other content is a contradiction.
    #[arg(long)]
    pub id: Option<String>,
    /// The work did not come out right, and why.
    #[arg(long, value_name = "REASON")]
    pub missed: Option<String>,
    /// A fact that proves it; may be repeated.
    #[arg(long, value_name = "NAME=TEXT", value_parser = parse_fact)]
    pub fact: Vec<(String, String)>,
    #[command(flatten)]
    pub api: ApiAddress,
}

fn parse_fact(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, fact)) if !name.is_empty() => Ok((name.to_owned(), fact.to_owned())),
        _ => Err("write it as NAME=TEXT, such as receipt=r-17".to_owned()),
    }
}

fn parse_payload(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| format!("it is no JSON ({error}): put a text into quotes"))
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true))]
pub struct SetLimit {
    /// The queue.
    pub queue: QueueName,
    /// What is limited: `queue`, `tenant:NAME`, or `key:NAME` for the jobs that
    /// name this limit key.
    pub key: LimitKey,
    /// Jobs that run at once, in all processes; 0 stops all of them.
    #[arg(long, value_name = "N", group = "what")]
    pub concurrency: Option<u32>,
    /// Jobs that start a second, on the average.
    #[arg(long, value_name = "R", group = "what", allow_hyphen_values = true)]
    pub rate: Option<Rate>,
    /// Jobs that may start at once after a quiet time.
    #[arg(long, value_name = "B", requires = "rate")]
    pub burst: Option<u32>,
    /// A tenant's share beside others, which have 1; 0.01 to 100.
    #[arg(long, value_name = "W", group = "what", allow_hyphen_values = true)]
    pub weight: Option<Weight>,
    /// Clear the limit.
    #[arg(long, group = "what", conflicts_with_all = ["concurrency", "rate", "burst", "weight"])]
    pub clear: bool,
    #[command(flatten)]
    pub api: ApiAddress,
}
