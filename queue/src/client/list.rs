//! Lists of jobs: an index with a cursor, never a scan.

mod cursor;
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
pub(crate) use sorted::Sorted;

/// Selects jobs of a queue.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In this state; all states when `None`.
    pub state: Option<State>,
    /// With this subject, from its own index.
    pub subject: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this tenant. Ready jobs of a tenant are read from its lanes.
    pub tenant: Option<String>,
}

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
        if let Some(subject) = &filter.subject {
            return self.list_subject(subject, filter, from, limit).await;
        }
        let start = from.as_ref().and_then(Cursor::state).unwrap_or(0);
        let mut at = from.map(|cursor| cursor.0);
        let (mut jobs, mut examined) = (Vec::new(), 0);
        let after = |place: usize| (place + 1..State::ALL.len()).find(|place| filter.wants(*place));
        for place in (start..State::ALL.len()).filter(|place| filter.wants(*place)) {
            let Some(&state) = State::ALL.get(place) else { break };
            let mut behind = at.take();
            loop {
                let room = limit - jobs.len();
                if room == 0 || examined >= EXAMINED {
                    let next = behind.unwrap_or(At::Start(place));
                    let searched = (room > 0).then_some(Searched { jobs: examined, state: Some(state) });
                    return Ok(Page { jobs, next: Some(Cursor(next)), searched });
                }
                let looks = filter.kind.is_some() || filter.tenant.is_some() && state != State::Ready;
                let take = if looks { PART } else { room.min(IDS) };
                let slice = self.slice(filter, state, behind.as_ref(), take).await?;
                examined += slice.cost;
                behind = self.pick(filter, state, slice, &mut jobs, limit).await?;
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
        match state {
            State::Succeeded => self.succeeded_slice(from, take).await,
            State::Running => self.running_slice(from, take).await,
            State::Ready => self.ready_slice(filter.tenant.as_deref(), from, take).await,
            State::Scheduled | State::Parked | State::Dead | State::Cancelled => {
                self.sorted_slice(state, from, take).await
            }
        }
    }

    async fn sorted_slice(&self, of: State, from: Option<&At>, take: usize) -> Result<Slice, Error> {
        let behind = match from {
            Some(At::Sorted { score, id, .. }) => Some((*score, id.as_str())),
            _ => None,
        };
        let up = !of.is_final();
        // One more than wanted tells whether the list continues.
        let mut found = self.part_of(Sorted::Of(of), up, behind, take + 1).await?;
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
        state: State,
        slice: Slice,
        jobs: &mut Vec<Job>,
        limit: usize,
    ) -> Result<Option<At>, Error> {
        let ids: Vec<&JobId> = slice.entries.iter().map(|entry| &entry.id).collect();
        let fits: Vec<usize> = if filter.kind.is_some() || filter.tenant.is_some() {
            self.matching(filter.kind.as_deref(), filter.tenant.as_deref(), &ids).await?
        } else {
            (0..ids.len()).collect()
        };
        for part in fits.chunks(READ) {
            let ids: Vec<JobId> =
                part.iter().filter_map(|i| slice.entries.get(*i)).map(|entry| entry.id.clone()).collect();
            let mut found: HashMap<JobId, Job> =
                self.jobs(&ids).await?.into_iter().map(|job| (job.id.clone(), job)).collect();
            for i in part {
                let Some(entry) = slice.entries.get(*i) else { break };
                let is_here = |job: &Job| job.state == state && entry.is_of.fits(job) && filter.admits(job);
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

    async fn list_subject(
        &self,
        subject: &str,
        filter: &Filter,
        from: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, Error> {
        let mut after = match from.map(|cursor| cursor.0) {
            Some(At::Subject(id)) => format!("({subject}\0{id}"),
            _ => format!("[{subject}\0"),
        };
        let (mut jobs, mut examined) = (Vec::new(), 0);
        loop {
            let take = limit.saturating_sub(jobs.len()).clamp(1, PART);
            let found: Vec<String> = redis::cmd("ZRANGE")
                .arg(self.keys.subjects())
                .arg(&after)
                .arg(format!("({subject}\x01"))
                .arg("BYLEX")
                .arg("LIMIT")
                .arg(0)
                .arg(take + 1)
                .query_async(&mut self.conn.clone())
                .await?;
            let more = found.len() > take;
            let ids: Vec<JobId> = found
                .into_iter()
                .take(take)
                .filter_map(|entry| entry.rsplit_once('\0').map(|(_, id)| JobId::trusted(id.to_owned())))
                .collect();
            examined += ids.len();
            let next = ids.last().filter(|_| more).cloned();
            jobs.extend(self.jobs(&ids).await?.into_iter().filter(|job| filter.admits(job)));
            let Some(next) = next else { return Ok(Page { jobs, next: None, searched: None }) };
            if jobs.len() >= limit || examined >= EXAMINED {
                let searched = (jobs.len() < limit).then_some(Searched { jobs: examined, state: None });
                return Ok(Page { jobs, next: Some(Cursor(At::Subject(next))), searched });
            }
            after = format!("({subject}\0{next}");
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

impl Filter {
    fn wants(&self, place: usize) -> bool {
        self.state.is_none_or(|state| State::ALL.get(place) == Some(&state))
    }

    /// Whether a cursor belongs to this list.
    fn check(&self, cursor: &Cursor) -> Result<(), BadCursor> {
        let fits = match cursor.state() {
            Some(state) => self.subject.is_none() && self.wants(state),
            None => self.subject.is_some(),
        };
        if fits { Ok(()) } else { Err(BadCursor(cursor.to_string())) }
    }

    fn admits(&self, job: &Job) -> bool {
        self.state.is_none_or(|state| job.state == state)
            && self.kind.as_ref().is_none_or(|kind| job.kind == *kind)
            && self.tenant.as_ref().is_none_or(|tenant| job.tenant.as_ref() == Some(tenant))
            && self.subject.as_ref().is_none_or(|subject| job.subject.as_ref() == Some(subject))
    }
}
