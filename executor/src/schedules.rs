//! Enqueues the jobs of a queue's schedules at their due times.
//!
//! Every executor of the queue does this, and none leads: the queue moves a schedule on in the call that
//! enqueues its jobs, where it is still at the due time that the executor saw. So a due time has one job, also
//! when an executor stands still for an hour and continues. All times are those of Redis' clock.
//!
//! A schedule that this executor cannot run is left to others, said in the log, in a warning of `/readyz` and in
//! metrics, and holds no other schedule.

use std::{
    cmp,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use metrics::{counter, gauge};
use upshot_queue::{
    Client, Error, Fire, MAX_FIRED, MAX_SCHEDULES, NewSchedule, Operator, Schedules, SchedulesSet,
    StoredSchedule,
    connect::{Backoff, Cause},
};
use upshot_runtime::Health;
use upshot_shared::{
    Schedule,
    schedule::{
        plan::Plan,
        stored::{NOT_STORED, Trouble, not_stored, troubles},
    },
};

/// How long after it was made, at most, a schedule is noticed.
const LOOK: Duration = Duration::from_secs(5);
/// The time between two looks for what keeps schedules from running.
const SURVEY: Duration = Duration::from_secs(15);
/// Looks in a row without a wait.
const ROUNDS: usize = 64;
/// Bytes of jobs that one call enqueues, about.
const CALL_BYTES: usize = 256 << 10;
/// Troubles that a warning names.
const NAMED: usize = 5;

pub(crate) const RUNS: &str = "upshot_schedule_runs_total";
pub(crate) const MISSED: &str = "upshot_schedule_missed_total";

/// The schedules of one queue.
pub(crate) struct Scheduler {
    queue: Client,
    /// Those of the settings.
    own: Vec<Schedule>,
    /// The author of those that this executor stores.
    by: String,
    health: Health,
    surveyed: Option<Instant>,
    /// Whether Redis did not do what was asked when it was asked last.
    is_failing: bool,
    /// What the queue said against the jobs of a schedule, by its name.
    refused: BTreeMap<String, String>,
}

impl Scheduler {
    /// The schedules of a queue, of which the settings have these.
    pub(crate) fn new(queue: Client, own: Vec<Schedule>, health: Health) -> Self {
        let by = format!("executor {}", std::process::id());
        for name in [RUNS, MISSED] {
            counter!(name, "queue" => queue.name().to_string()).absolute(0);
        }
        Self { queue, own, by, health, surveyed: None, is_failing: false, refused: BTreeMap::new() }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            match self.look().await {
                Ok(wait) => {
                    backoff.reset();
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!(queue = %self.queue.name(), "schedules are looked after again");
                    }
                    tokio::time::sleep(wait).await;
                }
                Err(error) => {
                    let is_first = !std::mem::replace(&mut self.is_failing, true);
                    // That Redis is away is said elsewhere.
                    if is_first && error.cause() != Cause::Away {
                        tracing::warn!(queue = %self.queue.name(), %error, "schedules are not looked after");
                    }
                    backoff.wait().await;
                }
            }
        }
    }

    /// Runs what is due. Returns how long to wait.
    async fn look(&mut self) -> Result<Duration, Error> {
        let fired = self.fire_all().await;
        if fired.as_ref().is_err_and(|error| error.cause() == Cause::Away) {
            return fired;
        }
        // One that fails is no reason to say nothing about the others.
        if self.surveyed.is_none_or(|at| at.elapsed() >= SURVEY) {
            let has_stored = self.survey().await?;
            self.surveyed = Some(Instant::now());
            if has_stored {
                return fired.map(|_| Duration::ZERO);
            }
        }
        fired
    }

    /// Enqueues the jobs of all schedules that are due. One that fails holds no other, unless Redis is away.
    /// Returns how long to wait, or the first error.
    async fn fire_all(&mut self) -> Result<Duration, Error> {
        let mut failed: Option<Error> = None;
        for _ in 0..ROUNDS {
            let due = self.queue.due_schedules().await?;
            let mut has_moved = false;
            for stored in &due.seen {
                match self.fire(stored, due.now).await {
                    Ok(moved) => has_moved |= moved,
                    Err(error) if error.cause() == Cause::Away => return Err(error),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            match failed {
                Some(error) => return Err(error),
                // After a move, what is due next is asked again.
                None if has_moved => {}
                None => return Ok(wait(&due)),
            }
        }
        Ok(LOOK)
    }

    /// Enqueues the jobs of a schedule that is due. Returns whether it is at another due time now.
    async fn fire(&mut self, stored: &StoredSchedule, now: i64) -> Result<bool, Error> {
        // The survey says why.
        let (Some(next), Ok(schedule)) = (stored.next, Schedule::read(stored)) else { return Ok(false) };
        let Ok(timing) = schedule.timing() else { return Ok(false) };
        let mut plan = Plan::new(&schedule, &timing, next, now);
        if plan.runs.is_empty() && plan.missed == 0 {
            return Ok(false);
        }
        let each = stored.definition.len() + 512;
        let most = MAX_FIRED.min(cmp::max(1, CALL_BYTES / each));
        let later = plan.runs.split_off(plan.runs.len().min(most));
        let next = later.first().copied().or(plan.next).map(|due| schedule.run_at(due));
        let jobs =
            plan.runs.iter().map(|due| (*due, schedule.job_for(*due, stored.is_of_settings))).collect();
        let fire = Fire { schedule: stored, jobs, missed: plan.missed, next };
        match self.queue.fire(&fire).await {
            Ok(is_done) => {
                self.refused.remove(&stored.name);
                if is_done {
                    self.tell(stored, &schedule, &plan);
                }
                Ok(true)
            }
            Err(Error::Rejected(why)) => {
                self.refused.insert(stored.name.clone(), why.to_string());
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn tell(&self, stored: &StoredSchedule, schedule: &Schedule, plan: &Plan) {
        let (queue, name) = (self.queue.name().to_string(), stored.name.clone());
        // No label of the schedule: anybody may make any number of them, one after the other.
        let labels = [("queue", queue.clone())];
        counter!(RUNS, &labels).increment(plan.runs.len() as u64);
        counter!(MISSED, &labels).increment(plan.missed);
        tracing::debug!(queue, schedule = name, jobs = plan.runs.len(), "due");
        if plan.missed > 0 {
            let at_least = if plan.is_more { "at least " } else { "" };
            let (missed, catch_up) = (plan.missed, schedule.catch_up);
            if plan.is_cut {
                let most = schedule.catch_up_most;
                tracing::warn!(
                    queue,
                    schedule = name,
                    catch_up_most = most,
                    "{at_least}{missed} due times get no job: more were missed than the schedule makes up for"
                );
            } else {
                tracing::warn!(
                    queue,
                    schedule = name,
                    ?catch_up,
                    "{at_least}{missed} due times were missed and get no job"
                );
            }
        }
    }

    /// Stores the settings' schedules in a queue that has none of settings, compares them otherwise, and says
    /// what keeps schedules from running. Returns whether it stored some.
    async fn survey(&mut self) -> Result<bool, Error> {
        let mut there = self.queue.schedules().await?;
        let has_stored = there.set_version == 0 && !self.own.is_empty() && self.seed(&there).await?;
        if has_stored {
            there = self.queue.schedules().await?;
        }
        let kept_out: Vec<String> =
            not_stored(&self.own, &there).iter().map(|name| format!("`{name}`")).collect();
        self.warn("schedules_stored", &kept_out, "schedules of the settings are not stored, because somebody made one of the same name, or the queue has too many: remove those, and `upshot schedule apply`");
        let queue = self.queue.name().to_string();
        let differing = if there.set_version == 0 { Vec::new() } else { differences(&self.own, &there) };
        gauge!("upshot_schedule_differences", "queue" => queue.clone()).set(differing.len() as f64);
        self.warn("schedules_differ", &differing, "the settings of this process differ from the schedules of the queue, which count; `upshot schedule apply` stores those of the settings");
        let workers = self.queue.workers().await?;
        let mut said = Vec::new();
        let mut counts: BTreeMap<&str, u32> =
            ["unreadable", "timing", "unknown_kind", "overdue", "ahead", "ended", "refused", NOT_STORED]
                .map(|name| (name, 0))
                .into();
        counts.insert(NOT_STORED, u32::try_from(kept_out.len()).unwrap_or(u32::MAX));
        // A key that is not one of a schedule is counted, and not seen.
        let damaged = there.count.saturating_sub(there.seen.len() as u64);
        if damaged > 0 {
            counts.insert("unreadable", u32::try_from(damaged).unwrap_or(u32::MAX));
            said.push(format!("{damaged} of them are damaged in Redis and cannot be read"));
        }
        for stored in &there.seen {
            // This executor is a worker, and may not have told so yet.
            let is_known =
                |trouble: &Trouble| workers.count > 0 || !matches!(trouble, Trouble::UnknownKind { .. });
            for trouble in troubles(stored, &workers, there.now).into_iter().filter(is_known) {
                *counts.entry(trouble.as_str()).or_default() += 1;
                said.push(format!("`{}`: {trouble}", stored.name));
            }
            if let Some(why) = self.refused.get(&stored.name) {
                *counts.entry("refused").or_default() += 1;
                said.push(format!("`{}`: the queue refuses its jobs: {why}", stored.name));
            }
        }
        self.refused.retain(|name, _| there.seen.iter().any(|stored| stored.name == *name));
        for (trouble, count) in counts {
            let labels = [("queue", queue.clone()), ("trouble", trouble.to_owned())];
            gauge!("upshot_schedule_troubles", &labels).set(f64::from(count));
        }
        self.warn("schedules", &said, "schedules that do not run as they say");
        Ok(has_stored)
    }

    /// Raises a warning that names some of these, or ends it.
    fn warn(&self, name: &str, of: &[String], what: &str) {
        let name = format!("{name}.{}", self.queue.name());
        if of.is_empty() {
            self.health.clear_warning(&name);
            return;
        }
        let shown: Vec<&str> = of.iter().take(NAMED).map(String::as_str).collect();
        let more = of.len().saturating_sub(NAMED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        self.health.warn(&name, &format!("{what}: {}{more}", shown.join("; ")));
    }

    /// Stores the settings' schedules, except those whose names somebody took and those for which there is no
    /// room: these are said, and keep no other out. Returns whether any were stored.
    async fn seed(&self, there: &Schedules) -> Result<bool, Error> {
        let is_taken = |schedule: &&Schedule| {
            there.seen.iter().any(|stored| stored.name == schedule.name && !stored.is_of_settings)
        };
        // The settings were checked at the start.
        let defined = self.own.iter().filter(|schedule| !is_taken(schedule));
        let defined = defined.filter_map(|schedule| schedule.define(None, there.now).ok());
        let room = MAX_SCHEDULES.saturating_sub(usize::try_from(there.count).unwrap_or(usize::MAX));
        let defined: Vec<NewSchedule> = defined.take(room).collect();
        if defined.is_empty() {
            return Ok(false);
        }
        let queue = self.queue.name();
        Ok(match Operator::new(self.queue.clone()).set_schedules(&defined, 0, &self.by).await? {
            SchedulesSet::Done(version) => {
                let schedules = defined.len();
                tracing::info!(%queue, version, schedules, "the queue had no schedules of settings: stored");
                true
            }
            // Another executor was first.
            SchedulesSet::Conflict(_) => true,
            // Somebody made one meanwhile: the next survey leaves it out.
            SchedulesSet::Taken(_) | SchedulesSet::Full(_) => false,
        })
    }
}

/// Where schedules of settings differ from those of the queue that come from settings.
fn differences(own: &[Schedule], there: &Schedules) -> Vec<String> {
    let stored = || there.seen.iter().filter(|stored| stored.is_of_settings);
    let missing =
        own.iter().filter_map(|schedule| match stored().find(|stored| stored.name == schedule.name) {
            None if there.seen.iter().any(|stored| stored.name == schedule.name) => {
                Some(format!("`{}` is not stored, because somebody made one of that name", schedule.name))
            }
            None => Some(format!("`{}` is not stored", schedule.name)),
            Some(stored) if Schedule::read(stored).as_ref() != Ok(schedule) => {
                Some(format!("`{}` is stored otherwise", schedule.name))
            }
            Some(_) => None,
        });
    let more = stored().filter(|stored| own.iter().all(|schedule| schedule.name != stored.name));
    missing
        .chain(more.map(|stored| format!("`{}` is stored, and not in the settings", stored.name)))
        .collect()
}

/// How long until the next run starts, or the next look.
fn wait(schedules: &Schedules) -> Duration {
    let left = schedules.first_start.map_or(i64::MAX, |starts| starts.saturating_sub(schedules.now));
    // A millisecond more, because the clocks are not the same.
    Duration::from_millis(left.max(0).unsigned_abs().saturating_add(1)).min(LOOK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(name: &str) -> Schedule {
        let queue = "reports".parse().unwrap();
        Schedule { every: Some(Duration::from_secs(60)), ..Schedule::new(name, queue, "report.write") }
    }

    fn stored(schedule: &Schedule, is_of_settings: bool) -> StoredSchedule {
        StoredSchedule {
            name: schedule.name.clone(),
            version: 1,
            definition: schedule.definition(),
            is_of_settings,
            by: String::new(),
            changed_at: 0,
            next: None,
            starts: None,
            paused: None,
            runs: 0,
            missed: 0,
            last: None,
        }
    }

    #[test]
    fn it_waits_for_the_next_start_and_looks_now_and_then() {
        let until = |first_start| wait(&Schedules { now: 10_000, first_start, ..Schedules::default() });
        assert_eq!(until(Some(10_500)), Duration::from_millis(501));
        assert_eq!(until(Some(9_000)), Duration::from_millis(1));
        assert_eq!((until(Some(99_000)), until(None)), (LOOK, LOOK));
    }

    #[test]
    fn settings_that_differ_are_named() {
        let changed = Schedule { tenant: Some("acme".into()), ..schedule("changed") };
        let seen = [("same", true), ("gone", true), ("by-hand", false)]
            .map(|(name, is_of_settings)| stored(&schedule(name), is_of_settings));
        let seen = seen.into_iter().chain([stored(&changed, true)]).collect();
        let there = Schedules { seen, ..Schedules::default() };
        let own = [schedule("same"), schedule("changed"), schedule("new"), schedule("by-hand")];
        assert_eq!(
            differences(&own, &there),
            [
                "`changed` is stored otherwise",
                "`new` is not stored",
                "`by-hand` is not stored, because somebody made one of that name",
                "`gone` is stored, and not in the settings",
            ]
        );
    }
}
