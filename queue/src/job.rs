//! What is enqueued, what is read back, and the stored form of both.
//!
//! A job is one hash. Its fields:
//! | field | value |
//! |---|---|
//! | `job` | one line of JSON (kind, version, tenant, subject, trace, expected within, labels), a line feed, the arguments as they came |
//! | `state`, `since` | the state and when it was entered (ms); absent while it is ready for the first time |
//! | `at` | when it was enqueued (ms) |
//! | `token` | leases given so far: the fencing token of the current one |
//! | `worker` | who holds the lease, or held it last |
//! | `released` | leases that were handed back unused |
//! | `failed:<class>` | failures of a class so far |
//! | `step:<name>` | when a step was completed (ms) and its result, JSON |
//! | `progress` | [`Progress`], JSON |
//! | `writes` | progress and step writes so far |
//! | `history` | failed attempts, a JSON line each, capped by bytes |
//! | `outcome` | what the handler returned, JSON |
//! | `duplicates` | enqueues that found this job |

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    failure::{FailedAttempt, FailureClass},
    id::{JobId, QueueName},
    state::State,
    trace,
};

/// A job to enqueue.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its id; enqueueing the same id again finds the job that is there.
    pub id: JobId,
    /// What is to be done: a stable name, never a Rust path.
    pub kind: String,
    /// The version of the arguments.
    pub version: u32,
    /// Whose work it is.
    pub tenant: Option<String>,
    /// The business key that people know.
    pub subject: Option<String>,
    /// The W3C `traceparent` of who asked for it.
    pub trace: Option<String>,
    /// By when the outcome is expected, counted from the enqueue.
    pub expect_within: Option<Duration>,
    /// Where it came from; kept and shown, not understood.
    pub labels: BTreeMap<String, String>,
    /// Not to run before this has passed.
    pub delay: Duration,
    /// The arguments; stored and handed over as they are.
    pub args: Bytes,
}

impl NewJob {
    /// A job with nothing but what it needs.
    pub fn new(id: JobId, kind: impl Into<String>, args: impl Into<Bytes>) -> Self {
        Self {
            id,
            kind: kind.into(),
            version: 1,
            tenant: None,
            subject: None,
            trace: None,
            expect_within: None,
            labels: BTreeMap::new(),
            delay: Duration::ZERO,
            args: args.into(),
        }
    }

    /// The stored form: the meta line and the arguments behind it.
    pub(crate) fn body(&self) -> Vec<u8> {
        let meta = Meta(
            Cow::Borrowed(&self.kind),
            self.version,
            self.tenant.as_deref().map(Cow::Borrowed),
            self.subject.as_deref().map(Cow::Borrowed),
            self.trace.as_deref().map(|trace| Cow::Owned(trace::pack(trace))),
            self.expect_within.map(|within| within.as_millis() as u64),
            Cow::Borrowed(&self.labels),
        );
        let mut body = Vec::with_capacity(self.args.len() + 192);
        // Strings and numbers always serialise; JSON escapes line feeds.
        if serde_json::to_writer(&mut body, &meta).is_err() {
            body.clear();
        }
        body.push(b'\n');
        body.extend_from_slice(&self.args);
        body
    }
}

/// What is stored about a job besides its arguments: kind, version, tenant,
/// subject, trace (packed), expected within (ms), labels. A list without names,
/// because every waiting job carries one; `trim.lua` reads the subject.
#[derive(Serialize, Deserialize)]
struct Meta<'a>(
    #[serde(borrow)] Cow<'a, str>,
    u32,
    Option<Cow<'a, str>>,
    Option<Cow<'a, str>>,
    Option<Cow<'a, str>>,
    Option<u64>,
    Cow<'a, BTreeMap<String, String>>,
);

/// How far a running job is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100.
    pub percent: u8,
    /// The step that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A completed step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// When it was completed, UTC ms.
    pub at: i64,
    /// Its result.
    pub result: serde_json::Value,
}

/// A step's stored form; `write.lua` writes it.
#[derive(Deserialize)]
struct Stored {
    at: i64,
    result: serde_json::Value,
}

/// The fields of a job's hash.
pub(crate) type Fields = Vec<(Bytes, Bytes)>;

/// A job as it is stored.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// What is to be done.
    pub kind: String,
    /// The version of the arguments.
    pub version: u32,
    /// Whose work it is.
    pub tenant: Option<String>,
    /// The business key that people know.
    pub subject: Option<String>,
    /// The W3C `traceparent` of who asked for it.
    pub trace: Option<String>,
    /// Where it came from.
    pub labels: BTreeMap<String, String>,
    /// Where it is.
    pub state: State,
    /// When it was enqueued, UTC ms.
    pub enqueued_at: i64,
    /// When it entered its state, UTC ms.
    pub since: i64,
    /// By when its outcome is expected, UTC ms.
    pub expected_by: Option<i64>,
    /// Leases given so far; the current one's fencing token.
    pub token: u64,
    /// Attempts so far, the running one included; handed-back leases don't count.
    pub attempts: u64,
    /// Who holds the lease, or held it last.
    pub worker: Option<String>,
    /// Failures so far, by class.
    pub failures: HashMap<FailureClass, u32>,
    /// How far it is.
    pub progress: Option<Progress>,
    /// Completed steps, in the order in which they were completed.
    pub steps: Vec<Step>,
    /// Attempts that did not finish, oldest first.
    pub history: Vec<FailedAttempt>,
    /// What the handler returned.
    pub outcome: Option<serde_json::Value>,
    /// Enqueues that found this job.
    pub duplicates: u64,
    /// Changes with every visible change of the job; compared, not ordered.
    pub revision: String,
    /// The arguments.
    pub args: Bytes,
}

/// A stored job that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("job {id} in queue {queue} cannot be read: {why}")]
pub struct Unreadable {
    /// Which one.
    pub id: JobId,
    /// Where.
    pub queue: QueueName,
    /// What is wrong.
    pub why: String,
}

impl Job {
    /// The result of a completed step.
    pub fn step(&self, name: &str) -> Option<&serde_json::Value> {
        self.steps.iter().find(|step| step.name == name).map(|step| &step.result)
    }

    /// Reads the fields of a job's hash.
    pub(crate) fn read(id: &JobId, queue: &QueueName, fields: Fields) -> Result<Self, Unreadable> {
        let unreadable = |why: String| Unreadable { id: id.clone(), queue: queue.clone(), why };
        let mut body = None;
        let mut job = Self {
            id: id.clone(),
            queue: queue.clone(),
            kind: String::new(),
            version: 0,
            tenant: None,
            subject: None,
            trace: None,
            labels: BTreeMap::new(),
            state: State::Ready,
            enqueued_at: 0,
            since: 0,
            expected_by: None,
            token: 0,
            attempts: 0,
            worker: None,
            failures: HashMap::new(),
            progress: None,
            steps: Vec::new(),
            history: Vec::new(),
            outcome: None,
            duplicates: 0,
            revision: String::new(),
            args: Bytes::new(),
        };
        let mut released = 0;
        let mut writes = 0;
        let mut since = None;
        for (name, value) in fields {
            if name == "job" {
                body = Some(value);
                continue;
            }
            let name = std::str::from_utf8(&name).map_err(|e| unreadable(format!("a field's name: {e}")))?;
            let text = || std::str::from_utf8(&value).map_err(|e| unreadable(format!("field `{name}`: {e}")));
            let number = || text()?.parse::<i64>().map_err(|e| unreadable(format!("field `{name}`: {e}")));
            match name {
                "state" => {
                    job.state = text()?.parse().map_err(|e| unreadable(format!("field `state`: {e}")))?
                }
                "at" => job.enqueued_at = number()?,
                "since" => since = Some(number()?),
                "token" => job.token = number()?.unsigned_abs(),
                "released" => released = number()?.unsigned_abs(),
                "writes" => writes = number()?,
                "duplicates" => job.duplicates = number()?.unsigned_abs(),
                "worker" => job.worker = Some(text()?.to_owned()),
                "progress" => job.progress = serde_json::from_slice(&value).ok(),
                "outcome" => job.outcome = serde_json::from_slice(&value).ok(),
                "history" => {
                    job.history =
                        text()?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
                }
                _ => {
                    if let Some(step) = name.strip_prefix("step:") {
                        let Stored { at, result } = serde_json::from_slice(&value)
                            .map_err(|e| unreadable(format!("field `{name}`: {e}")))?;
                        job.steps.push(Step { name: step.to_owned(), at, result });
                    } else if let Some(class) = name.strip_prefix("failed:") {
                        let class = FailureClass::ALL.into_iter().find(|known| known.as_str() == class);
                        if let (Some(class), Ok(count)) = (class, u32::try_from(number()?)) {
                            job.failures.insert(class, count);
                        }
                    }
                    // Fields of a newer version are none of our business.
                }
            }
        }
        job.steps.sort_by_key(|step| step.at);
        let body = body.ok_or_else(|| unreadable("it has no field `job`".to_owned()))?;
        let end = body
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or_else(|| unreadable("field `job` has no meta line".to_owned()))?;
        let line = body.get(..end).unwrap_or_default();
        let Meta(kind, version, tenant, subject, trace, expect_within, labels) =
            serde_json::from_slice(line).map_err(|e| unreadable(format!("the meta line: {e}")))?;
        job.kind = kind.into_owned();
        job.version = version;
        job.tenant = tenant.map(Cow::into_owned);
        job.subject = subject.map(Cow::into_owned);
        job.trace = trace.map(|trace| trace::unpack(&trace));
        job.labels = labels.into_owned();
        job.expected_by = expect_within.map(|ms| job.enqueued_at.saturating_add_unsigned(ms));
        job.args = body.slice(end + 1..);
        job.since = since.unwrap_or(job.enqueued_at);
        job.attempts = job.token.saturating_sub(released);
        job.revision = format!("{}.{writes}.{}", job.token, job.state);
        Ok(job)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(new: &NewJob, more: &[(&'static str, &'static str)]) -> Vec<(Bytes, Bytes)> {
        let mut fields =
            vec![(Bytes::from("job"), Bytes::from(new.body())), ("state".into(), "ready".into())];
        fields.push(("at".into(), "1000".into()));
        fields.extend(more.iter().map(|(name, value)| (Bytes::from(*name), Bytes::from(*value))));
        fields
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_back(
            args in prop::collection::vec(any::<u8>(), 0..400),
            subject in prop::option::of(".{0,40}"),
            tenant in prop::option::of(".{0,40}"),
            labels in prop::collection::btree_map(".{0,9}", ".{0,9}", 0..4),
            within in prop::option::of(0u64..1_000_000_000),
        ) {
            let mut new = NewJob::new(JobId::random(), "invoice.issue", args.clone());
            new.subject = subject.clone();
            new.tenant = tenant.clone();
            new.labels = labels.clone();
            new.expect_within = within.map(Duration::from_millis);
            let job = Job::read(&new.id, &"q".parse().unwrap(), fields(&new, &[])).unwrap();
            prop_assert_eq!(&job.args[..], &args[..]);
            prop_assert_eq!(job.subject, subject);
            prop_assert_eq!(job.tenant, tenant);
            prop_assert_eq!(job.labels, labels);
            prop_assert_eq!(job.expected_by, within.map(|ms| 1000 + ms as i64));
        }
    }

    #[test]
    fn attempts_leave_out_what_was_handed_back() {
        let new = NewJob::new(JobId::random(), "k", "");
        let more = [
            ("token", "3"),
            ("released", "1"),
            ("failed:transient", "2"),
            ("step:store", "{\"at\":7,\"result\":2}"),
            ("step:render", "{\"at\":5,\"result\":1}"),
        ];
        let job = Job::read(&new.id, &"q".parse().unwrap(), fields(&new, &more)).unwrap();
        assert_eq!(job.attempts, 2);
        assert_eq!(job.failures.get(&FailureClass::Transient), Some(&2));
        let steps: Vec<&str> = job.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(steps, ["render", "store"], "in the order in which they were completed");
        assert_eq!(job.step("store"), Some(&serde_json::json!(2)));
    }

    #[test]
    fn a_damaged_job_says_what_is_wrong() {
        let error = Job::read(&JobId::random(), &"q".parse().unwrap(), vec![]).unwrap_err();
        assert!(error.to_string().contains("no field `job`"), "{error}");
    }
}
