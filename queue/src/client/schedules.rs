//! Schedules: jobs that the queue enqueues at due times.
//!
//! The queue keeps each schedule with its next due time, and does not understand its definition. The caller
//! computes due times and makes jobs; [`Client::fire`] enqueues them and moves the schedule on in one call,
//! where the schedule is still at the due time that the caller saw. So any number of processes may try.

use std::collections::HashMap;

use redis::{FromRedisValue, RedisError, Value};

use crate::{
    client::{enqueue::add_batch, handle::Client, operator::Operator},
    error::Error,
    job::{NewJob, id::JobId},
    scripts::{self, Call},
};

/// The most schedules of a queue.
pub const MAX_SCHEDULES: usize = scripts::MAX_SCHEDULES;

/// The most jobs of one [`Fire`].
pub const MAX_FIRED: usize = 50;

/// A schedule as the queue keeps it. Times are UTC ms of Redis' clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSchedule {
    /// Its name.
    pub name: String,
    /// The version of its definition. A schedule that is made again has another one.
    pub version: u64,
    /// What the caller says about it.
    pub definition: String,
    /// Whether it comes from settings; otherwise a person made it.
    pub is_of_settings: bool,
    /// The author of the definition.
    pub by: String,
    /// When it was defined.
    pub changed_at: i64,
    /// The next due time.
    pub next: Option<i64>,
    /// When the run for that starts.
    pub starts: Option<i64>,
    /// Since when it is paused, and by whom.
    pub paused: Option<(i64, String)>,
    /// Jobs that it enqueued.
    pub runs: u64,
    /// Due times that got no job.
    pub missed: u64,
    /// Its last run.
    pub last: Option<LastRun>,
}

/// The last run of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// The due time; `None` if a person asked for it.
    pub due: Option<i64>,
    /// When the job was enqueued.
    pub at: i64,
    /// The job.
    pub job: JobId,
}

/// Schedules of a queue at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedules {
    /// The moment, UTC ms of Redis' clock.
    pub now: i64,
    /// The version of the schedules that came from settings, 0 for none.
    pub set_version: u64,
    /// How many schedules the queue has.
    pub count: u64,
    /// When the next run starts that is not due yet.
    pub first_start: Option<i64>,
    /// Those that were asked for.
    pub seen: Vec<StoredSchedule>,
}

/// A due time of a schedule: the next one, and when its run starts (UTC ms).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextRun {
    /// The due time.
    pub due: i64,
    /// When the run starts.
    pub starts: i64,
}

/// What to do at the due time of a schedule.
#[derive(Clone, Debug)]
pub struct Fire<'a> {
    /// The schedule, as it was read. Its `next` is the due time that must still be its own.
    pub schedule: &'a StoredSchedule,
    /// The jobs with their due times, the oldest first; at most [`MAX_FIRED`].
    pub jobs: Vec<(i64, NewJob)>,
    /// Due times that get no job.
    pub missed: u64,
    /// Where it goes.
    pub next: Option<NextRun>,
}

/// A schedule to define.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSchedule {
    /// Its name.
    pub name: String,
    /// What the caller says about it.
    pub definition: String,
    /// Whether it keeps the due time that it has.
    pub keeps_next: bool,
    /// Its next run, if it does not.
    pub next: NextRun,
}

/// The result of a change of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleChanged {
    /// It is made. The version of the definition.
    Done(u64),
    /// Another version than the expected one is stored, or another pause; 0 for none. Nothing was changed.
    Conflict(u64),
    /// The schedule comes from settings.
    OfSettings,
    /// The queue has [`MAX_SCHEDULES`].
    Full,
}

/// The result of a change of all schedules that come from settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchedulesSet {
    /// They are stored as this version.
    Done(u64),
    /// Another version than the expected one is stored; 0 for none. Nothing was changed.
    Conflict(u64),
    /// A person made a schedule with this name. Nothing was changed.
    Taken(String),
    /// The queue would have this many. Nothing was changed.
    Full(u64),
}

impl Client {
    /// All schedules of the queue, by when they are due.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn schedules(&self) -> Result<Schedules, Error> {
        self.read_schedules("all", "").await
    }

    /// Schedules whose next run should have started, those that are due longest first.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn due_schedules(&self) -> Result<Schedules, Error> {
        self.read_schedules("due", "").await
    }

    /// One schedule, if it is there.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn schedule(&self, name: &str) -> Result<Schedules, Error> {
        self.read_schedules("one", name).await
    }

    async fn read_schedules(&self, what: &str, name: &str) -> Result<Schedules, Error> {
        let mut call = Call::new(&scripts::SCHEDULES, &self.keys);
        call.arg(what).arg(name);
        let mut reply: Vec<Value> = call.run(&mut self.conn.clone()).await?;
        let rest = reply.split_off(reply.len().min(4));
        type Head = (i64, u64, u64, String);
        let (now, set_version, count, first) =
            Head::from_redis_value(Value::Array(reply)).map_err(RedisError::from)?;
        type Each = Vec<(String, HashMap<String, String>)>;
        let each = Each::from_redis_value(Value::Array(rest)).map_err(RedisError::from)?;
        let seen =
            each.into_iter().filter_map(|(name, fields)| StoredSchedule::read(name, &fields)).collect();
        Ok(Schedules { now, set_version, count, first_start: first.parse().ok(), seen })
    }

    /// Enqueues the jobs of due times and moves the schedule on. Returns whether the schedule was still there;
    /// otherwise nothing happened. A repeated call does nothing.
    ///
    /// # Errors
    /// When the queue refuses a job, or Redis failed.
    pub async fn fire(&self, fire: &Fire<'_>) -> Result<bool, Error> {
        let Fire { schedule, jobs, missed, next } = fire;
        let seen = schedule.next.map(|next| next.to_string()).unwrap_or_default();
        let jobs: Vec<_> = jobs.iter().take(MAX_FIRED).map(|(due, job)| (Some(*due), job)).collect();
        self.fire_jobs(schedule, &seen, &jobs, *missed, *next).await
    }

    /// Enqueues a job of the schedule that a person asks for. The due times stay. Returns whether the schedule
    /// was still there, with the same definition.
    ///
    /// # Errors
    /// Those of [`Self::fire`].
    pub async fn run_schedule(&self, schedule: &StoredSchedule, job: &NewJob) -> Result<bool, Error> {
        self.fire_jobs(schedule, "", &[(None, job)], 0, None).await
    }

    async fn fire_jobs(
        &self,
        schedule: &StoredSchedule,
        seen: &str,
        jobs: &[(Option<i64>, &NewJob)],
        missed: u64,
        next: Option<NextRun>,
    ) -> Result<bool, Error> {
        for (_, job) in jobs {
            job.check(self.max_payload)?;
        }
        let mut call = Call::new(&scripts::FIRE, &self.keys);
        let text = |ms: Option<i64>| ms.map(|ms| ms.to_string()).unwrap_or_default();
        call.arg(&schedule.name).arg(schedule.version).arg(seen);
        call.arg(text(next.map(|next| next.due))).arg(text(next.map(|next| next.starts))).arg(missed);
        let (last_due, last_job) = jobs.last().map_or((None, ""), |(due, job)| (*due, job.id.as_str()));
        call.arg(text(last_due)).arg(last_job);
        if !jobs.is_empty() {
            let batch: Vec<(usize, &NewJob)> = jobs.iter().map(|(_, job)| *job).enumerate().collect();
            add_batch(&mut call, &batch);
        }
        let fired: u8 = self.run_replicated(&call).await?;
        Ok(fired == 1)
    }
}

impl Operator {
    /// Defines a schedule that a person makes, where the stored version is the expected one; 0 for a new one.
    ///
    /// # Errors
    /// When Redis failed. It may be defined already; the same call may be repeated.
    pub async fn put_schedule(
        &self,
        new: &NewSchedule,
        expected: u64,
        by: &str,
    ) -> Result<ScheduleChanged, Error> {
        let (due, starts) = (new.next.due.to_string(), new.next.starts.to_string());
        let keeps = if new.keeps_next { "1" } else { "0" };
        self.change_schedule(
            "put",
            &new.name,
            expected,
            &[&new.definition, &author(by), keeps, &due, &starts],
        )
        .await
    }

    /// Pauses a schedule: it is not due until it is resumed.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn pause_schedule(
        &self,
        schedule: &StoredSchedule,
        by: &str,
    ) -> Result<ScheduleChanged, Error> {
        self.change_schedule("pause", &schedule.name, schedule.version, &[&author(by)]).await
    }

    /// Resumes a paused schedule with its next run, where the pause is still the one that was read; otherwise the
    /// run may be one of a later pause, and this is a conflict. One that is not paused is left alone.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn resume_schedule(
        &self,
        schedule: &StoredSchedule,
        next: Option<NextRun>,
    ) -> Result<ScheduleChanged, Error> {
        let text = |ms: Option<i64>| ms.map(|ms| ms.to_string()).unwrap_or_default();
        let (due, starts) = (text(next.map(|next| next.due)), text(next.map(|next| next.starts)));
        let paused = schedule.paused.as_ref().map(|(at, by)| format!("{at} {by}")).unwrap_or_default();
        self.change_schedule("resume", &schedule.name, schedule.version, &[&paused, &due, &starts]).await
    }

    /// Removes a schedule that a person made. Its jobs stay.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn remove_schedule(&self, schedule: &StoredSchedule) -> Result<ScheduleChanged, Error> {
        self.change_schedule("remove", &schedule.name, schedule.version, &[]).await
    }

    async fn change_schedule(
        &self,
        what: &str,
        name: &str,
        version: u64,
        args: &[&str],
    ) -> Result<ScheduleChanged, Error> {
        let mut call = Call::new(&scripts::SCHEDULE, &self.client.keys);
        call.arg(what).arg(name).arg(version);
        for arg in args {
            call.arg(arg);
        }
        let (came, version): (String, u64) = call.run(&mut self.client.conn.clone()).await?;
        Ok(match came.as_str() {
            "done" => ScheduleChanged::Done(version),
            "settings" => ScheduleChanged::OfSettings,
            "full" => ScheduleChanged::Full,
            _ => ScheduleChanged::Conflict(version),
        })
    }

    /// Replaces the schedules that come from settings, where the stored version of them is the expected one; 0
    /// for none. Those that are not named end; those with the same definition are not touched.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn set_schedules(
        &self,
        new: &[NewSchedule],
        expected: u64,
        by: &str,
    ) -> Result<SchedulesSet, Error> {
        let mut call = Call::new(&scripts::SET_SCHEDULES, &self.client.keys);
        call.arg(expected).arg(author(by)).arg(new.len());
        for NewSchedule { name, definition, keeps_next, next } in new {
            call.arg(name).arg(definition).arg(u8::from(*keeps_next)).arg(next.due).arg(next.starts);
        }
        let (came, n, name): (String, u64, String) = call.run(&mut self.client.conn.clone()).await?;
        Ok(match came.as_str() {
            "done" => SchedulesSet::Done(n),
            "taken" => SchedulesSet::Taken(name),
            "full" => SchedulesSet::Full(n),
            _ => SchedulesSet::Conflict(n),
        })
    }
}

/// The longest name of an author, in characters.
const LONGEST_AUTHOR: usize = 200;

fn author(by: &str) -> String {
    by.chars().filter(|c| !c.is_control()).take(LONGEST_AUTHOR).collect()
}

impl StoredSchedule {
    /// Reads the fields; `None` if they are not those of a schedule.
    fn read(name: String, fields: &HashMap<String, String>) -> Option<Self> {
        let text = |field: &str| fields.get(field).map(String::as_str);
        let number = |field: &str| text(field).and_then(|number| number.parse::<i64>().ok());
        let count = |field: &str| number(field).unwrap_or(0).max(0).unsigned_abs();
        let paused = text("paused").map(|paused| {
            let (at, by) = paused.split_once(' ').unwrap_or((paused, ""));
            (at.parse().unwrap_or(0), by.to_owned())
        });
        let last = || {
            let job = text("last_job")?.parse().ok()?;
            Some(LastRun { due: number("last_due"), at: number("last_at")?, job })
        };
        Some(Self {
            version: text("version")?.parse().ok()?,
            definition: text("definition")?.to_owned(),
            is_of_settings: text("origin") == Some("settings"),
            by: text("by").unwrap_or_default().to_owned(),
            changed_at: number("changed").unwrap_or(0),
            next: number("next"),
            starts: number("starts"),
            paused,
            runs: count("runs"),
            missed: count("missed"),
            last: last(),
            name,
        })
    }
}
