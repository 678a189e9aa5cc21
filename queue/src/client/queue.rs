//! The client of one queue: enqueue, read, count.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use redis::{FromRedisValue, RedisError};

use crate::{
    client::list::BadCursor,
    job::{
        Fields, Job, NewJob, Rejection, Unreadable,
        id::{JobId, QueueName},
        state::State,
    },
    policy::limit::BadLimit,
    redis::{
        connect::{self, Connection, Connector, Replicas},
        keys::{Keys, SCHEMA},
        layout::Layout,
    },
    scripts::{self, CALL_BYTES, Call},
};

/// Why a call to a queue did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Redis did not answer, or answered with an error. What was asked for may
    /// have been applied; asking again is safe.
    #[error("Redis: {}", connect::told(.0))]
    Redis(#[from] RedisError),
    /// A stored job is damaged.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Arguments that cannot be taken.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// A cursor that is not one of the list.
    #[error(transparent)]
    Cursor(#[from] BadCursor),
    /// A limit that cannot be kept.
    #[error(transparent)]
    Limit(#[from] BadLimit),
    /// The queue was written by a program with another layout of keys.
    #[error(
        "the queue was written with layout {found}, this program speaks layout {SCHEMA}: \
         run the version of Upshot that fits, or use another prefix"
    )]
    Layout {
        /// The layout that is there.
        found: String,
    },
    /// A job changed each time that it was to be repaired.
    #[error("job {0} changed each time that it was to be repaired: ask again")]
    Contended(JobId),
    /// The jobs are in Redis, but not on as many replicas as they have to be.
    /// Enqueueing them again finds them, and waits for the replicas again.
    #[error(
        "{acknowledged} of {wanted} replicas have the jobs: see that they are up, or lower `redis.replicas`"
    )]
    NotReplicated {
        /// How many have them.
        acknowledged: usize,
        /// How many are to have them.
        wanted: usize,
    },
}

/// What became of a job that was to be enqueued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the queue now.
    Inserted,
    /// A job was there already.
    Duplicate {
        /// Which: the same id, or the one that holds the idempotency key.
        id: JobId,
        /// Where it is.
        state: State,
    },
    /// It cannot be taken; the others of its batch were.
    Rejected(Rejection),
}

/// Batches of one list that are under way to Redis at once.
const IN_FLIGHT: usize = 3;

/// Arguments larger than this are refused unless a client says otherwise.
pub const MAX_PAYLOAD: usize = 1024 * 1024;

/// How many jobs are in each state, and how many transitions there were.
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
}

impl Counts {
    /// Jobs in a state.
    pub fn of(&self, state: State) -> u64 {
        State::ALL.iter().zip(self.states).find(|(each, _)| **each == state).map_or(0, |(_, n)| n)
    }

    /// Transitions of a name: `enqueued`, `duplicates`, `promoted`, `claimed`,
    /// `succeeded`, `retried`, `snoozed`, `released`, `crashed`, `dead`, `expired`,
    /// `cancelled`, `parked`, `unparked`, `revived`, `repaired`, `rescheduled`, `prioritised`,
    /// `forgotten`, `refused`, `mended`.
    pub fn transitions(&self, name: &str) -> u64 {
        self.transitions.iter().find(|(each, _)| each == name).map_or(0, |(_, n)| *n)
    }
}

/// The client of one queue. Cheap to clone; clones share a connection.
#[derive(Clone)]
pub struct Queue {
    pub(crate) conn: Connection,
    pub(crate) keys: Keys,
    name: QueueName,
    pub(crate) max_payload: usize,
    /// Where replicas have to have what is enqueued: how many, and a connection
    /// that nothing else uses, because waiting holds up what comes behind.
    replicated: Option<(Connection, Replicas)>,
    pub(crate) layout: Layout,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Queue {
    /// A client with a connection of its own.
    ///
    /// # Errors
    /// When the options contradict each other.
    pub fn new(connector: &Connector, name: QueueName) -> Result<Self, Error> {
        let queue = Self::with_connection(connector.connect()?, connector.prefix(), name);
        let replicated =
            connector.replicas().map(|replicas| Ok::<_, RedisError>((connector.connect()?, replicas)));
        Ok(Self { replicated: replicated.transpose()?, ..queue })
    }

    /// A client on a connection that others use too. Its enqueues wait for no replica.
    pub fn with_connection(conn: Connection, prefix: &str, name: QueueName) -> Self {
        let (keys, layout) = (Keys::new(prefix, &name), Layout::default());
        Self { conn, keys, name, max_payload: MAX_PAYLOAD, replicated: None, layout }
    }

    /// The same queue with another limit on the size of arguments, in bytes.
    #[must_use]
    pub fn with_max_payload(self, max_payload: usize) -> Self {
        Self { max_payload, ..self }
    }

    /// The same queue with a clock that a test sets.
    #[doc(hidden)]
    #[must_use]
    pub fn with_test_clock(self) -> Self {
        Self { keys: self.keys.with_test_clock(), ..self }
    }

    /// The queue's name.
    pub fn name(&self) -> &QueueName {
        &self.name
    }

    /// The queue's keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Enqueues jobs, at most 77 in a script, and 20 where each has a lane of its own. A
    /// verdict for each, in order.
    ///
    /// # Errors
    /// When Redis failed. Parts of a list of more than that may be in the queue by
    /// then; enqueueing the same list again finds them.
    pub async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Verdict>, Error> {
        let mut verdicts: Vec<Verdict> = Vec::with_capacity(jobs.len());
        let mut taken: Vec<(usize, &NewJob)> = Vec::with_capacity(jobs.len());
        for (place, job) in jobs.iter().enumerate() {
            match job.check(self.max_payload) {
                Ok(()) => taken.push((place, job)),
                Err(rejection) => {
                    verdicts.resize(place, Verdict::Inserted);
                    verdicts.push(Verdict::Rejected(rejection));
                }
            }
        }
        verdicts.resize(jobs.len(), Verdict::Inserted);
        by_lane(&mut taken);
        // The next batches are put together while Redis works on the first.
        let batches: Vec<_> = batches(&taken).into_iter().map(|batch| self.enqueue_batch(batch)).collect();
        let mut found = stream::iter(batches).buffered(IN_FLIGHT);
        while let Some(found) = found.try_next().await? {
            for (place, verdict) in found {
                if let Some(there) = verdicts.get_mut(place) {
                    *there = verdict;
                }
            }
        }
        Ok(verdicts)
    }

    /// Enqueues what a script takes. The verdicts on jobs that were there already, by
    /// their place in the list.
    async fn enqueue_batch(&self, batch: &[(usize, &NewJob)]) -> Result<Vec<(usize, Verdict)>, Error> {
        let mut call = Call::new(&scripts::ENQUEUE, &self.keys);
        let width = batch.iter().map(|(_, job)| job.width()).max().unwrap_or(2);
        let lanes: Vec<_> = batch.chunk_by(|(_, one), (_, next)| one.lane() == next.lane()).collect();
        call.arg(batch.len()).arg(width).arg(lanes.len());
        for lane in lanes {
            let Some((_, first)) = lane.first() else { continue };
            let flow = first.flow();
            call.arg(crate::job::flow::lane(first.priority, &flow)).arg(lane.len());
            for (_, job) in lane {
                call.arg(job.id.as_str()).arg(job.body(&flow));
                if width > 2 {
                    call.arg(job.subject.as_deref().unwrap_or_default());
                }
                if width > 3 {
                    call.arg(job.delay.as_millis() as u64);
                }
                if width > 4 {
                    call.arg(job.rare());
                }
            }
        }
        let found: Vec<(usize, String)> = self.run_replicated(&call).await?;
        let verdict = |(nth, said): &(usize, String)| {
            let (place, job) = batch.get(nth.checked_sub(1)?)?;
            Some((*place, verdict(said, &job.id)))
        };
        Ok(found.iter().filter_map(verdict).collect())
    }

    /// Runs a script, and waits until as many replicas as are asked for have what it wrote.
    pub(crate) async fn run_replicated<T: FromRedisValue>(&self, call: &Call) -> Result<T, Error> {
        let Some((conn, replicas)) = &self.replicated else {
            return Ok(call.run(&mut self.conn.clone()).await?);
        };
        let (said, acknowledged) = call.run_replicated(&mut conn.clone(), &self.keys, *replicas).await?;
        if acknowledged < replicas.count {
            return Err(Error::NotReplicated { acknowledged, wanted: replicas.count });
        }
        Ok(said)
    }

    /// One job, or `None` when it is not known (any more).
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

    /// The jobs of these ids that exist, in order. A damaged one is logged and
    /// left out, so that it does not hide the others.
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

    /// When each of these jobs becomes ready, UTC ms; `None` for one that is not
    /// scheduled (any more). In order.
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

    /// Counts of states and transitions, without looking at any job.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn counts(&self) -> Result<Counts, Error> {
        self.check_layout().await?;
        let mut pipe = redis::pipe();
        let control = ["ready:0", "ready:1", "ready:2", "ready:3", "running", "succeeded", "paused"];
        pipe.cmd("HMGET").arg(self.keys.control()).arg(&control);
        pipe.cmd("HGETALL").arg(self.keys.stats());
        for index in State::ALL.into_iter().filter_map(|state| self.index(state)) {
            pipe.cmd("ZCARD").arg(index);
        }
        type Count = Option<i64>;
        type Control = (Count, Count, Count, Count, Count, Count, Option<u8>);
        type Reply = (Control, Vec<(String, u64)>, u64, u64, u64, u64);
        let (control, transitions, scheduled, parked, dead, cancelled): Reply =
            pipe.query_async(&mut self.conn.clone()).await?;
        let (critical, high, normal, low, running, succeeded, paused) = control;
        let count = |n: Count| n.unwrap_or(0).max(0).unsigned_abs();
        let ready = [critical, high, normal, low].map(count);
        let (running, succeeded) = (count(running), count(succeeded));
        let states = [scheduled, ready.iter().sum(), running, parked, succeeded, dead, cancelled];
        Ok(Counts { states, ready, paused: paused == Some(1), transitions })
    }

    /// The sorted set of a state. Ready jobs wait in lanes, running ones
    /// are found by their claims, those that succeeded in a stream.
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

/// What a batch costs Redis at most, in jobs, so that no call holds it for long.
const MAX_COST: usize = 80;
/// What the first job for a lane costs besides.
const LANE_COST: usize = 3;

/// Puts jobs of one lane beside each other, in the order they had, so that a call
/// touches few lanes and Redis has the jobs of a lane in one place. Not where the
/// order of the whole list decides which of two jobs finds the other.
fn by_lane(jobs: &mut [(usize, &NewJob)]) {
    if jobs.is_sorted_by_key(|(_, job)| job.lane()) {
        return;
    }
    let mut ids = HashSet::with_capacity(jobs.len());
    if jobs.iter().all(|(_, job)| job.unique.is_none() && ids.insert(&job.id)) {
        jobs.sort_by_key(|(_, job)| job.lane());
    }
}

/// The jobs in parts that a script takes, in order.
fn batches<'a, 'b>(jobs: &'a [(usize, &'b NewJob)]) -> Vec<&'a [(usize, &'b NewJob)]> {
    let (mut parts, mut rest) = (Vec::new(), jobs);
    while !rest.is_empty() {
        let (mut cost, mut bytes) = (0, 0);
        let mut end = 0;
        let mut last = None;
        for (_, job) in rest {
            // A lane that comes twice counts twice; where lanes lie together none does.
            let is_new = last.replace(job.lane()) != Some(job.lane());
            cost += if is_new { 1 + LANE_COST } else { 1 };
            if cost > MAX_COST || bytes >= CALL_BYTES {
                break;
            }
            bytes += job.bytes();
            end += 1;
        }
        let (part, behind) = rest.split_at(end);
        parts.push(part);
        rest = behind;
    }
    parts
}

/// What the script said of a job that was there: its state, or that and the id of
/// another job.
fn verdict(said: &str, id: &JobId) -> Verdict {
    if said == "damaged" {
        return Verdict::Rejected(Rejection::Damaged(id.clone()));
    }
    let (state, other) = said.split_once(' ').map_or((said, None), |(state, other)| (state, Some(other)));
    let id = other.map_or_else(|| id.clone(), |other| JobId::trusted(other.to_owned()));
    Verdict::Duplicate { id, state: state.parse().unwrap_or(State::Ready) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job(tenant: u16) -> NewJob {
        let mut job = NewJob::new(JobId::random(), "k", "");
        job.tenant = Some(tenant.to_string());
        job
    }

    proptest! {
        #[test]
        fn batches_are_the_list_in_parts_that_a_script_takes(
            tenants in prop::collection::vec(0u16..200, 0..600),
            together in any::<bool>(),
            bytes in prop::sample::select(vec![0, 20_000, 600_000]),
        ) {
            let mut jobs: Vec<NewJob> = tenants.iter().copied().map(job).collect();
            // Every third has that many.
            let args = bytes::Bytes::from(vec![b' '; bytes]);
            jobs.iter_mut().step_by(3).for_each(|job| job.args = args.clone());
            let mut list: Vec<_> = jobs.iter().enumerate().collect();
            if together {
                by_lane(&mut list);
            }
            let parts = batches(&list);
            let places = |jobs: &[(usize, &NewJob)]| jobs.iter().map(|(place, _)| *place).collect::<Vec<_>>();
            prop_assert_eq!(places(&parts.concat()), places(&list));
            let lanes = |jobs: &[(usize, &NewJob)]| jobs.chunk_by(|(_, a), (_, b)| a.lane() == b.lane()).count();
            let cost = |jobs: &[(usize, &NewJob)]| jobs.len() + lanes(jobs) * LANE_COST;
            let bytes = |jobs: &[(usize, &NewJob)]| jobs.iter().map(|(_, job)| job.args.len()).sum::<usize>();
            for part in &parts {
                prop_assert!(!part.is_empty() && cost(part) <= MAX_COST);
                prop_assert!(bytes(&part[..part.len() - 1]) < CALL_BYTES);
            }
            // No part could have taken the first job of the next one.
            for pair in parts.windows(2) {
                let more = [pair[0], &pair[1][..1]].concat();
                let full = bytes(pair[0]) >= CALL_BYTES;
                prop_assert!(full || cost(&more) > MAX_COST);
            }
        }

        #[test]
        fn jobs_of_a_lane_lie_together_in_the_order_they_had(tenants in prop::collection::vec(0u16..9, 0..200)) {
            let jobs: Vec<NewJob> = tenants.iter().copied().map(job).collect();
            let mut list: Vec<_> = jobs.iter().enumerate().collect();
            by_lane(&mut list);
            prop_assert!(list.is_sorted_by_key(|(place, job)| (job.lane(), *place)));
            let mut places: Vec<_> = list.iter().map(|(place, _)| *place).collect();
            places.sort_unstable();
            prop_assert!(places.into_iter().eq(0..jobs.len()));
        }
    }

    #[test]
    fn a_list_whose_jobs_may_find_each_other_keeps_its_order() {
        let mut jobs = [job(2), job(1), job(2)];
        jobs[2].id = jobs[1].id.clone();
        let mut list: Vec<_> = jobs.iter().enumerate().collect();
        by_lane(&mut list);
        assert!(list.is_sorted_by_key(|(place, _)| *place));
    }
}
