//! A schedule as its queue keeps it, and what keeps it from running.

use upshot_queue::{NewSchedule, NextRun, Schedules, StoredSchedule, Workers};

use super::{
    Schedule,
    plan::ON_TIME,
    timing::{BadTiming, Timing},
};

/// Why a schedule does not run as it says. A paused schedule has none: that is a decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Its definition is not one that this build reads.
    #[error("its definition cannot be read ({0}): define it again")]
    Unreadable(String),
    /// Its due times cannot be computed. Its time zone is another one in this build's database.
    #[error("its due times cannot be computed: {0}")]
    Timing(BadTiming),
    /// No worker of its queue runs its jobs. They are enqueued, and wait for one.
    #[error(
        "no worker of the queue runs `{kind}` version {version}: its jobs wait; deploy an executor that has a handler for it, or change the schedule"
    )]
    UnknownKind {
        /// The kind.
        kind: String,
        /// The version of the arguments.
        version: u32,
    },
    /// Its run should have started by now.
    #[error("its run should have started at {}, and no executor of the queue enqueued it: see that one is up, and what it logs", super::written(*.0))]
    Overdue(i64),
    /// It has an earlier due time than the stored one: Redis' clock was ahead when that one was computed.
    #[error("it is due at {}, and stored as due at {} only, because the clock of Redis was ahead: pause and resume it", super::written(*due), super::written(*stored))]
    Ahead {
        /// When it is due.
        due: i64,
        /// The due time that is stored.
        stored: i64,
    },
    /// It has no further due time.
    #[error("it is never due again: change or remove it")]
    Ended,
}

impl Trouble {
    /// Its name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Timing(_) => "timing",
            Self::UnknownKind { .. } => "unknown_kind",
            Self::Overdue(_) => "overdue",
            Self::Ahead { .. } => "ahead",
            Self::Ended => "ended",
        }
    }
}

impl Schedule {
    /// Reads a stored definition.
    ///
    /// # Errors
    /// [`Trouble::Unreadable`].
    pub fn read(stored: &StoredSchedule) -> Result<Self, Trouble> {
        serde_json::from_str(&stored.definition).map_err(|why| Trouble::Unreadable(why.to_string()))
    }

    /// The stored form.
    pub fn definition(&self) -> String {
        // Its keys are text, and JSON has all of its values.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The schedule to store at a time (UTC ms). It keeps the due time of the one before it, where both are due
    /// at the same times, or where that time has come and has no job yet: the change does not drop it.
    ///
    /// # Errors
    /// Why its due times cannot be computed.
    pub fn define(&self, before: Option<&StoredSchedule>, now: i64) -> Result<NewSchedule, BadTiming> {
        let timing = self.timing()?;
        let next = self.next_run(&timing, now);
        let next = next.ok_or_else(|| BadTiming::Never(self.cron.clone().unwrap_or_default()))?;
        let keeps = |before: &StoredSchedule| {
            let is_same = || Self::read(before).is_ok_and(|before| self.has_timing_of(&before));
            // One behind the next due time was stored while the clock was ahead.
            before.next.is_some_and(|stored| stored <= now || stored <= next.due && is_same())
        };
        let keeps_next = before.is_some_and(keeps);
        Ok(NewSchedule { name: self.name.clone(), definition: self.definition(), keeps_next, next })
    }

    /// The next run of a schedule that is resumed at a time (UTC ms). A run that had come before the pause, or
    /// whose jitter is not over yet, is still to be done. Due times of the pause are not.
    pub fn resumed(&self, stored: &StoredSchedule, timing: &Timing, now: i64) -> Option<NextRun> {
        let (since, _) = stored.paused.as_ref()?;
        let left = stored.next.map(|due| self.run_at(due));
        let left = left.filter(|run| run.starts <= *since || (run.due <= now && run.starts > now));
        left.or_else(|| self.next_run(timing, now))
    }

    /// The next run after a time (UTC ms).
    pub fn next_run(&self, timing: &Timing, after: i64) -> Option<NextRun> {
        timing.next(after).map(|due| self.run_at(due))
    }

    /// The run for a due time.
    pub fn run_at(&self, due: i64) -> NextRun {
        NextRun { due, starts: self.starts_at(due) }
    }
}

/// The name of the trouble of settings' schedules that the queue does not have.
pub const NOT_STORED: &str = "not_stored";

/// The names of settings' schedules of a queue that do not run because the queue does not have them: no executor
/// that works on the queue stored any, or somebody made one of the same name. Where the queue has others
/// of settings, it may be that those count ([`Schedules::set_version`]).
pub fn not_stored<'a>(own: &'a [Schedule], there: &Schedules) -> Vec<&'a str> {
    let is_missing = |schedule: &&Schedule| {
        let stored = there.seen.iter().find(|stored| stored.name == schedule.name);
        stored.map_or(there.set_version == 0, |stored| !stored.is_of_settings)
    };
    own.iter().filter(is_missing).map(|schedule| schedule.name.as_str()).collect()
}

/// What keeps a schedule from running as it says, at a time (UTC ms) and with these workers.
pub fn troubles(stored: &StoredSchedule, workers: &Workers, now: i64) -> Vec<Trouble> {
    let schedule = match Schedule::read(stored) {
        Ok(schedule) => schedule,
        Err(trouble) => return vec![trouble],
    };
    let timing = schedule.timing();
    let mut troubles: Vec<Trouble> =
        timing.as_ref().err().cloned().map(Trouble::Timing).into_iter().collect();
    if !workers.run(&schedule.job, schedule.version) {
        troubles.push(Trouble::UnknownKind { kind: schedule.job.clone(), version: schedule.version });
    }
    if stored.paused.is_none() {
        // A change may have made the jitter longer or shorter.
        let starts = |due| schedule.starts_at(due).max(stored.starts.unwrap_or(due));
        let run = stored.next.map(|due| NextRun { due, starts: starts(due) });
        let first = timing.ok().and_then(|timing| timing.next(now));
        match (run, first) {
            (None, _) => troubles.push(Trouble::Ended),
            (Some(run), _) if now.saturating_sub(run.starts) > ON_TIME => {
                troubles.push(Trouble::Overdue(run.starts));
            }
            (Some(run), Some(due)) if due < run.due => {
                troubles.push(Trouble::Ahead { due, stored: run.due });
            }
            (Some(_), _) => {}
        }
    }
    troubles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(schedule: &Schedule) -> StoredSchedule {
        StoredSchedule {
            name: schedule.name.clone(),
            version: 1,
            definition: schedule.definition(),
            is_of_settings: false,
            by: "ada".to_owned(),
            changed_at: 0,
            next: Some(3_600_000),
            starts: Some(3_600_000),
            paused: None,
            runs: 0,
            missed: 0,
            last: None,
        }
    }

    fn hourly() -> Schedule {
        let queue = "reports".parse().unwrap();
        Schedule { cron: Some("0 * * * *".to_owned()), ..Schedule::new("hourly", queue, "report.write") }
    }

    #[test]
    fn a_change_of_anything_but_the_times_keeps_the_due_time() {
        let before = stored(&hourly());
        let keeps_at = |now| {
            let before = before.clone();
            move |schedule: &Schedule| schedule.define(Some(&before), now).unwrap().keeps_next
        };
        let keeps = keeps_at(3_000_000);
        assert!(keeps(&Schedule { tenant: Some("acme".into()), ..hourly() }));
        assert!(keeps(&Schedule { zone: Some("UTC".into()), ..hourly() }), "UTC is the default");
        assert!(!keeps(&Schedule { zone: Some("Asia/Tokyo".into()), ..hourly() }));
        assert!(!keeps(&Schedule { cron: Some("1 * * * *".into()), ..hourly() }));
        // The zone that was renamed while a due time waited: that one is not dropped.
        let keeps = keeps_at(3_600_000);
        assert!(keeps(&Schedule { zone: Some("Asia/Tokyo".into()), ..hourly() }));
        let renamed = StoredSchedule {
            definition: before.definition.replace("{", "{\"zone\":\"Mars/Phobos\","),
            ..before.clone()
        };
        assert!(hourly().define(Some(&renamed), 9_000_000).unwrap().keeps_next);
        let ahead = StoredSchedule { next: Some(36_000_000), starts: Some(36_000_000), ..before.clone() };
        assert!(!hourly().define(Some(&ahead), 0).unwrap().keeps_next);
        let new = hourly().define(None, 9_000_000).unwrap();
        assert_eq!((new.keeps_next, new.next.due), (false, 10_800_000));
        let ended = StoredSchedule { next: None, ..before.clone() };
        assert!(!hourly().define(Some(&ended), 0).unwrap().keeps_next);
    }

    #[test]
    fn a_pause_takes_its_own_due_times_only() {
        const HOUR: i64 = 3_600_000;
        let schedule = Schedule { jitter: std::time::Duration::from_secs(1800), ..hourly() };
        let put_off = schedule.put_off(HOUR);
        assert!(put_off > 1, "{put_off}");
        let timing = schedule.timing().unwrap();
        let resumed = |since, now| {
            let paused = StoredSchedule { paused: Some((since, "ada".into())), ..stored(&schedule) };
            schedule.resumed(&paused, &timing, now).unwrap().due
        };
        assert_eq!(resumed(0, 10), HOUR, "before its time");
        assert_eq!(resumed(0, HOUR + put_off - 1), HOUR, "its jitter is not over");
        assert_eq!(resumed(0, HOUR + put_off), 2 * HOUR, "it fell into the pause");
        assert_eq!(resumed(HOUR + put_off, 9 * HOUR), HOUR, "it was overdue before the pause");
        let ahead =
            StoredSchedule { next: Some(50 * HOUR), paused: Some((5, "ada".into())), ..stored(&schedule) };
        assert_eq!(schedule.resumed(&ahead, &timing, 10).unwrap().due, HOUR);
        assert_eq!(schedule.resumed(&stored(&schedule), &timing, 10), None, "it is not paused");
    }

    #[test]
    fn schedules_of_settings_that_the_queue_does_not_have_are_named() {
        let own = [hourly(), Schedule { name: "other".into(), ..hourly() }];
        let there = |set_version, seen: &[StoredSchedule]| Schedules {
            set_version,
            seen: seen.to_vec(),
            ..Schedules::default()
        };
        assert_eq!(not_stored(&own, &there(0, &[])), ["hourly", "other"]);
        let by_hand = stored(&own[0]);
        assert_eq!(not_stored(&own, &there(1, std::slice::from_ref(&by_hand))), ["hourly"]);
        let of_settings = StoredSchedule { is_of_settings: true, ..by_hand };
        assert!(not_stored(&own, &there(1, &[of_settings])).is_empty());
    }

    #[test]
    fn what_keeps_a_schedule_from_running_is_said() {
        let said = |stored: &StoredSchedule, now| -> Vec<&'static str> {
            troubles(stored, &Workers::default(), now).iter().map(Trouble::as_str).collect()
        };
        let fine = stored(&hourly());
        assert_eq!(said(&fine, 3_600_000), ["unknown_kind"]);
        assert_eq!(said(&fine, 3_600_001 + ON_TIME), ["unknown_kind", "overdue"]);
        let paused = StoredSchedule { paused: Some((0, "ada".into())), ..fine.clone() };
        assert_eq!(said(&paused, i64::MAX), ["unknown_kind"]);
        let renamed = stored(&Schedule { zone: Some("Mars/Phobos".into()), ..hourly() });
        assert_eq!(said(&renamed, 0), ["timing", "unknown_kind"]);
        let ended = StoredSchedule { next: None, starts: None, ..fine.clone() };
        assert_eq!(said(&ended, 0), ["unknown_kind", "ended"]);
        assert_eq!(said(&fine, 0), ["unknown_kind"]);
        assert_eq!(said(&fine, -1), ["unknown_kind", "ahead"]);
        assert_eq!(said(&StoredSchedule { definition: "{}".into(), ..fine }, 0), ["unreadable"]);
    }
}
