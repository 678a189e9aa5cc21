//! Operations as they are stored.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{
    client::{handle::Client, list::Sorted},
    error::Error,
    job::id::JobId,
    policy::operation::{OperationId, Phase, Plan, Tally},
};

/// An operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// What it does. `None` where another version of the program wrote it, which this one cannot read.
    pub plan: Option<Plan>,
    /// Its state.
    pub phase: Phase,
    /// Since when it is in its state, UTC ms.
    pub since: i64,
    /// When it was created, UTC ms. Its jobs came into their state before.
    pub created: i64,
    /// When it first changed jobs, UTC ms.
    pub started: Option<i64>,
    /// When it ended, UTC ms.
    pub ended: Option<i64>,
    /// What its dry run counted, so far.
    pub tally: Option<Tally>,
    /// Entries of the index that the present walk met.
    pub examined: u64,
    /// Jobs that it changed.
    pub changed: u64,
    /// Jobs that it could not change.
    pub refused: u64,
    /// Jobs that it set going and that failed again since.
    pub again: u64,
    /// The same by group.
    pub again_by_cause: BTreeMap<String, u64>,
    /// The group by which its stop rule stopped it last.
    pub stopped_by: Option<String>,
    /// Why it failed.
    pub why: Option<String>,
    /// Who did what to it, oldest first; the newest 64.
    pub deeds: Vec<Deed>,
    pub(crate) seq: u64,
    pub(crate) cursor: String,
    pub(crate) next: i64,
}

/// What somebody did to an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// UTC ms.
    pub at: i64,
    /// What: created, started, paused, resumed or aborted.
    pub did: String,
    /// Who.
    pub by: String,
}

/// A job that an operation did not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The job.
    pub id: JobId,
    /// Why: the state that it was in, or `newer`, `replaced`, `unexpected`, `unknown`.
    pub reason: String,
}

/// Where a list of operations continues: after an operation, by when it was created (UTC ms).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationCursor {
    /// UTC ms.
    pub created: i64,
    /// Which operation.
    pub id: OperationId,
}

/// A word that is not a cursor of operations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not belong to this list: follow `next` of the previous page, unchanged")]
pub struct BadOperationCursor;

impl fmt::Display for OperationCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.created, self.id)
    }
}

impl FromStr for OperationCursor {
    type Err = BadOperationCursor;

    fn from_str(text: &str) -> Result<Self, BadOperationCursor> {
        let read = || {
            let (created, id) = text.split_once('.')?;
            let created = created.parse().ok().filter(|ms| (0..1 << 53).contains(ms))?;
            Some(Self { created, id: id.parse().ok()? })
        };
        read().ok_or(BadOperationCursor)
    }
}

/// A part of a list of operations.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationPage {
    /// The operations, the newest first.
    pub operations: Vec<Operation>,
    /// Where the list continues.
    pub next: Option<OperationCursor>,
}

impl Operation {
    /// The last person that made it change jobs, or else the one that created it.
    pub fn actor(&self) -> &str {
        let began = |deed: &&Deed| matches!(deed.did.as_str(), "started" | "resumed" | "created");
        self.deeds.iter().rev().find(began).map_or("", |deed| deed.by.as_str())
    }

    pub(crate) fn read(id: OperationId, fields: &HashMap<String, String>) -> Option<Self> {
        let text = |name: &str| fields.get(name).map(String::as_str);
        let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
        let count = |name: &str| text(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        let by_cause =
            |(name, n): (&String, &String)| Some((name.strip_prefix("again:")?.to_owned(), n.parse().ok()?));
        Some(Self {
            plan: text("plan").and_then(|text| serde_json::from_str(text).ok()),
            phase: text("state")?.parse().ok()?,
            since: number("since")?,
            created: number("created")?,
            started: number("started"),
            ended: number("ended"),
            tally: text("tally").and_then(|text| serde_json::from_str(text).ok()),
            examined: count("examined"),
            changed: count("changed"),
            refused: count("refused"),
            again: count("again"),
            again_by_cause: fields.iter().filter_map(by_cause).collect(),
            stopped_by: text("stopped_by").map(ToOwned::to_owned),
            why: text("why").map(ToOwned::to_owned),
            deeds: text("deeds")
                .unwrap_or_default()
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect(),
            seq: count("seq"),
            cursor: text("cursor").unwrap_or_default().to_owned(),
            next: number("next").unwrap_or_default(),
            id,
        })
    }
}

impl Client {
    /// An operation; `None` if the queue has none of this id.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn operation(&self, id: &OperationId) -> Result<Option<Operation>, Error> {
        self.check_layout().await?;
        let mut read = redis::cmd("HGETALL");
        read.arg(self.keys.operation(id));
        let fields: HashMap<String, String> = read.query_async(&mut self.conn.clone()).await?;
        Ok(Operation::read(id.clone(), &fields))
    }

    /// Up to `most` operations, the newest first, behind a cursor.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn operations(
        &self,
        behind: Option<&OperationCursor>,
        most: usize,
    ) -> Result<OperationPage, Error> {
        self.check_layout().await?;
        let named = behind.map(|cursor| (cursor.created, cursor.id.as_str()));
        let found = self.part_of(Sorted::Operations, false, named, most + 1).await?;
        let more = found.len() > most;
        let last = found.get(most.saturating_sub(1)).filter(|_| more);
        let next = last
            .map(|(id, created)| OperationCursor { created: *created, id: OperationId::trusted(id.clone()) });
        let ids: Vec<OperationId> =
            found.into_iter().take(most).map(|(id, _)| OperationId::trusted(id)).collect();
        Ok(OperationPage { operations: self.operations_of(&ids).await?, next })
    }

    /// Ids of the operations that count or run.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn operating(&self) -> Result<Vec<OperationId>, Error> {
        self.check_layout().await?;
        let mut read = redis::cmd("ZRANGE");
        read.arg(self.keys.operating()).arg(0).arg(-1);
        let ids: Vec<String> = read.query_async(&mut self.conn.clone()).await?;
        Ok(ids.into_iter().map(OperationId::trusted).collect())
    }

    /// The newest jobs that an operation did not change, from the `skip`-th on.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn refusals(&self, id: &OperationId, skip: usize, most: usize) -> Result<Vec<Refusal>, Error> {
        let mut read = redis::cmd("LRANGE");
        read.arg(self.keys.refusals(id)).arg(skip).arg(skip + most.max(1) - 1);
        let lines: Vec<String> = read.query_async(&mut self.conn.clone()).await?;
        let refusal = |line: String| {
            let (id, reason) = line.split_once(' ')?;
            Some(Refusal { id: JobId::trusted(id.to_owned()), reason: reason.to_owned() })
        };
        Ok(lines.into_iter().filter_map(refusal).collect())
    }

    async fn operations_of(&self, ids: &[OperationId]) -> Result<Vec<Operation>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("HGETALL").arg(self.keys.operation(id));
        }
        let found: Vec<HashMap<String, String>> = pipe.query_async(&mut self.conn.clone()).await?;
        let read =
            |(id, fields): (&OperationId, HashMap<String, String>)| Operation::read(id.clone(), &fields);
        Ok(ids.iter().zip(found).filter_map(read).collect())
    }
}
