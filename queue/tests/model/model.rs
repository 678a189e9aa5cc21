//! The plain model of a queue: what each operation does, and what it answers.
//!
//! It decides nothing that the queue is free to decide: which jobs a claim
//! leases is judged in [`crate::claim`], and followed here.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use upshot_queue::{
    Changed, Conflict, EnqueueResult, JobId, Limit, LimitKey, NewJob, OnSilence, Priority, Reconciled, Scope,
    Stage, State,
    protocol::{Disposition, EndedAttempt, Renewed, Write},
};

use crate::{
    claim::knows,
    groups::Groups,
    job::{ModelJob, encode},
    ledger::Ledger,
    operation::CONDITIONS,
};

/// A job without a deadline is as urgent as one that is due a day after it became ready.
pub const PATIENCE_US: u64 = 24 * 3600 * 1_000_000;
/// The messages that a job ends with when nobody was there to say one.
pub const CRASHED: &str = "the lease expired: the worker stopped renewing it";
pub const EXPIRED: &str = "the deadline passed before the job could run";

/// Why confirmations say that the work did not come out right.
pub const REFUTED: &str = "mailbox unknown";

/// A signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Came {
    pub payload: String,
    /// The id of a confirmation.
    pub name: Option<u8>,
    pub missed: bool,
    pub confirms: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The time, in µs.
    pub us: u64,
    pub jobs: BTreeMap<JobId, ModelJob>,
    pub limits: BTreeMap<LimitKey, Limit>,
    /// Tokens left, and when they were counted (µs).
    pub buckets: BTreeMap<LimitKey, (f64, u64)>,
    pub paused: bool,
    pub paused_kinds: BTreeSet<String>,
    /// Who holds an idempotency key.
    pub unique: BTreeMap<(String, String), JobId>,
    /// What was found to be a duplicate under one, and of which job.
    pub duplicates: BTreeMap<JobId, JobId>,
    /// Of each worker the last claims with even and odd numbers that leased something:
    /// the number, the model's own, and what.
    pub claims: BTreeMap<(String, u64), (u64, u64, Vec<JobId>)>,
    /// Jobs that were ready at once.
    pub enqueued: u64,
    /// Claims that leased anything.
    pub leases: u64,
    pub groups: Groups,
    /// For which lane the next place under a key is kept: the queue decides that, and the
    /// model looks whether it may.
    pub promised: BTreeMap<LimitKey, String>,
    /// The signal that is kept, the newest other payload, and the job that took it last.
    pub signal: Option<(Came, Option<String>, Option<JobId>)>,
    /// Transitions, by name.
    pub moves: BTreeMap<&'static str, u64>,
    /// Transitions that it made and that are not legal: there are none, or it was bent to
    /// a queue that makes them.
    pub illegal: Vec<(JobId, State, State)>,
    pub ledger: Ledger,
}

impl Model {
    /// The time in ms.
    pub fn now(&self) -> u64 {
        self.us / 1000
    }

    pub fn count(&mut self, what: &'static str) {
        *self.moves.entry(what).or_default() += 1;
    }

    pub fn ids(&self, filter: impl Fn(&ModelJob) -> bool) -> Vec<JobId> {
        self.jobs.iter().filter(|(_, job)| filter(job)).map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn enter(&mut self, id: &JobId, state: State) -> &mut ModelJob {
        let now = self.now();
        let job = self.jobs.get_mut(id).unwrap();
        if !job.state.may_become(state) {
            self.illegal.push((id.clone(), job.state, state));
        }
        let stage = match job.state {
            State::Running => Stage::Run,
            State::Parked => job.stage.unwrap_or(Stage::Parked),
            State::Scheduled if job.token > 0 => job.stage.unwrap_or(Stage::RetryWait),
            State::Dead => Stage::Dead,
            _ => Stage::Queue,
        };
        if now > job.since {
            *job.spent.entry(stage.as_str()).or_default() += now - job.since;
        }
        if state != job.state {
            job.stage = None;
        }
        (job.state, job.since) = (state, now);
        // What ended otherwise has no cause any more.
        if matches!(state, State::Succeeded | State::Cancelled) {
            job.cause = None;
            self.end_act(id, state);
        }
        let job = self.jobs.get_mut(id).unwrap();
        if state != State::Parked {
            (job.condition, job.watch) = (None, None);
        }
        self.ledger.enter(id, job, now);
        job
    }

    /// Makes a job ready, the `i`th of its call.
    pub(crate) fn make_ready(&mut self, id: &JobId, i: u64) {
        let us = self.us;
        let job = self.enter(id, State::Ready);
        job.place = (run_by(job, us, i), 0);
    }

    fn schedule(&mut self, id: &JobId, delay: u64) -> State {
        if delay == 0 {
            self.make_ready(id, 0);
            return State::Ready;
        }
        let due = self.now() + delay;
        self.enter(id, State::Scheduled).due = due;
        State::Scheduled
    }

    pub(crate) fn bury(&mut self, id: &JobId, class: &'static str, normal: &str) {
        self.enter(id, State::Dead);
        self.fail_of(id, class, normal);
        self.end_act(id, State::Dead);
    }

    /// A job that is not dead any more does not count for its group.
    fn leave_group(&mut self, id: &JobId) {
        let job = self.jobs.get_mut(id).unwrap();
        (job.silent, job.cause) = (None, None);
    }

    fn remove(&mut self, id: &JobId, leaves_row: bool) {
        self.leave_group(id);
        if let Some(job) = self.jobs.remove(id).filter(|_| leaves_row) {
            self.ledger.forget(id, &job);
        }
        self.count("forgotten");
    }

    pub fn enqueue(&mut self, batch: &[NewJob]) -> Vec<EnqueueResult> {
        let mut order: Vec<usize> = (0..batch.len()).collect();
        let ids: BTreeSet<&JobId> = batch.iter().map(|new| &new.id).collect();
        // Lane by lane, unless jobs of the batch may find each other.
        if ids.len() == batch.len() && batch.iter().all(|new| new.unique.is_none()) {
            order.sort_by_key(|place| {
                let new = &batch[*place];
                let expect = new.expect.as_ref().map(|expect| expect.route.as_str());
                let within = new.expect.as_ref().map(|expect| expect.within);
                (new.priority, new.tenant.as_deref().unwrap_or_default(), &new.limit_keys, expect, within)
            });
        }
        let mut verdicts: Vec<_> =
            (0u64..).zip(order).map(|(i, place)| (place, self.enqueue_one(&batch[place], i))).collect();
        verdicts.sort_by_key(|(place, _)| *place);
        verdicts.into_iter().map(|(_, verdict)| verdict).collect()
    }

    fn enqueue_one(&mut self, new: &NewJob, i: u64) -> EnqueueResult {
        let unique = new.unique.as_ref().map(|unique| {
            let scope = match unique.scope {
                Scope::Queue => String::new(),
                Scope::Kind => encode(&new.kind),
                Scope::Tenant => {
                    format!("{}|{}", encode(&new.kind), encode(new.tenant.as_deref().unwrap_or_default()))
                }
            };
            (scope, unique.key.clone())
        });
        let state = |model: &Self, id: &JobId| model.jobs.get(id).map(|job| job.state);
        let route = new.expect.as_ref().map(|expect| expect.route.as_str());
        let own = state(self, &new.id);
        let replaced = |state| new.replaces_dead && state == State::Dead;
        if let Some(unique) = &unique
            && own.is_none_or(replaced)
        {
            let replaces = new.replaces_dead || new.unique.as_ref().unwrap().replaces_dead;
            let holders = [self.duplicates.get(&new.id), self.unique.get(unique)];
            let found =
                holders.into_iter().flatten().filter(|holder| **holder != new.id).find_map(|holder| {
                    let state = state(self, holder).filter(|state| !(replaces && *state == State::Dead))?;
                    Some((holder.clone(), state))
                });
            if let Some((holder, state)) = found {
                self.count("duplicates");
                self.ledger.duplicate(route);
                self.jobs.get_mut(&holder).unwrap().duplicates += 1;
                if own.is_none() {
                    self.duplicates.insert(new.id.clone(), holder.clone());
                }
                return EnqueueResult::Duplicate { id: holder, state };
            }
        }
        let mut reopened = None;
        if new.replaces_dead && state(self, &new.id) == Some(State::Dead) {
            let same = self.jobs[&new.id].route() == route.unwrap_or_default();
            reopened = same.then(|| self.jobs[&new.id].account);
            self.remove(&new.id, !same);
        }
        if let Some(job) = self.jobs.get_mut(&new.id) {
            job.duplicates += 1;
            let state = job.state;
            self.count("duplicates");
            self.ledger.duplicate(route);
            return EnqueueResult::Duplicate { id: new.id.clone(), state };
        }
        let mut job = ModelJob::new(new, self.now());
        self.ledger.open(&new.id, &mut job, reopened);
        self.jobs.insert(new.id.clone(), job);
        if let Some(unique) = unique {
            let before = self.unique.insert(unique, new.id.clone()).filter(|before| *before != new.id);
            // One that is there gave way.
            if let Some(job) = before.and_then(|before| self.jobs.get_mut(&before)) {
                job.successor = Some(new.id.clone());
            }
            self.duplicates.remove(&new.id);
        }
        let delay = new.delay.as_millis() as u64;
        if delay > 0 {
            self.schedule(&new.id, delay);
        } else {
            self.make_ready(&new.id, i);
            self.enqueued += 1;
            let job = self.jobs.get_mut(&new.id).unwrap();
            if job.deadline.is_none() {
                job.place = (job.enqueued_at * 1000 + PATIENCE_US, self.enqueued);
            }
        }
        self.count("enqueued");
        EnqueueResult::Inserted
    }

    /// A worker got a lease.
    pub fn lease(&mut self, id: &JobId, worker: &str, until: u64, claim: u64) {
        let job = self.enter(id, State::Running);
        job.token += 1;
        job.claim = claim;
        job.worker = Some(worker.to_owned());
        job.until = until;
        self.count("claimed");
    }

    /// A job was parked because its turn came while its kind was paused, or where a worker does
    /// not run it.
    pub fn park_met(&mut self, id: &JobId, runs: Option<&BTreeSet<String>>) -> Result<(), String> {
        let job = &self.jobs[id];
        let (kind, of) = (encode(&job.new.kind), job.kind());
        let condition = if self.paused_kinds.contains(&job.new.kind) {
            (format!("resume {kind}"), "the kind is paused".to_owned())
        } else if !knows(runs, job) {
            let version = job.new.version;
            let why = format!(
                "no handler for kind `{kind}` version {version} in the worker that met it: one that has it takes it"
            );
            (format!("kind {of}"), why)
        } else {
            return Err(format!("{id} was parked, and nothing keeps it from running"));
        };
        self.enter(id, State::Parked).condition = Some(condition);
        self.count("parked");
        Ok(())
    }

    /// An event of a job's identity came again.
    pub fn reconcile(&mut self, id: &JobId, tenant: Option<&str>, args: &[u8]) -> Reconciled {
        let Some(job) = self.jobs.get(id) else { return Reconciled::Gone };
        if job.new.tenant.as_deref() != tenant {
            return Reconciled::Conflict(Conflict::Tenant);
        }
        let put_by =
            |n: u32| job.edits.iter().find(|(edit, _)| *edit == n + 1).map_or(&job.args, |(_, args)| args);
        if std::iter::once(&0).chain(&job.repairs).any(|n| put_by(*n) == args) {
            return Reconciled::Same;
        }
        let state = job.state;
        let conflict = Reconciled::Conflict(Conflict::Data { state });
        let unreadable = job.condition.as_ref().is_some_and(|(condition, _)| condition.starts_with("args "));
        let permanent = job.cause.as_ref().is_some_and(|(class, ..)| *class == "permanent");
        let repairable = state == State::Parked && unreadable || state == State::Dead && permanent;
        if !repairable || job.has_done() {
            return conflict;
        }
        if state == State::Dead && self.is_replaced(id) {
            return conflict;
        }
        if state == State::Dead {
            self.start_afresh(id);
        }
        let job = self.jobs.get_mut(id).unwrap();
        job.lines.1 += 1;
        let n = job.edits.len() as u32 + 1;
        job.edits.push((n, std::mem::replace(&mut job.args, args.to_vec())));
        job.repairs.push(n);
        self.make_ready(id, 0);
        self.count("repaired");
        Reconciled::Repaired
    }

    /// Whether another job does the work of a dead one by now, or can, or has done it.
    fn is_replaced(&self, id: &JobId) -> bool {
        let successor = self.jobs[id].successor.as_ref();
        successor.is_some_and(|next| self.jobs.get(next).is_none_or(|next| next.state != State::Cancelled))
    }

    fn start_afresh(&mut self, id: &JobId) {
        self.leave_group(id);
        let job = self.jobs.get_mut(id).unwrap();
        self.ledger.reopen(id, job);
        job.failures.clear();
        job.firsts.clear();
        job.deadline = None;
        job.successor = None;
        // A kept refutation would end the job again.
        if job.awaits.take().is_some() && self.signal.as_ref().is_some_and(|(came, ..)| came.missed) {
            self.signal = None;
        }
        job.outcome = false;
        // A wait that ran out of time begins again.
        let ends = std::mem::take(&mut job.ends);
        job.answers.retain(|condition, by_signal| *by_signal || !ends.contains_key(condition));
    }

    fn is_signalled(&self, condition: &str) -> bool {
        condition == CONDITIONS[1] && self.signal.is_some()
    }

    /// The wait of a job ends: by a signal, or because it ran out of time.
    pub fn answer(&mut self, id: &JobId, condition: &str, by_signal: bool) {
        self.make_ready(id, 0);
        let job = self.jobs.get_mut(id).unwrap();
        job.answers.insert(condition.to_owned(), by_signal);
        job.lines.1 += 1;
        self.count(if by_signal { "signalled" } else { "lapsed" });
        if let (true, Some((.., taken))) = (by_signal, &mut self.signal) {
            *taken = Some(id.clone());
        }
    }

    /// What becomes of a signal, and how many jobs continue or end.
    pub fn signal(&mut self, condition: &str, came: &Came) -> (&'static str, u64) {
        let is_new = self.signal.is_none();
        let (first, other, taken) = self.signal.get_or_insert_with(|| (came.clone(), None, None));
        // Of confirmations only another verdict contradicts, and another body with the same id.
        let agrees =
            came.confirms && first.missed == came.missed && (came.name.is_none() || first.name != came.name);
        let mut became = if is_new { "stored" } else { "known" };
        if first.payload != came.payload && !agrees {
            became = "contradicts";
            if other.as_ref() != Some(&came.payload) {
                *other = Some(came.payload.clone());
                // The job that took the first shows the contradiction.
                if let Some(job) = taken.as_ref().and_then(|id| self.jobs.get_mut(id)) {
                    job.lines.1 += 1;
                }
            }
        }
        let released = self.unpark(condition);
        let (contradicts, healed) = self.hear(condition);
        if contradicts {
            became = "contradicts";
        }
        (became, released + healed)
    }

    /// Jobs whose silence counted get their confirmation. Whether it contradicts a
    /// verdict, and how many jobs it heals.
    fn hear(&mut self, condition: &str) -> (bool, u64) {
        let mut ids = self.ids(|job| job.silent.as_deref() == Some(condition));
        ids.sort_by_key(|id| (self.jobs[id].since, id.clone()));
        let missed = self.signal.as_ref().is_some_and(|(came, ..)| came.missed);
        let (mut contradicts, mut healed) = (false, 0);
        for id in &ids {
            let job = self.jobs.get_mut(id).unwrap();
            job.silent = None;
            if job.state == State::Dead && !missed && job.account != 'x' {
                self.leave_group(id);
                self.ledger.reopen(id, self.jobs.get_mut(id).unwrap());
                self.confirm(id, condition);
                healed += 1;
            } else {
                job.lines.1 += 1;
                contradicts |= job.state == State::Succeeded && missed;
                self.signal.as_mut().unwrap().2 = Some(id.clone());
            }
        }
        (contradicts, healed)
    }

    /// The signal that is kept ends a job.
    fn confirm(&mut self, id: &JobId, condition: &str) {
        let (came, _, taken) = self.signal.as_mut().unwrap();
        *taken = Some(id.clone());
        let missed = came.missed;
        let job = self.jobs.get_mut(id).unwrap();
        job.answers.insert(condition.to_owned(), true);
        if missed {
            self.fail(id, "refuted", REFUTED);
        } else {
            job.lines.1 += 1;
            self.enter(id, State::Succeeded);
            self.count("confirmed");
        }
    }

    fn fail(&mut self, id: &JobId, class: &'static str, normal: &str) {
        let job = self.jobs.get_mut(id).unwrap();
        job.lines.0 += 1;
        *job.failures.entry(class).or_default() += 1;
        self.bury(id, class, normal);
        self.count(class);
    }

    /// The wait of a job ran out of time.
    pub fn lapse(&mut self, id: &JobId, condition: &str) {
        let Some((.., silence, _)) = self.jobs[id].awaits.clone() else {
            return self.answer(id, condition, false);
        };
        if silence == OnSilence::Retry {
            self.leave_await(id);
            return self.answer(id, condition, false);
        }
        let job = self.jobs.get_mut(id).unwrap();
        job.answers.insert(condition.to_owned(), false);
        job.silent = Some(condition.to_owned());
        if silence == OnSilence::Missed {
            self.fail(id, "unconfirmed", "no confirmation came in time");
        } else {
            job.lines.1 += 1;
            self.enter(id, State::Succeeded);
            self.count("confirmed");
        }
    }

    /// The handler of a job that may await its proof runs again.
    fn leave_await(&mut self, id: &JobId) {
        let job = self.jobs.get_mut(id).unwrap();
        if job.awaits.take().is_some() {
            job.outcome = false;
            self.ledger.await_proof(id, job, false);
        }
    }

    fn holds(&self, worker: &str, id: &JobId, token: u64) -> bool {
        self.jobs.get(id).is_some_and(|job| {
            job.state == State::Running && job.token == token && job.worker.as_deref() == Some(worker)
        })
    }

    fn refuse(&mut self) {
        self.count("refused");
    }

    pub fn settle(&mut self, worker: &str, batch: &[EndedAttempt]) -> Vec<bool> {
        let mut written = vec![false; batch.len()];
        // Of two ends of one attempt success is looked at first.
        for succeeds in [true, false] {
            for (ended, written) in batch.iter().zip(&mut written) {
                if matches!(ended.disposition, Disposition::Succeed(_)) == succeeds {
                    *written = self.holds(worker, &ended.id, ended.token);
                    if *written { self.end(&ended.id, &ended.disposition) } else { self.refuse() }
                }
            }
        }
        written
    }

    fn end(&mut self, id: &JobId, end: &Disposition) {
        let now = self.now();
        let job = self.jobs.get_mut(id).unwrap();
        match end {
            Disposition::Succeed(_) => {
                job.outcome = true;
                self.enter(id, State::Succeeded);
                return self.count("succeeded");
            }
            Disposition::Partly(_) => {
                (job.outcome, job.partly) = (true, true);
                self.enter(id, State::Succeeded);
                return self.count("partial");
            }
            Disposition::Retry { class, .. } | Disposition::Bury { class, .. } => {
                *job.failures.entry(class.as_str()).or_default() += 1;
                job.firsts.entry(class.as_str()).or_insert(now);
                job.lines.0 += 1;
            }
            Disposition::Cancel { .. } | Disposition::Await { .. } => job.lines.1 += 1,
            Disposition::Release { line } => {
                job.released += 1;
                job.lines.1 += usize::from(!line.is_empty());
            }
            Disposition::Snooze { .. } | Disposition::Park { .. } => {
                job.released += 1;
                job.lines.1 += 1;
            }
        }
        if job.cancel.is_some() || matches!(end, Disposition::Cancel { .. }) {
            self.enter(id, State::Cancelled);
            return self.count("cancelled");
        }
        match end {
            Disposition::Retry { delay, .. } | Disposition::Snooze { delay, .. } => {
                let due = self.now() + delay.as_millis() as u64;
                let job = self.enter(id, State::Scheduled);
                job.due = due;
                job.stage = matches!(end, Disposition::Snooze { .. }).then_some(Stage::Parked);
                match end {
                    Disposition::Retry { class, normal, .. } => {
                        self.fail_of(id, class.as_str(), normal);
                        self.count("retried");
                    }
                    _ => self.count("snoozed"),
                }
            }
            Disposition::Bury { class, normal, .. } => {
                self.bury(id, class.as_str(), normal);
                self.count("dead");
            }
            Disposition::Park { condition, within, why, .. } => {
                let answered = job.answers.contains_key(condition);
                let ends = within.filter(|_| !answered).map(|within| {
                    *job.ends.entry(condition.clone()).or_insert(now + within.as_millis() as u64)
                });
                self.count("parked");
                let job = self.enter(id, State::Parked);
                (job.condition, job.watch) = (Some((condition.clone(), why.clone())), ends);
                let is_signalled = self.is_signalled(condition);
                if !answered && (is_signalled || ends.is_some_and(|ends| ends <= now)) {
                    self.answer(id, condition, is_signalled);
                    self.jobs.get_mut(id).unwrap().place = (0, 0);
                }
            }
            Disposition::Await { condition, within, on_silence, why, .. } => {
                let ends = now + within.as_millis() as u64;
                let shown = humantime::format_duration(*within).to_string();
                job.outcome = true;
                job.answers.remove(condition);
                job.ends.insert(condition.clone(), ends);
                job.awaits = Some((condition.clone(), now, *on_silence, shown));
                // The work is done, whatever failed before.
                job.cause = None;
                self.ledger.await_proof(id, job, true);
                self.count("parked");
                let job = self.enter(id, State::Parked);
                (job.condition, job.watch) = (Some((condition.clone(), why.clone())), Some(ends));
                job.stage = Some(Stage::Confirmation);
                if self.is_signalled(condition) {
                    self.confirm(id, condition);
                }
            }
            _ => {
                self.enter(id, State::Ready).place = (0, 0);
                self.count("released");
            }
        }
    }

    /// Jobs of one claim share a lease.
    pub fn extend(&mut self, claim: u64, until: u64) {
        for id in self.ids(|job| job.state == State::Running && job.claim == claim) {
            self.jobs.get_mut(&id).unwrap().until = until;
        }
    }

    pub fn renew(&mut self, worker: &str, until: u64, leases: &[(JobId, u64)]) -> Renewed {
        let mut renewed = Renewed::default();
        for (id, token) in leases {
            if self.holds(worker, id, *token) {
                self.extend(self.jobs[id].claim, until);
                if self.jobs[id].cancel.is_some() {
                    renewed.cancelled.push(id.to_string());
                }
                continue;
            }
            renewed.lost.push(id.to_string());
            let own = self
                .jobs
                .get(id)
                .is_some_and(|job| job.token == *token && job.worker.as_deref() == Some(worker));
            // A lease that its own worker has just ended is no refused write.
            if !own {
                self.refuse();
            }
        }
        renewed
    }

    pub fn write(&mut self, worker: &str, id: &JobId, token: u64, write: Write<'_>) -> bool {
        if !self.holds(worker, id, token) {
            self.refuse();
            return false;
        }
        let now = self.now();
        let job = self.jobs.get_mut(id).unwrap();
        match write {
            Write::Progress(_, mark) => {
                let percent = mark.trim().parse().unwrap();
                job.progress = Some(percent);
                job.marks.push((now, percent));
            }
            // A completed step stays.
            Write::Step(name, result, _) => {
                job.steps.entry(name.to_owned()).or_insert((now, result.parse().unwrap()));
                job.begun.remove(name);
            }
            Write::Begin(name, _) => {
                if !job.steps.contains_key(name) {
                    job.begun.insert(name.to_owned(), now);
                }
            }
            Write::Refused(name) => drop(job.begun.remove(name)),
            Write::Log(line) => job.log.push((now, line.trim_matches('"').to_owned())),
        }
        true
    }

    /// Does something to a job that is in one of the states in which that can be done.
    fn change(
        &mut self,
        id: &JobId,
        can: impl Fn(&ModelJob) -> bool,
        change: impl FnOnce(&mut Self) -> Changed,
    ) -> Changed {
        match self.jobs.get(id) {
            None => Changed::Unknown,
            Some(job) if !can(job) => Changed::Refused(job.state),
            Some(_) => {
                let changed = change(self);
                // What is refused leaves no line.
                if changed != Changed::Stepped
                    && let Some(job) = self.jobs.get_mut(id)
                {
                    job.lines.1 += 1;
                }
                changed
            }
        }
    }

    pub fn cancel(&mut self, id: &JobId) -> Changed {
        // Who asks once more is told the same.
        if self.jobs.get(id).is_some_and(|job| job.state == State::Running && job.cancel.is_some()) {
            return Changed::Stopping;
        }
        let can = |job: &ModelJob| job.waits() || job.state == State::Running;
        self.change(id, can, |model| {
            if model.jobs[id].state == State::Running {
                let now = model.now();
                model.jobs.get_mut(id).unwrap().cancel = Some(now);
                return Changed::Stopping;
            }
            model.enter(id, State::Cancelled);
            model.count("cancelled");
            Changed::To(State::Cancelled)
        })
    }

    pub fn waive(&mut self, id: &JobId) -> Changed {
        let now = self.now();
        let Some(job) = self.jobs.get_mut(id) else { return Changed::Unknown };
        match job.account {
            _ if job.expected.is_none() => return Changed::Unexpected,
            'x' | 'y' => return Changed::Waived,
            'o' | 'v' | 'w' | 'n' | 'm' => {}
            _ => return Changed::Refused(job.state),
        }
        self.ledger.waive(id, job, now);
        job.lines.1 += 1;
        self.count("waived");
        Changed::Waived
    }

    pub fn reschedule(&mut self, id: &JobId, delay: u64) -> Changed {
        // It is so already, and keeps its place.
        if delay == 0 && self.jobs.get(id).is_some_and(|job| job.state == State::Ready) {
            return Changed::To(State::Ready);
        }
        let can = |job: &ModelJob| matches!(job.state, State::Scheduled | State::Ready);
        self.change(id, can, |model| {
            let state = model.schedule(id, delay);
            model.count("rescheduled");
            Changed::To(state)
        })
    }

    pub fn prioritise(&mut self, id: &JobId, priority: Priority) -> Changed {
        if let Some(job) = self.jobs.get(id).filter(|job| job.waits() && job.priority == priority) {
            return Changed::To(job.state);
        }
        self.change(id, ModelJob::waits, |model| {
            let us = model.us;
            let job = model.jobs.get_mut(id).unwrap();
            job.priority = priority;
            job.place = (run_by(job, us, 0), 0);
            let state = job.state;
            model.count("prioritised");
            Changed::To(state)
        })
    }

    /// `repeats`: every completed step may run again.
    pub fn retry(&mut self, id: &JobId, args: Option<&[u8]>, repeats: bool, delay: u64) -> Changed {
        if self.jobs.get(id).is_some_and(|job| job.state == State::Dead) && self.is_replaced(id) {
            return Changed::Replaced;
        }
        self.change(
            id,
            |job| matches!(job.state, State::Dead | State::Parked),
            |model| {
                let was_parked = model.jobs[id].state == State::Parked;
                let job = model.jobs.get_mut(id).unwrap();
                if let Some(args) = args.filter(|args| *args != job.args) {
                    // Made from other arguments: they run again, if that was agreed to.
                    if job.has_done() && !repeats {
                        return Changed::Stepped;
                    }
                    let before = std::mem::replace(&mut job.args, args.to_vec());
                    let edit = job.edits.len() as u32 + 1;
                    job.edits.push((edit, before));
                    let steps = std::mem::take(&mut job.steps);
                    let begun =
                        std::mem::take(&mut job.begun).into_iter().map(|(name, at)| (name, (at, None)));
                    let steps = steps.into_iter().map(|(name, (at, result))| (name, (at, Some(result))));
                    job.dropped.extend(steps.chain(begun).map(|(name, step)| ((edit, name), step)));
                }
                if was_parked {
                    model.leave_await(id);
                    model.make_ready(id, 0);
                    model.count("unparked");
                    return Changed::To(State::Ready);
                }
                model.act_on(id);
                model.start_afresh(id);
                let state = model.schedule(id, delay);
                model.count("revived");
                Changed::To(state)
            },
        )
    }

    pub fn forget(&mut self, id: &JobId, age: u64) -> Changed {
        let now = self.now();
        self.change(
            id,
            |job| job.state.is_final() && job.since + age <= now,
            |model| {
                model.remove(id, true);
                Changed::Forgotten
            },
        )
    }

    pub fn trim(&mut self, of: State, retention: u64) -> u64 {
        let now = self.now();
        let old = self.ids(|job| job.state == of && job.since + retention <= now);
        old.iter().for_each(|id| self.remove(id, true));
        old.len() as u64
    }

    pub fn set_limit(&mut self, key: &LimitKey, limit: Limit) {
        if limit == Limit::default() {
            self.limits.remove(key);
            self.buckets.remove(key);
        } else {
            // What came until now came at the rate of before.
            if let Some(tokens) = self.tokens(key, Duration::ZERO)
                && self.buckets.contains_key(key)
            {
                self.buckets.insert(key.clone(), (tokens, self.us));
            }
            if limit.rate.is_none() {
                self.buckets.remove(key);
            }
            self.limits.insert(key.clone(), limit);
        }
    }

    pub fn unpark(&mut self, condition: &str) -> u64 {
        let mut ids = self.ids(|job| job.condition.as_ref().is_some_and(|(each, _)| each == condition));
        ids.sort_by_key(|id| (self.jobs[id].since, id.clone()));
        let mut place = 0;
        for id in &ids {
            place += 1;
            if self.is_signalled(condition) && self.jobs[id].awaits.is_some() {
                self.confirm(id, condition);
            } else if self.is_signalled(condition) && !self.jobs[id].answers.contains_key(condition) {
                self.answer(id, condition, true);
                let us = self.us;
                let job = self.jobs.get_mut(id).unwrap();
                job.place = (run_by(job, us, place), 0);
            } else {
                self.leave_await(id);
                self.make_ready(id, place);
                self.count("unparked");
            }
            // A call ends with a large one, and the next one counts anew.
            if self.jobs[id].is_large() {
                place = 0;
            }
        }
        ids.len() as u64
    }

    /// How many jobs run that count for a limit key.
    pub fn running(&self, key: &LimitKey) -> u32 {
        self.ids(|job| job.state == State::Running && job.limit_keys().contains(key)).len() as u32
    }

    /// The tokens of a limit key `late` before now.
    pub fn tokens(&self, key: &LimitKey, late: Duration) -> Option<f64> {
        let limit = self.limits.get(key)?;
        let burst = f64::from(limit.burst.unwrap_or(1));
        let us = self.us - late.as_micros() as u64;
        let rate = limit.rate?;
        Some(
            self.buckets
                .get(key)
                .map_or(burst, |(left, since)| burst.min(left + (us as f64 - *since as f64) / 1e6 * rate)),
        )
    }
}

/// When a job should have run, in µs: its deadline, or a day after it became ready.
fn run_by(job: &ModelJob, us: u64, i: u64) -> u64 {
    job.deadline.map_or(us + i + PATIENCE_US, |(by, _)| by * 1000)
}
