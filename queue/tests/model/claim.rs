//! What a claim may answer: judged against the model, which then follows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use upshot_queue::{JobId, LimitKey, State};

use crate::{
    job::{ModelJob, class},
    model::Model,
};

/// A call for work and its answer.
pub struct Answer<'a> {
    pub worker: &'a str,
    pub number: u64,
    pub want: usize,
    /// When the leases end, in ms.
    pub until: u64,
    /// Whether lower classes may come before higher ones.
    pub shares: bool,
    /// Ids and tokens, in the order of the answer.
    pub leased: Vec<(JobId, u64)>,
    /// The kinds that the worker runs; `None` for all.
    pub runs: Option<&'a BTreeSet<String>>,
    /// Jobs whose turn came while their kind was paused, or which the worker does not run.
    pub parked: Vec<JobId>,
    /// How many of these for the latter, as the answer tells.
    pub unknown: u64,
    /// Whether there is more to do at once.
    pub more: bool,
    /// When there is something to do again, in ms; 0 for unknown.
    pub next_at: u64,
}

/// Whether a worker that runs these kinds runs a job.
pub fn knows(runs: Option<&BTreeSet<String>>, job: &ModelJob) -> bool {
    runs.is_none_or(|runs| runs.contains(&job.new.kind))
}

/// Redis counts tokens in decimals of its own, and wakes lanes by the ms.
const HAIR: f64 = 1e-3;
const GRAIN: Duration = Duration::from_millis(2);

impl Model {
    /// Judges an answer and follows it. The model was swept before.
    pub fn follow(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        if let Some(jobs) = self.repeated(answer) {
            let expected: Vec<(JobId, u64)> =
                jobs.iter().map(|id| (id.clone(), self.jobs[id].token)).collect();
            if answer.leased != expected || !answer.parked.is_empty() {
                return Err(format!("a repeated claim was answered {:?}, not {expected:?}", answer.leased));
            }
            if answer.more != (answer.leased.len() < answer.want) {
                return Err("a repeated claim does not say that nobody looked for more".to_owned());
            }
            if let Some(id) = jobs.first() {
                self.extend(self.jobs[id].claim, answer.until);
            }
            return Ok(());
        }
        let now = self.now();
        if answer.want > 0 && self.jobs.values().any(|job| job.is_late(now) || job.has_waited(now)) {
            let waits = answer.leased.is_empty() && answer.parked.is_empty() && answer.more;
            return waits.then_some(()).ok_or_else(|| {
                format!("jobs whose deadlines passed are left, and a claim leased {:?}", answer.leased)
            });
        }
        let is_large = |(id, _): &(JobId, u64)| self.jobs.get(id).is_some_and(ModelJob::is_large);
        let large = answer.leased.iter().position(is_large);
        if large.is_some_and(|place| place + 1 < answer.leased.len()) {
            return Err("a claim goes on behind a large job".to_owned());
        }
        // It may have ended because it read a large one, to see whose turn comes first.
        let may_run = |job: &ModelJob| job.state == State::Ready || job.is_unknown();
        if answer.more && !self.jobs.values().any(|job| may_run(job) && job.is_large()) {
            return Err("a claim says that there is more to do, with so few jobs".to_owned());
        }
        if answer.leased.len() > answer.want {
            return Err(format!("{} jobs were leased, {} wanted", answer.leased.len(), answer.want));
        }
        for (id, token) in &answer.leased {
            self.may_lease(id, *token, answer.runs)?;
        }
        for id in &answer.parked {
            if self.paused || answer.want == 0 {
                return Err(format!("{id} was parked by a claim that leases nothing"));
            }
        }
        self.lanes_in_order(answer)?;
        let before = self.clone();
        for id in &answer.parked {
            self.park_met(id, answer.runs)?;
        }
        let unknown = answer.parked.iter().filter(|id| self.jobs[*id].is_unknown()).count() as u64;
        if unknown != answer.unknown {
            return Err(format!("{unknown} jobs were parked for their kinds, {} are told", answer.unknown));
        }
        // Numbered as in Redis, where leases that expire together are taken over by number.
        self.leases += u64::from(!answer.leased.is_empty());
        let claim = self.leases;
        for (id, _) in &answer.leased {
            self.lease(id, answer.worker, answer.until, claim);
        }
        self.within_limits(&before, answer)?;
        if !answer.leased.is_empty() {
            let ids = answer.leased.iter().map(|(id, _)| id.clone()).collect();
            let slot = (answer.worker.to_owned(), answer.number % 2);
            self.claims.insert(slot, (answer.number, claim, ids));
        }
        if answer.want > 0 {
            before.nothing_was_left(answer)?;
        }
        self.wakes_in_time(answer)
    }

    /// The jobs that a repeated call is to be answered with.
    fn repeated(&self, answer: &Answer<'_>) -> Option<Vec<JobId>> {
        let (number, claim, ids) = self.claims.get(&(answer.worker.to_owned(), answer.number % 2))?;
        if *number != answer.number || answer.want == 0 {
            return None;
        }
        let held = |id: &&JobId| {
            self.jobs.get(*id).is_some_and(|job| job.state == State::Running && job.claim == *claim)
        };
        Some(ids.iter().filter(held).cloned().collect())
    }

    fn may_lease(&self, id: &JobId, token: u64, runs: Option<&BTreeSet<String>>) -> Result<(), String> {
        let Some(job) = self.jobs.get(id) else { return Err(format!("{id} was leased and does not exist")) };
        let may_run = job.state == State::Ready || job.is_unknown();
        if !may_run || !knows(runs, job) || self.paused || self.paused_kinds.contains(&job.new.kind) {
            return Err(format!(
                "{id} was leased and is {}, kind {}, or the queue is paused",
                job.state, job.new.kind
            ));
        }
        if token != job.token + 1 {
            return Err(format!("{id} was leased with token {token} after {}", job.token));
        }
        Ok(())
    }

    /// Of each lane those were taken that come first; and of each kind and lane those that are
    /// parked for it.
    fn lanes_in_order(&self, answer: &Answer<'_>) -> Result<(), String> {
        let place = |id: &JobId| {
            let job = &self.jobs[id];
            let place = if job.is_unknown() { (job.unknown_place(), 0) } else { job.place };
            (place, id.clone())
        };
        let lane_of = |job: &ModelJob| {
            if job.is_unknown() { format!("{} {}", job.lane(), job.kind()) } else { job.lane() }
        };
        let mut taken: BTreeMap<String, Vec<&JobId>> = BTreeMap::new();
        for (id, _) in &answer.leased {
            let lane = taken.entry(lane_of(&self.jobs[id])).or_default();
            if lane.last().is_some_and(|last| place(last) > place(id)) {
                return Err(format!("{id} was leased behind one that comes later in its lane"));
            }
            lane.push(id);
        }
        for id in &answer.parked {
            taken.entry(self.jobs[id].lane()).or_default().push(id);
        }
        for (lane, mut ids) in taken {
            ids.sort_by_key(|id| place(id));
            let may_run = |job: &ModelJob| job.state == State::Ready || job.is_unknown();
            let mut waiting = self.ids(|job| may_run(job) && lane_of(job) == lane);
            waiting.sort_by_key(place);
            if !ids.iter().copied().eq(waiting.iter().take(ids.len())) {
                return Err(format!("of lane {lane} {ids:?} were taken, waiting were {waiting:?}"));
            }
        }
        Ok(())
    }

    /// No limit is exceeded that was kept before, and tokens are there to be spent.
    fn within_limits(&mut self, before: &Self, answer: &Answer<'_>) -> Result<(), String> {
        for (key, limit) in self.limits.clone() {
            let started =
                answer.leased.iter().filter(|(id, _)| self.jobs[id].limit_keys().contains(&key)).count();
            if started == 0 {
                continue;
            }
            let running = self.running(&key);
            if limit.concurrency.is_some_and(|most| running > most) {
                return Err(format!("{running} jobs run under {key}, limited to {:?}", limit.concurrency));
            }
            if let Some(tokens) = before.tokens(&key, Duration::ZERO) {
                let left = tokens - started as f64;
                if left < -HAIR {
                    return Err(format!("{started} tokens of {key} were spent, there were {tokens}"));
                }
                self.buckets.insert(key, (left.max(0.0), self.us));
            }
        }
        Ok(())
    }

    /// Who asked for more got all that can run, or is told to ask again; and nothing
    /// ran before what is more urgent. The model is as it was before the answer.
    fn nothing_was_left(&self, answer: &Answer<'_>) -> Result<(), String> {
        let leased: Vec<&JobId> = answer.leased.iter().map(|(id, _)| id).collect();
        let lowest = leased.iter().map(|id| class(self.jobs[*id].priority)).max();
        for (id, job) in &self.jobs {
            if leased.contains(&id) || answer.parked.contains(id) {
                continue;
            }
            if leased.len() < answer.want && !answer.more && self.can_run(job, &leased, answer.runs) {
                return Err(format!("{leased:?} were leased, {} wanted, and {id} could run", answer.want));
            }
            let urgent: Vec<&JobId> =
                leased.iter().copied().filter(|id| self.jobs[*id].priority <= job.priority).collect();
            if urgent.len() < leased.len() && !answer.shares && self.can_run(job, &urgent, answer.runs) {
                return Err(format!("a job of class {lowest:?} was leased before {id}, {}", job.priority));
            }
        }
        Ok(())
    }

    /// Whether nothing keeps a job from running beside others that start now, where these kinds
    /// run, also if the time is a hair less.
    pub fn can_run(&self, job: &ModelJob, beside: &[&JobId], runs: Option<&BTreeSet<String>>) -> bool {
        let room = |key: &LimitKey| {
            let started = beside.iter().filter(|id| self.jobs[**id].limit_keys().contains(key)).count()
                as u32
                + u32::from(self.is_kept_from(key, job));
            let concurrency = self.limits.get(key).and_then(|limit| limit.concurrency);
            concurrency.is_none_or(|most| self.running(key) + started < most)
                && self.tokens(key, GRAIN).is_none_or(|tokens| tokens - f64::from(started) >= 1.0 + HAIR)
        };
        (job.state == State::Ready || job.is_unknown())
            && knows(runs, job)
            && !self.paused
            && !self.paused_kinds.contains(&job.new.kind)
            && job.limit_keys().iter().all(room)
    }

    /// Whether the next place under a key is kept for another lane, of a class that is not
    /// less urgent.
    fn is_kept_from(&self, key: &LimitKey, job: &ModelJob) -> bool {
        let class_of = |lane: &str| lane.split(':').next().map(str::to_owned);
        // What is kept for a lane is not for what left it.
        let is_its_own = |lane: &String| *lane == job.lane() && job.state == State::Ready;
        let kept_from = |lane: &String| !is_its_own(lane) && class_of(lane) <= class_of(&job.lane());
        self.promised.get(key).is_some_and(kept_from)
    }

    /// A place is kept only for a lane with jobs that need it. Its other keys may have lost
    /// their limits by now: it gives the place up in its next turn.
    pub fn may_promise(&self) -> Result<(), String> {
        for (key, lane) in &self.promised {
            let waiting = self.jobs.values().find(|job| job.state == State::Ready && job.lane() == *lane);
            let Some(job) = waiting else {
                return Err(format!("a place under {key} is kept for {lane}, which has no jobs"));
            };
            if !job.limit_keys().contains(key) {
                return Err(format!("a place under {key} is kept for {lane}, which does not need it"));
            }
        }
        Ok(())
    }

    /// A worker that sleeps until it is told has missed nothing. A worker that got all it asked
    /// for does not sleep, and a full one waits for a slot.
    fn wakes_in_time(&self, answer: &Answer<'_>) -> Result<(), String> {
        if answer.leased.len() >= answer.want {
            return Ok(());
        }
        let next = if answer.next_at == 0 { u64::MAX } else { answer.next_at };
        for (id, job) in &self.jobs {
            let at = match job.state {
                State::Scheduled => job.due,
                State::Running => job.until,
                State::Parked if job.watch.is_some() => job.watch.unwrap(),
                State::Ready | State::Parked if !answer.more => match self.token_at(job, answer.runs) {
                    Some(at) => at + GRAIN.as_millis() as u64,
                    None => continue,
                },
                _ => continue,
            };
            if next > at {
                return Err(format!(
                    "the next thing to do is said to be at {next}, {id} has to wait until {at}"
                ));
            }
        }
        Ok(())
    }

    /// When a ready job that is held by nothing but rates can run, in ms.
    fn token_at(&self, job: &ModelJob, runs: Option<&BTreeSet<String>>) -> Option<u64> {
        if job.state != State::Ready && !job.is_unknown() || !knows(runs, job) {
            return None;
        }
        if self.paused || self.paused_kinds.contains(&job.new.kind) {
            return None;
        }
        let mut at = None;
        for key in job.limit_keys() {
            let Some(limit) = self.limits.get(&key) else { continue };
            if limit.concurrency.is_some_and(|most| self.running(&key) >= most)
                || self.is_kept_from(&key, job)
            {
                return None;
            }
            if let (Some(tokens), Some(rate)) = (self.tokens(&key, Duration::ZERO), limit.rate)
                && tokens < 1.0 - HAIR
            {
                at = at.max(Some(self.now() + ((1.0 - tokens) / rate * 1000.0).ceil() as u64));
            }
        }
        at
    }
}
