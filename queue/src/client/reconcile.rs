//! Compares an event with the job of an earlier event with the same identity: the same, a repair,
//! or a conflict.
//!
//! An enqueue that finds a job with the same id compares nothing, because most duplicates are the
//! same event again. A caller that must know asks here. The enqueue stores nothing for it, because
//! a job keeps its first arguments anyway.
//!
//! | the job that is there | the event has | then |
//! |---|---|---|
//! | is another tenant's | anything | a conflict |
//! | any state | the first arguments, or those of an earlier repair | the same |
//! | parked, because no build could read its arguments, no step completed | other data | a repair |
//! | dead, class `permanent`, no step completed | other data | a repair |
//! | anything else | other data | a conflict |
//!
//! A repair replaces the arguments and their version, and makes the job ready with fresh budgets
//! for failures. Subject, labels and limit keys stay those of the first event.

use std::collections::BTreeSet;

use bytes::Bytes;
use redis::{FromRedisValue, RedisError, Value};

use crate::{
    client::handle::Client,
    error::Error,
    job::{Change, Job, NewJob, numbers, state::State},
    policy::failure::FailureClass,
    redis::clock::utc_ms,
    scripts::{self, CALL_BYTES, Call},
};

/// How many repairs a job may have, because all their arguments are kept. A later event is a
/// conflict.
pub const MAX_REPAIRS: usize = 16;

/// Jobs that are read at once.
const MAX_READ: usize = 16;

/// Attempts, because a job may change between its read and its repair.
const TRIES: usize = 8;

/// How a duplicate relates to the job that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconciled {
    /// The same. Nothing to do.
    Same,
    /// The job got the new arguments and is ready again.
    Repaired,
    /// A conflict. Nothing was changed.
    Conflict(Conflict),
    /// The job is gone: enqueue it again.
    Gone,
}

/// Why a duplicate is a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The tenants differ.
    #[error("the job of this identity is another tenant's: give the event an identity of its own")]
    Tenant,
    /// The data differ, and the job must not be changed.
    #[error("the job of this identity has other data and is {state}: give the event an identity of its own")]
    Data {
        /// Where that is.
        state: State,
    },
}

/// The facts about the job that decide.
#[derive(Clone, Debug)]
struct Stored {
    /// The state field; absent while it is ready for the first time.
    text: String,
    state: State,
    tenant: Option<String>,
    /// The job is parked because its arguments could not be read.
    unreadable: bool,
    /// A permanent failure ended the job.
    permanent: bool,
    /// The job completed a step.
    has_steps: bool,
    repairs: usize,
    /// The first arguments, and the arguments of repairs.
    known: Vec<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Same,
    Repair,
    Conflict(Conflict),
}

/// The policy. `same` compares the event's arguments with others.
fn decide(tenant: Option<&str>, stored: &Stored, same: impl Fn(&[u8]) -> bool) -> Decision {
    if tenant != stored.tenant.as_deref() {
        return Decision::Conflict(Conflict::Tenant);
    }
    if stored.known.iter().any(|args| same(args)) {
        return Decision::Same;
    }
    let repairable = match stored.state {
        State::Parked => stored.unreadable,
        State::Dead => stored.permanent,
        _ => false,
    };
    // A completed step used the present data.
    if repairable && !stored.has_steps && stored.repairs < MAX_REPAIRS {
        return Decision::Repair;
    }
    Decision::Conflict(Conflict::Data { state: stored.state })
}

impl Client {
    /// Compares duplicates that an enqueue found under their own id with the stored jobs, and
    /// repairs jobs where allowed. Returns a result for each, in order. `same` compares arguments,
    /// because the queue does not understand them: first the event's, then stored ones.
    ///
    /// A repeated call, after a lost reply or a redelivery, finds the same result; a repaired job
    /// is then the same.
    ///
    /// # Errors
    /// When Redis failed, the queue refuses a job, or a job changed during each attempt. Earlier
    /// jobs of the list may be repaired already.
    pub async fn reconcile(
        &self,
        jobs: &[&NewJob],
        same: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Result<Vec<Reconciled>, Error> {
        self.reconcile_all(jobs, same, true).await
    }

    /// Reports what [`Client::reconcile`] would do, and changes nothing.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn compare(
        &self,
        jobs: &[&NewJob],
        same: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Result<Vec<Reconciled>, Error> {
        self.reconcile_all(jobs, same, false).await
    }

    async fn reconcile_all(
        &self,
        jobs: &[&NewJob],
        same: impl Fn(&[u8], &[u8]) -> bool,
        repairs: bool,
    ) -> Result<Vec<Reconciled>, Error> {
        let mut answers = Vec::with_capacity(jobs.len());
        for part in parts(jobs) {
            let stored = self.read_stored(part).await?;
            for (job, stored) in part.iter().zip(stored) {
                answers.push(self.reconcile_one(job, stored, &same, repairs).await?);
            }
        }
        Ok(answers)
    }

    async fn reconcile_one(
        &self,
        job: &NewJob,
        mut stored: Option<Stored>,
        same: impl Fn(&[u8], &[u8]) -> bool,
        repairs: bool,
    ) -> Result<Reconciled, Error> {
        for _ in 0..TRIES {
            let Some(found) = stored else { return Ok(Reconciled::Gone) };
            match decide(job.tenant.as_deref(), &found, |args| same(&job.args, args)) {
                Decision::Same => return Ok(Reconciled::Same),
                Decision::Conflict(conflict) => return Ok(Reconciled::Conflict(conflict)),
                Decision::Repair if !repairs => return Ok(Reconciled::Repaired),
                Decision::Repair => match self.repair(job, &found.text).await?.as_str() {
                    "is changed" | "" => {}
                    // Another job does its work.
                    "is replaced" => {
                        return Ok(Reconciled::Conflict(Conflict::Data { state: found.state }));
                    }
                    _ => return Ok(Reconciled::Repaired),
                },
            }
            stored = self.read_stored(&[job]).await?.pop().flatten();
        }
        Err(Error::Contended(job.id.clone()))
    }

    /// Repairs a job whose state field is still this text. The script's verdict.
    async fn repair(&self, job: &NewJob, text: &str) -> Result<String, Error> {
        job.check(self.max_payload)?;
        let mut second = format!("{}=", job.version).into_bytes();
        second.extend_from_slice(&job.args);
        let change = Change {
            at: utc_ms(),
            did: "repaired".to_owned(),
            note: Some("an event of the same identity brought other data".to_owned()),
            by: None,
            worker: None,
            attempt: None,
            began: None,
        };
        let mut call = Call::new(&scripts::CHANGE, &self.keys);
        call.arg(1).arg(job.id.as_str()).arg("repair").arg(text).arg(second).arg(change.line());
        let mut verdicts: Vec<String> = self.run_replicated(&call).await?;
        Ok(verdicts.pop().unwrap_or_default())
    }

    /// The stored jobs of these ids: one round trip, and another one for jobs with replaced
    /// arguments.
    async fn read_stored(&self, jobs: &[&NewJob]) -> Result<Vec<Option<Stored>>, Error> {
        self.check_layout().await?;
        let mut pipe = redis::pipe();
        for job in jobs {
            let key = self.keys.job(&job.id);
            let fields = ["job", "state", "need", "group", "edits", "repairs"];
            pipe.cmd("HMGET").arg(&key).arg(&fields).cmd("HKEYS").arg(&key);
        }
        let mut replies: Vec<Value> = pipe.query_async(&mut self.conn.clone()).await?;
        let mut read = Vec::with_capacity(jobs.len());
        let mut rest = replies.drain(..);
        while let (Some(fields), Some(names)) = (rest.next(), rest.next()) {
            read.push(Read::new(fields, names)?);
        }
        drop(rest);
        let more = self.read_more(jobs, &read).await?;
        let both = jobs.iter().zip(read).zip(more);
        Ok(both.map(|((job, read), more)| self.stored(job, read, more)).collect())
    }

    /// Fields of some jobs: replaced arguments that count, and the cause of a death.
    async fn read_more(&self, jobs: &[&NewJob], read: &[Read]) -> Result<Vec<More>, Error> {
        let mut pipe = redis::pipe();
        let mut asked = false;
        let mut ask = |key: String, fields: Vec<String>| {
            asked = true;
            pipe.cmd("HMGET").arg(key).arg(fields);
        };
        for (job, read) in jobs.iter().zip(read) {
            let counted = read.edits_that_count();
            if !counted.is_empty() {
                ask(self.keys.job(&job.id), counted.iter().map(|edit| format!("args:{edit}")).collect());
            }
            if let Some(group) = &read.group {
                ask(self.keys.group(group), vec!["class".to_owned()]);
            }
        }
        let replies: Vec<Vec<Option<Bytes>>> =
            if asked { pipe.query_async(&mut self.conn.clone()).await? } else { Vec::new() };
        let mut replies = replies.into_iter();
        let more = |read: &Read| {
            let mut next = |is_asked: bool| is_asked.then(|| replies.next()).flatten().unwrap_or_default();
            let args = next(!read.edits_that_count().is_empty()).into_iter().flatten().collect();
            let class = next(read.group.is_some()).into_iter().flatten().next();
            More { args, class }
        };
        Ok(read.iter().map(more).collect())
    }

    fn stored(&self, job: &NewJob, read: Read, more: More) -> Option<Stored> {
        let body = read.body?;
        let text = read.text.unwrap_or_default();
        let state = text.split(' ').next().and_then(|name| name.parse().ok()).unwrap_or(State::Ready);
        let mut stored = Stored {
            text,
            state,
            tenant: job.tenant.clone(),
            unreadable: read.need.is_some_and(|need| need.starts_with("args ")),
            permanent: more.class.is_some_and(|class| class == FailureClass::Permanent.as_str()),
            has_steps: read.has_steps,
            repairs: read.repairs.len(),
            known: more.args,
        };
        match Job::fresh(&job.id, self.name(), &body) {
            Ok(found) => {
                stored.tenant = found.tenant;
                if read.edits == 0 || read.repairs.contains(&read.edits) {
                    stored.known.push(found.args);
                }
            }
            Err(error) => {
                tracing::error!(%error, "an event of its identity is taken for a conflict");
                stored.repairs = MAX_REPAIRS;
            }
        }
        Some(stored)
    }
}

/// Fields that are read for each job.
#[derive(Debug)]
struct Read {
    body: Option<Bytes>,
    text: Option<String>,
    need: Option<String>,
    group: Option<String>,
    edits: u32,
    repairs: Vec<u32>,
    has_steps: bool,
}

/// Fields that are read for some jobs.
#[derive(Debug)]
struct More {
    args: Vec<Bytes>,
    class: Option<Bytes>,
}

impl Read {
    fn new(fields: Value, names: Value) -> Result<Self, RedisError> {
        type Fields =
            (Option<Bytes>, Option<String>, Option<String>, Option<String>, Option<u32>, Option<String>);
        let (body, text, need, group, edits, repairs) = Fields::from_redis_value(fields)?;
        let names = Vec::<Bytes>::from_redis_value(names)?;
        Ok(Self {
            body,
            text,
            need,
            group,
            edits: edits.unwrap_or_default(),
            repairs: repairs.as_deref().map(numbers).unwrap_or_default(),
            has_steps: names.iter().any(|name| name.starts_with(b"step:") || name.starts_with(b"begun:")),
        })
    }

    /// The edits that replaced the first arguments, and the edits by repairs.
    fn edits_that_count(&self) -> BTreeSet<u32> {
        let behind_repairs = self.repairs.iter().map(|repair| repair.saturating_add(1));
        std::iter::once(1).chain(behind_repairs).filter(|edit| *edit <= self.edits).collect()
    }
}

/// The jobs in parts that are read at once. Stored arguments nearly always have the size of the new
/// ones.
fn parts<'a, 'b>(jobs: &'a [&'b NewJob]) -> Vec<&'a [&'b NewJob]> {
    let (mut parts, mut rest) = (Vec::new(), jobs);
    while !rest.is_empty() {
        let before = rest.iter().scan(0, |bytes, job| {
            let before = *bytes;
            *bytes += job.bytes();
            Some(before)
        });
        let n = before.take(MAX_READ).take_while(|before| *before < CALL_BYTES).count().max(1);
        let (part, behind) = rest.split_at(n);
        parts.push(part);
        rest = behind;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::job::id::JobId;

    fn stored() -> impl Strategy<Value = Stored> {
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        let known = prop::collection::vec("[ab]", 1..3);
        (prop::sample::select(State::ALL.to_vec()), prop::option::of("[xy]"), flags, 0..18usize, known)
            .prop_map(|(state, tenant, (unreadable, permanent, has_steps), repairs, known)| Stored {
                text: String::new(),
                known: known.into_iter().map(Bytes::from).collect(),
                state,
                tenant,
                unreadable,
                permanent,
                has_steps,
                repairs,
            })
    }

    proptest! {
        /// Each row of the table, and nothing else.
        #[test]
        fn the_table_is_kept(stored in stored(), tenant in prop::option::of("[xy]"), args in "[abc]") {
            let decision = decide(tenant.as_deref(), &stored, |known| known == args.as_bytes());
            let is_known = stored.known.iter().any(|known| *known == args.as_bytes());
            let expected = if tenant != stored.tenant {
                Decision::Conflict(Conflict::Tenant)
            } else if is_known {
                Decision::Same
            } else if stored.repairs < MAX_REPAIRS
                && !stored.has_steps
                && (stored.state == State::Parked && stored.unreadable
                    || stored.state == State::Dead && stored.permanent)
            {
                Decision::Repair
            } else {
                Decision::Conflict(Conflict::Data { state: stored.state })
            };
            prop_assert_eq!(decision, expected);
        }

        #[test]
        fn jobs_are_read_in_parts_of_bounded_size(sizes in prop::collection::vec(0..4usize, 0..60)) {
            let job = |size: &usize| NewJob::new(JobId::random(), "k", vec![b' '; size * 200_000]);
            let jobs: Vec<NewJob> = sizes.iter().map(job).collect();
            let jobs: Vec<&NewJob> = jobs.iter().collect();
            let parts = parts(&jobs);
            prop_assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), jobs.len());
            for part in parts {
                prop_assert!((1..=MAX_READ).contains(&part.len()));
                let before: usize = part[..part.len() - 1].iter().map(|job| job.bytes()).sum();
                prop_assert!(before < CALL_BYTES);
            }
        }
    }
}
