//! The stored form of a job: the fields of its hash.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    num::ParseIntError,
    str::FromStr,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::clock::Spent;
use super::{Answer, Awaiting, Begun, Change, Dropped, Edit, Expectation, Job, LogLine, Mark, Parked, Step};
use crate::policy::account::Account;
use crate::{
    job::{
        flow,
        id::{JobId, QueueName},
        state::{State, UnknownState},
        trace,
    },
    policy::{
        failure::{FailedAttempt, FailureClass},
        priority::Priority,
    },
};

/// The stored data of a job beside the head line: subject, trace (packed), labels. A
/// list without names, because every waiting job carries one. Of this list, scripts read only the
/// subject.
#[derive(Serialize, Deserialize)]
pub(super) struct Meta<'a>(
    pub(super) Option<Cow<'a, str>>,
    pub(super) Option<Cow<'a, str>>,
    pub(super) Cow<'a, BTreeMap<String, String>>,
);

/// A step's stored form; `write.lua` writes it.
#[derive(Deserialize)]
struct StoredStep {
    at: i64,
    args: Option<String>,
    result: serde_json::Value,
}

/// A line of the history.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Failed(FailedAttempt),
    Changed(Change),
}

/// The fields of a job's hash.
pub(crate) type Fields = Vec<(Bytes, Bytes)>;

/// An unreadable stored job.
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
    /// Reads the fields of a job's hash.
    pub(crate) fn read(id: &JobId, queue: &QueueName, fields: Fields) -> Result<Self, Unreadable> {
        let unreadable = |why: String| Unreadable { id: id.clone(), queue: queue.clone(), why };
        let mut job = Self::empty(id, queue);
        let mut body = None;
        let (mut released, mut writes) = (0, 0);
        let (mut state, mut condition, mut why) = (None, None, String::new());
        let (mut repairs, mut ends) = (Vec::new(), Vec::new());
        let mut account = None;
        for (name, value) in fields {
            if name == "job" {
                body = Some(value);
                continue;
            }
            let name = std::str::from_utf8(&name).map_err(|e| unreadable(format!("a field's name: {e}")))?;
            let text = || std::str::from_utf8(&value).map_err(|e| unreadable(format!("field `{name}`: {e}")));
            let number = || text()?.parse::<i64>().map_err(|e| unreadable(format!("field `{name}`: {e}")));
            match name {
                "state" => state = Some(text()?.to_owned()),
                "account" => account = text()?.chars().next().and_then(Account::from_letter),
                "owner" => job.owner = serde_json::from_slice(&value).ok(),
                "waived" => job.waived = serde_json::from_slice(&value).ok(),
                "note" => job.note = serde_json::from_slice(&value).ok(),
                "spent" => job.spent = Spent::read(text()?),
                "released" => released = number()?.unsigned_abs(),
                "writes" => writes = number()?,
                "duplicates" => job.duplicates = number()?.unsigned_abs(),
                "cancel" => job.cancel_asked_at = Some(number()?),
                "group" => job.group = Some(text()?.to_owned()),
                "need" => condition = Some(text()?.to_owned()),
                "await" => job.awaits = Awaiting::read(text()?),
                "why" => why = text()?.to_owned(),
                "successor" => job.successor = text()?.parse().ok(),
                "needed" => job.needed = Some(text()?.to_owned()),
                "repairs" => repairs = numbers(text()?),
                "progress" => job.progress = serde_json::from_slice(&value).ok(),
                "outcome" => job.outcome = serde_json::from_slice(&value).ok(),
                "marks" => job.marks = text()?.lines().filter_map(mark).collect(),
                "log" => job.log = text()?.lines().filter_map(log_line).collect(),
                "history" => {
                    for line in text()?.lines().filter_map(|line| serde_json::from_str(line).ok()) {
                        match line {
                            Line::Failed(failed) => job.history.push(failed),
                            Line::Changed(change) => job.changes.push(change),
                        }
                    }
                }
                _ => {
                    if let Some(step) = name.strip_prefix("step:") {
                        job.steps.push(
                            read_step(step, &value)
                                .map_err(|e| unreadable(format!("field `{name}`: {e}")))?,
                        );
                    } else if let Some(effect) = name.strip_prefix("begun:") {
                        let Step { name, at, args, .. } = read_step(effect, &value)
                            .map_err(|e| unreadable(format!("field `{name}`: {e}")))?;
                        job.begun.push(Begun { name, at, args });
                    } else if let Some((edit, step)) =
                        name.strip_prefix("dropped:").and_then(|rest| rest.split_once(':'))
                    {
                        let step = read_step(step, &value)
                            .map_err(|e| unreadable(format!("field `{name}`: {e}")))?;
                        job.dropped.extend(edit.parse().ok().map(|edit| Dropped { edit, step }));
                    } else if let Some(condition) = name.strip_prefix("signal:") {
                        let answer =
                            read_answer(text()?).map_err(|e| unreadable(format!("field `{name}`: {e}")))?;
                        job.answers.insert(condition.to_owned(), answer);
                    } else if let Some(condition) = name.strip_prefix("until:") {
                        ends.push((condition.to_owned(), number()?));
                    } else if let Some(class) = name.strip_prefix("failed:") {
                        let class = FailureClass::ALL.into_iter().find(|known| known.as_str() == class);
                        if let (Some(class), Ok(count)) = (class, u32::try_from(number()?)) {
                            job.failures.insert(class, count);
                        }
                    } else if let Some(class) = name.strip_prefix("first:") {
                        let class = FailureClass::ALL.into_iter().find(|known| known.as_str() == class);
                        if let (Some(class), Ok(at)) = (class, number()) {
                            job.first_failures.insert(class, at);
                        }
                    } else if let Some(n) = name.strip_prefix("args:").and_then(|n| n.parse().ok()) {
                        job.earlier_args.push(Edit { n, args: value.clone(), by_event: false });
                    }
                    // Fields of a newer version are ignored.
                }
            }
        }
        job.steps.sort_by_key(|step| step.at);
        job.begun.sort_by_key(|begun| begun.at);
        job.dropped.sort_by_key(|dropped| (dropped.edit, dropped.step.at));
        job.earlier_args.sort_by_key(|edit| edit.n);
        job.earlier_args.iter_mut().for_each(|edit| edit.by_event = repairs.contains(&edit.n));
        let body = body.ok_or_else(|| unreadable("it has no field `job`".to_owned()))?;
        job.read_body(&body).map_err(unreadable)?;
        if let Some(state) = state {
            job.read_state(&state).map_err(|why| unreadable(format!("field `state`: `{state}`: {why}")))?;
        }
        let (state, since) = (job.state, job.since);
        if let Some(expectation) = &mut job.expectation {
            expectation.account = account.unwrap_or_else(|| Account::of(state, since <= expectation.due));
        }
        if job.state == State::Succeeded && job.outcome.is_none() {
            // A record never has this much.
            job.outcome = Some(serde_json::Value::Null);
        }
        job.parked = condition.map(|condition| {
            let until = ends.iter().find(|(waited, _)| *waited == condition).map(|(_, until)| *until);
            Parked { condition, why, until }
        });
        job.add_proof();
        job.attempts = job.token.saturating_sub(released);
        job.revision = format!("{}.{writes}.{}.{}", job.token, job.state, job.priority);
        Ok(job)
    }

    /// Reads a job that has only its body.
    pub(crate) fn fresh(id: &JobId, queue: &QueueName, body: &Bytes) -> Result<Self, Unreadable> {
        let mut job = Self::empty(id, queue);
        job.read_body(body).map_err(|why| Unreadable { id: id.clone(), queue: queue.clone(), why })?;
        Ok(job)
    }

    /// Reads a job of which only the head line and the fields `state`, `account` and `await` are known;
    /// these are empty where the job has none.
    pub(crate) fn brief(
        id: &JobId,
        queue: &QueueName,
        head: &[u8],
        state: &[u8],
        account: &[u8],
        awaits: &[u8],
    ) -> Result<Self, Unreadable> {
        let body = [head, b"\n[null,null,{}]\n"].concat();
        let mut fields = vec![(Bytes::from_static(b"job"), Bytes::from(body))];
        for (name, value) in [("state", state), ("account", account), ("await", awaits)] {
            if !value.is_empty() {
                fields.push((Bytes::from_static(name.as_bytes()), Bytes::copy_from_slice(value)));
            }
        }
        // A succeeded job without its outcome counts as one that returned nothing.
        Self::read(id, queue, fields)
    }

    /// `state since`, then `token worker began` of the last attempt, if any; `running token worker
    /// began claim` while it runs.
    fn read_state(&mut self, text: &str) -> Result<(), String> {
        let mut parts = text.split(' ');
        let name = parts.next().unwrap_or_default();
        self.state = name.parse().map_err(|e: UnknownState| e.to_string())?;
        let running = self.state == State::Running;
        if !running {
            self.since = number(parts.next().unwrap_or_default())?;
        }
        if let Some(token) = parts.next() {
            self.token = number(token)?;
            self.worker = parts.next().map(ToOwned::to_owned);
            let began = number(parts.next().unwrap_or_default())?;
            self.began = Some(began);
            if running {
                self.since = began;
                self.claim = number(parts.next().unwrap_or_default())?;
            }
        } else if running {
            return Err("it names no attempt".to_owned());
        }
        Ok(())
    }

    fn read_body(&mut self, body: &Bytes) -> Result<(), String> {
        let line = |from: usize| {
            let rest = body.get(from..).unwrap_or_default();
            let end = rest.iter().position(|&byte| byte == b'\n')?;
            Some((rest.get(..end).unwrap_or_default(), from + end + 1))
        };
        let (head, meta_at) = line(0).ok_or("field `job` has no head line")?;
        let (meta, args_at) = line(meta_at).ok_or("field `job` has no meta line")?;
        let head = std::str::from_utf8(head).map_err(|e| format!("the head line: {e}"))?;
        let mut parts = head.splitn(8, '|');
        let mut part = || parts.next().unwrap_or_default();
        let (at, class, deadline, due, route) = (part(), part(), part(), part(), part());
        let (version, kind) = (part(), part());
        self.enqueued_at = number(at).map_err(|why| format!("the head line: {why}"))?;
        self.since = self.enqueued_at;
        let known = class.parse().ok().and_then(|class: usize| Priority::ALL.get(class).copied());
        self.priority = known.ok_or_else(|| format!("the head line: `{class}` is no class"))?;
        self.deadline = deadline.trim_end_matches(['e', 'r']).parse().ok();
        self.version = number(version).map_err(|why| format!("the head line: {why}"))?;
        self.kind = flow::decode(kind);
        (self.tenant, self.limit_keys) = flow::split(parts.next().unwrap_or_default());
        let due = number(due).map_err(|why| format!("the head line: {why}"))?;
        if due != 0 {
            let route = number(route).map_err(|why| format!("the head line: {why}"))?;
            self.expectation = Some(Expectation { route, due, account: Account::Open });
        }
        let Meta(subject, trace, labels) =
            serde_json::from_slice(meta).map_err(|e| format!("the meta line: {e}"))?;
        self.subject = subject.map(Cow::into_owned);
        self.trace = trace.map(|trace| trace::unpack(&trace));
        self.labels = labels.into_owned();
        self.args = body.slice(args_at..);
        Ok(())
    }

    pub(crate) fn empty(id: &JobId, queue: &QueueName) -> Self {
        Self {
            id: id.clone(),
            queue: queue.clone(),
            kind: String::new(),
            version: 0,
            priority: Priority::Normal,
            tenant: None,
            limit_keys: Vec::new(),
            subject: None,
            trace: None,
            labels: BTreeMap::new(),
            state: State::Ready,
            enqueued_at: 0,
            since: 0,
            began: None,
            claim: 0,
            spent: Spent::default(),
            expectation: None,
            owner: None,
            note: None,
            waived: None,
            deadline: None,
            token: 0,
            attempts: 0,
            worker: None,
            cancel_asked_at: None,
            parked: None,
            awaits: None,
            needed: None,
            successor: None,
            failures: HashMap::new(),
            first_failures: HashMap::new(),
            progress: None,
            marks: Vec::new(),
            answers: BTreeMap::new(),
            steps: Vec::new(),
            begun: Vec::new(),
            dropped: Vec::new(),
            log: Vec::new(),
            history: Vec::new(),
            changes: Vec::new(),
            outcome: None,
            group: None,
            duplicates: 0,
            revision: String::new(),
            args: Bytes::new(),
            earlier_args: Vec::new(),
        }
    }
}

/// Reads how a wait ended: `S`, when, and the payload of the signal; or `T` and when.
fn read_answer(text: &str) -> Result<Answer, String> {
    let (at, payload) =
        text.get(1..).unwrap_or_default().split_once(' ').unwrap_or((text.get(1..).unwrap_or_default(), ""));
    let at = number(at)?;
    match text.get(..1) {
        Some("T") => Ok(Answer { at, payload: None }),
        Some("S") => serde_json::from_str(payload)
            .map(|payload| Answer { at, payload: Some(payload) })
            .map_err(|e| e.to_string()),
        _ => Err("it is neither a signal nor a wait that ended".to_owned()),
    }
}

fn read_step(name: &str, value: &[u8]) -> serde_json::Result<Step> {
    let StoredStep { at, args, result } = serde_json::from_slice(value)?;
    Ok(Step { name: name.to_owned(), at, args, result })
}

fn number<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|e| format!("`{text}` is no number: {e}"))
}

/// Numbers between blanks.
pub(crate) fn numbers(text: &str) -> Vec<u32> {
    text.split(' ').filter_map(|n| n.parse().ok()).collect()
}

/// `ms percent step`, the form of `write.lua`.
fn mark(line: &str) -> Option<Mark> {
    let mut parts = line.splitn(3, ' ');
    let (at, percent) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let step = parts.next().filter(|step| !step.is_empty()).map(ToOwned::to_owned);
    Some(Mark { at, percent, step })
}

/// `ms` and a JSON string, the form of `write.lua`.
fn log_line(line: &str) -> Option<LogLine> {
    let (at, message) = line.split_once(' ')?;
    Some(LogLine { at: at.parse().ok()?, message: serde_json::from_str(message).ok()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::job::NewJob;

    fn fields(new: &NewJob, more: &[(&'static str, &'static str)]) -> Fields {
        fields_behind("1000|0|5000e|0000000000000|0|", new, more)
    }

    fn fields_behind(head: &str, new: &NewJob, more: &[(&'static str, &'static str)]) -> Fields {
        let mut body = head.as_bytes().to_vec();
        body.extend(new.body(&new.flow()));
        let mut fields = vec![(Bytes::from("job"), Bytes::from(body))];
        fields.extend(more.iter().map(|(name, value)| (Bytes::from(*name), Bytes::from(*value))));
        fields
    }

    fn read(fields: Fields) -> Result<Job, Unreadable> {
        Job::read(&JobId::random(), &"q".parse().unwrap(), fields)
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_back(
            args in prop::collection::vec(any::<u8>(), 0..400),
            kind in ".{1,20}",
            subject in prop::option::of(".{0,40}"),
            tenant in prop::option::of(".{1,40}"),
            limit_keys in prop::collection::vec(".{1,9}", 0..4),
            labels in prop::collection::btree_map(".{0,9}", ".{0,9}", 0..4),
            expected in prop::option::of((1i64..1_000_000_000, 0u32..2_000)),
            version in any::<u32>(),
        ) {
            let mut new = NewJob::new(JobId::random(), kind.clone(), args.clone());
            new.subject = subject.clone();
            new.tenant = tenant.clone();
            new.limit_keys = limit_keys.clone();
            new.labels = labels.clone();
            new.version = version;
            let head = expected.map_or_else(|| "1000|0|5000e|0000000000000|0|".to_owned(), |(due, route)| format!("1000|0|5000e|{due}|{route}|"));
            let job = read(fields_behind(&head, &new, &[])).unwrap();
            prop_assert_eq!(&job.args[..], &args[..]);
            prop_assert_eq!(job.enqueued_at, 1000);
            prop_assert_eq!(job.kind, kind);
            prop_assert_eq!(job.subject, subject);
            prop_assert_eq!(job.tenant, tenant);
            prop_assert_eq!(job.limit_keys, limit_keys);
            prop_assert_eq!(job.labels, labels);
            prop_assert_eq!(job.version, version);
            let account = Account::Open;
            let expectation = expected.map(|(due, route)| Expectation { route, due, account });
            prop_assert_eq!(job.expectation, expectation);
        }
    }

    #[test]
    fn attempts_leave_out_what_was_handed_back() {
        let new = NewJob::new(JobId::random(), "k", "");
        let more = [
            ("state", "scheduled 2000 3 4711-8d3f 1500"),
            ("released", "1"),
            ("failed:transient", "2"),
            ("first:transient", "1700"),
            ("step:store", "{\"at\":7,\"result\":2}"),
            ("step:render", "{\"at\":5,\"result\":1}"),
        ];
        let job = read(fields(&new, &more)).unwrap();
        assert_eq!((job.state, job.since, job.attempts), (State::Scheduled, 2000, 2));
        assert_eq!((job.worker.as_deref(), job.began), (Some("4711-8d3f"), Some(1500)));
        assert_eq!(job.failures.get(&FailureClass::Transient), Some(&2));
        assert_eq!(job.first_failures.get(&FailureClass::Transient), Some(&1700));
        let steps: Vec<&str> = job.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(steps, ["render", "store"], "in the order in which they were completed");
        assert_eq!(job.step("store"), Some(&serde_json::json!(2)));
    }

    #[test]
    fn a_step_counts_with_the_arguments_that_it_was_made_from() {
        let mut new = NewJob::new(JobId::random(), "k", "args");
        // The first 16 digits of the SHA-256 of the version in four bytes and `args`.
        assert_eq!(read(fields(&new, &[])).unwrap().args_digest(), "bf10bd34389e3363");
        let bound = r#"{"at":5,"args":"bf10bd34389e3363","result":1}"#;
        let more = [
            ("step:render", bound),
            ("step:old", "{\"at\":6,\"result\":2}"),
            ("args:2", "a"),
            ("dropped:2:a:b", bound),
            ("dropped:1:render", "{\"at\":1,\"result\":0}"),
        ];
        let job = read(fields(&new, &more)).unwrap();
        assert_eq!(job.step("render"), Some(&serde_json::json!(1)));
        assert_eq!(job.edits(), 2);
        let dropped: Vec<_> = job.dropped.iter().map(|each| (each.edit, each.step.name.as_str())).collect();
        assert_eq!(dropped, [(1, "render"), (2, "a:b")]);
        for (version, args) in [(1, "other"), (2, "args")] {
            (new.version, new.args) = (version, args.into());
            let job = read(fields(&new, &more)).unwrap();
            assert_eq!(job.step("render"), None, "{version} {args}");
            assert_eq!(job.step("old"), Some(&serde_json::json!(2)), "it was made before there were digests");
        }
    }

    #[test]
    fn what_is_rare_is_read_too() {
        let new = NewJob::new(JobId::random(), "k", "new");
        let history = "{\"at\":1,\"attempt\":1,\"class\":\"transient\",\"message\":\"x\"}\n{\"at\":2,\"did\":\"released\"}";
        let more = [
            ("history", history),
            ("marks", "1 50 render\n2 100 "),
            ("log", "3 \"a\\nb\""),
            ("args:1", "old"),
            ("need", "kind k@2"),
            ("why", "nobody knows it"),
        ];
        let job = read(fields(&new, &more)).unwrap();
        assert_eq!((job.priority, job.deadline), (Priority::Critical, Some(5000)));
        assert_eq!((job.history.len(), job.changes[0].did.as_str()), (1, "released"));
        assert_eq!(job.marks[1], Mark { at: 2, percent: 100, step: None });
        assert_eq!(job.log[0].message, "a\nb");
        assert_eq!(&job.earlier_args[0].args[..], b"old");
        assert_eq!(job.parked.unwrap().condition, "kind k@2");
    }

    #[test]
    fn a_damaged_job_says_what_is_wrong() {
        let error = read(vec![]).unwrap_err();
        assert!(error.to_string().contains("no field `job`"), "{error}");
        let new = NewJob::new(JobId::random(), "k", "");
        for (state, why) in [
            ("done 5", "`done` is not a state"),
            ("ready x", "`x` is no number"),
            ("running", "no attempt"),
            ("running 1 w", "no number"),
        ] {
            let error = read(fields(&new, &[("state", state)])).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn what_is_the_rule_is_not_written() {
        let new = NewJob::new(JobId::random(), "k", "");
        let job = read(fields(&new, &[])).unwrap();
        assert_eq!((job.state, job.since, job.token), (State::Ready, 1000, 0));
        let job = read(fields(&new, &[("state", "running 1 w 1200 7")])).unwrap();
        assert_eq!((job.state, job.since, job.token, job.outcome), (State::Running, 1200, 1, None));
        let job = read(fields(&new, &[("state", "succeeded 1300 1 w 1200")])).unwrap();
        assert_eq!((job.since, job.outcome), (1300, Some(serde_json::Value::Null)));
    }
}
