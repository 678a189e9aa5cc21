//! Reads a job together with what holds it.

use redis::{FromRedisValue, RedisError, RedisResult, Value};

use crate::{
    client::{handle::Client, limits::read_key},
    error::Error,
    job::{Fields, Job, id::JobId},
    policy::limit::LimitKey,
    scripts::{self, Call},
};

/// A job and what holds it, at one moment. Times are UTC ms of Redis' clock.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The job.
    pub job: Job,
    /// The moment.
    pub now: i64,
    /// Whether the queue is paused.
    pub queue_paused: bool,
    /// Whether its kind is paused.
    pub kind_paused: bool,
    /// Jobs of the queue that run.
    pub running: u64,
    /// Ready jobs by priority, in the order of [`Priority::ALL`](crate::Priority::ALL).
    pub ready: [u64; 4],
    /// Lanes of its priority that take turns.
    pub lanes: u64,
    /// The workers of the queue.
    pub workers: Capacity,
    /// Those of them that run its kind and version.
    pub kind_workers: Capacity,
    /// Of a scheduled job: when it becomes ready.
    pub ready_at: Option<i64>,
    /// Of a running job: when its lease expires.
    pub lease_until: Option<i64>,
    /// Of a job that waits for its turn: jobs of its lane ahead of it, at least and at most.
    pub ahead: Option<(u64, u64)>,
    /// Of a job that waits for its turn: the limits that concern it.
    pub limits: Vec<LimitState>,
}

/// A number of workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Workers.
    pub workers: u64,
    /// Jobs that they run at once.
    pub slots: u64,
}

/// How a limit stands towards one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitState {
    /// Its key.
    pub key: LimitKey,
    /// Running jobs that count for it.
    pub running: u64,
    /// How many may run at once; `None` for any number.
    pub most: Option<u32>,
    /// When it has the next token; `None` if it has one now, or no rate.
    pub next_token: Option<i64>,
    /// Whether the job may start under it now.
    pub has_room: bool,
    /// Some of the running jobs that count for it, where all its slots are taken.
    pub holders: Vec<JobId>,
}

impl Client {
    /// A job and what holds it; `None` if it is unknown. One round trip, whose cost does not grow with
    /// the number of jobs.
    ///
    /// # Errors
    /// When Redis failed or the job is damaged.
    pub async fn standing(&self, id: &JobId) -> Result<Option<Standing>, Error> {
        let mut call = Call::new(&scripts::STANDING, &self.keys);
        let reply: Vec<Value> = call.arg(id.as_str()).run(&mut self.conn.clone()).await?;
        let mut reply = reply.into_iter();
        let Some(fields) = reply.next() else { return Ok(None) };
        let fields = Fields::from_redis_value(fields).map_err(RedisError::from)?;
        let mut standing = Standing::of(Job::read(id, &self.name, fields)?);
        while let (Some(name), Some(value)) = (reply.next(), reply.next()) {
            let name = String::from_redis_value(name).map_err(RedisError::from)?;
            standing.take(&name, value)?;
        }
        Ok(Some(standing))
    }
}

impl Standing {
    /// A job that nothing is known to hold.
    pub fn of(job: Job) -> Self {
        Self {
            job,
            now: 0,
            queue_paused: false,
            kind_paused: false,
            running: 0,
            ready: [0; 4],
            lanes: 0,
            workers: Capacity::default(),
            kind_workers: Capacity::default(),
            ready_at: None,
            lease_until: None,
            ahead: None,
            limits: Vec::new(),
        }
    }

    fn take(&mut self, name: &str, value: Value) -> RedisResult<()> {
        match name {
            "now" => self.now = read(value)?,
            "paused" => self.queue_paused = read::<u8>(value)? == 1,
            "kind_paused" => self.kind_paused = read::<u8>(value)? == 1,
            "running" => self.running = count(value)?,
            "lanes" => self.lanes = count(value)?,
            "ready" => {
                for (ready, n) in self.ready.iter_mut().zip(read::<Vec<i64>>(value)?) {
                    *ready = n.max(0).unsigned_abs();
                }
            }
            "workers" => self.workers.workers = count(value)?,
            "slots" => self.workers.slots = count(value)?,
            "kind_workers" => self.kind_workers.workers = count(value)?,
            "kind_slots" => self.kind_workers.slots = count(value)?,
            "ready_at" => self.ready_at = time(value)?,
            "lease_until" => self.lease_until = time(value)?,
            "ahead" => self.ahead = Some(read(value)?),
            "limit" => self.limits.extend(limit(value)?),
            // What a newer script says is ignored.
            _ => {}
        }
        Ok(())
    }
}

fn read<T: FromRedisValue>(value: Value) -> RedisResult<T> {
    Ok(T::from_redis_value(value)?)
}

fn count(value: Value) -> RedisResult<u64> {
    Ok(read::<i64>(value)?.max(0).unsigned_abs())
}

/// A time in ms, which may be empty. A score has a fraction in another form.
fn time(value: Value) -> RedisResult<Option<i64>> {
    Ok(read::<String>(value)?.parse::<f64>().ok().map(|ms| ms as i64))
}

fn limit(value: Value) -> RedisResult<Option<LimitState>> {
    type Each = (String, i64, String, String, u8, Vec<String>);
    let (key, running, most, next_token, has_room, holders): Each = read(value)?;
    Ok(read_key(&key).map(|key| LimitState {
        key,
        running: running.max(0).unsigned_abs(),
        most: most.parse().ok(),
        next_token: next_token.parse().ok(),
        has_room: has_room == 1,
        holders: holders.iter().filter_map(|id| id.parse().ok()).collect(),
    }))
}
