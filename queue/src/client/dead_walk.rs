//! Walks through dead jobs from the oldest, a bounded part at a time.
//!
//! A list shows the newest jobs first. A retry or purge of many jobs starts at the other end, with
//! the oldest. There it removes jobs only from the part that it has walked already.

use std::{fmt, str::FromStr};

use crate::{
    client::{dead::DeadFilter, handle::Client, list::Sorted},
    error::Error,
    job::{id::JobId, state::State},
};

/// The most jobs that a walk examines one by one.
const EXAMINED: usize = 5_000;
/// Jobs that are examined together.
const PAGE: usize = 256;
/// Larger numbers are not times.
const MOST: i64 = 1 << 53;

/// Where a walk continues, after a job: `ms.id`, and `.until` if it does not go to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadCursor {
    /// When the last examined job died, UTC ms.
    at: i64,
    /// Which job that was.
    id: JobId,
    /// The latest time of death of the walk, UTC ms. A job that runs again and dies again is not
    /// part of the walk.
    until: Option<i64>,
}

/// A word that is not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a cursor of a walk: pass on the `next` of the previous answer, unchanged")]
pub struct BadDeadCursor(String);

impl fmt::Display for DeadCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at, self.id)?;
        self.until.map_or(Ok(()), |until| write!(f, ".{until}"))
    }
}

impl FromStr for DeadCursor {
    type Err = BadDeadCursor;

    fn from_str(s: &str) -> Result<Self, BadDeadCursor> {
        let ms = |text: &str| text.parse().ok().filter(|ms| (-MOST..=MOST).contains(ms));
        let read = || {
            let mut parts = s.split('.');
            let (at, id) = (ms(parts.next()?)?, parts.next()?.parse().ok()?);
            let until = match parts.next() {
                Some(text) => Some(ms(text)?),
                None => None,
            };
            parts.next().is_none().then_some(Self { at, id, until })
        };
        read().ok_or_else(|| BadDeadCursor(s.chars().take(100).collect()))
    }
}

/// A part of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadPart {
    /// The jobs, the longest dead first.
    pub ids: Vec<JobId>,
    /// Where the walk continues after these jobs; `None` at its end.
    pub next: Option<DeadCursor>,
}

impl Client {
    /// Up to `most` dead jobs that the filter admits and that died by `until` (UTC ms; all for
    /// `None`), the longest dead first. A continued walk keeps its first `until`. A call examines a
    /// bounded number of jobs for kind and tenant. So it may return fewer jobs, or none, although
    /// the walk continues.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn dead_part(
        &self,
        filter: &DeadFilter,
        until: Option<i64>,
        from: Option<DeadCursor>,
        most: usize,
    ) -> Result<DeadPart, Error> {
        self.check_layout().await?;
        let sorted = filter.group.as_deref().map_or(Sorted::Of(State::Dead), Sorted::Members);
        let narrow = filter.kind.is_some() || filter.tenant.is_some();
        let until = from.as_ref().map_or(until, |from| from.until);
        let mut behind = from.map(|from| (from.at, from.id));
        let (mut ids, mut examined) = (Vec::new(), 0);
        while ids.len() < most && (!narrow || examined < EXAMINED) {
            let take = if narrow { PAGE } else { (most - ids.len()).min(PAGE) };
            let named = behind.as_ref().map(|(at, id)| (*at, id.as_str()));
            let found = self.part_of(sorted, true, named, take).await?;
            examined += found.len();
            let in_time = |(_, ms): &(String, i64)| until.is_none_or(|until| *ms <= until);
            let is_last = found.len() < take || !found.iter().all(in_time);
            let found: Vec<(JobId, i64)> =
                found.into_iter().filter(in_time).map(|(id, ms)| (JobId::trusted(id), ms)).collect();
            let mut fits: Vec<usize> = (0..found.len()).collect();
            if narrow {
                let ids: Vec<&JobId> = found.iter().map(|(id, _)| id).collect();
                fits = self.matching(filter.kind.as_deref(), filter.tenant.as_deref(), &ids).await?;
            }
            for (id, ms) in fits.into_iter().filter_map(|i| found.get(i)) {
                if ids.len() == most {
                    let next = behind.map(|(at, id)| DeadCursor { at, id, until });
                    return Ok(DeadPart { ids, next });
                }
                ids.push(id.clone());
                behind = Some((*ms, id.clone()));
            }
            if is_last {
                return Ok(DeadPart { ids, next: None });
            }
            if ids.len() < most {
                behind = found.into_iter().next_back().map(|(id, ms)| (ms, id));
            }
        }
        Ok(DeadPart { ids, next: behind.map(|(at, id)| DeadCursor { at, id, until }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_back_and_others_refused() {
        for until in [None, Some(1_763_870_000_000)] {
            let cursor = DeadCursor { at: 1_763_860_000_000, id: JobId::random(), until };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        let id = JobId::random();
        for bad in [
            String::new(),
            "1".to_owned(),
            // What counted jobs.
            "1.2".to_owned(),
            format!("1.{id}.x"),
            format!("1.{id}.2.3"),
            format!("9223372036854775807.{id}"),
        ] {
            assert!(bad.parse::<DeadCursor>().is_err(), "{bad}");
        }
    }
}
