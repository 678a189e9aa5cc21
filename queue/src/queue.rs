//! The client of one queue: enqueue, read, count.

use redis::RedisError;

use crate::{
    connect::{Connection, Connector},
    failure::FailureClass,
    id::{JobId, QueueName},
    job::{Fields, Job, NewJob, Unreadable},
    keys::Keys,
    scripts::{self, Call, MAX_BATCH},
    state::State,
};

/// Why a call to a queue did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Redis did not answer, or answered with an error. What was asked for may
    /// have been applied; asking again is safe.
    #[error("Redis: {0}")]
    Redis(#[from] RedisError),
    /// A stored job is damaged.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// What became of a job that was to be enqueued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the queue now.
    Inserted,
    /// A job with this id was there already, in this state.
    Duplicate(State),
}

/// What became of a job that was to be retried by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It was dead and is ready now.
    Ready,
    /// It is in this state; nothing was changed.
    NotDead(State),
    /// It is not known (any more).
    Unknown,
}

/// How many jobs are in each state, and how many transitions there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs by state, in the order of [`State::ALL`].
    pub states: [u64; 5],
    /// Transitions since the beginning, by name.
    pub transitions: Vec<(String, u64)>,
}

impl Counts {
    /// Jobs in a state.
    pub fn of(&self, state: State) -> u64 {
        State::ALL.iter().zip(self.states).find(|(each, _)| **each == state).map_or(0, |(_, n)| n)
    }

    /// Transitions of a name: `enqueued`, `duplicates`, `claimed`, `succeeded`,
    /// `retried`, `dead`, `revived`, `released`, `crashed`, `refused`.
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
        Ok(Self::with_connection(connector.connect()?, connector.prefix(), name))
    }

    /// A client on a connection that others use too.
    pub fn with_connection(conn: Connection, prefix: &str, name: QueueName) -> Self {
        Self { conn, keys: Keys::new(prefix, &name), name }
    }

    /// The queue's name.
    pub fn name(&self) -> &QueueName {
        &self.name
    }

    /// The queue's keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Enqueues jobs, at most 256 in a script. A verdict for each, in order.
    ///
    /// # Errors
    /// When Redis failed. Earlier parts of a list of more than 256 may be in
    /// the queue by then; enqueueing the same list again finds them.
    pub async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Verdict>, Error> {
        let mut verdicts = Vec::with_capacity(jobs.len());
        for batch in jobs.chunks(MAX_BATCH) {
            let keys = &self.keys;
            let (ready, scheduled) = (keys.ready(), keys.scheduled());
            let (subjects, stats) = (keys.subjects(), keys.stats());
            let mut call = Call::new(&scripts::ENQUEUE, &[&ready, &scheduled, &subjects, &stats]);
            call.arg(keys.job_prefix()).arg(keys.wake()).arg(batch.len());
            for job in batch {
                call.arg(job.id.as_str())
                    .arg(job.body())
                    .arg(job.subject.as_deref().unwrap_or_default())
                    .arg(job.delay.as_millis() as u64);
            }
            let reply: Vec<String> = call.run(&mut self.conn.clone()).await?;
            verdicts.extend(reply.iter().skip(1).map(|found| match found.as_str() {
                "" => Verdict::Inserted,
                state => Verdict::Duplicate(state.parse().unwrap_or(State::Ready)),
            }));
        }
        Ok(verdicts)
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
        let mut pipe = redis::pipe();
        for state in State::ALL {
            pipe.cmd("ZCARD").arg(self.index(state));
        }
        pipe.cmd("HGETALL").arg(self.keys.stats());
        let (scheduled, ready, running, succeeded, dead, transitions) =
            pipe.query_async(&mut self.conn.clone()).await?;
        Ok(Counts { states: [scheduled, ready, running, succeeded, dead], transitions })
    }

    /// Makes a dead job ready again, with fresh budgets for failures.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn retry(&self, id: &JobId) -> Result<Retried, Error> {
        let keys = &self.keys;
        let (job, dead, ready, stats) = (keys.job(id), keys.dead(), keys.ready(), keys.stats());
        let mut call = Call::new(&scripts::RETRY, &[&job, &dead, &ready, &stats]);
        call.arg(id.as_str()).arg(keys.wake()).arg(keys.changes());
        for class in FailureClass::ALL {
            call.arg(format!("failed:{class}"));
        }
        let found: String = call.run(&mut self.conn.clone()).await?;
        Ok(match found.as_str() {
            "" => Retried::Unknown,
            "dead" => Retried::Ready,
            state => Retried::NotDead(state.parse().unwrap_or(State::Ready)),
        })
    }

    /// Forgets jobs that finished longer ago than `retention` in state `of`, at
    /// most 256 a call. Returns how many.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn trim(&self, of: State, retention: std::time::Duration) -> Result<u64, Error> {
        let (index, subjects) = (self.index(of), self.keys.subjects());
        let mut call = Call::new(&scripts::TRIM, &[&index, &subjects]);
        call.arg(self.keys.job_prefix()).arg(retention.as_millis() as u64).arg(MAX_BATCH);
        Ok(call.run(&mut self.conn.clone()).await?)
    }

    /// The sorted set of a state.
    pub(crate) fn index(&self, state: State) -> String {
        match state {
            State::Scheduled => self.keys.scheduled(),
            State::Ready => self.keys.ready(),
            State::Running => self.keys.running(),
            State::Succeeded => self.keys.succeeded(),
            State::Dead => self.keys.dead(),
        }
    }
}
