//! Through dead jobs from the oldest on, a bounded part at a time.
//!
//! A list shows the newest first. Who retries or forgets many starts at the
//! other end: there the old ones are, and what is done takes jobs away only
//! from the part that was walked already.

use std::{fmt, str::FromStr};

use crate::{
    dead::DeadFilter,
    id::JobId,
    queue::{Error, Queue},
};

/// A walk looks at no more jobs than this where each has to be read.
const EXAMINED: usize = 5_000;
/// Jobs that are looked at together.
const PAGE: usize = 256;

/// Where a walk goes on: `ms.left`, and `.until` where it does not go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadCursor {
    /// When the last job that was looked at died, UTC ms.
    at: i64,
    /// Jobs of that time that were looked at and left as they are.
    left: usize,
    /// Up to which time of death the walk goes, UTC ms: what it made run again may die
    /// again meanwhile, and is not its any more.
    until: Option<i64>,
}

/// A word that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not where a walk goes on: pass on the `next` of the answer before, unchanged")]
pub struct BadDeadCursor(String);

impl fmt::Display for DeadCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at, self.left)?;
        self.until.map_or(Ok(()), |until| write!(f, ".{until}"))
    }
}

impl FromStr for DeadCursor {
    type Err = BadDeadCursor;

    fn from_str(s: &str) -> Result<Self, BadDeadCursor> {
        let read = || {
            let (at, rest) = s.split_once('.')?;
            let (left, until) =
                rest.split_once('.').map_or((rest, None), |(left, until)| (left, Some(until)));
            let left = left.parse().ok().filter(|left| *left <= 1_000_000)?;
            let until = until.map(str::parse).transpose().ok()?;
            Some(Self { at: at.parse().ok()?, left, until })
        };
        read().ok_or_else(|| BadDeadCursor(s.to_owned()))
    }
}

/// A part of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadPart {
    /// The jobs, the longest dead first.
    pub ids: Vec<JobId>,
    /// Where the walk goes on once these are dead no more; none when it has
    /// seen all.
    pub next: Option<DeadCursor>,
}

impl Queue {
    /// Up to `most` dead jobs that the filter admits and that died by `until`
    /// (UTC ms; all for `None`), the longest dead first; a walk that goes on keeps
    /// the `until` that it began with. Kind and tenant are
    /// looked for among a bounded number of jobs, so there may be fewer, or
    /// none, although the walk goes on.
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
        let index = filter.group.as_ref().map_or_else(|| self.keys.dead(), |group| self.keys.members(group));
        let narrow = filter.kind.is_some() || filter.tenant.is_some();
        let until = from.map_or(until, |from| from.until);
        let last_death = until.map_or_else(|| "+inf".to_owned(), |ms| ms.to_string());
        let mut at = from;
        // Nothing is taken away while the walk goes on: so much of the last
        // moment is behind it.
        let mut seen = from.map_or(0, |from| from.left);
        let (mut ids, mut examined) = (Vec::new(), 0);
        while ids.len() < most && (!narrow || examined < EXAMINED) {
            let take = if narrow { PAGE } else { (most - ids.len()).min(PAGE) };
            let start = at.map_or_else(|| "-inf".to_owned(), |at| at.at.to_string());
            let mut cmd = redis::cmd("ZRANGE");
            cmd.arg(&index).arg(start).arg(&last_death).arg("BYSCORE").arg("LIMIT").arg(seen).arg(take);
            cmd.arg("WITHSCORES");
            let found: Vec<(String, f64)> = cmd.query_async(&mut self.conn.clone()).await?;
            examined += found.len();
            let last = found.len() < take;
            let found: Vec<(JobId, i64)> =
                found.into_iter().map(|(id, ms)| (JobId::trusted(id), ms as i64)).collect();
            let admitted = if narrow { Some(self.admitted(filter, &found).await?) } else { None };
            for (id, ms) in found {
                if ids.len() == most {
                    return Ok(DeadPart { ids, next: at });
                }
                let here = at.filter(|at| at.at == ms);
                seen = if here.is_some() { seen + 1 } else { 1 };
                let mut left = here.map_or(0, |at| at.left);
                if admitted.as_ref().is_none_or(|admitted| admitted.contains(&id)) {
                    ids.push(id);
                } else {
                    left += 1;
                }
                at = Some(DeadCursor { at: ms, left, until });
            }
            if last {
                return Ok(DeadPart { ids, next: None });
            }
        }
        Ok(DeadPart { ids, next: at })
    }

    async fn admitted(&self, filter: &DeadFilter, found: &[(JobId, i64)]) -> Result<Vec<JobId>, Error> {
        let ids: Vec<JobId> = found.iter().map(|(id, _)| id.clone()).collect();
        let mut jobs = self.jobs(&ids).await?;
        jobs.retain(|job| {
            filter.kind.as_ref().is_none_or(|kind| job.kind == *kind)
                && filter.tenant.as_ref().is_none_or(|tenant| job.tenant.as_ref() == Some(tenant))
        });
        Ok(jobs.into_iter().map(|job| job.id).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_back_and_others_refused() {
        for until in [None, Some(1_763_870_000_000)] {
            let cursor = DeadCursor { at: 1_763_860_000_000, left: 3, until };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for bad in ["", "1", "1.x", "1.2.x", "1.2.3.4", "1.9999999"] {
            assert!(bad.parse::<DeadCursor>().is_err(), "{bad}");
        }
    }
}
