//! The view of a schedule.

use serde::Serialize;
use serde_json::Value;
use upshot_queue::{Job, StoredSchedule, Workers};
use upshot_shared::{
    Schedule,
    schedule::{
        stored::{Trouble, troubles},
        timing::{Due, Timing},
    },
};
use utoipa::ToSchema;

use super::{
    outcome::OutcomeStatus,
    words::{JobState, PriorityClass},
};
use crate::{links::Links, moment::Moment, shown::Shown};

/// Due times that are shown.
const UPCOMING: usize = 5;

/// What a schedule says, by the keys of `[[schedules]]`. Keys that are null or left out have their defaults.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleDefinition {
    /// Its name, unique in its queue: 1 to 100 letters, digits and `._-`.
    #[schema(example = "nightly-report")]
    name: String,
    /// The queue of its jobs.
    #[schema(example = "reports")]
    queue: String,
    /// The kind of its jobs.
    #[schema(example = "report.write")]
    job: String,
    /// The version of the arguments; 1 if it is left out.
    version: Option<u32>,
    /// When it is due: minute, hour, day of month, month and day of week, with seconds in front if they
    /// matter. Either this or `every`.
    #[schema(example = "30 6 * * MON-FRI", max_length = 128)]
    cron: Option<String>,
    /// The time zone of `cron` by its IANA name; UTC if it is left out.
    #[schema(example = "Europe/Berlin")]
    zone: Option<String>,
    /// When it is due, as an interval of 1s to 366d, counted from the beginning of 1970 in UTC.
    #[schema(example = json!(null))]
    every: Option<String>,
    /// The arguments of each job. An answer has them only with `reveal`.
    #[schema(value_type = Option<Object>)]
    arguments: Option<Value>,
    /// The tenant of its jobs.
    tenant: Option<String>,
    /// The subject of its jobs.
    subject: Option<String>,
    /// How urgent its jobs are; `normal` if it is left out.
    #[schema(value_type = Option<PriorityClass>)]
    priority: Option<&'static str>,
    /// By when the outcome of each job is expected, counted from the due time. Without it, jobs have no
    /// expectation.
    #[schema(example = "30m")]
    within: Option<String>,
    /// Which missed runs it makes up for: `none`, `latest` (if it is left out) or `all`.
    #[schema(value_type = Option<String>, pattern = "^(none|latest|all)$", example = "latest")]
    catch_up: Option<Value>,
    /// How many of them at most, where `catch_up` is `all`; 100 if it is left out.
    #[schema(minimum = 1, maximum = 1000)]
    catch_up_most: Option<u32>,
    /// By how much a run is put off at most; nothing if it is left out, 24h at most.
    #[schema(example = "5m")]
    jitter: Option<String>,
}

/// A schedule.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Schedule)]
pub struct ScheduleBody {
    /// Its name.
    #[schema(example = "nightly-report")]
    name: String,
    /// Its queue.
    #[schema(example = "reports")]
    queue: String,
    /// The version of its definition.
    version: u64,
    /// `settings`, or `api` if a person made it.
    #[schema(pattern = "^(settings|api)$", example = "settings")]
    origin: &'static str,
    /// When it was defined, and the author.
    changed_at: Moment,
    by: String,
    /// What it says; null where this build cannot read it.
    #[schema(required)]
    definition: Option<ScheduleDefinition>,
    /// When it is due, in words.
    #[schema(required, example = "At 06:30 on Monday to Friday, Europe/Berlin")]
    words: Option<String>,
    /// Since when it is paused, and by whom.
    #[schema(required)]
    paused: Option<PausedBody>,
    /// The next due times, five at most. The first one stands, the others follow from it; empty while it is
    /// paused.
    next: Vec<DueBody>,
    /// The last run.
    #[schema(required)]
    last: Option<LastRunBody>,
    /// Jobs that it enqueued.
    runs: u64,
    /// Due times that got no job.
    missed: u64,
    /// What keeps it from running as it says.
    troubles: Vec<TroubleBody>,
}

/// A pause of a schedule.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SchedulePause)]
pub struct PausedBody {
    /// Since when.
    at: Moment,
    /// By whom, as given.
    by: String,
}

/// A due time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DueTime)]
pub struct DueBody {
    /// The time.
    at: Moment,
    /// The local time, with its offset.
    #[schema(example = "2026-03-29T03:00:00+02:00")]
    local: String,
    /// When the run starts, with its jitter.
    starts_at: Moment,
    /// What the clocks of the time zone do to it: `after_gap` (its local time does not exist, and it runs right
    /// after the gap), `first_of_two` or `second_of_two` (its local time exists twice).
    #[schema(required, pattern = "^(after_gap|first_of_two|second_of_two)$", example = "after_gap")]
    mark: Option<&'static str>,
    /// Local times between the due time before it and this one that do not exist, and have no run.
    skipped: usize,
}

/// The last run of a schedule.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastRun)]
pub struct LastRunBody {
    /// The due time; null if a person asked for the run.
    #[schema(required)]
    due: Option<Moment>,
    /// When the job was enqueued; of several, the last one.
    at: Moment,
    /// The job.
    #[schema(example = "mrtu2hq6wcbcvkoxmzkhxbs7da")]
    job: String,
    /// Its state; null where the job is forgotten.
    #[schema(required, value_type = Option<JobState>)]
    state: Option<&'static str>,
    /// How its outcome stands, if one is expected.
    #[schema(required, value_type = Option<OutcomeStatus>)]
    outcome: Option<&'static str>,
    /// Its address.
    href: String,
}

/// What keeps a schedule from running as it says.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduleTrouble)]
pub struct TroubleBody {
    /// `unreadable`, `timing` (its time zone is not known), `unknown_kind` (no worker runs its jobs), `overdue`
    /// (no executor enqueued its job), `ahead` (Redis' clock was ahead) or `ended`.
    #[schema(pattern = "^(unreadable|timing|unknown_kind|overdue|ahead|ended)$", example = "unknown_kind")]
    trouble: &'static str,
    /// The same in words, with the remedy.
    words: String,
}

/// What a view of schedules is made of.
pub struct Beside<'a> {
    /// The queue.
    pub queue: &'a str,
    /// Its workers.
    pub workers: &'a Workers,
    /// The time of Redis, UTC ms.
    pub now: i64,
    /// The last jobs of its schedules, as far as they are known.
    pub jobs: &'a [Job],
    /// How texts are shown.
    pub shown: &'a Shown,
    /// Whether arguments are shown.
    pub with_arguments: bool,
    /// Addresses.
    pub links: &'a Links,
}

impl ScheduleDefinition {
    fn new(schedule: &Schedule, beside: &Beside<'_>) -> Self {
        let text = |time| humantime::format_duration(time).to_string();
        let arguments = || Value::Object(schedule.arguments.clone());
        Self {
            name: schedule.name.clone(),
            queue: schedule.queue.to_string(),
            job: schedule.job.clone(),
            version: Some(schedule.version),
            cron: schedule.cron.clone(),
            zone: schedule.zone.clone(),
            every: schedule.every.map(text),
            arguments: beside.with_arguments.then(arguments),
            tenant: schedule.tenant.clone(),
            subject: schedule.subject.clone(),
            priority: Some(schedule.priority.as_str()),
            within: schedule.within.map(text),
            catch_up: serde_json::to_value(schedule.catch_up).ok(),
            catch_up_most: Some(schedule.catch_up_most),
            jitter: Some(text(schedule.jitter)),
        }
    }
}

impl ScheduleBody {
    /// The view of a schedule.
    pub fn new(stored: &StoredSchedule, beside: &Beside<'_>) -> Self {
        let schedule = Schedule::read(stored).ok();
        let timing = schedule.as_ref().and_then(|schedule| schedule.timing().ok());
        let zone = schedule.as_ref().and_then(|schedule| schedule.zone.as_deref());
        let due = |(schedule, timing): (&Schedule, &Timing)| -> Vec<DueBody> {
            let Some(next) = stored.next.filter(|_| stored.paused.is_none()) else { return Vec::new() };
            // From a moment before the first one, which may be no time of the expression any more.
            let due = timing.upcoming(next - 1, UPCOMING);
            due.into_iter().map(|due| DueBody::new(due, schedule)).collect()
        };
        Self {
            name: stored.name.clone(),
            queue: beside.queue.to_owned(),
            version: stored.version,
            origin: if stored.is_of_settings { "settings" } else { "api" },
            changed_at: Moment(stored.changed_at),
            by: beside.shown.text(&stored.by),
            definition: schedule.as_ref().map(|schedule| ScheduleDefinition::new(schedule, beside)),
            words: timing.as_ref().map(|timing| timing.words(zone)),
            paused: stored
                .paused
                .as_ref()
                .map(|(at, by)| PausedBody { at: Moment(*at), by: beside.shown.text(by) }),
            next: schedule.as_ref().zip(timing.as_ref()).map(due).unwrap_or_default(),
            last: stored.last.as_ref().map(|last| {
                let job = beside.jobs.iter().find(|job| job.id == last.job);
                LastRunBody {
                    due: last.due.map(Moment),
                    at: Moment(last.at),
                    job: last.job.to_string(),
                    state: job.map(|job| job.state.as_str()),
                    outcome: job.and_then(|job| Some(job.expectation?.account.as_str())),
                    href: beside.links.job(&last.job),
                }
            }),
            runs: stored.runs,
            missed: stored.missed,
            troubles: troubles(stored, beside.workers, beside.now).iter().map(TroubleBody::new).collect(),
        }
    }
}

impl DueBody {
    fn new(due: Due, schedule: &Schedule) -> Self {
        Self {
            at: Moment(due.at),
            starts_at: Moment(schedule.starts_at(due.at)),
            local: due.local,
            mark: due.mark.map(|mark| mark.as_str()),
            skipped: due.skipped,
        }
    }
}

impl TroubleBody {
    fn new(trouble: &Trouble) -> Self {
        Self { trouble: trouble.as_str(), words: trouble.to_string() }
    }
}
