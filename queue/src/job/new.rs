//! The enqueued form of a job.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::stored::Meta;
use crate::{
    job::{
        flow::{encode, flow, stored_kind},
        id::JobId,
        trace,
    },
    policy::priority::Priority,
};

/// A job to enqueue.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its id. Enqueueing the same id again finds the job while it is kept.
    pub id: JobId,
    /// The kind of work: a stable name, never a Rust path.
    pub kind: String,
    /// The version of the arguments.
    pub version: u32,
    /// How urgent it is.
    pub priority: Priority,
    /// The tenant. Tenants share a queue by weight.
    pub tenant: Option<String>,
    /// Its limit keys, such as the provider that it calls; at most [`MAX_LIMIT_KEYS`].
    pub limit_keys: Vec<String>,
    /// The business key that people know, of at most [`MAX_NAME`] bytes.
    pub subject: Option<String>,
    /// The W3C `traceparent` of the request.
    pub trace: Option<String>,
    /// By when the outcome is expected.
    pub expect: Option<Expect>,
    /// By when it must start, counted from the enqueue.
    pub deadline: Option<Deadline>,
    /// Its idempotency key.
    pub unique: Option<Unique>,
    /// Whether a dead job with the same id or idempotency key gives way to it. For the key alone,
    /// see [`Unique::replaces_dead`].
    pub replaces_dead: bool,
    /// Its origin, kept and shown only. At most [`MAX_LABELS`] bytes.
    pub labels: BTreeMap<String, String>,
    /// It does not run before this delay has passed.
    pub delay: Duration,
    /// The arguments, stored and passed on unchanged.
    pub args: Bytes,
}

/// By when the outcome of a job is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The route that expects it. The books count by route.
    pub route: String,
    /// How long it may take.
    pub within: Duration,
    /// The time from which that counts, UTC ms: the time of the event. A time after the enqueue, by
    /// Redis' clock, counts as the enqueue; so does `None`.
    pub from: Option<i64>,
}

impl Expect {
    /// Counted from the enqueue.
    pub fn new(route: impl Into<String>, within: Duration) -> Self {
        Self { route: route.into(), within, from: None }
    }
}

/// By when a job must start. Among jobs of one tenant, class and set of limit keys, the job with
/// the least time left goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Counted from the enqueue.
    pub within: Duration,
    /// What happens to a job that did not start in time.
    pub then: Late,
}

/// What happens to a job that did not start in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Late {
    /// It ends as dead, class `expired`.
    #[serde(rename = "expire")]
    Expires,
    /// It runs late.
    #[serde(rename = "run")]
    Runs,
}

/// An idempotency key. Within its scope and lifetime, an enqueue finds the job that holds the key
/// instead of adding another. It is one key in Redis, written with the job, which expires by
/// itself. So a killed owner leaves no lock.
///
/// A duplicate is noted under its own id. So the same job that comes again is the same duplicate,
/// even after the lifetime, and a reader can find the job that stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    /// The key.
    pub key: String,
    /// The jobs of the queue among which the key is unique.
    pub scope: Scope,
    /// How long the job holds the key, from the enqueue; at least 1 ms. The key is free earlier if
    /// its job is forgotten.
    pub lifetime: Duration,
    /// How long the note of a duplicate lasts, from its last enqueue; at least 1 ms.
    pub noted: Duration,
    /// Whether a dead job that holds the key gives way to a job with another id.
    pub replaces_dead: bool,
}

/// The jobs of a queue among which an idempotency key is unique.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All.
    Queue,
    /// Jobs of the same kind.
    Kind,
    /// Jobs of the same kind and tenant.
    #[default]
    Tenant,
}

/// The stored due time of a job without an expectation.
pub(crate) const NO_DUE: &str = "0000000000000";

/// The latest time that the due time of 13 digits can be, UTC ms.
const LATEST_DUE: i64 = 9_999_999_999_999;

/// The most limit keys of a job, because every claim reads each.
pub const MAX_LIMIT_KEYS: usize = 3;

/// The longest name (of a kind, tenant, limit key or idempotency key), in bytes.
pub const MAX_NAME: usize = 512;

/// The most bytes of all labels together, names and values.
pub const MAX_LABELS: usize = 4 << 10;

/// The longest delay, deadline or lifetime: 100 years.
pub const MAX_TIME: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Why the queue refuses a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Too large for Redis.
    #[error(
        "the arguments have {bytes} bytes, the limit is {limit}: put large data into an object store and pass its address"
    )]
    Payload {
        /// How large.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A name is missing or too long.
    #[error("{what} has {bytes} bytes: use 1 to {MAX_NAME}")]
    Name {
        /// Which.
        what: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// Too many bytes of labels.
    #[error("the labels have {0} bytes, the limit is {MAX_LABELS}: put what is long into the arguments")]
    Labels(usize),
    /// Too many limit keys.
    #[error("{0} limit keys: at most {MAX_LIMIT_KEYS} are possible")]
    LimitKeys(usize),
    /// The key of its id holds something other than a job: it was damaged manually.
    #[error(
        "the key of job {0} in Redis has another type than a job: delete that key, and enqueue the job again"
    )]
    Damaged(JobId),
    /// A duration that Redis cannot count.
    #[error("{what} of {value:?} is out of range: use {range}")]
    Duration {
        /// Which.
        what: &'static str,
        /// How long it is.
        value: Duration,
        /// The limit.
        range: &'static str,
    },
}

impl NewJob {
    /// A job with its required parts only.
    pub fn new(id: JobId, kind: impl Into<String>, args: impl Into<Bytes>) -> Self {
        Self {
            id,
            kind: kind.into(),
            version: 1,
            priority: Priority::Normal,
            tenant: None,
            limit_keys: Vec::new(),
            subject: None,
            trace: None,
            expect: None,
            deadline: None,
            unique: None,
            replaces_dead: false,
            labels: BTreeMap::new(),
            delay: Duration::ZERO,
            args: args.into(),
        }
    }

    /// Checks that a queue with this limit on arguments (bytes) takes the job.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, max_payload: usize) -> Result<(), Rejection> {
        if self.args.len() > max_payload {
            return Err(Rejection::Payload { bytes: self.args.len(), limit: max_payload });
        }
        if self.limit_keys.len() > MAX_LIMIT_KEYS {
            return Err(Rejection::LimitKeys(self.limit_keys.len()));
        }
        let names = [
            ("the kind", Some(&self.kind)),
            ("the idempotency key", self.unique.as_ref().map(|unique| &unique.key)),
            ("the route", self.expect.as_ref().map(|expect| &expect.route)),
        ];
        let keys = self.limit_keys.iter().map(|key| ("a limit key", Some(key)));
        for (what, name) in names.into_iter().chain(keys) {
            let bytes = name.map_or(1, String::len);
            if !(1..=MAX_NAME).contains(&bytes) {
                return Err(Rejection::Name { what, bytes });
            }
        }
        let optional =
            [("the tenant", &self.tenant), ("the subject", &self.subject), ("the trace", &self.trace)];
        for (what, name) in optional {
            let bytes = name.as_ref().map_or(0, String::len);
            if bytes > MAX_NAME {
                return Err(Rejection::Name { what, bytes });
            }
        }
        let bytes = self.bytes_of_labels();
        if bytes > MAX_LABELS {
            return Err(Rejection::Labels(bytes));
        }
        let times = [
            ("a delay", Some(self.delay)),
            ("a deadline", self.deadline.map(|d| d.within)),
            ("an expectation", self.expect.as_ref().map(|expect| expect.within)),
        ];
        for (what, value) in times {
            if let Some(value) = value.filter(|value| *value > MAX_TIME) {
                return Err(Rejection::Duration { what, value, range: "at most 100 years" });
            }
        }
        let times = self.unique.iter().flat_map(|unique| [unique.lifetime, unique.noted]);
        for value in times {
            if value.as_millis() == 0 || value > MAX_TIME {
                return Err(Rejection::Duration { what: "a lifetime", value, range: "1 ms to 100 years" });
            }
        }
        Ok(())
    }

    fn bytes_of_labels(&self) -> usize {
        self.labels.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// The stored bytes, without names, which are short.
    pub(crate) fn bytes(&self) -> usize {
        self.args.len() + self.bytes_of_labels()
    }

    /// The flow that it waits in.
    pub(crate) fn flow(&self) -> String {
        flow(self.tenant.as_deref(), &self.limit_keys)
    }

    /// The parts that decide its lane: jobs with equal parts share a lane.
    pub(crate) fn lane(&self) -> (Priority, &str, &[String]) {
        (self.priority, self.tenant.as_deref().unwrap_or_default(), &self.limit_keys)
    }

    /// The parts that decide its group in a batch: the lane, the route, and how long the outcome may
    /// take.
    pub(crate) fn group(&self) -> ((Priority, &str, &[String]), Option<&str>, Duration) {
        let expect = self.expect.as_ref();
        let within = expect.map_or(Duration::ZERO, |expect| expect.within);
        (self.lane(), expect.map(|expect| expect.route.as_str()), within)
    }

    /// By when its outcome is expected, in stored form; empty for `within` from the enqueue. The script
    /// takes back a later time to that.
    pub(crate) fn due(&self) -> String {
        self.expect.as_ref().map_or_else(
            || NO_DUE.to_owned(),
            |Expect { within, from, .. }| {
                let within = i64::try_from(within.as_millis()).unwrap_or(LATEST_DUE);
                // Zeros would be no time.
                let due = |from: i64| format!("{:013}", from.saturating_add(within).clamp(1, LATEST_DUE));
                from.map_or_else(String::new, due)
            },
        )
    }

    /// The stored form: `version|kind|flow`, the meta line, and the arguments. The
    /// script puts the rest of the head line in front.
    pub(crate) fn body(&self, flow: &str) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.args.len() + 192);
        body.extend_from_slice(stored_kind(&self.kind, self.version).as_bytes());
        body.push(b'|');
        body.extend_from_slice(flow.as_bytes());
        body.push(b'\n');
        let meta = Meta(
            self.subject.as_deref().map(Cow::Borrowed),
            self.trace.as_deref().map(|trace| Cow::Owned(trace::pack(trace))),
            Cow::Borrowed(&self.labels),
        );
        // Strings and numbers always serialise into memory; JSON escapes line feeds.
        let _ = serde_json::to_writer(&mut body, &meta);
        body.push(b'\n');
        body.extend_from_slice(&self.args);
        body
    }

    /// The number of arguments that `enqueue.lua` needs for it. The rest have their defaults.
    pub(crate) fn width(&self) -> usize {
        if self.is_rare() {
            6
        } else if !self.delay.is_zero() {
            5
        } else if self.subject.is_some() {
            4
        } else if self.expect.is_some() {
            3
        } else {
            2
        }
    }

    fn is_rare(&self) -> bool {
        self.deadline.is_some() || self.unique.is_some() || self.replaces_dead
    }

    /// The rare parts: `deadline|policy|gives way|lifetime|noted|idempotency key`, or nothing.
    pub(crate) fn rare(&self) -> String {
        if !self.is_rare() {
            return String::new();
        }
        let (within, then) = self.deadline.map_or((String::new(), 'r'), |deadline| {
            let then = match deadline.then {
                Late::Expires => 'e',
                Late::Runs => 'r',
            };
            (deadline.within.as_millis().to_string(), then)
        });
        let gives_way = match &self.unique {
            _ if self.replaces_dead => '1',
            Some(unique) if unique.replaces_dead => 'k',
            _ => '0',
        };
        let times = self.unique.as_ref().map_or_else(
            || "|".to_owned(),
            |unique| format!("{}|{}", unique.lifetime.as_millis(), unique.noted.as_millis()),
        );
        let key = self.unique_key().unwrap_or_default();
        format!("{within}|{then}|{gives_way}|{times}|{key}")
    }

    /// The idempotency key with its scope, in stored form.
    pub(crate) fn unique_key(&self) -> Option<String> {
        let unique = self.unique.as_ref()?;
        let scope = match unique.scope {
            Scope::Queue => String::new(),
            Scope::Kind => encode(&self.kind),
            Scope::Tenant => {
                format!("{}|{}", encode(&self.kind), encode(self.tenant.as_deref().unwrap_or_default()))
            }
        };
        Some(format!("{scope}|{}", encode(&unique.key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_taken_says_why() {
        let job = |change: fn(&mut NewJob)| {
            let mut job = NewJob::new(JobId::random(), "k", "0123456789");
            change(&mut job);
            job.check(10)
        };
        assert_eq!(job(|_| {}), Ok(()));
        assert_eq!(
            job(|job| job.args = "01234567890".into()),
            Err(Rejection::Payload { bytes: 11, limit: 10 })
        );
        assert!(matches!(job(|job| job.kind.clear()), Err(Rejection::Name { what: "the kind", bytes: 0 })));
        assert!(job(|job| job.tenant = Some("t".repeat(513))).is_err());
        assert_eq!(job(|job| job.limit_keys = vec!["a".into(); 4]), Err(Rejection::LimitKeys(4)));
        let subject = job(|job| job.subject = Some("x".repeat(MAX_NAME + 1)));
        assert_eq!(subject, Err(Rejection::Name { what: "the subject", bytes: MAX_NAME + 1 }));
        fn labels(bytes: usize) -> BTreeMap<String, String> {
            BTreeMap::from([("name".to_owned(), "x".repeat(bytes - "name".len()))])
        }
        assert_eq!(job(|job| job.labels = labels(MAX_LABELS)), Ok(()));
        assert_eq!(job(|job| job.labels = labels(MAX_LABELS + 1)), Err(Rejection::Labels(MAX_LABELS + 1)));
        assert!(job(|job| job.limit_keys = vec![String::new()]).is_err());
        assert!(job(|job| job.delay = Duration::MAX).is_err());
        assert!(job(|job| job.expect = Some(Expect::new("r", Duration::MAX))).is_err());
        assert!(
            job(|job| job.deadline = Some(Deadline { within: Duration::MAX, then: Late::Runs })).is_err()
        );
        let second = Duration::from_secs(1);
        for (lifetime, noted, taken) in
            [(Duration::ZERO, second, false), (second, Duration::ZERO, false), (second, second, true)]
        {
            let key = "a".to_owned();
            let unique = Unique { key, scope: Scope::Queue, lifetime, noted, replaces_dead: false };
            let job = NewJob { unique: Some(unique), ..NewJob::new(JobId::random(), "k", "") };
            assert_eq!(job.check(10).is_ok(), taken);
        }
    }
}
