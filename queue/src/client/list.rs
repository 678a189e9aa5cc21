//! Lists of jobs: an index with a cursor, never a scan.

mod cursor;
mod filter;
mod lanes;
mod lines;
mod matching;
pub(crate) mod sorted;

use std::{collections::HashMap, sync::Arc};

use crate::{
    client::handle::Client,
    error::Error,
    job::{Job, id::JobId, state::State},
};

use cursor::{At, InLane};
pub use cursor::{BadCursor, Cursor};
pub(crate) use filter::Matched;
pub use filter::{Filter, TraceId};
pub(crate) use sorted::Sorted;

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// The jobs. A page with `next` may have fewer jobs than requested, or none: it examines a
    /// bounded number of jobs for kind and tenant, and some jobs may have changed since.
    pub jobs: Vec<Job>,
    /// Where the list continues.
    pub next: Option<Cursor>,
    /// How far the page searched, if it stopped before it was full.
    pub searched: Option<Searched>,
}

/// How far a page searched that stopped before it was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Searched {
    /// Jobs and lanes that the page examined.
    pub jobs: usize,
    /// The state in which the next page continues; `None` in the list of a subject.
    pub state: Option<State>,
}

/// About the most jobs and lanes that a page examines: some thirty calls of a script.
const EXAMINED: usize = 4_096;
/// The same of a page that reads each job whole.
const EXAMINED_WHOLE: usize = 1_024;
/// Jobs that are examined together.
const PART: usize = 128;
/// Jobs that are read together, arguments included.
const READ: usize = 64;
/// Ids that are read together.
const IDS: usize = 512;

/// An id in a part of a list.
struct Entry {
    id: JobId,
    is_of: Mark,
    /// The position after it.
    behind: At,
}

/// An id in a list of one state.
#[derive(Clone, Debug)]
pub(crate) struct Entered {
    pub(crate) id: JobId,
    /// Whether the job left the list, although its id is still there.
    pub(crate) is_left: bool,
    /// The position after it.
    pub(crate) behind: Cursor,
}

/// The condition, beside the state, under which a job belongs to this position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Nothing.
    Any,
    /// The job succeeded at this time (ms).
    Since(i64),
    /// The job runs by this claim.
    Claim(i64),
    /// The job left its lane, although the list still has its id.
    Left,
}

impl Mark {
    fn fits(self, job: &Job) -> bool {
        match self {
            Self::Any => true,
            Self::Since(ms) => job.since == ms,
            Self::Claim(claim) => job.claim == claim,
            Self::Left => false,
        }
    }
}

/// A part of one state's jobs.
#[derive(Default)]
struct Slice {
    entries: Vec<Entry>,
    /// Where the state's list continues.
    next: Option<At>,
    /// Examined jobs and lanes.
    cost: usize,
}

impl Client {
    /// A page of at most `limit` jobs. Finished jobs come newest first, other jobs in the order of
    /// their next event, ready jobs by class and lane.
    ///
    /// # Errors
    /// When the cursor does not belong to this list, Redis failed, or a job is damaged.
    pub async fn list(&self, filter: &Filter, from: Option<Cursor>, limit: usize) -> Result<Page, Error> {
        if let Some(cursor) = &from {
            filter.check(cursor)?;
        }
        self.check_layout().await?;
        let Some(matched) = self.matched(filter).await? else {
            // The queue knows no such route.
            return Ok(Page { jobs: Vec::new(), next: None, searched: None });
        };
        if filter.subject.is_some() || filter.subject_prefix.is_some() {
            return self.list_subjects(filter, &matched, from, limit).await;
        }
        let most = if filter.reads_whole() { EXAMINED_WHOLE } else { EXAMINED };
        let start = from.as_ref().and_then(Cursor::state).unwrap_or(0);
        // A position at the beginning of a state is none in it.
        let mut at = from.map(|cursor| cursor.0).filter(|at| !matches!(at, At::Start(_)));
        let (mut jobs, mut examined) = (Vec::new(), 0);
        let after = |place: usize| (place + 1..State::ALL.len()).find(|place| filter.wants(*place));
        for place in (start..State::ALL.len()).filter(|place| filter.wants(*place)) {
            let Some(&state) = State::ALL.get(place) else { break };
            let mut behind = at.take();
            loop {
                let room = limit - jobs.len();
                if room == 0 || examined >= most {
                    let next = behind.unwrap_or(At::Start(place));
                    let searched = (room > 0).then_some(Searched { jobs: examined, state: Some(state) });
                    return Ok(Page { jobs, next: Some(Cursor(next)), searched });
                }
                let take = if filter.looks(state) { PART } else { room.min(IDS) };
                let first = behind.or_else(|| filter.first(place, state));
                let mut slice = self.slice(filter, state, first.as_ref(), take).await?;
                examined += slice.cost;
                filter.bound(state, &mut slice);
                behind = self.pick(filter, &matched, state, slice, &mut jobs, limit).await?;
                if behind.is_none() {
                    if jobs.len() >= limit {
                        let next = after(place).map(|place| Cursor(At::Start(place)));
                        return Ok(Page { jobs, next, searched: None });
                    }
                    break;
                }
            }
        }
        Ok(Page { jobs, next: None, searched: None })
    }

    /// Up to `take` entries of one state from a position, of ready jobs those of a tenant, and where the
    /// list continues.
    pub(crate) async fn entries_of(
        &self,
        state: State,
        tenant: Option<&str>,
        from: Option<&Cursor>,
        take: usize,
    ) -> Result<(Vec<Entered>, Option<Cursor>), Error> {
        let filter = Filter { tenant: tenant.map(ToOwned::to_owned), ..Filter::default() };
        let Slice { entries, next, .. } =
            self.slice(&filter, state, from.map(|cursor| &cursor.0), take).await?;
        let entered = |Entry { id, is_of, behind }: Entry| Entered {
            id,
            is_left: is_of == Mark::Left,
            behind: Cursor(behind),
        };
        Ok((entries.into_iter().map(entered).collect(), next.map(Cursor)))
    }

    /// Up to `take` ids of one state from a position.
    async fn slice(
        &self,
        filter: &Filter,
        state: State,
        from: Option<&At>,
        take: usize,
    ) -> Result<Slice, Error> {
        if let Some(group) = &filter.group {
            let index = if state == State::Dead { Sorted::Members(group) } else { Sorted::Retrying(group) };
            return self.sorted_slice(index, state, from, take).await;
        }
        match state {
            State::Succeeded => self.succeeded_slice(from, take).await,
            State::Running => self.running_slice(from, take).await,
            State::Ready => self.ready_slice(filter.tenant.as_deref(), from, take).await,
            State::Scheduled | State::Parked | State::Dead | State::Cancelled => {
                self.sorted_slice(Sorted::Of(state), state, from, take).await
            }
        }
    }

    async fn sorted_slice(
        &self,
        index: Sorted<'_>,
        of: State,
        from: Option<&At>,
        take: usize,
    ) -> Result<Slice, Error> {
        let behind = match from {
            Some(At::Sorted { score, id, .. }) => Some((*score, id.as_str())),
            _ => None,
        };
        let up = !of.is_final();
        // One more than wanted tells whether the list continues.
        let mut found = self.part_of(index, up, behind, take + 1).await?;
        let more = found.len() > take;
        found.truncate(take);
        let state = State::ALL.iter().position(|each| *each == of).unwrap_or_default();
        let entries: Vec<Entry> = found
            .into_iter()
            .map(|(id, score)| {
                let id = JobId::trusted(id);
                Entry { behind: At::Sorted { state, score, id: id.clone() }, id, is_of: Mark::Any }
            })
            .collect();
        let next = entries.last().filter(|_| more).map(|last| last.behind.clone());
        Ok(Slice { cost: entries.len(), entries, next })
    }

    /// Reads the jobs of a slice that the filter admits, until the page is full. Returns where the
    /// state's list continues.
    async fn pick(
        &self,
        filter: &Filter,
        matched: &Matched,
        state: State,
        slice: Slice,
        jobs: &mut Vec<Job>,
        limit: usize,
    ) -> Result<Option<At>, Error> {
        let ids: Vec<&JobId> = slice.entries.iter().map(|entry| &entry.id).collect();
        let fits: Vec<usize> =
            if matched.is_any() { (0..ids.len()).collect() } else { self.matching(matched, &ids).await? };
        for part in fits.chunks(READ) {
            let ids: Vec<JobId> =
                part.iter().filter_map(|i| slice.entries.get(*i)).map(|entry| entry.id.clone()).collect();
            let mut found: HashMap<JobId, Job> =
                self.jobs(&ids).await?.into_iter().map(|job| (job.id.clone(), job)).collect();
            for i in part {
                let Some(entry) = slice.entries.get(*i) else { break };
                // The jobs of a group that run again are listed together, whatever their state.
                let is_of = |job: &Job| match filter.group {
                    Some(_) => (job.state == State::Dead) == (state == State::Dead),
                    None => job.state == state,
                };
                let is_here = |job: &Job| is_of(job) && entry.is_of.fits(job) && filter.admits(job, matched);
                if !found.get(&entry.id).is_some_and(is_here) {
                    continue;
                }
                let Some(job) = found.remove(&entry.id) else { continue };
                let enqueued = job.enqueued_at;
                jobs.push(job);
                if jobs.len() == limit {
                    let more = i + 1 < slice.entries.len();
                    return Ok(if more { Some(entry.behind.enqueued(enqueued)) } else { slice.next });
                }
            }
        }
        Ok(slice.next)
    }

    /// A page of the index of subjects.
    async fn list_subjects(
        &self,
        filter: &Filter,
        matched: &Matched,
        from: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, Error> {
        let (mut after, end) = filter.range(from.map(|cursor| cursor.0));
        let (mut jobs, mut examined) = (Vec::new(), 0);
        loop {
            let take = limit.saturating_sub(jobs.len()).clamp(1, PART);
            let mut found: Vec<String> = redis::cmd("ZRANGE")
                .arg(self.keys.subjects())
                .arg(&after)
                .arg(&end)
                .arg("BYLEX")
                .arg("LIMIT")
                .arg(0)
                .arg(take + 1)
                .query_async(&mut self.conn.clone())
                .await?;
            let more = found.len() > take;
            found.truncate(take);
            let named = |entry: &String| {
                let (subject, id) = entry.rsplit_once('\0')?;
                Some((Arc::<str>::from(subject), JobId::trusted(id.to_owned())))
            };
            let entries: Vec<(Arc<str>, JobId)> = found.iter().filter_map(named).collect();
            let ids: Vec<JobId> = entries.iter().map(|(_, id)| id.clone()).collect();
            examined += found.len();
            for ids in ids.chunks(READ) {
                let some = self.jobs(ids).await?;
                jobs.extend(some.into_iter().filter(|job| filter.admits(job, matched)));
            }
            let (Some(last), true) = (entries.into_iter().next_back(), more) else {
                return Ok(Page { jobs, next: None, searched: None });
            };
            if jobs.len() >= limit || examined >= EXAMINED_WHOLE {
                let searched = (jobs.len() < limit).then_some(Searched { jobs: examined, state: None });
                return Ok(Page { jobs, next: Some(Cursor(filter.behind(last))), searched });
            }
            after = format!("({}\0{}", last.0, last.1).into_bytes();
        }
    }
}

impl Cursor {
    /// The same position, after a job that was enqueued at this time (ms).
    pub(crate) fn enqueued(&self, ms: i64) -> Self {
        Self(self.0.enqueued(ms))
    }
}

impl At {
    /// The same position, after a job that was enqueued at this time (ms).
    fn enqueued(&self, ms: i64) -> Self {
        match self {
            Self::Lane { class, flow, behind: InLane::Listed { place, id, .. } } => Self::Lane {
                class: *class,
                flow: Arc::clone(flow),
                behind: InLane::Listed { enqueued_at: ms, place: *place, id: id.clone() },
            },
            other => other.clone(),
        }
    }
}
