//! Reads the outbox as the only reader of a group, in order.
//!
//! A tail reads without taking: only an acknowledgement moves the group forward. So a new tail
//! starts with the first entry that is not acknowledged, whatever an earlier tail had read. Two
//! tails of a group at the same time read the same entries, in the same order.

use std::{collections::HashMap, time::Duration};

use redis::{Value, streams::StreamReadReply};

use super::{Entry, entry, is_absent};
use crate::{client::handle::Client, error::Error, job::id::QueueName, redis::connect::Connector};

/// The only reader of a group. It has its own connection, because its reads wait.
#[derive(Debug)]
pub struct OutboxTail {
    queue: Client,
    group: String,
    /// The last entry that was read.
    read: String,
    acknowledged: Place,
}

/// How far a group is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// Its last acknowledged entry.
    id: String,
    /// The number of entries up to there since the outbox began, with which Redis computes the lag;
    /// `None` if Redis does not know.
    entries: Option<u64>,
}

/// The stored fields of a stream or a group.
type Fields = HashMap<String, Value>;

impl OutboxTail {
    /// Joins a group, or creates it. A new group starts with the oldest entry.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn join(connector: &Connector, queue: QueueName, group: &str) -> Result<Self, Error> {
        let queue = Client::new(connector, queue)?;
        queue.check_layout().await?;
        let acknowledged = place(&queue, group).await?;
        Ok(Self { queue, group: group.to_owned(), read: acknowledged.id.clone(), acknowledged })
    }

    /// Up to `most` entries behind those that were read. Waits up to `wait` for one, which must be
    /// shorter than the response timeout of the connection. If nothing comes, it checks that the
    /// group is where this tail left it, and otherwise continues from there: an operator may have
    /// dropped it, or a replica that lacks the last acknowledgement took over.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn read(&mut self, most: usize, wait: Duration) -> Result<Vec<Entry>, Error> {
        let mut cmd = redis::cmd("XREAD");
        cmd.arg("COUNT").arg(most);
        if !wait.is_zero() {
            cmd.arg("BLOCK").arg(wait.as_millis() as u64);
        }
        cmd.arg("STREAMS").arg(self.queue.keys().outbox()).arg(&self.read);
        let read: Option<StreamReadReply> = cmd.query_async(&mut self.queue.conn).await?;
        let entries: Vec<Entry> =
            read.into_iter().flat_map(|read| read.keys).flat_map(|key| key.ids).map(entry).collect();
        match entries.last() {
            Some(last) => self.read.clone_from(&last.id),
            None => {
                let stored = place(&self.queue, &self.group).await?;
                if stored.id != self.acknowledged.id && self.read == self.acknowledged.id {
                    self.read.clone_from(&stored.id);
                }
                self.acknowledged = stored;
            }
        }
        Ok(entries)
    }

    /// Acknowledges these entries, which were read next after those that are acknowledged.
    ///
    /// # Errors
    /// When Redis failed, or the group was dropped. A tail that joins then reads the entries again.
    pub async fn acknowledge(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let Some(last) = entries.last() else { return Ok(()) };
        let read = self.acknowledged.entries.map(|before| before + entries.len() as u64);
        let mut cmd = redis::cmd("XGROUP");
        cmd.arg("SETID").arg(self.queue.keys().outbox()).arg(&self.group).arg(&last.id);
        if let Some(read) = read {
            cmd.arg("ENTRIESREAD").arg(read);
        }
        cmd.exec_async(&mut self.queue.conn).await?;
        self.acknowledged = Place { id: last.id.clone(), entries: read };
        Ok(())
    }
}

/// How far a group is. Creates the group if it does not exist.
async fn place(queue: &Client, group: &str) -> Result<Place, Error> {
    let (key, mut conn) = (queue.keys().outbox(), queue.conn.clone());
    loop {
        let mut cmd = redis::cmd("XINFO");
        cmd.arg("GROUPS").arg(&key);
        let groups: Vec<Fields> = match cmd.query_async(&mut conn).await {
            Err(error) if is_absent(&error) => Vec::new(),
            answer => answer?,
        };
        if let Some(stored) = groups.iter().find(|stored| text(stored, "name").as_deref() == Some(group)) {
            let id = text(stored, "last-delivered-id").unwrap_or_else(|| "0-0".to_owned());
            return Ok(Place { id, entries: number(stored, "entries-read") });
        }
        let mut cmd = redis::cmd("XINFO");
        cmd.arg("STREAM").arg(&key);
        let stream: Fields = match cmd.query_async(&mut conn).await {
            Err(error) if is_absent(&error) => Fields::default(),
            answer => answer?,
        };
        let of = |name| number(&stream, name).unwrap_or(0);
        // What is trimmed counts as read.
        let trimmed = of("entries-added").saturating_sub(of("length"));
        let mut cmd = redis::cmd("XGROUP");
        cmd.arg("CREATE").arg(&key).arg(group).arg("0-0").arg("MKSTREAM").arg("ENTRIESREAD").arg(trimmed);
        match cmd.exec_async(&mut conn).await {
            // Another process created it in the meantime.
            Err(error) if error.code() != Some("BUSYGROUP") => return Err(error.into()),
            _ => {}
        }
    }
}

fn text(fields: &Fields, name: &str) -> Option<String> {
    redis::from_redis_value_ref(fields.get(name)?).ok()
}

fn number(fields: &Fields, name: &str) -> Option<u64> {
    redis::from_redis_value_ref(fields.get(name)?).ok()
}
