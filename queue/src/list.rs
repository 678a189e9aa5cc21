//! Lists of jobs: an index with a cursor, never a scan.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    id::JobId,
    job::Job,
    queue::{Error, Queue},
    state::State,
};

/// Which jobs of a queue.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In this state; all states when `None`.
    pub state: Option<State>,
    /// About this subject: read from an index of its own.
    pub subject: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this tenant.
    pub tenant: Option<String>,
}

/// Where a list goes on: `index.score.seen`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    /// The place of the state in [`State::ALL`].
    state: usize,
    /// The score of the last job seen.
    score: i64,
    /// How many jobs of that score were seen.
    seen: usize,
}

/// A word that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a cursor: pass on the `next` of the page before, unchanged")]
pub struct BadCursor(String);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.state, self.score, self.seen)
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

impl TryFrom<String> for Cursor {
    type Error = BadCursor;

    fn try_from(s: String) -> Result<Self, BadCursor> {
        s.parse()
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(s: &str) -> Result<Self, BadCursor> {
        let read = || {
            let mut parts = s.split('.');
            let state = parts.next()?.parse().ok().filter(|state| *state < State::ALL.len())?;
            let score = parts.next()?.parse().ok()?;
            let seen = parts.next()?.parse().ok().filter(|seen| *seen <= 1_000_000)?;
            parts.next().is_none().then_some(Self { state, score, seen })
        };
        read().ok_or_else(|| BadCursor(s.to_owned()))
    }
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// The jobs; may be fewer than asked for, or none, although `next` is there:
    /// kind and tenant are looked for among a bounded number of jobs a page.
    pub jobs: Vec<Job>,
    /// Where the list goes on.
    pub next: Option<Cursor>,
}

/// A page looks at no more jobs than this.
const EXAMINED: usize = 512;

impl Queue {
    /// A page of at most `limit` jobs. Finished jobs come newest first, the
    /// others in the order in which something will happen to them.
    ///
    /// # Errors
    /// When Redis failed or a job is damaged.
    pub async fn list(&self, filter: &Filter, from: Option<Cursor>, limit: usize) -> Result<Page, Error> {
        if let Some(subject) = &filter.subject {
            return self.list_subject(subject, filter, from, limit).await;
        }
        let narrow = filter.kind.is_some() || filter.tenant.is_some();
        let wanted = |place: &usize| filter.state.is_none_or(|state| State::ALL.get(*place) == Some(&state));
        let start = from.as_ref().map_or(0, |cursor| cursor.state);
        let mut from = from;
        let mut jobs = Vec::new();
        let mut examined = 0;
        for place in (start..State::ALL.len()).filter(wanted) {
            let Some(&state) = State::ALL.get(place) else { break };
            let mut at = from.take().filter(|cursor| cursor.state == place);
            loop {
                let take = if narrow { EXAMINED - examined } else { limit - jobs.len() };
                let (ids, next) = self.slice(state, place, at.as_ref(), take).await?;
                examined += ids.len();
                let found = self.jobs(&ids).await?;
                let mut cut = None;
                for job in found {
                    if jobs.len() == limit {
                        break;
                    }
                    if filter.admits(&job) {
                        cut = ids.iter().position(|id| *id == job.id);
                        jobs.push(job);
                    }
                }
                if jobs.len() >= limit || examined >= EXAMINED {
                    // The page may end inside the slice: go on behind its last job.
                    let resume = match cut {
                        Some(cut) if jobs.len() >= limit && cut + 1 < ids.len() => {
                            self.slice(state, place, at.as_ref(), cut + 1).await?.1
                        }
                        _ => next,
                    };
                    let next = resume.or_else(|| {
                        let after = (place + 1..State::ALL.len()).find(wanted)?;
                        Some(Cursor { state: after, score: i64::MIN, seen: 0 })
                    });
                    return Ok(Page { jobs, next });
                }
                match next {
                    Some(next) => at = Some(next),
                    None => break,
                }
            }
        }
        Ok(Page { jobs, next: None })
    }

    /// Up to `take` ids of one state from a cursor on, and where it goes on.
    async fn slice(
        &self,
        state: State,
        place: usize,
        from: Option<&Cursor>,
        take: usize,
    ) -> Result<(Vec<JobId>, Option<Cursor>), Error> {
        let newest_first = state.is_final();
        let start = match from.map(|cursor| cursor.score) {
            None | Some(i64::MIN) => if newest_first { "+inf" } else { "-inf" }.to_owned(),
            Some(score) => score.to_string(),
        };
        let skip = from.map_or(0, |cursor| cursor.seen);
        let mut cmd = redis::cmd("ZRANGE");
        cmd.arg(self.index(state)).arg(start).arg(if newest_first { "-inf" } else { "+inf" }).arg("BYSCORE");
        if newest_first {
            cmd.arg("REV");
        }
        // One more than wanted tells whether the list goes on.
        cmd.arg("LIMIT").arg(skip).arg(take + 1).arg("WITHSCORES");
        let mut found: Vec<(String, f64)> = cmd.query_async(&mut self.conn.clone()).await?;
        let more = found.len() > take;
        found.truncate(take);
        let next = found.last().filter(|_| more).map(|(_, last)| {
            let score = *last as i64;
            let here = found.iter().rev().take_while(|(_, each)| *each as i64 == score).count();
            let before = from.filter(|cursor| cursor.score == score).map_or(0, |cursor| cursor.seen);
            Cursor { state: place, score, seen: before + here }
        });
        Ok((found.into_iter().map(|(id, _)| JobId::trusted(id)).collect(), next))
    }

    async fn list_subject(
        &self,
        subject: &str,
        filter: &Filter,
        from: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, Error> {
        let skip = from.map_or(0, |cursor| cursor.seen);
        let found: Vec<String> = redis::cmd("ZRANGE")
            .arg(self.keys.subjects())
            .arg(format!("[{subject}\0"))
            .arg(format!("({subject}\x01"))
            .arg("BYLEX")
            .arg("LIMIT")
            .arg(skip)
            .arg(limit + 1)
            .query_async(&mut self.conn.clone())
            .await?;
        let more = found.len() > limit;
        let ids: Vec<JobId> = found
            .into_iter()
            .take(limit)
            .filter_map(|entry| entry.rsplit_once('\0').map(|(_, id)| JobId::trusted(id.to_owned())))
            .collect();
        let next = more.then_some(Cursor { state: 0, score: 0, seen: skip + limit });
        let mut jobs = self.jobs(&ids).await?;
        jobs.retain(|job| filter.admits(job));
        Ok(Page { jobs, next })
    }
}

impl Filter {
    fn admits(&self, job: &Job) -> bool {
        self.state.is_none_or(|state| job.state == state)
            && self.kind.as_ref().is_none_or(|kind| job.kind == *kind)
            && self.tenant.as_ref().is_none_or(|tenant| job.tenant.as_ref() == Some(tenant))
            && self.subject.as_ref().is_none_or(|subject| job.subject.as_ref() == Some(subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_back_and_others_refused() {
        let cursor = Cursor { state: 3, score: 1_763_860_000_000, seen: 2 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "9.1.1", "1.2", "1.2.3.4", "a.b.c"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
