//! Lists of jobs: an index with a cursor, never a scan.

mod lanes;
mod lines;

use std::{collections::HashMap, fmt, str::FromStr};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use self::lanes::InLane;
use crate::{
    id::JobId,
    job::Job,
    priority::Priority,
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

/// Where a list goes on: `state.score.seen`, and for ready jobs the lane, and the last id
/// seen in its list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    /// The place of the state in [`State::ALL`].
    state: usize,
    /// The score of the last job seen.
    score: i64,
    /// How many jobs of that score were seen.
    seen: usize,
    /// Of ready jobs: the lane in which it goes on.
    lane: Option<InLane>,
}

impl Cursor {
    fn start_of(state: usize) -> Self {
        Self { state, score: i64::MIN, seen: 0, lane: None }
    }
}

/// A word that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a cursor: pass on the `next` of the page before, unchanged")]
pub struct BadCursor(String);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.state, self.score, self.seen)?;
        match &self.lane {
            // A flow may hold any character.
            Some(lane) => write!(f, ".{}.{}", lane.class, HEXLOWER.encode(lane.flow.as_bytes()))?,
            None => return Ok(()),
        }
        match self.lane.as_ref().and_then(|lane| lane.behind.as_ref()) {
            Some(behind) => write!(f, ".{behind}"),
            None => Ok(()),
        }
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
            let seen = parts.next()?.parse().ok()?;
            let lane: Option<InLane> = match parts.next() {
                None => None,
                Some(class) => {
                    let class = class.parse().ok().filter(|class| *class < Priority::ALL.len())?;
                    let flow = HEXLOWER.decode(parts.next()?.as_bytes()).ok()?;
                    let behind = match parts.next() {
                        None => None,
                        Some("") => Some(String::new()),
                        Some(id) => Some(id.parse::<JobId>().ok()?.to_string()),
                    };
                    Some(InLane { class, flow: String::from_utf8(flow).ok()?, behind })
                }
            };
            // Of those that succeeded it names a line and of a lane's list a place, of others
            // it is an offset.
            let is_place = State::ALL.get(state) == Some(&State::Succeeded)
                || lane.as_ref().is_some_and(|lane| lane.behind.is_some());
            let fits = seen <= if is_place { 1 << 40 } else { 1_000_000 };
            (fits && parts.next().is_none()).then_some(Self { state, score, seen, lane })
        };
        read().ok_or_else(|| BadCursor(s.to_owned()))
    }
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// The jobs; may be fewer than asked for, or none, although `next` is there:
    /// kind and tenant are looked for among a bounded number of jobs a page, and
    /// some ids may have become something else meanwhile.
    pub jobs: Vec<Job>,
    /// Where the list goes on.
    pub next: Option<Cursor>,
}

/// A page looks at no more jobs and lanes than this.
const EXAMINED: usize = 512;

/// A part of one state's jobs.
#[derive(Default)]
struct Slice {
    ids: Vec<JobId>,
    /// Of jobs that succeeded: when; of those that run: by which claim; of those that are
    /// ready: 0, or else where an id is left over. One of which this is no longer true has
    /// its place elsewhere.
    marks: Vec<i64>,
    next: Option<Cursor>,
    /// Jobs and lanes that were looked at.
    cost: usize,
}

impl Queue {
    /// A page of at most `limit` jobs. Finished jobs come newest first, the
    /// others in the order in which something will happen to them; ready ones by
    /// class and lane.
    ///
    /// # Errors
    /// When Redis failed or a job is damaged.
    pub async fn list(&self, filter: &Filter, from: Option<Cursor>, limit: usize) -> Result<Page, Error> {
        self.check_layout().await?;
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
                let slice = self.slice(state, place, at.as_ref(), take).await?;
                examined += slice.cost;
                let found = self.jobs(&slice.ids).await?;
                let mut found: HashMap<JobId, Job> =
                    found.into_iter().map(|job| (job.id.clone(), job)).collect();
                let mut cut = None;
                for (i, id) in slice.ids.iter().enumerate() {
                    if jobs.len() == limit {
                        break;
                    }
                    let fits = |job: &Job| match (slice.marks.get(i), state) {
                        (None, _) => true,
                        (Some(mark), State::Running) => job.state == state && job.claim == *mark,
                        (Some(mark), State::Ready) => job.state == state && *mark == 0,
                        (Some(mark), _) => job.state == state && job.since == *mark,
                    };
                    if found.get(id).is_some_and(|job| fits(job) && filter.admits(job))
                        && let Some(job) = found.remove(id)
                    {
                        cut = Some(i);
                        jobs.push(job);
                    }
                }
                if jobs.len() >= limit || examined >= EXAMINED {
                    // The page may end inside the slice: go on behind its last job.
                    let resume = match cut {
                        Some(cut) if jobs.len() >= limit && cut + 1 < slice.ids.len() => {
                            self.slice(state, place, at.as_ref(), cut + 1).await?.next
                        }
                        _ => slice.next,
                    };
                    let after = || (place + 1..State::ALL.len()).find(wanted).map(Cursor::start_of);
                    return Ok(Page { jobs, next: resume.or_else(after) });
                }
                match slice.next {
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
    ) -> Result<Slice, Error> {
        match self.index(state) {
            Some(index) => {
                let at = from.map(|cursor| (cursor.score, cursor.seen));
                let (ids, next) = self.range(&index, state.is_final(), at, take).await?;
                let next = next.map(|(score, seen)| Cursor { score, seen, ..Cursor::start_of(place) });
                Ok(Slice { cost: ids.len(), ids, marks: Vec::new(), next })
            }
            None if state == State::Succeeded => self.succeeded_slice(place, from, take).await,
            None if state == State::Running => self.running_slice(place, from, take).await,
            None => self.ready_slice(place, from, take).await,
        }
    }

    /// Up to `take` ids of one sorted set behind a score and how many of that
    /// score were seen; and the same for what follows.
    async fn range(
        &self,
        index: &str,
        newest_first: bool,
        from: Option<(i64, usize)>,
        take: usize,
    ) -> Result<(Vec<JobId>, Option<(i64, usize)>), Error> {
        let start = match from {
            None | Some((i64::MIN, _)) => if newest_first { "+inf" } else { "-inf" }.to_owned(),
            Some((score, _)) => score.to_string(),
        };
        let skip = from.map_or(0, |(_, seen)| seen);
        let mut cmd = redis::cmd("ZRANGE");
        cmd.arg(index).arg(start).arg(if newest_first { "-inf" } else { "+inf" }).arg("BYSCORE");
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
            let before = from.filter(|(at, _)| *at == score).map_or(0, |(_, seen)| seen);
            (score, before + here)
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
        let next = more.then_some(Cursor { score: 0, seen: skip + limit, ..Cursor::start_of(0) });
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
        let cursor = Cursor { score: 1_763_860_000_000, seen: 2, ..Cursor::start_of(4) };
        assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        for behind in [None, Some(String::new()), Some("a".repeat(26))] {
            let lane = InLane { class: 2, flow: "acme.é|smtp".into(), behind };
            let cursor = Cursor { lane: Some(lane), ..cursor.clone() };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for bad in [
            "",
            "9.1.1",
            "1.2",
            "1.2.3.4",
            "1.2.3.9.61",
            "1.2.3.1.6",
            "1.2.3.1.61.?",
            "1.2.2000000.1.61",
            "a.b.c",
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
