//! The scrubber: looks whether jobs are where their state says, and mends what
//! is not. Expected to find nothing: every transition is one script.

use crate::{
    queue::{Error, Queue},
    scripts::{self, Call, MAX_BATCH},
    state::State,
};

/// What a pass found and mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Jobs in the index of no state.
    pub missing: u64,
    /// Jobs in the index of a second state.
    pub doubled: u64,
    /// Index entries without a job.
    pub ghosts: u64,
    /// Lanes with jobs that nobody's turn would have reached.
    pub stuck: u64,
    /// Counts of jobs that are ready, run or count for a limit, that were off.
    pub miscounted: u64,
}

impl Found {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.missing + self.doubled + self.ghosts + self.stuck + self.miscounted
    }

    fn add(&mut self, (missing, doubled, ghosts, stuck, miscounted): (u64, u64, u64, u64, u64)) {
        self.missing += missing;
        self.doubled += doubled;
        self.ghosts += ghosts;
        self.stuck += stuck;
        self.miscounted += miscounted;
    }
}

/// Where a pass is: first through the entries of each index, then through all jobs.
#[derive(Clone, Debug, Default)]
pub struct Scrubber {
    /// Which index; behind the last one come the jobs.
    index: usize,
    cursor: u64,
    found: Found,
}

impl Scrubber {
    /// Looks at some jobs more, about 128; what was found, when the pass is
    /// through. The next call starts another pass.
    ///
    /// # Errors
    /// When Redis failed; the next call goes on.
    pub async fn step(&mut self, queue: &Queue) -> Result<Option<Found>, Error> {
        match State::ALL.get(self.index) {
            Some(&state) => {
                let Some(index) = queue.index(state) else {
                    self.index += 1;
                    return Ok(None);
                };
                let mut cmd = redis::cmd("ZSCAN");
                cmd.arg(&index).arg(self.cursor).arg("COUNT").arg(MAX_BATCH);
                let (cursor, page): (u64, Vec<(String, f64)>) =
                    cmd.query_async(&mut queue.conn.clone()).await?;
                let ids: Vec<String> = page.into_iter().map(|(id, _)| id).collect();
                self.mend(queue, state.as_str(), &ids).await?;
                self.cursor = cursor;
                if cursor == 0 {
                    self.index += 1;
                }
                Ok(None)
            }
            None => {
                let prefix = queue.keys().job_prefix();
                let pattern = format!("{}*", escape(&prefix));
                let mut conn = queue.conn.clone();
                let (cursor, keys) =
                    conn.scan_page(queue.keys().control(), self.cursor, &pattern, MAX_BATCH).await?;
                let ids: Vec<String> =
                    keys.iter().filter_map(|key| key.strip_prefix(&prefix)).map(ToOwned::to_owned).collect();
                self.mend(queue, "jobs", &ids).await?;
                self.cursor = cursor;
                if cursor == 0 {
                    return Ok(Some(std::mem::take(self).found));
                }
                Ok(None)
            }
        }
    }

    /// A whole pass.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn pass(queue: &Queue) -> Result<Found, Error> {
        let mut scrubber = Self::default();
        loop {
            if let Some(found) = scrubber.step(queue).await? {
                return Ok(found);
            }
        }
    }

    async fn mend(&mut self, queue: &Queue, what: &str, ids: &[String]) -> Result<(), Error> {
        // Redis may return more than it was asked for.
        for batch in ids.chunks(MAX_BATCH) {
            let mut call = Call::new(&scripts::SCRUB, queue.keys());
            call.arg(what);
            for id in batch {
                call.arg(id);
            }
            self.found.add(call.run(&mut queue.conn.clone()).await?);
        }
        Ok(())
    }
}

/// A text as a pattern that matches just it.
fn escape(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
