//! A schedule: jobs of one kind at due times, without an event.
//!
//! | module | its one thing |
//! |---|---|
//! | [`timing`] | when a schedule is due: cron expressions with time zones, and intervals |
//! | [`plan`] | which due times run now, and which were missed |
//! | [`stored`] | a schedule as its queue keeps it, and what keeps it from running |
//!
//! Everything here is pure: the caller says what time it is.

pub mod plan;
pub mod stored;
pub mod timing;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use upshot_queue::{Expect, JobId, NewJob, Priority, QueueName, job::MAX_NAME};

use self::timing::{BadTiming, Timing};
use crate::duration;

/// The label under which a job carries the name of its schedule.
pub const LABEL_SCHEDULE: &str = "schedule";
/// The label under which a job carries the due time that it runs for. A job that a person started has
/// none.
pub const LABEL_SCHEDULED_FOR: &str = "scheduled_for";

/// The route of the expectations of schedules that persons made.
pub const SHARED_ROUTE: &str = "schedule";

/// The longest name, in bytes.
pub const MAX_SCHEDULE_NAME: usize = 100;
/// The most bytes of arguments, as JSON.
pub const MAX_ARGUMENTS: usize = 16 << 10;
/// The longest jitter.
pub const MAX_JITTER: Duration = Duration::from_secs(24 * 3600);
/// The most missed runs that a schedule makes up for.
pub const MAX_CATCH_UP: u32 = 1000;
/// The due times whose distances are compared with the jitter: a year of days.
const COMPARED: usize = 400;
/// How many missed runs `catch_up = "all"` makes up for, unless the schedule says another number.
const CATCH_UP_MOST: u32 = 100;

/// A schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Its name, unique in its queue.
    pub name: String,
    /// The queue of its jobs.
    pub queue: QueueName,
    /// The kind of its jobs.
    pub job: String,
    /// The version of the arguments.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub version: u32,
    /// When it is due, as a cron expression. Either this or `every`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The time zone of the expression, by its IANA name; UTC by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// When it is due, as an interval, counted from the beginning of 1970 in UTC.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub every: Option<Duration>,
    /// The arguments of each job.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub arguments: Map<String, Value>,
    /// The tenant of its jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The subject of its jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How urgent its jobs are.
    #[serde(default, skip_serializing_if = "is_normal")]
    pub priority: Priority,
    /// By when the outcome of each job is expected, counted from the due time. Without it, its jobs have
    /// no expectation.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
    /// Which missed runs it makes up for.
    #[serde(default, skip_serializing_if = "is_latest")]
    pub catch_up: CatchUp,
    /// How many of them at most, where `catch_up` is `all`.
    #[serde(default = "most", skip_serializing_if = "is_most")]
    pub catch_up_most: u32,
    /// Each run is put off by a time of at most this length, which follows from the name and the due time.
    #[serde(default, with = "duration", skip_serializing_if = "Duration::is_zero")]
    pub jitter: Duration,
}

/// Which missed runs a schedule makes up for, after no executor was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// None.
    None,
    /// The latest.
    #[default]
    Latest,
    /// All, up to `catch_up_most` of the latest.
    All,
}

fn one() -> u32 {
    1
}

fn most() -> u32 {
    CATCH_UP_MOST
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_one(version: &u32) -> bool {
    *version == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_most(most: &u32) -> bool {
    *most == CATCH_UP_MOST
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_normal(priority: &Priority) -> bool {
    *priority == Priority::Normal
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_latest(catch_up: &CatchUp) -> bool {
    *catch_up == CatchUp::Latest
}

/// A schedule that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the schedule `{}`: {why}", crate::visible::visible(name))]
pub struct Error {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A name that cannot be part of an address.
    #[error(
        "`name` is not one: use 1 to {MAX_SCHEDULE_NAME} letters, digits and `._-`, a letter or digit first"
    )]
    Name,
    /// A kind, tenant or subject of the wrong length.
    #[error("`{what}` has {bytes} bytes: use 1 to {MAX_NAME}")]
    Length {
        /// Which.
        what: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// A due time that cannot be computed.
    #[error(transparent)]
    Timing(#[from] BadTiming),
    /// Arguments that are too long.
    #[error("`arguments` have {0} bytes: use at most {MAX_ARGUMENTS}, and put what is long into the store")]
    Arguments(usize),
    /// A time that is out of range.
    #[error("`{what}` is {}: use {range}", humantime::format_duration(*value))]
    Time {
        /// Which.
        what: &'static str,
        /// How long it is.
        value: Duration,
        /// What is possible.
        range: &'static str,
    },
    /// A text that would break lines and indexes.
    #[error("`{what}` is `{}`: use no control characters", crate::visible::visible(value))]
    Control {
        /// Which.
        what: &'static str,
        /// What it is.
        value: String,
    },
    /// A jitter by which a run may start after the next one.
    #[error(
        "`jitter` is {}: use less than {}, the shortest time between two due times",
        humantime::format_duration(*jitter), humantime::format_duration(*between)
    )]
    Jitter {
        /// How long it is.
        jitter: Duration,
        /// The time between two due times.
        between: Duration,
    },
    /// A number of runs that is out of range.
    #[error("`catch_up_most` is {0}: use 1 to {MAX_CATCH_UP}")]
    CatchUpMost(u32),
}

impl Schedule {
    /// A schedule with its required parts only.
    pub fn new(name: impl Into<String>, queue: QueueName, job: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            queue,
            job: job.into(),
            version: 1,
            cron: None,
            zone: None,
            every: None,
            arguments: Map::new(),
            tenant: None,
            subject: None,
            priority: Priority::Normal,
            within: None,
            catch_up: CatchUp::default(),
            catch_up_most: CATCH_UP_MOST,
            jitter: Duration::ZERO,
        }
    }

    /// When it is due.
    ///
    /// # Errors
    /// Why that cannot be computed. A schedule that was valid may come to that: another build may not know
    /// its time zone.
    pub fn timing(&self) -> Result<Timing, BadTiming> {
        Timing::new(self.cron.as_deref(), self.zone.as_deref(), self.every)
    }

    /// Whether both are due at the same times.
    pub fn has_timing_of(&self, other: &Self) -> bool {
        let zone = |of: &Self| of.zone.clone().unwrap_or_else(|| "UTC".to_owned());
        (&self.cron, self.every, zone(self)) == (&other.cron, other.every, zone(other))
    }

    /// Checks everything that a person wrote, against the time `now` (UTC ms).
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn check(&self, now: i64) -> Result<(), Error> {
        self.checked(now)
            .map_err(|why| Error { name: self.name.chars().take(MAX_SCHEDULE_NAME).collect(), why })
    }

    fn checked(&self, now: i64) -> Result<(), Why> {
        if !is_name(&self.name) {
            return Err(Why::Name);
        }
        let optional = [("tenant", &self.tenant), ("subject", &self.subject)];
        let optional = optional.iter().filter_map(|(what, text)| Some((*what, text.as_ref()?)));
        for (what, text) in optional.chain([("job", &self.job)]) {
            let bytes = text.len();
            if !(1..=MAX_NAME).contains(&bytes) {
                return Err(Why::Length { what, bytes });
            }
            if text.contains(char::is_control) {
                return Err(Why::Control { what, value: text.clone() });
            }
        }
        let timing = self.timing()?;
        if timing.next(now).is_none() {
            return Err(BadTiming::Never(self.cron.clone().unwrap_or_default()).into());
        }
        let bytes = self.encoded().len();
        if bytes > MAX_ARGUMENTS {
            return Err(Why::Arguments(bytes));
        }
        if let Some(value) =
            self.within.filter(|within| within.as_millis() == 0 || *within > duration::LONGEST)
        {
            return Err(Why::Time { what: "within", value, range: "1ms to 100 years" });
        }
        if self.jitter > MAX_JITTER {
            return Err(Why::Time { what: "jitter", value: self.jitter, range: "at most 24h" });
        }
        if let Some(between) = self.shortest_time_between(&timing, now).filter(|least| *least <= self.jitter)
        {
            return Err(Why::Jitter { jitter: self.jitter, between });
        }
        if !(1..=MAX_CATCH_UP).contains(&self.catch_up_most) {
            return Err(Why::CatchUpMost(self.catch_up_most));
        }
        Ok(())
    }

    /// The shortest time between two of the next due times. Only a schedule with jitter is looked at.
    fn shortest_time_between(&self, timing: &Timing, now: i64) -> Option<Duration> {
        let first = timing.next(now).filter(|_| !self.jitter.is_zero());
        let times: Vec<i64> = std::iter::successors(first, |due| timing.next(*due)).take(COMPARED).collect();
        let between = times.iter().zip(times.iter().skip(1)).map(|(one, next)| next.abs_diff(*one));
        between.min().map(Duration::from_millis)
    }

    /// How many missed runs it makes up for.
    pub fn makes_up_for(&self) -> usize {
        match self.catch_up {
            CatchUp::None => 0,
            CatchUp::Latest => 1,
            CatchUp::All => self.catch_up_most as usize,
        }
    }

    /// By how long (ms) the run for a due time is put off. It follows from the name and the due time, so every
    /// process computes the same.
    pub fn put_off(&self, due: i64) -> i64 {
        let most = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        if most == 0 {
            return 0;
        }
        let hash = Sha256::new().chain_update(&self.name).chain_update(due.to_be_bytes()).finalize();
        let bytes: [u8; 8] = std::array::from_fn(|i| hash.get(i).copied().unwrap_or_default());
        // Below the longest jitter, so it fits.
        i64::try_from(u64::from_be_bytes(bytes) % (most + 1)).unwrap_or_default()
    }

    /// When the run for a due time starts (UTC ms).
    pub fn starts_at(&self, due: i64) -> i64 {
        due.saturating_add(self.put_off(due))
    }

    /// The route of the expectations that its jobs open. Schedules of settings have one each. All others share
    /// one: a queue keeps the figures of a route for ever, and anybody may make a schedule.
    pub fn route(&self, is_of_settings: bool) -> String {
        if is_of_settings { format!("{SHARED_ROUTE}:{}", self.name) } else { SHARED_ROUTE.to_owned() }
    }

    /// The id of the job for a due time. A time has one job, whichever process enqueues it.
    pub fn job_id(&self, due: i64) -> JobId {
        JobId::derive(&["schedule", self.queue.as_str(), &self.name, &due.to_string()])
    }

    /// The job for a due time.
    pub fn job_for(&self, due: i64, is_of_settings: bool) -> NewJob {
        let mut job = self.new_job(self.job_id(due), Some(self.starts_at(due)), is_of_settings);
        job.labels.insert(LABEL_SCHEDULED_FOR.to_owned(), written(due));
        job
    }

    /// A job that a person starts, beside the due times.
    pub fn job_now(&self, is_of_settings: bool) -> NewJob {
        self.new_job(JobId::random(), None, is_of_settings)
    }

    fn new_job(&self, id: JobId, from: Option<i64>, is_of_settings: bool) -> NewJob {
        let mut job = NewJob::new(id, self.job.clone(), self.encoded());
        job.version = self.version;
        job.priority = self.priority;
        job.tenant.clone_from(&self.tenant);
        job.subject.clone_from(&self.subject);
        job.expect = self.within.map(|within| Expect { route: self.route(is_of_settings), within, from });
        job.labels = BTreeMap::from([(LABEL_SCHEDULE.to_owned(), self.name.clone())]);
        job
    }

    fn encoded(&self) -> Vec<u8> {
        // A map of JSON values always serialises.
        serde_json::to_vec(&self.arguments).unwrap_or_default()
    }
}

/// Whether a text can be the name of a schedule.
pub fn is_name(name: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    (1..=MAX_SCHEDULE_NAME).contains(&name.len())
        && name.chars().all(is_plain)
        && name.starts_with(|char: char| char.is_ascii_alphanumeric())
}

/// A time (UTC ms), as RFC 3339 writes it.
fn written(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn daily() -> Schedule {
        let queue = "reports".parse().unwrap();
        Schedule { cron: Some("0 6 * * *".to_owned()), ..Schedule::new("daily", queue, "report.write") }
    }

    #[test]
    fn a_schedule_is_read_as_it_is_written() {
        let written = json!({
            "name": "daily", "queue": "reports", "job": "report.write", "version": 2, "cron": "0 6 * * *",
            "zone": "Europe/Berlin", "arguments": {"of": "yesterday"}, "tenant": "acme", "subject": "report",
            "priority": "high", "within": "1h", "catch_up": "all", "catch_up_most": 7, "jitter": "5m",
        });
        let read: Schedule = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), written);
        read.check(0).unwrap();
        let short = serde_json::to_value(daily()).unwrap();
        assert_eq!(short.as_object().unwrap().len(), 4, "defaults are not written: {short}");
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let said = |change: fn(&mut Schedule)| {
            let mut schedule = daily();
            change(&mut schedule);
            schedule.check(0).unwrap_err().to_string()
        };
        for (said, words) in [
            (said(|s| s.name = "a/b".into()), "`name`"),
            (said(|s| s.name = ".".into()), "`name`"),
            (said(|s| s.job.clear()), "`job` has 0 bytes"),
            (said(|s| s.tenant = Some(String::new())), "`tenant`"),
            (said(|s| s.cron = None), "`cron` or `every`"),
            (said(|s| s.every = Some(Duration::from_secs(60))), "`cron` and `every`"),
            (said(|s| s.cron = Some("61 * * * *".into())), "61 * * * *"),
            (said(|s| s.cron = Some("0 0 30 2 *".into())), "never"),
            (said(|s| s.zone = Some("Europe/Berlln".into())), "Europe/Berlln"),
            (said(|s| (s.cron, s.every) = (None, Some(Duration::from_millis(10)))), "`every`"),
            (
                said(|s| {
                    (s.cron, s.every, s.zone) = (None, Some(Duration::from_secs(9)), Some("UTC".into()))
                }),
                "`zone`",
            ),
            (said(|s| s.within = Some(Duration::ZERO)), "`within`"),
            (said(|s| s.within = Some(duration::LONGEST + Duration::from_secs(1))), "`within` is 99years"),
            (said(|s| s.subject = Some("a\0b".into())), "`subject` is `a"),
            (said(|s| s.tenant = Some("a\nb".into())), "`tenant` is `a"),
            (said(|s| s.job = "a\tb".into()), "`job` is `a"),
            (said(|s| s.jitter = 2 * MAX_JITTER), "`jitter` is 2days"),
            (said(|s| s.jitter = MAX_JITTER), "`jitter` is 1day: use less than 1day"),
            (
                said(|s| (s.cron, s.jitter) = (Some("0,10 6 * * *".into()), Duration::from_secs(600))),
                "than 10m",
            ),
            (said(|s| s.catch_up_most = 0), "`catch_up_most` is 0"),
            (
                said(|s| {
                    s.arguments.insert("x".into(), "y".repeat(MAX_ARGUMENTS).into());
                }),
                "`arguments`",
            ),
        ] {
            assert!(said.contains(words), "{said}");
        }
        let most = Duration::from_secs(24 * 3600 - 1);
        Schedule { jitter: most, ..daily() }.check(0).unwrap();
        // A day of a clock that jumps ahead has 23 hours.
        let berlin = Schedule { zone: Some("Europe/Berlin".into()), jitter: most, ..daily() };
        assert!(berlin.check(1_767_247_200_000).unwrap_err().to_string().contains("less than 23h"));
    }

    #[test]
    fn jitter_follows_from_name_and_time() {
        let jittered =
            |name: &str| Schedule { jitter: Duration::from_secs(60), name: name.into(), ..daily() };
        let of = |name: &str| (0..50).map(|n| jittered(name).put_off(n * 86_400_000)).collect::<Vec<_>>();
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
        assert!(of("a").iter().all(|ms| (0..=60_000).contains(ms)));
        assert_eq!(daily().put_off(5), 0);
    }

    #[test]
    fn a_due_time_has_one_job() {
        let (schedule, due) =
            (Schedule { within: Some(Duration::from_secs(60)), ..daily() }, 1_767_247_200_000);
        let (one, same) = (schedule.job_for(due, true), schedule.job_for(due, true));
        assert_eq!(one.id, same.id);
        assert_ne!(one.id, schedule.job_for(due + 1, true).id);
        assert_ne!(schedule.job_now(true).id, schedule.job_now(true).id);
        assert_eq!(one.labels[LABEL_SCHEDULED_FOR], "2026-01-01T06:00:00Z");
        let expect = one.expect.unwrap();
        assert_eq!((expect.route.as_str(), expect.from), ("schedule:daily", Some(due)));
        let by_hand = schedule.job_for(due, false);
        assert_eq!((by_hand.id, by_hand.expect.unwrap().route.as_str()), (one.id, "schedule"));
    }
}
