//! The calls of a worker to Redis: claim, settle, renew, write.
//!
//! Each is one script call and may be repeated until Redis answers. The apalis backend uses these
//! calls; another runtime could too.

use std::time::Duration;

use bytes::Bytes;
use redis::{FromRedisValue, ParsingError, RedisError, Value};

use super::Worker;
use crate::{
    client::{books::NO_ROUTE, handle::Client},
    job::{Expectation, Fields, Job, OnSilence, Unreadable, clock::Clock, id::JobId, state::State},
    policy::{failure::FailureClass, priority::Shares, retry::Crashes},
    redis::{clock::delay_ms, connect::Cause},
    scripts::{self, Call, MAX_CLAIM},
};

/// The largest outcome, in bytes of JSON. A larger outcome ends the job as a permanent failure. Put
/// large data into a store and its address into the outcome.
pub const MAX_OUTCOME: usize = 1024 * 1024;

/// A call for work.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// The worker.
    pub worker: &'a str,
    /// At most this many jobs, up to 160; 0 only runs the maintenance.
    pub want: usize,
    /// How long the leases last.
    pub lease: Duration,
    /// The policy for a job that lost its worker.
    pub crashes: &'a Crashes,
    /// The same for single kinds, each by its stored name.
    pub crashes_by_kind: &'a [(String, Crashes)],
    /// The kinds that the worker runs ([`Kinds::stored`](crate::Kinds::stored)); `None` for all. A
    /// job of another kind is parked. Jobs that are parked for one of these kinds are leased first.
    pub kinds: Option<&'a [String]>,
    /// The request id of the call. A repeated id gets the same jobs in reply, as long as no call
    /// with an id higher by two has come: two may be under way.
    pub request_id: u64,
    /// The guaranteed shares of the less urgent classes.
    pub shares: Shares,
    /// The quantum: how many jobs a lane may get ahead of its turn, 1 to 160, for a tenant of
    /// weight 1. With a larger quantum a claim comes from fewer lanes. The lane waits for these
    /// jobs afterwards.
    pub quantum: usize,
}

/// The result of the maintenance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Jobs whose lease had expired.
    pub reclaimed: u64,
    /// Reclaimed jobs that are dead.
    pub dead: u64,
}

/// The reply to a call for work.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Redis' time, UTC ms.
    pub now: i64,
    /// The time of the next work, UTC ms. 0 for unknown, for example after a full claim.
    pub next_at: i64,
    /// The result of the maintenance, or why it failed. A failure does not stop the claim.
    pub maintained: Result<Maintained, RedisError>,
    /// Whether there is more to do at once.
    pub more: bool,
    /// Jobs that were parked because the worker does not run their kind.
    pub unknown: u64,
    jobs: Vec<(String, Content)>,
}

/// A claimed job in the reply.
#[derive(Clone, Debug)]
enum Content {
    /// Its body. A job that runs for the first time has nothing else.
    Body(Bytes),
    /// Its token, and all of its fields.
    Fields(u64, Fields),
}

impl FromRedisValue for Content {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        match value {
            Value::BulkString(body) => Ok(Self::Body(body.into())),
            fields => {
                let mut fields = Vec::<Value>::from_redis_value(fields)?.into_iter();
                let token = u64::from_redis_value(fields.next().unwrap_or(Value::Nil))?;
                Ok(Self::Fields(token, Fields::from_redis_value(Value::Array(fields.collect()))?))
            }
        }
    }
}

impl FromRedisValue for Claimed {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let mut reply = Vec::<Value>::from_redis_value(value)?.into_iter();
        let mut number = || i64::from_redis_value(reply.next().unwrap_or(Value::Nil));
        let (now, next_at) = (number()?, number()?);
        let (more, unknown) = (number()? == 1, number()?.unsigned_abs());
        let mut jobs = Vec::with_capacity(reply.len() / 2);
        while let (Some(id), Some(content)) = (reply.next(), reply.next()) {
            jobs.push((String::from_redis_value(id)?, Content::from_redis_value(content)?));
        }
        Ok(Self { more, unknown, jobs, ..Self::empty(now, next_at) })
    }
}

impl Claimed {
    /// A claim that leased nothing.
    pub(super) fn empty(now: i64, next_at: i64) -> Self {
        let maintained = Ok(Maintained::default());
        Self { now, next_at, maintained, more: false, unknown: 0, jobs: Vec::new() }
    }

    /// The number of leased jobs.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether no job was leased.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The jobs in their running state.
    pub fn jobs<'a>(
        self,
        queue: &'a Client,
        worker: &'a str,
    ) -> impl Iterator<Item = Result<Job, Unreadable>> + 'a {
        let now = self.now;
        self.jobs.into_iter().map(move |(id, content)| {
            let id = JobId::trusted(id);
            let (token, mut job) = match content {
                Content::Body(body) => (1, Job::fresh(&id, queue.name(), &body)?),
                Content::Fields(token, fields) => (token, Job::read(&id, queue.name(), fields)?),
            };
            // The reply has the fields from before the lease.
            job.attempts = token.saturating_sub(job.token.saturating_sub(job.attempts));
            job.token = token;
            job.state = State::Running;
            (job.since, job.began) = (now, Some(now));
            job.worker = Some(worker.to_owned());
            Ok(job)
        })
    }
}

/// An attempt that ended.
#[derive(Clone, Debug)]
pub struct EndedAttempt {
    /// The job.
    pub id: JobId,
    /// The fencing token of the attempt.
    pub token: u64,
    /// The flow of the job.
    pub flow: String,
    /// Its expectation, if any.
    pub expectation: Option<Expectation>,
    /// Bytes of its arguments, which Redis reads for every end except a success.
    pub args: usize,
    /// How long the job spent in each stage up to the attempt; `None` where nothing counts that.
    pub clock: Option<Clock>,
    /// How.
    pub disposition: Disposition,
}

/// What became of a batch of ends.
pub(crate) struct Settled {
    /// Redis' time, UTC ms.
    pub(crate) at: i64,
    /// For each end whether it was written.
    pub(crate) written: Vec<bool>,
}

/// How an attempt ended. Lines are JSON: a [`crate::policy::failure::FailedAttempt`] or
/// a [`crate::job::Change`].
#[derive(Clone, Debug)]
pub enum Disposition {
    /// Success, with an outcome as JSON.
    Succeed(String),
    /// Failure; the job runs again.
    Retry {
        /// After this.
        delay: Duration,
        /// Why it failed.
        class: FailureClass,
        /// The normalised message.
        normal: String,
        /// For the history.
        line: String,
    },
    /// Failure; the job does not run again.
    Bury {
        /// Why it failed.
        class: FailureClass,
        /// The normalised message.
        normal: String,
        /// For the history.
        line: String,
    },
    /// Deferred without a failure; the job runs again. The attempt does not count.
    Snooze {
        /// After this.
        delay: Duration,
        /// For the history.
        line: String,
    },
    /// Handed back. The attempt does not count.
    Release {
        /// For the history; may be empty.
        line: String,
    },
    /// Stopped because the job was cancelled.
    Cancel {
        /// For the history.
        line: String,
    },
    /// Parked. The attempt does not count.
    Park {
        /// The condition, in stored form.
        condition: String,
        /// How long the job waits; `None` for ever.
        within: Option<Duration>,
        /// For people.
        why: String,
        /// For the history.
        line: String,
    },
    /// A part of the work came out right, with an outcome as JSON: the job succeeds.
    Partly(String),
    /// Done, and a signal ends the job.
    Await {
        /// The outcome as JSON.
        outcome: String,
        /// The condition, in stored form.
        condition: String,
        /// How long the job waits.
        within: Duration,
        /// What silence means.
        on_silence: OnSilence,
        /// For people.
        why: String,
        /// For the history.
        line: String,
    },
}

/// The result of a renewal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Leases that another worker has, or that ended.
    pub lost: Vec<String>,
    /// Held leases whose jobs are cancelled.
    pub cancelled: Vec<String>,
}

/// A write of a running attempt.
#[derive(Clone, Copy, Debug)]
pub enum Write<'a> {
    /// The progress as JSON, and the mark that it leaves (`percent step`).
    Progress(&'a str, &'a str),
    /// The name of a completed step, its result, as JSON, and the digest of the arguments that
    /// it was made from ([`crate::Job::args_digest`]); an empty one for any.
    Step(&'a str, &'a str, &'a str),
    /// The name of an effect that begins now, and the digest of the arguments that it is made from.
    Begin(&'a str, &'a str),
    /// The name of an effect that was refused: it did not happen.
    Refused(&'a str),
    /// A line of the log, as a JSON string.
    Log(&'a str),
}

/// Lines of the log, and marks of progress, that are kept with a job.
const LINES: usize = 100;
/// Bytes of each.
const BYTES: usize = 8 * 1024;
/// Marks that are kept with a job.
const MARKS: usize = 32;

/// The number of arguments that `complete.lua` needs for a success. The rest have their defaults.
fn width(ended: &EndedAttempt, outcome: &str) -> usize {
    match (ended.token, outcome) {
        (1, "null") => 1,
        (_, "null") => 2,
        _ => 3,
    }
}

/// The flow and route of an attempt. Successes of one call are sent in groups by them.
fn group(ended: &EndedAttempt) -> (&str, u32) {
    (&ended.flow, ended.expectation.map_or(NO_ROUTE, |expectation| expectation.route))
}

impl Worker {
    /// Runs the maintenance (promotes, reclaims, expires jobs), and leases jobs.
    ///
    /// # Errors
    /// When Redis failed. What is due may be done then, and jobs may be leased: the same request
    /// id gets them.
    pub async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed, RedisError> {
        let keys = &self.client.keys;
        let mut maintain = Call::new(&scripts::MAINTAIN, keys);
        maintain.arg(claim.worker).arg(claim.want).arg(claim.crashes.stored()).arg(rand::random::<f64>());
        for (kind, crashes) in claim.crashes_by_kind {
            maintain.arg(kind).arg(crashes.stored());
        }
        let conn = &mut self.client.conn.clone();
        if claim.want == 0 {
            return match maintain.run(conn).await {
                Ok((now, reclaimed, dead)) => {
                    let maintained = Ok(Maintained { reclaimed, dead });
                    Ok(Claimed { maintained, ..Claimed::empty(now, 0) })
                }
                // Redis replied: the worker must not repeat this call instead of claiming.
                Err(error) if error.code().is_some() && Cause::of(&error) == Cause::Other => {
                    Ok(Claimed { maintained: Err(error), ..Claimed::empty(0, 0) })
                }
                Err(error) => Err(error),
            };
        }
        let [due, leased] = self.leasing(claim, false).run_behind(&maintain, conn).await?;
        let mut leased = Claimed::from_redis_value(leased.extract_error()?)?;
        let maintained = due.extract_error().and_then(|due| {
            let (_, reclaimed, dead): (i64, u64, u64) = FromRedisValue::from_redis_value(due)?;
            Ok(Maintained { reclaimed, dead })
        });
        if maintained.is_err() && leased.more && leased.is_empty() {
            // It left what is late to the maintenance. It remembers only calls that leased jobs, so
            // the request id stays.
            leased = self.leasing(claim, true).run(conn).await?;
        }
        Ok(Claimed { maintained, ..leased })
    }

    /// The call that leases jobs; `unmaintained` where what is due could not be done.
    fn leasing(&self, claim: &Claim<'_>, unmaintained: bool) -> Call {
        let mut call = Call::new(&scripts::CLAIM, &self.client.keys);
        call.arg(claim.worker).arg(claim.want.min(MAX_CLAIM)).arg(claim.lease.as_millis() as u64);
        call.arg(claim.request_id);
        call.arg(claim.shares.high).arg(claim.shares.normal).arg(claim.shares.low);
        call.arg(claim.quantum.clamp(1, MAX_CLAIM)).arg(rand::random::<f64>()).arg(u8::from(unmaintained));
        match claim.kinds {
            None => call.arg(-1),
            Some(kinds) => call.arg(kinds.len()).arg(kinds),
        };
        call
    }

    /// Writes how attempts ended, at most 192. Returns for each whether it was written, or refused
    /// as stale. Of two ends of one attempt the success comes first.
    ///
    /// # Errors
    /// When Redis failed. The batch may have been written; repeated, it is refused.
    pub async fn settle(&self, worker: &str, batch: &[EndedAttempt]) -> Result<Vec<bool>, RedisError> {
        Ok(self.settle_at(worker, batch).await?.written)
    }

    /// The same, and when it was written.
    pub(crate) async fn settle_at(
        &self,
        worker: &str,
        batch: &[EndedAttempt],
    ) -> Result<Settled, RedisError> {
        let (mut succeeded, mut others) = (Vec::with_capacity(batch.len()), Vec::new());
        for (place, ended) in batch.iter().enumerate() {
            match &ended.disposition {
                Disposition::Succeed(outcome) => succeeded.push((place, ended, outcome.as_str())),
                end => others.push((place, ended, end)),
            }
        }
        succeeded.sort_by_key(|(_, ended, _)| group(ended));
        let groups: Vec<_> =
            succeeded.chunk_by(|(_, one, _), (_, next, _)| group(one) == group(next)).collect();
        let mut call = Call::new(&scripts::COMPLETE, &self.client.keys);
        call.arg(worker).arg(groups.len());
        for items in groups {
            let Some((_, first, _)) = items.first() else { continue };
            let width = items.iter().map(|(_, ended, outcome)| width(ended, outcome)).max().unwrap_or(1);
            let (flow, route) = group(first);
            let due = items.iter().filter_map(|(_, ended, _)| ended.expectation).map(|of| of.due).min();
            call.arg(flow).arg(route).arg(due.unwrap_or(0)).arg(width).arg(items.len());
            for (_, ended, outcome) in items {
                call.arg(ended.id.as_str());
                if width > 1 {
                    call.arg(ended.token);
                }
                if width > 2 {
                    call.arg(*outcome);
                }
            }
        }
        call.arg(others.len());
        for (_, EndedAttempt { id, token, flow, .. }, end) in &others {
            call.arg(id.as_str()).arg(*token).arg(flow.as_str());
            match end {
                // Successes came first.
                Disposition::Succeed(_) => &mut call,
                Disposition::Retry { delay, class, normal, line } => {
                    let first = format!("{}|{normal}", delay_ms(*delay));
                    call.arg("retry").arg(first).arg(class.as_str()).arg(line.as_str())
                }
                Disposition::Bury { class, normal, line } => {
                    call.arg("bury").arg(normal.as_str()).arg(class.as_str()).arg(line.as_str())
                }
                Disposition::Snooze { delay, line } => {
                    call.arg("snooze").arg(delay_ms(*delay)).arg("").arg(line.as_str())
                }
                Disposition::Release { line } => call.arg("release").arg("").arg("").arg(line.as_str()),
                Disposition::Cancel { line } => call.arg("cancel").arg("").arg("").arg(line.as_str()),
                Disposition::Park { condition, within, why, line } => {
                    let within = within.map(|within| delay_ms(within).to_string()).unwrap_or_default();
                    call.arg("park").arg(condition.as_str()).arg(format!("{within}|{why}")).arg(line.as_str())
                }
                Disposition::Partly(outcome) => call.arg("partly").arg(outcome.as_str()).arg("").arg(""),
                Disposition::Await { outcome, condition, within, on_silence, why, line } => {
                    let (ms, shown) = (delay_ms(*within), humantime::format_duration(*within));
                    let (silence, bytes) = (on_silence.letter(), why.len());
                    let terms = format!("{ms}|{silence}|{shown}|{bytes}|{why}{outcome}");
                    call.arg("await").arg(condition.as_str()).arg(terms).arg(line.as_str())
                }
            };
        }
        let reply: Vec<i64> = call.run(&mut self.client.conn.clone()).await?;
        let mut reply = reply.into_iter();
        let at = reply.next().unwrap_or(0);
        let places: Vec<usize> = succeeded
            .iter()
            .map(|(place, ..)| *place)
            .chain(others.iter().map(|(place, ..)| *place))
            .collect();
        let mut written = vec![true; batch.len()];
        for nth in reply {
            let place = usize::try_from(nth).ok().and_then(|nth| places.get(nth.checked_sub(1)?));
            if let Some(written) = place.and_then(|place| written.get_mut(*place)) {
                *written = false;
            }
        }
        Ok(Settled { at, written })
    }

    /// Extends at most 128 leases. Jobs of one claim share a lease, so any of them extends it for
    /// all.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn renew<'a>(
        &self,
        worker: &str,
        lease: Duration,
        leases: impl ExactSizeIterator<Item = (&'a JobId, u64)>,
    ) -> Result<Renewed, RedisError> {
        let mut call = Call::new(&scripts::RENEW, &self.client.keys);
        call.arg(lease.as_millis() as u64).arg(worker).arg(leases.len());
        for (id, token) in leases {
            call.arg(id.as_str()).arg(token);
        }
        let (lost, cancelled) = call.run(&mut self.client.conn.clone()).await?;
        Ok(Renewed { lost, cancelled })
    }

    /// A write of a running attempt; false when the attempt is stale.
    ///
    /// # Errors
    /// When Redis failed. The write may have been applied. A repeated step is stored once, with its
    /// first result; a repeated line of the log or mark of progress appears twice.
    pub async fn write(
        &self,
        worker: &str,
        id: &JobId,
        token: u64,
        write: Write<'_>,
    ) -> Result<bool, RedisError> {
        let mut call = Call::new(&scripts::WRITE, &self.client.keys);
        call.arg(id.as_str()).arg(token).arg(worker);
        match write {
            Write::Progress(progress, mark) => {
                call.arg("progress").arg(mark).arg(progress).arg(BYTES).arg(MARKS)
            }
            Write::Step(name, result, digest) => {
                call.arg("step").arg(name).arg(result).arg(digest).arg(LINES)
            }
            Write::Begin(name, digest) => call.arg("begin").arg(name).arg("").arg(digest).arg(LINES),
            Write::Refused(name) => call.arg("refused").arg(name).arg("").arg("").arg(LINES),
            Write::Log(line) => call.arg("log").arg("").arg(line).arg(BYTES).arg(LINES),
        };
        let stored: u8 = call.run(&mut self.client.conn.clone()).await?;
        Ok(stored == 1)
    }
}
