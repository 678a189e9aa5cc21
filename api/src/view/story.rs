//! The view of an entry of a story.

use std::collections::BTreeMap;

use serde::Serialize;
use upshot_ledger::story::{Entry, Sort};
use upshot_queue::Account;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::words::words;
use crate::{moment::Moment, shown::Shown};

/// The schema of what an entry is, from the type that knows it.
#[derive(Debug)]
pub enum EntrySort {}

impl PartialSchema for EntrySort {
    fn schema() -> RefOr<Schema> {
        words("What an entry of a story is.", Sort::ALL.map(Sort::as_str))
    }
}

impl ToSchema for EntrySort {}

/// An entry of a story.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StoryEntry {
    /// When.
    at: Moment,
    /// Until when, for a wait that has ended.
    #[schema(required)]
    until: Option<Moment>,
    /// The job.
    #[schema(example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    job: String,
    /// Its queue.
    queue: String,
    /// The kind of work.
    #[schema(example = "invoice.issue")]
    kind: String,
    /// What the entry is.
    #[schema(value_type = EntrySort)]
    what: &'static str,
    /// The whole entry in words.
    #[schema(example = "attempt 1 failed after 2.1 s (transient): connection refused by mail.example:25")]
    text: String,
    /// For a verdict: the status from then on (`overdue` and `reopened` included).
    #[schema(required, example = "missed")]
    status: Option<&'static str>,
    /// For a verdict: the type of the receipt that tells the producer.
    #[schema(required, example = "upshot.outcome.missed.v1")]
    receipt: Option<&'static str>,
    /// For evidence: its facts.
    facts: BTreeMap<String, String>,
    /// For a change: the operator, as the caller said (unverified).
    #[schema(required)]
    by: Option<String>,
}

impl StoryEntry {
    /// The body of an entry.
    pub fn new(entry: Entry, shown: &Shown) -> Self {
        let receipt = entry.receipt();
        let status = entry.account.map(|account| match account {
            Account::Waiving => Account::Waived.as_str(),
            account => account.as_str(),
        });
        Self {
            at: Moment(entry.at),
            until: entry.until.map(Moment),
            job: entry.job.to_string(),
            queue: entry.queue.to_string(),
            kind: entry.kind,
            what: entry.sort.as_str(),
            text: shown.text(&entry.text),
            status,
            receipt,
            facts: shown.facts(&entry.facts),
            by: shown.optional(entry.by.as_ref()),
        }
    }
}
