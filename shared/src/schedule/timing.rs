//! When a schedule is due.
//!
//! A cron expression is read in a time zone, whose clocks jump:
//! - **A local time that does not exist** (a gap): a fixed time runs right after the gap; the times of an
//!   interval in the gap do not run.
//! - **A local time that exists twice** (an overlap): a fixed time runs the first time; an interval runs
//!   both times.
//!
//! A fixed time has one second, one minute and one hour. All other expressions are intervals.

use std::{str::FromStr, time::Duration};

use chrono::{DateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use croner::{
    Cron, JobType,
    errors::CronError,
    parser::{CronParser, Seconds, Year},
};

/// The longest cron expression, in bytes.
pub const MAX_CRON: usize = 128;
/// The shortest interval.
pub const LEAST_EVERY: Duration = Duration::from_secs(1);
/// The longest interval.
pub const MAX_EVERY: Duration = Duration::from_secs(366 * 24 * 3600);
/// A date that has no due time within so many years from now has none.
const YEARS: i64 = 40;
/// A time that contains the longest gap, and due times before it (ms).
const LONG_GAP: i64 = 4 * 86_400_000;
/// Local times that are looked at for a mark.
const LOOKED_AT: usize = 4000;

/// When a schedule is due.
#[derive(Clone, Debug)]
pub enum Timing {
    /// At the times of an expression.
    Cron {
        /// The expression.
        cron: Box<Cron>,
        /// Its time zone.
        zone: Tz,
    },
    /// At each multiple of a length (ms), counted from the beginning of 1970.
    Every(i64),
}

/// Why due times cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTiming {
    /// Neither an expression nor an interval.
    #[error("it says neither `cron` nor `every`: add `cron` or `every`")]
    Missing,
    /// Both.
    #[error("it says `cron` and `every`: remove one of them")]
    Both,
    /// An expression that cannot be read.
    #[error(
        "`cron` is `{}`: {why}; write minute, hour, day of month, month and day of week, as `30 6 * * MON-FRI`, with seconds in front if they matter",
        crate::visible::visible(text)
    )]
    Cron {
        /// The expression.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// An expression whose time never comes.
    #[error("`cron` is `{}`, which is never due: name a date that exists", crate::visible::visible(.0))]
    Never(String),
    /// A time zone that this build does not know.
    #[error("`zone` is `{}`, which this build does not know: use a name of the IANA database, such as Europe/Berlin", crate::visible::visible(.0))]
    Zone(String),
    /// A time zone for an interval.
    #[error("`zone` is said, and an interval has none: remove it, or use `cron`")]
    ZoneOfInterval,
    /// An interval that is out of range.
    #[error("`every` is {}: use 1s to 366d, in whole milliseconds", humantime::format_duration(*.0))]
    Every(Duration),
}

/// A due time, and what is special about its local time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The time, UTC ms.
    pub at: i64,
    /// The local time with its offset, as RFC 3339 writes it.
    pub local: String,
    /// What is special about it.
    pub mark: Option<Mark>,
    /// Local times of the expression between the previous due time and this one that do not exist, and have
    /// no run.
    pub skipped: usize,
}

/// What the clocks of a time zone do to a due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Its local time does not exist: it runs right after the gap.
    AfterGap,
    /// Its local time exists twice, and this is the first one.
    First,
    /// Its local time exists twice, and this is the second one.
    Second,
}

impl Mark {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AfterGap => "after_gap",
            Self::First => "first_of_two",
            Self::Second => "second_of_two",
        }
    }
}

impl Timing {
    /// Reads when a schedule is due.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn new(cron: Option<&str>, zone: Option<&str>, every: Option<Duration>) -> Result<Self, BadTiming> {
        match (cron, every) {
            (None, None) => Err(BadTiming::Missing),
            (Some(_), Some(_)) => Err(BadTiming::Both),
            (None, Some(_)) if zone.is_some() => Err(BadTiming::ZoneOfInterval),
            (None, Some(every)) => {
                let is_whole = every.subsec_nanos() % 1_000_000 == 0;
                let ms = i64::try_from(every.as_millis()).ok();
                let ms = ms.filter(|_| is_whole && (LEAST_EVERY..=MAX_EVERY).contains(&every));
                ms.map(Self::Every).ok_or(BadTiming::Every(every))
            }
            (Some(text), None) => {
                let name = zone.unwrap_or("UTC");
                let shown = |text: &str| text.chars().take(MAX_CRON).collect::<String>();
                let zone = Tz::from_str(name).map_err(|_| BadTiming::Zone(shown(name)))?;
                Ok(Self::Cron {
                    cron: Box::new(read(text).map_err(|why| BadTiming::Cron { text: shown(text), why })?),
                    zone,
                })
            }
        }
    }

    /// The first due time after a time (UTC ms); `None` if there is none in the next 40 years.
    pub fn next(&self, after: i64) -> Option<i64> {
        match self {
            // The length is positive.
            Self::Every(ms) => after.div_euclid(*ms).checked_add(1)?.checked_mul(*ms),
            Self::Cron { cron, zone } => {
                let from = time(after, *zone)?;
                let found = match cron.find_next_occurrence(&from, false) {
                    Ok(found) => found,
                    // A zone may lose a whole day: Apia had no 30 December 2011.
                    Err(CronError::TimeSearchLimitExceeded) => {
                        let behind = behind_long_gap(&from)?;
                        cron.find_next_occurrence(&behind, true).ok()?
                    }
                    Err(_) => return None,
                };
                let at = found.timestamp_millis();
                (at > after && at - after < YEARS * 366 * 86_400_000).then_some(at)
            }
        }
    }

    /// The last due time before a time (UTC ms), if there is one.
    pub fn previous(&self, before: i64) -> Option<i64> {
        match self {
            Self::Every(ms) => before.checked_sub(1)?.div_euclid(*ms).checked_mul(*ms),
            Self::Cron { cron, zone } => {
                // A due time is a whole second.
                let from = time(before.checked_add(999)?.div_euclid(1000).checked_mul(1000)?, *zone)?;
                let at = match cron.find_previous_occurrence(&from, false) {
                    Ok(found) => found.timestamp_millis(),
                    // A lost day, which only fixed times run into: one or none a day.
                    Err(CronError::TimeSearchLimitExceeded) => {
                        let first = self.next(before.checked_sub(LONG_GAP)?);
                        let later = std::iter::successors(first, |at| self.next(*at));
                        later.take_while(|at| *at < before).last()?
                    }
                    Err(_) => return None,
                };
                (at < before).then_some(at)
            }
        }
    }

    /// When it is due, in words.
    pub fn words(&self, zone: Option<&str>) -> String {
        match self {
            Self::Every(ms) => {
                let every = Duration::from_millis(ms.unsigned_abs());
                format!("every {}", humantime::format_duration(every))
            }
            Self::Cron { cron, .. } => {
                let words = cron.describe();
                format!("{}, {}", words.trim_end_matches('.'), zone.unwrap_or("UTC"))
            }
        }
    }

    /// The next due times after a time (UTC ms), with their marks.
    pub fn upcoming(&self, after: i64, most: usize) -> Vec<Due> {
        let mut before = after;
        let times = std::iter::from_fn(|| {
            let at = self.next(before)?;
            let due = self.marked(before, at);
            before = at;
            Some(due)
        });
        times.take(most).collect()
    }

    fn marked(&self, before: i64, at: i64) -> Due {
        let plain = |zone| Due { at, local: local(at, zone), mark: None, skipped: 0 };
        let Self::Cron { cron, zone } = self else { return plain(Tz::UTC) };
        let (Some(from), Some(to)) = (time(before, *zone), time(at, *zone)) else { return plain(*zone) };
        let is_after_gap = !cron.is_time_matching(&to).unwrap_or(true);
        let mark = match zone.from_local_datetime(&to.naive_local()) {
            _ if is_after_gap => Some(Mark::AfterGap),
            chrono::LocalResult::Ambiguous(first, _) if first == to => Some(Mark::First),
            chrono::LocalResult::Ambiguous(..) => Some(Mark::Second),
            _ => None,
        };
        // Only clocks that jumped ahead skip local times.
        let has_jumped = to.offset().fix().local_minus_utc() > from.offset().fix().local_minus_utc();
        let skipped = if has_jumped { skipped(cron, &from, &to) } else { 0 };
        let moved = usize::from(is_after_gap && cron.determine_job_type() == JobType::FixedTime);
        Due { mark, skipped: skipped.saturating_sub(moved), ..plain(*zone) }
    }
}

/// The local times of an expression between two times that do not exist.
fn skipped(cron: &Cron, from: &DateTime<Tz>, to: &DateTime<Tz>) -> usize {
    let (zone, end) = (to.timezone(), to.naive_local());
    // Read as times of a zone without jumps.
    let times = cron.iter_after(from.naive_local().and_utc()).take(LOOKED_AT);
    let times = times.map(|time| time.naive_utc()).take_while(|time| *time < end);
    times.filter(|time| zone.from_local_datetime(time).earliest().is_none()).count()
}

/// The first time behind a gap of more than two hours that begins within three days.
fn behind_long_gap(from: &DateTime<Tz>) -> Option<DateTime<Tz>> {
    const HOUR: i64 = 3600;
    let at = |seconds: i64| from.timezone().timestamp_opt(from.timestamp() + seconds, 0).single();
    let offset = |seconds: i64| Some(i64::from(at(seconds)?.offset().fix().local_minus_utc()));
    let hour = (0..72).find(|hour| {
        let jump = offset((hour + 1) * HOUR).zip(offset(hour * HOUR)).map(|(after, before)| after - before);
        jump.is_some_and(|jump| jump > 2 * HOUR)
    })?;
    let before = offset(hour * HOUR)?;
    let jumped = (1..=HOUR).find(|second| offset(hour * HOUR + second) != Some(before))?;
    at(hour * HOUR + jumped)
}

fn read(text: &str) -> Result<Cron, String> {
    if text.len() > MAX_CRON {
        return Err(format!("it has {} bytes, and the limit is {MAX_CRON}", text.len()));
    }
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    parser.parse(text).map_err(|error| error.to_string().trim_end_matches('.').to_owned())
}

fn time(ms: i64, zone: Tz) -> Option<DateTime<Tz>> {
    Some(DateTime::<Utc>::from_timestamp_millis(ms)?.with_timezone(&zone))
}

fn local(at: i64, zone: Tz) -> String {
    time(at, zone).map(|time| time.to_rfc3339()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
