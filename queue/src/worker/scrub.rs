//! The scrubber: finds and repairs jobs that are not where their state says. It should find
//! nothing, because every transition is one script. It cannot search a long list for one job. So it
//! reads the lists first, from their ends, because claims take from the front. A job that no list
//! had, and that was there before, is lost.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::Worker;
use crate::{
    error::Error,
    job::state::State,
    policy::priority::Priority,
    scripts::{self, Call, MAX_BATCH},
};

/// What a pass found and repaired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Jobs in the index of no state.
    pub missing: u64,
    /// Jobs in the index of a second state.
    pub doubled: u64,
    /// Index entries without a job.
    pub ghosts: u64,
    /// Lanes with jobs that no claim would have reached.
    pub stuck: u64,
    /// Wrong counts of ready jobs, running jobs, or jobs under a limit.
    pub miscounted: u64,
}

impl Found {
    /// The sum.
    pub fn total(&self) -> u64 {
        self.missing + self.doubled + self.ghosts + self.stuck + self.miscounted
    }
}

/// The position of a pass, which reads first the entries of each index, then the lists of the
/// lanes, then all jobs.
#[derive(Clone, Debug, Default)]
pub struct Scrubber {
    /// The index. After the last one come the lanes.
    index: usize,
    cursor: u64,
    /// The lists, once their reading began. After the last one come the jobs.
    lanes: Option<Lanes>,
    /// When the first of them was read, ms of Redis' clock.
    began: u64,
    /// The ids in the lists.
    listed: Listed,
    found: Found,
}

/// The position of a pass in the lanes.
#[derive(Clone, Debug, Default)]
struct Lanes {
    class: usize,
    /// The present lane of the class.
    flow: Option<String>,
    /// Lanes that come next, the last one first.
    next: Vec<String>,
    /// Ids of the lane that were read, from its end.
    seen: u64,
    /// Ids that had left the ends of lists at the last read.
    popped: u64,
}

/// The hashes (64 bits) of all ids in the lists. So a job that no list has is noticed without a
/// search.
#[derive(Clone, Debug, Default)]
struct Listed {
    ids: HashSet<u64>,
    /// Too many ids: the pass does not judge jobs that no list seems to have.
    is_cut: bool,
}

impl Listed {
    /// Some 18 MB.
    const MOST: usize = 1_000_000;

    fn insert(&mut self, id: &str) {
        if self.ids.len() < Self::MOST {
            self.ids.insert(hash(id));
        } else {
            self.is_cut = true;
        }
    }

    fn has(&self, id: &str) -> bool {
        self.ids.contains(&hash(id))
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Parts of lists that are read in a step.
const PARTS: usize = 16;

impl Scrubber {
    /// Examines about 128 further jobs, or 16 parts of lists. Returns the findings at the end of
    /// the pass; the next call starts another pass.
    ///
    /// # Errors
    /// When Redis failed; the next call continues.
    pub async fn step(&mut self, queue: &Worker) -> Result<Option<Found>, Error> {
        // Independent of a pass, because an unfinished count keeps its limit closed.
        queue.client.finish_counting().await?;
        if let Some(&state) = State::ALL.get(self.index) {
            self.look_at_index(queue, state).await?;
            return Ok(None);
        }
        if !self.lanes.as_ref().is_some_and(Lanes::are_read) {
            self.look_at_lanes(queue).await?;
            return Ok(None);
        }
        let prefix = queue.client.keys().job_prefix();
        let pattern = format!("{}*", escape(&prefix));
        let mut conn = queue.client.conn.clone();
        let (cursor, keys) =
            conn.scan_page(queue.client.keys().control(), self.cursor, &pattern, MAX_BATCH).await?;
        let ids: Vec<String> = keys
            .iter()
            .filter_map(|key| key.strip_prefix(&prefix))
            .map(|id| if self.listed.has(id) { id.to_owned() } else { format!("?{id}") })
            .collect();
        self.repair(queue, "jobs", &ids).await?;
        self.cursor = cursor;
        Ok((cursor == 0).then(|| std::mem::take(self).found))
    }

    /// A whole pass.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn pass(queue: &Worker) -> Result<Found, Error> {
        let mut scrubber = Self::default();
        loop {
            if let Some(found) = scrubber.step(queue).await? {
                return Ok(found);
            }
        }
    }

    async fn look_at_index(&mut self, queue: &Worker, state: State) -> Result<(), Error> {
        let Some(index) = queue.client.index(state) else {
            self.index += 1;
            return Ok(());
        };
        let mut cmd = redis::cmd("ZSCAN");
        cmd.arg(&index).arg(self.cursor).arg("COUNT").arg(MAX_BATCH);
        let (cursor, page): (u64, Vec<(String, f64)>) =
            cmd.query_async(&mut queue.client.conn.clone()).await?;
        let ids: Vec<String> = page.into_iter().map(|(id, _)| id).collect();
        self.repair(queue, state.as_str(), &ids).await?;
        self.cursor = cursor;
        if cursor == 0 {
            self.index += 1;
        }
        Ok(())
    }

    async fn look_at_lanes(&mut self, queue: &Worker) -> Result<(), Error> {
        if self.lanes.is_none() {
            (self.began, _) = self.call(queue, "jobs", &[]).await?;
        }
        let lanes = self.lanes.get_or_insert_default();
        for _ in 0..PARTS {
            let Some(flow) = lanes.next.last() else {
                return lanes.more(queue).await;
            };
            let mut call = Call::new(&scripts::SCRUB_LANE, queue.client.keys());
            call.arg(format!("{}:{flow}", lanes.class)).arg(lanes.seen).arg(lanes.popped);
            let (doubled, ghosts, ids, seen, popped): (u64, u64, Vec<String>, u64, u64) =
                call.run(&mut queue.client.conn.clone()).await?;
            self.found.doubled += doubled;
            self.found.ghosts += ghosts;
            (lanes.seen, lanes.popped) = (seen, popped);
            if ids.len() < MAX_BATCH {
                lanes.seen = 0;
                lanes.next.pop();
            }
            ids.iter().for_each(|id| self.listed.insert(id));
        }
        Ok(())
    }

    async fn repair(&mut self, queue: &Worker, what: &str, ids: &[String]) -> Result<(), Error> {
        // Redis may return more than requested.
        for mut batch in ids.chunks(MAX_BATCH) {
            while !batch.is_empty() {
                let (_, looked) = self.call(queue, what, batch).await?;
                batch = batch.get(looked..).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Returns the time, ms of Redis' clock, and the number of examined ids, at least one.
    async fn call(&mut self, queue: &Worker, what: &str, ids: &[String]) -> Result<(u64, usize), Error> {
        let mut call = Call::new(&scripts::SCRUB, queue.client.keys());
        call.arg(what).arg(if self.listed.is_cut { 0 } else { self.began });
        for id in ids {
            call.arg(id);
        }
        type Reply = (u64, u64, u64, u64, u64, u64, usize);
        let (missing, doubled, ghosts, stuck, miscounted, now, looked): Reply =
            call.run(&mut queue.client.conn.clone()).await?;
        self.found.missing += missing;
        self.found.doubled += doubled;
        self.found.ghosts += ghosts;
        self.found.stuck += stuck;
        self.found.miscounted += miscounted;
        // The clock was set back, so new jobs seem to be older than the pass.
        self.listed.is_cut |= now < self.began;
        Ok((now, looked.max(1)))
    }
}

impl Lanes {
    fn are_read(&self) -> bool {
        self.class == Priority::ALL.len()
    }

    /// Reads the next lanes, if any.
    async fn more(&mut self, queue: &Worker) -> Result<(), Error> {
        while !self.are_read() {
            let after = self.flow.as_ref().map_or_else(|| "-".to_owned(), |flow| format!("({flow}"));
            let mut cmd = redis::cmd("ZRANGE");
            cmd.arg(queue.client.keys().lanes(self.class)).arg(after).arg("+").arg("BYLEX");
            cmd.arg("LIMIT").arg(0).arg(MAX_BATCH);
            self.next = cmd.query_async(&mut queue.client.conn.clone()).await?;
            self.next.reverse();
            if let Some(last) = self.next.first() {
                self.flow = Some(last.clone());
                return Ok(());
            }
            self.class += 1;
            self.flow = None;
        }
        Ok(())
    }
}

/// A pattern that matches only this text.
pub(crate) fn escape(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
