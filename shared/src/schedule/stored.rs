//! A schedule as its queue keeps it, and what keeps it from running.

use upshot_queue::{NewSchedule, NextRun, StoredSchedule, Workers};

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
    /// at the same times.
    ///
    /// # Errors
    /// Why its due times cannot be computed.
    pub fn define(&self, before: Option<&StoredSchedule>, now: i64) -> Result<NewSchedule, BadTiming> {
        let timing = self.timing()?;
        let next = self.next_run(&timing, now);
        let next = next.ok_or_else(|| BadTiming::Never(self.cron.clone().unwrap_or_default()))?;
        let is_same = |before: &StoredSchedule| {
            before.next.is_some() && Self::read(before).is_ok_and(|before| self.has_timing_of(&before))
        };
        let keeps_next = before.is_some_and(is_same);
        Ok(NewSchedule { name: self.name.clone(), definition: self.definition(), keeps_next, next })
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

/// What keeps a schedule from running as it says, at a time (UTC ms) and with these workers.
pub fn troubles(stored: &StoredSchedule, workers: &Workers, now: i64) -> Vec<Trouble> {
    let schedule = match Schedule::read(stored) {
        Ok(schedule) => schedule,
        Err(trouble) => return vec![trouble],
    };
    let mut troubles: Vec<Trouble> = schedule.timing().err().map(Trouble::Timing).into_iter().collect();
    if !workers.run(&schedule.job, schedule.version) {
        troubles.push(Trouble::UnknownKind { kind: schedule.job, version: schedule.version });
    }
    if stored.paused.is_none() {
        match stored.starts {
            None => troubles.push(Trouble::Ended),
            Some(starts) if now - starts > ON_TIME => troubles.push(Trouble::Overdue(starts)),
            Some(_) => {}
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
        let keeps = |schedule: &Schedule| schedule.define(Some(&before), 9_000_000).unwrap().keeps_next;
        assert!(keeps(&Schedule { tenant: Some("acme".into()), ..hourly() }));
        assert!(keeps(&Schedule { zone: Some("UTC".into()), ..hourly() }), "UTC is the default");
        assert!(!keeps(&Schedule { zone: Some("Asia/Tokyo".into()), ..hourly() }));
        assert!(!keeps(&Schedule { cron: Some("1 * * * *".into()), ..hourly() }));
        let new = hourly().define(None, 9_000_000).unwrap();
        assert_eq!((new.keeps_next, new.next.due), (false, 10_800_000));
        let ended = StoredSchedule { next: None, ..before.clone() };
        assert!(!hourly().define(Some(&ended), 0).unwrap().keeps_next);
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
        let ended = StoredSchedule { starts: None, ..fine.clone() };
        assert_eq!(said(&ended, 0), ["unknown_kind", "ended"]);
        assert_eq!(said(&StoredSchedule { definition: "{}".into(), ..fine }, 0), ["unreadable"]);
    }
}
