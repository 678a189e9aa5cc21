//! A job as the model knows it, and the comparison with the stored one.

use std::collections::BTreeMap;

use upshot_queue::{Job, JobId, Late, LimitKey, NewJob, OnSilence, Priority, Stage, State, Step};

use crate::{ledger::account, model::PATIENCE_US, operation::LARGE};

/// Why a job failed: class, kind, and what messages of the same cause have in common.
pub type Cause = (&'static str, String, String);

#[derive(Clone, Debug)]
pub struct ModelJob {
    pub new: NewJob,
    pub priority: Priority,
    pub args: Vec<u8>,
    pub edits: Vec<(u32, Vec<u8>)>,
    /// Which of them put the data of an event.
    pub repairs: Vec<u32>,
    pub enqueued_at: u64,
    pub state: State,
    pub since: u64,
    /// How long it was in each stage before its present state.
    pub spent: BTreeMap<&'static str, u64>,
    /// The stage of its present state, where it does not follow from the state.
    pub stage: Option<Stage>,
    /// Where it stands in its lane, while it is ready: when it should run (µs), and among
    /// those that were never anything but ready, the how manieth of all jobs it was. 0 of
    /// others, which come before them.
    pub place: (u64, u64),
    /// When it becomes ready, while it is scheduled, in ms.
    pub due: u64,
    /// When its lease expires, while it runs, in ms.
    pub until: u64,
    /// By which claim it runs, or ran last; the model counts them for itself.
    pub claim: u64,
    pub condition: Option<(String, String)>,
    /// When the wait for it ends, in ms.
    pub watch: Option<u64>,
    /// When waits for conditions end, whether the job still waits or not, in ms.
    pub ends: BTreeMap<String, u64>,
    /// Conditions whose waits ended, and whether by a signal.
    pub answers: BTreeMap<String, bool>,
    pub deadline: Option<(u64, Late)>,
    /// By when its outcome is expected, in ms.
    pub expected: Option<u64>,
    /// The account that its expectation is in.
    pub account: char,
    pub token: u64,
    pub released: u64,
    pub worker: Option<String>,
    pub cancel: Option<u64>,
    pub failures: BTreeMap<&'static str, u32>,
    /// When the first failure of each class was counted.
    pub firsts: BTreeMap<&'static str, u64>,
    pub steps: BTreeMap<String, (u64, u8)>,
    /// Effects without a receipt, and since when.
    pub begun: BTreeMap<String, u64>,
    pub dropped: BTreeMap<(u32, String), (u64, Option<u8>)>,
    pub progress: Option<u8>,
    pub marks: Vec<(u64, u8)>,
    pub log: Vec<(u64, String)>,
    /// Failed attempts and other changes in its history.
    pub lines: (usize, usize),
    pub outcome: bool,
    /// Whether only a part of its work came out right.
    pub partly: bool,
    /// What it awaits, or awaited until it ended: the condition, since when (ms), what silence means,
    /// and how long, as people read it.
    pub awaits: Option<(String, u64, OnSilence, String)>,
    /// The condition whose silence ended it.
    pub silent: Option<String>,
    pub duplicates: u64,
    /// Why it died, or failed before it runs again.
    pub cause: Option<Cause>,
    /// The cause for which an operator retried it.
    pub act: Option<Cause>,
    /// Who took its idempotency key when it was dead.
    pub successor: Option<JobId>,
}

impl ModelJob {
    /// Whether it waits and is to be ended for its deadline.
    pub fn is_late(&self, now: u64) -> bool {
        self.is_watched() && matches!(self.deadline, Some((by, Late::Expires)) if by <= now)
    }

    /// Whether it has completed steps, or begun effects.
    pub fn has_done(&self) -> bool {
        !self.steps.is_empty() || !self.begun.is_empty()
    }

    /// Whether its deadline can end it.
    pub fn is_watched(&self) -> bool {
        self.waits() && (self.state != State::Parked || self.awaits.is_none())
    }

    /// Whether it is parked and has waited for long enough.
    pub fn has_waited(&self, now: u64) -> bool {
        self.watch.is_some_and(|at| at <= now)
    }

    /// Whether a claim that has it ends with it.
    pub fn is_large(&self) -> bool {
        let edits = self.edits.iter().map(|(_, args)| args.len());
        edits.chain([self.args.len()]).sum::<usize>() >= LARGE
    }

    pub fn new(new: &NewJob, now: u64) -> Self {
        Self {
            new: new.clone(),
            priority: new.priority,
            args: new.args.to_vec(),
            edits: Vec::new(),
            repairs: Vec::new(),
            enqueued_at: now,
            state: State::Ready,
            since: now,
            spent: BTreeMap::new(),
            stage: None,
            place: (0, 0),
            due: 0,
            until: 0,
            claim: 0,
            condition: None,
            watch: None,
            ends: BTreeMap::new(),
            answers: BTreeMap::new(),
            deadline: new.deadline.map(|deadline| (now + deadline.within.as_millis() as u64, deadline.then)),
            expected: new.expect.as_ref().map(|expect| now + expect.within.as_millis() as u64),
            account: 'o',
            token: 0,
            released: 0,
            worker: None,
            cancel: None,
            failures: BTreeMap::new(),
            firsts: BTreeMap::new(),
            steps: BTreeMap::new(),
            begun: BTreeMap::new(),
            dropped: BTreeMap::new(),
            progress: None,
            marks: Vec::new(),
            log: Vec::new(),
            lines: (0, 0),
            outcome: false,
            partly: false,
            awaits: None,
            silent: None,
            duplicates: 0,
            cause: None,
            act: None,
            successor: None,
        }
    }

    /// The name of its route; empty without an expectation.
    pub fn route(&self) -> &str {
        self.new.expect.as_ref().map_or("", |expect| &expect.route)
    }

    /// The kind and version as conditions name them.
    pub fn kind(&self) -> String {
        format!("{}@{}", encode(&self.new.kind), self.new.version)
    }

    /// Whether it is parked for its kind.
    pub fn is_unknown(&self) -> bool {
        self.condition.as_ref().is_some_and(|(condition, _)| condition.starts_with("kind "))
    }

    /// Where it stands among others of its lane that are parked for the same kind: when it should
    /// run (ms).
    pub fn unknown_place(&self) -> u64 {
        self.deadline.map_or(self.enqueued_at + PATIENCE_US / 1000, |(by, _)| by)
    }

    pub fn waits(&self) -> bool {
        matches!(self.state, State::Scheduled | State::Ready | State::Parked)
    }

    /// What may hold it back, each once.
    pub fn limit_keys(&self) -> Vec<LimitKey> {
        let mut keys = vec![LimitKey::Queue];
        keys.extend(self.new.tenant.clone().map(LimitKey::Tenant));
        keys.extend(self.new.limit_keys.iter().cloned().map(LimitKey::Key));
        keys.sort();
        keys.dedup();
        keys
    }

    /// Its tenant and limit keys, as they are stored.
    pub fn flow(&self) -> String {
        let mut flow = encode(self.new.tenant.as_deref().unwrap_or_default());
        for key in &self.new.limit_keys {
            flow.push('|');
            flow.push_str(&encode(key));
        }
        flow
    }

    /// The lane that it waits in.
    pub fn lane(&self) -> String {
        format!("{}:{}", class(self.priority), self.flow())
    }
}

/// A name so that it can stand between bars.
pub fn encode(name: &str) -> String {
    name.replace('%', "%25").replace('|', "%7c")
}

pub fn class(priority: Priority) -> usize {
    Priority::ALL.iter().position(|each| *each == priority).unwrap()
}

/// How a limit key is stored.
pub fn stored(key: &LimitKey) -> String {
    match key {
        LimitKey::Queue => "queue".to_owned(),
        LimitKey::Tenant(name) => format!("tenant:{}", encode(name)),
        LimitKey::Key(name) => format!("key:{}", encode(name)),
    }
}

/// What can be seen of a job, by name.
type View = Vec<(&'static str, String)>;

/// Says what differs, when something does.
pub fn compare(id: &JobId, model: Option<&ModelJob>, stored: Option<&Job>) -> Result<(), String> {
    let (model, stored) = match (model, stored) {
        (None, None) => return Ok(()),
        (Some(model), Some(stored)) => (of_model(model), of_stored(stored)),
        (model, stored) => {
            let (model, stored) = (model.map(|job| job.state), stored.map(|job| job.state));
            return Err(format!("job {id}: the model has {model:?}, Redis {stored:?}"));
        }
    };
    let differ = model.iter().zip(&stored).filter(|(model, stored)| model != stored);
    let told: Vec<String> = differ
        .map(|((name, model), (_, stored))| format!("{name} is {model} in the model, {stored} in Redis"))
        .collect();
    if told.is_empty() { Ok(()) } else { Err(format!("job {id}: {}", told.join("; "))) }
}

fn show(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn of_model(job: &ModelJob) -> View {
    vec![
        ("state", show(job.state)),
        ("since", show(job.since)),
        ("token", show(job.token)),
        ("attempts", show(job.token - job.released)),
        ("worker", show(&job.worker)),
        ("priority", show(job.priority)),
        ("kind", show(&job.new.kind)),
        ("tenant", show(&job.new.tenant)),
        ("limit keys", show(&job.new.limit_keys)),
        ("subject", show(&job.new.subject)),
        ("args", show(&job.args)),
        ("edits", show(&job.edits)),
        ("repairs", show(&job.repairs)),
        ("enqueued at", show(job.enqueued_at)),
        ("times", show(&job.spent)),
        ("deadline", show(job.deadline.map(|(by, _)| by))),
        ("expectation", show(job.expected.map(|due| (due, account(job.account))))),
        ("cancel", show(job.cancel)),
        ("condition", show(&job.condition)),
        ("answers", show(&job.answers)),
        ("what it awaits", show(job.awaits.as_ref().map(|(of, since, silence, _)| (of, since, silence)))),
        ("failures", show(&job.failures)),
        ("firsts", show(&job.firsts)),
        ("steps", show(&job.steps)),
        ("begun", show(&job.begun)),
        ("dropped steps", show(&job.dropped)),
        ("progress", show(job.progress)),
        ("marks", show(&job.marks)),
        ("log", show(&job.log)),
        ("lines of the history", show(job.lines)),
        ("has an outcome", show(job.outcome)),
        ("duplicates", show(job.duplicates)),
        ("has a group", show(job.cause.is_some())),
    ]
}

fn of_stored(job: &Job) -> View {
    let ms = i64::unsigned_abs;
    let condition = job.parked.as_ref().map(|parked| (&parked.condition, &parked.why));
    let answers: BTreeMap<_, _> =
        job.answers.iter().map(|(condition, answer)| (condition, answer.payload.is_some())).collect();
    let edits: Vec<_> = job.earlier_args.iter().map(|edit| (edit.n, edit.args.to_vec())).collect();
    let repairs: Vec<_> = job.earlier_args.iter().filter(|edit| edit.by_event).map(|edit| edit.n).collect();
    let failures: BTreeMap<_, _> = job.failures.iter().map(|(class, n)| (class.as_str(), n)).collect();
    let firsts: BTreeMap<_, _> = job.first_failures.iter().map(|(class, at)| (class.as_str(), at)).collect();
    let step = |step: &Step| (step.name.clone(), (ms(step.at), step.result.as_u64().unwrap()));
    let steps: BTreeMap<_, _> = job.steps.iter().map(step).collect();
    let dropped: BTreeMap<_, _> = job
        .dropped
        .iter()
        .map(|dropped| {
            let Step { name, at, result, .. } = &dropped.step;
            ((dropped.edit, name.clone()), (ms(*at), result.as_u64()))
        })
        .collect();
    // The present state has not lasted at its beginning.
    let clock = job.clock(job.since);
    let times = Stage::ALL.into_iter().map(|stage| (stage.as_str(), ms(clock.of(stage))));
    let times: BTreeMap<_, _> = times.filter(|(_, time)| *time > 0).collect();
    let marks: Vec<_> = job.marks.iter().map(|mark| (ms(mark.at), mark.percent)).collect();
    let log: Vec<_> = job.log.iter().map(|line| (ms(line.at), &line.message)).collect();
    vec![
        ("state", show(job.state)),
        ("since", show(ms(job.since))),
        ("token", show(job.token)),
        ("attempts", show(job.attempts)),
        ("worker", show(&job.worker)),
        ("priority", show(job.priority)),
        ("kind", show(&job.kind)),
        ("tenant", show(&job.tenant)),
        ("limit keys", show(&job.limit_keys)),
        ("subject", show(&job.subject)),
        ("args", show(job.args.to_vec())),
        ("edits", show(edits)),
        ("repairs", show(repairs)),
        ("enqueued at", show(ms(job.enqueued_at))),
        ("times", show(times)),
        ("deadline", show(job.deadline.map(ms))),
        ("expectation", show(job.expectation.map(|of| (ms(of.due), of.account)))),
        ("cancel", show(job.cancel_asked_at.map(ms))),
        ("condition", show(condition)),
        ("answers", show(answers)),
        ("what it awaits", show(job.awaits.as_ref().map(|of| (&of.condition, ms(of.since), of.on_silence)))),
        ("failures", show(failures)),
        ("firsts", show(firsts)),
        ("steps", show(steps)),
        (
            "begun",
            show(job.begun.iter().map(|begun| (&begun.name, ms(begun.at))).collect::<BTreeMap<_, _>>()),
        ),
        ("dropped steps", show(dropped)),
        ("progress", show(job.progress.as_ref().map(|progress| progress.percent))),
        ("marks", show(marks)),
        ("log", show(log)),
        ("lines of the history", show((job.history.len(), job.changes.len()))),
        ("has an outcome", show(job.outcome.is_some())),
        ("duplicates", show(job.duplicates)),
        ("has a group", show(job.group.is_some())),
    ]
}
