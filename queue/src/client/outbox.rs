//! The outbox: every transition of every job, in the order in which it happened.
//!
//! Each script that changes jobs appends one entry with all its changes to a stream in the same
//! slot. So an entry is there exactly when its transitions are. A consumer group reads each entry
//! at least once: after a while another reader gets an entry that its first reader did not
//! acknowledge. Entries stay until every group has acknowledged them; without a group the newest
//! stay.
//!
//! An [`OutboxReader`] shares the entries with other members of its group, in no order. An
//! [`OutboxTail`] is the only reader of its group, and reads in order.

mod tail;

use std::{collections::HashMap, time::Duration};

use redis::{
    RedisError, Value,
    streams::{StreamAutoClaimReply, StreamId, StreamRangeReply, StreamReadReply},
};

use crate::{
    client::handle::Client,
    client::operator::Operator,
    error::Error,
    job::id::{JobId, QueueName},
    policy::account::Account,
    redis::connect::Connector,
};

pub use tail::OutboxTail;

/// A transition of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When, UTC ms of Redis' clock.
    pub at: i64,
    /// Which job.
    pub id: JobId,
    /// The transition: a name of [`crate::Counts::transitions`].
    pub what: String,
    /// The worker that caused it; empty if no worker did.
    pub by: String,
}

/// Expectations that moved from one account of a route to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The number of the route.
    pub route: u32,
    /// The account that they left.
    pub from: Account,
    /// The account that they are in.
    pub to: Account,
    /// Their jobs.
    pub jobs: Vec<JobId>,
}

/// Transitions of one script call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The entry's id in the stream, to acknowledge.
    pub id: String,
    /// The transitions, in order.
    pub transitions: Vec<Transition>,
    /// The moves of expectations, but for their beginnings. Where a call moves a job twice, the
    /// moves are in order.
    pub moves: Vec<Move>,
}

impl Entry {
    /// When its transitions happened, UTC ms of Redis' clock.
    pub fn at(&self) -> i64 {
        time_of(&self.id)
    }
}

fn time_of(id: &str) -> i64 {
    id.split_once('-').and_then(|(ms, _)| ms.parse().ok()).unwrap_or(0)
}

/// The size of the outbox, and its groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbox {
    /// Entries that are kept.
    pub entries: u64,
    /// Its groups.
    pub groups: Vec<OutboxGroup>,
}

/// A consumer group of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxGroup {
    /// Its name.
    pub name: String,
    /// Members that have read anything.
    pub members: u64,
    /// Entries that members have read and not acknowledged.
    pub unacknowledged: u64,
    /// Entries that no member has read; `None` if Redis does not know.
    pub lag: Option<u64>,
    /// The time of the oldest entry that the group needs (UTC ms), if any. This entry and all later
    /// ones are kept.
    pub needs_since: Option<i64>,
}

/// A member of a consumer group. It has its own connection, because its reads wait.
#[derive(Debug)]
pub struct OutboxReader {
    queue: Client,
    group: String,
    member: String,
    reclaim_after: Duration,
}

impl OutboxReader {
    /// Joins a group, or creates it. A new group starts with the oldest entry. `member` must be
    /// unique to this reader; the reader may use it again after a restart.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn join(
        connector: &Connector,
        queue: QueueName,
        group: &str,
        member: &str,
    ) -> Result<Self, Error> {
        let queue = Client::new(connector, queue)?;
        queue.check_layout().await?;
        let mut cmd = redis::cmd("XGROUP");
        cmd.arg("CREATE").arg(queue.keys().outbox()).arg(group).arg(0).arg("MKSTREAM");
        match cmd.exec_async(&mut queue.conn.clone()).await {
            Err(error) if error.code() != Some("BUSYGROUP") => return Err(error.into()),
            _ => {}
        }
        let reclaim_after = Duration::from_secs(30);
        Ok(Self { queue, group: group.to_owned(), member: member.to_owned(), reclaim_after })
    }

    /// After this long without an acknowledgement, another member gets an entry.
    #[must_use]
    pub fn reclaiming_after(self, reclaim_after: Duration) -> Self {
        Self { reclaim_after, ..self }
    }

    /// Up to `most` entries: first entries that were read and not acknowledged for a while, then
    /// new ones. Waits up to `wait` for one, which must be shorter than the response timeout of the
    /// connection.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn read(&mut self, most: usize, wait: Duration) -> Result<Vec<Entry>, Error> {
        let key = self.queue.keys().outbox();
        let mut cmd = redis::cmd("XAUTOCLAIM");
        cmd.arg(&key).arg(&self.group).arg(&self.member).arg(self.reclaim_after.as_millis() as u64);
        cmd.arg("0-0").arg("COUNT").arg(most);
        let left: StreamAutoClaimReply = cmd.query_async(&mut self.queue.conn).await?;
        if !left.claimed.is_empty() {
            return Ok(left.claimed.into_iter().map(entry).collect());
        }
        let mut cmd = redis::cmd("XREADGROUP");
        cmd.arg("GROUP").arg(&self.group).arg(&self.member).arg("COUNT").arg(most);
        if !wait.is_zero() {
            cmd.arg("BLOCK").arg(wait.as_millis() as u64);
        }
        cmd.arg("STREAMS").arg(&key).arg(">");
        let read: Option<StreamReadReply> = cmd.query_async(&mut self.queue.conn).await?;
        Ok(read.into_iter().flat_map(|read| read.keys).flat_map(|key| key.ids).map(entry).collect())
    }

    /// Acknowledges these entries.
    ///
    /// # Errors
    /// When Redis failed. The entries then come again.
    pub async fn acknowledge(&mut self, entries: &[Entry]) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut cmd = redis::cmd("XACK");
        cmd.arg(self.queue.keys().outbox()).arg(&self.group);
        for entry in entries {
            cmd.arg(&entry.id);
        }
        Ok(cmd.exec_async(&mut self.queue.conn).await?)
    }
}

impl Client {
    /// The newest entries of the outbox, the newest first, without joining a group.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn latest_transitions(&self, most: usize) -> Result<Vec<Entry>, Error> {
        self.check_layout().await?;
        let mut cmd = redis::cmd("XREVRANGE");
        cmd.arg(self.keys.outbox()).arg("+").arg("-").arg("COUNT").arg(most);
        let read: StreamRangeReply = cmd.query_async(&mut self.conn.clone()).await?;
        Ok(read.ids.into_iter().map(entry).collect())
    }

    /// The size of the outbox, and its groups.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn outbox(&self) -> Result<Outbox, Error> {
        self.check_layout().await?;
        let (key, mut conn) = (self.keys.outbox(), self.conn.clone());
        let entries = redis::cmd("XLEN").arg(&key).query_async(&mut conn).await?;
        let mut cmd = redis::cmd("XINFO");
        cmd.arg("GROUPS").arg(&key);
        let stored: Vec<HashMap<String, Value>> = match cmd.query_async(&mut conn).await {
            // The stream does not exist yet.
            Err(error) if is_absent(&error) => Vec::new(),
            answer => answer?,
        };
        let mut groups = Vec::new();
        for fields in stored {
            let text =
                |name| fields.get(name).and_then(|value| redis::from_redis_value_ref::<String>(value).ok());
            let number =
                |name| fields.get(name).and_then(|value| redis::from_redis_value_ref::<u64>(value).ok());
            let name = text("name").unwrap_or_default();
            let mut cmd = redis::cmd("XPENDING");
            cmd.arg(&key).arg(&name);
            type Pending = (u64, Option<String>, Value, Value);
            let (unacknowledged, mut needed, ..): Pending = match cmd.query_async(&mut conn).await {
                // The group was dropped in the meantime.
                Err(error) if error.code() == Some("NOGROUP") => continue,
                answer => answer?,
            };
            let lag = number("lag");
            if needed.is_none() && lag != Some(0) {
                // The first entry that no member has read.
                let mut cmd = redis::cmd("XRANGE");
                let last = text("last-delivered-id").unwrap_or_default();
                cmd.arg(&key).arg(format!("({last}")).arg("+").arg("COUNT").arg(1);
                let next: StreamRangeReply = cmd.query_async(&mut conn).await?;
                needed = next.ids.into_iter().next().map(|entry| entry.id);
            }
            let needs_since = needed.and_then(|id| id.split_once('-')?.0.parse().ok());
            let members = number("consumers").unwrap_or(0);
            groups.push(OutboxGroup { name, members, unacknowledged, lag, needs_since });
        }
        Ok(Outbox { entries, groups })
    }
}

impl Operator {
    /// Drops a consumer group, so that no entry is kept for it. Returns whether the group existed.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn drop_outbox_group(&self, group: &str) -> Result<bool, Error> {
        self.client.check_layout().await?;
        let mut cmd = redis::cmd("XGROUP");
        cmd.arg("DESTROY").arg(self.client.keys.outbox()).arg(group);
        match cmd.query_async(&mut self.client.conn.clone()).await {
            Err(error) if is_absent(&error) => Ok(false),
            answer => Ok(answer?),
        }
    }
}

fn is_absent(error: &RedisError) -> bool {
    // `XINFO` reports the one, `XGROUP` the other.
    let said = ["no such key", "requires the key to exist"];
    error.detail().is_some_and(|detail| said.iter().any(|words| detail.contains(words)))
}

fn entry(stored: StreamId) -> Entry {
    let at = time_of(&stored.id);
    let mut by = String::new();
    let (mut transitions, mut moves) = (Vec::new(), Vec::new());
    for (what, value) in stored.map {
        let text: String = redis::from_redis_value(value).unwrap_or_default();
        if what == "by" {
            by = text;
            continue;
        }
        if let Some((route, from, to)) = parse_move(&what) {
            let ids = text.split(' ').filter(|id| !id.is_empty());
            let jobs = ids.map(|id| JobId::trusted(id.to_owned())).collect();
            moves.push(Move { route, from, to, jobs });
            continue;
        }
        let each = |id: &str| Transition {
            at,
            id: JobId::trusted(id.to_owned()),
            what: what.clone(),
            by: String::new(),
        };
        transitions.extend(text.split(' ').filter(|id| !id.is_empty()).map(each));
    }
    // The client returns fields unordered, but the changes of one call to a job have an order.
    transitions.sort_by_key(|transition| rank(&transition.what));
    for transition in &mut transitions {
        transition.by.clone_from(&by);
    }
    // A job that moves twice in a call is reopened, or awaits its proof, first.
    let is_first = |to| matches!(to, Account::Reopened | Account::Awaiting);
    moves.sort_by_key(|each| (!is_first(each.to), each.route, each.from, each.to));
    Entry { id: stored.id, transitions, moves }
}

/// Parses `route|from>to`, the stored name of a move.
pub(crate) fn parse_move(text: &str) -> Option<(u32, Account, Account)> {
    let (route, accounts) = text.split_once('|')?;
    let (from, to) = accounts.split_once('>')?;
    let account = |text: &str| text.parse().ok().and_then(Account::from_letter);
    Some((route.parse().ok()?, account(from)?, account(to)?))
}

/// The order of changes that one script call may make to a job.
fn rank(what: &str) -> u8 {
    match what {
        // A dead job is forgotten before its replacement is enqueued.
        "promoted" | "crashed" | "unparked" | "forgotten" => 0,
        // A job is parked before a kept signal makes it ready or ends it, and its wait ends before its deadline.
        "claimed" | "signalled" | "lapsed" | "confirmed" | "refuted" | "unconfirmed" => 2,
        "expired" => 3,
        _ => 1,
    }
}
