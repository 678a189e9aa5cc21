//! Reads jobs by their ids, and counts.

use crate::{
    client::handle::Client,
    error::Error,
    job::{Fields, Job, id::JobId, state::State},
};

/// The number of jobs in each state, and of transitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs by state, in the order of [`State::ALL`].
    pub states: [u64; 7],
    /// Ready jobs by priority, in the order of [`Priority::ALL`].
    pub ready: [u64; 4],
    /// Whether the queue is paused.
    pub paused: bool,
    /// Transitions since the beginning, by name.
    pub transitions: Vec<(String, u64)>,
    /// Signals since the beginning.
    pub signals: SignalCounts,
}

/// Signals of a queue since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalCounts {
    /// Signals that were kept.
    pub stored: u64,
    /// Those of them that no job waited for yet.
    pub early: u64,
    /// Signals whose payload contradicts the kept one.
    pub contradictions: u64,
    /// Bytes that are kept now.
    pub bytes: u64,
}

impl SignalCounts {
    /// Takes the counts of signals out of those of transitions.
    fn split_off(transitions: &mut Vec<(String, u64)>, bytes: u64) -> Self {
        let mut signals = Self { bytes, ..Self::default() };
        transitions.retain(|(name, n)| {
            match name.as_str() {
                "signals" => signals.stored = *n,
                "signals_early" => signals.early = *n,
                "signal_contradictions" => signals.contradictions = *n,
                _ => return true,
            }
            false
        });
        signals
    }
}

impl Counts {
    /// Jobs in a state.
    pub fn of(&self, state: State) -> u64 {
        State::ALL.iter().zip(self.states).find(|(each, _)| **each == state).map_or(0, |(_, n)| n)
    }

    /// Transitions of a name: `enqueued`, `duplicates`, `promoted`, `claimed`,
    /// `succeeded`, `retried`, `snoozed`, `released`, `crashed`, `dead`, `expired`,
    /// `cancelled`, `parked`, `unparked`, `signalled`, `lapsed` (a wait ran out of time), `partial`, `confirmed`, `refuted`, `unconfirmed`, `revived`, `repaired`, `rescheduled`, `prioritised`,
    /// `forgotten`, `refused`, `mended`.
    pub fn transitions(&self, name: &str) -> u64 {
        self.transitions.iter().find(|(each, _)| each == name).map_or(0, |(_, n)| *n)
    }
}

impl Client {
    /// One job, or `None` if it is unknown.
    ///
    /// # Errors
    /// When Redis failed or the job is damaged.
    pub async fn job(&self, id: &JobId) -> Result<Option<Job>, Error> {
        let found = self.fields(std::slice::from_ref(id)).await?.pop().unwrap_or_default();
        if found.is_empty() {
            return Ok(None);
        }
        Ok(Some(Job::read(id, &self.name, found)?))
    }

    /// The jobs of these ids that exist, in order. A damaged job is logged and left out, so that it
    /// does not hide the others.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Job>, Error> {
        let found = self.fields(ids).await?;
        let read = |(id, fields): (&JobId, Fields)| {
            if fields.is_empty() {
                return None;
            }
            Job::read(id, &self.name, fields)
                .inspect_err(|error| tracing::error!(%error, "left out of a list"))
                .ok()
        };
        Ok(ids.iter().zip(found).filter_map(read).collect())
    }

    async fn fields(&self, ids: &[JobId]) -> Result<Vec<Fields>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.check_layout().await?;
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("HGETALL").arg(self.keys.job(id));
        }
        Ok(pipe.query_async(&mut self.conn.clone()).await?)
    }

    /// When each of these jobs becomes ready, UTC ms; `None` for a job that is not scheduled. In
    /// order.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn due_times(&self, ids: &[JobId]) -> Result<Vec<Option<i64>>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut cmd = redis::cmd("ZMSCORE");
        cmd.arg(self.keys.scheduled());
        for id in ids {
            cmd.arg(id.as_str());
        }
        let scores: Vec<Option<f64>> = cmd.query_async(&mut self.conn.clone()).await?;
        Ok(scores.into_iter().map(|score| score.map(|ms| ms as i64)).collect())
    }

    /// Counts states and transitions, without reading any job.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn counts(&self) -> Result<Counts, Error> {
        self.check_layout().await?;
        let mut pipe = redis::pipe();
        let control =
            ["ready:0", "ready:1", "ready:2", "ready:3", "running", "succeeded", "paused", "signal_bytes"];
        pipe.cmd("HMGET").arg(self.keys.control()).arg(&control);
        pipe.cmd("HGETALL").arg(self.keys.stats());
        for index in State::ALL.into_iter().filter_map(|state| self.index(state)) {
            pipe.cmd("ZCARD").arg(index);
        }
        type Count = Option<i64>;
        type Control = (Count, Count, Count, Count, Count, Count, Option<u8>, Count);
        type Reply = (Control, Vec<(String, u64)>, u64, u64, u64, u64);
        let (control, mut transitions, scheduled, parked, dead, cancelled): Reply =
            pipe.query_async(&mut self.conn.clone()).await?;
        let (critical, high, normal, low, running, succeeded, paused, signal_bytes) = control;
        let count = |n: Count| n.unwrap_or(0).max(0).unsigned_abs();
        let ready = [critical, high, normal, low].map(count);
        let (running, succeeded) = (count(running), count(succeeded));
        let states = [scheduled, ready.iter().sum(), running, parked, succeeded, dead, cancelled];
        let signals = SignalCounts::split_off(&mut transitions, count(signal_bytes));
        Ok(Counts { states, ready, paused: paused == Some(1), transitions, signals })
    }

    /// The sorted set of a state. Ready jobs wait in lanes, running jobs are listed by claim, and
    /// succeeded jobs are in a stream.
    pub(crate) fn index(&self, state: State) -> Option<String> {
        match state {
            State::Scheduled => Some(self.keys.scheduled()),
            State::Ready | State::Running | State::Succeeded => None,
            State::Parked => Some(self.keys.parked()),
            State::Dead => Some(self.keys.dead()),
            State::Cancelled => Some(self.keys.cancelled()),
        }
    }
}
