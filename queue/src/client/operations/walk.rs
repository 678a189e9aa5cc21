//! The jobs of a selection, in parts, each job with where the walk continues behind it.

use serde::{Deserialize, Serialize};

use crate::{
    client::{
        handle::Client,
        list::{Cursor, Entered, Sorted},
    },
    error::Error,
    job::{Job, id::JobId, state::State},
    policy::{
        account::Account,
        operation::{Facts, Source},
    },
    scripts::{self, Call, MAX_BATCH},
};

/// Entries of an index that are read together.
const PART: usize = MAX_BATCH;

/// Where a walk continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    /// Behind an entry of a sorted set.
    After {
        /// Its score.
        at: i64,
        /// Its id.
        id: JobId,
    },
    /// Behind an entry of the outcomes of a route.
    OfRoute {
        /// The number of the route.
        route: u32,
        /// The entry; none for the beginning.
        after: Option<(i64, JobId)>,
    },
    /// In a list of jobs of one state.
    Listed(Cursor),
    /// Behind so many of the named jobs.
    Named(usize),
}

/// An entry that a walk met.
#[derive(Clone, Debug)]
pub(super) struct Met {
    pub(super) id: JobId,
    /// The time of the entry, where it is not the job's own, UTC ms.
    pub(super) at: Option<i64>,
    /// Whether the entry is of a job that left.
    pub(super) is_left: bool,
    /// Where the walk continues behind it.
    pub(super) place: Place,
}

/// A part of a walk.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) met: Vec<Met>,
    /// Where the walk continues behind all of them; none at its end.
    pub(super) next: Option<Place>,
}

impl Client {
    /// The next entries of a source.
    pub(super) async fn walk(
        &self,
        source: &Source,
        tenant: Option<&str>,
        from: Option<&Place>,
        cutoff: i64,
    ) -> Result<Part, Error> {
        match source {
            Source::Ids(ids) => Ok(named(ids, from)),
            Source::Outcome(account) => self.walk_outcomes(*account, from).await,
            Source::State { state: State::Dead, group: Some(group), .. } => {
                self.walk_sorted(Sorted::Members(group), from, cutoff).await
            }
            Source::State { state: State::Parked, condition: Some(condition), .. } => {
                self.walk_sorted(Sorted::Need(condition), from, cutoff).await
            }
            Source::State { state: state @ (State::Dead | State::Parked | State::Cancelled), .. } => {
                self.walk_sorted(Sorted::Of(*state), from, cutoff).await
            }
            Source::State { state, .. } => self.walk_listed(*state, tenant, from).await,
        }
    }

    /// A set by the time at which jobs came into their state, the first one first. What came after the
    /// cut-off ends the walk.
    async fn walk_sorted(
        &self,
        sorted: Sorted<'_>,
        from: Option<&Place>,
        cutoff: i64,
    ) -> Result<Part, Error> {
        let behind = match from {
            Some(Place::After { at, id }) => Some((*at, id.as_str())),
            _ => None,
        };
        let found = self.part_of(sorted, true, behind, PART).await?;
        let is_last = found.len() < PART || found.last().is_some_and(|(_, at)| *at >= cutoff);
        let met = |(id, at): (String, i64)| {
            let id = JobId::trusted(id);
            Met { id: id.clone(), at: None, is_left: false, place: Place::After { at, id } }
        };
        let met: Vec<Met> = found.into_iter().filter(|(_, at)| *at < cutoff).map(met).collect();
        let next = met.last().filter(|_| !is_last).map(|last| last.place.clone());
        Ok(Part { met, next })
    }

    /// Route by route, in the order of their numbers, the first one due first.
    async fn walk_outcomes(&self, account: Account, from: Option<&Place>) -> Result<Part, Error> {
        let routes: Vec<u32> = self.routes().await?.into_keys().collect();
        let (first, mut after) = match from {
            Some(Place::OfRoute { route, after }) => (*route, after.clone()),
            _ => (0, None),
        };
        let mut part = Part::default();
        for route in routes.iter().copied().filter(|route| *route >= first) {
            let room = PART - part.met.len();
            if room == 0 {
                part.next = Some(Place::OfRoute { route, after: None });
                return Ok(part);
            }
            let behind = after.take().filter(|_| route == first);
            let behind = behind.as_ref().map(|(at, id)| (*at, id.as_str()));
            let found = self.outcome_ids(route, account, true, behind, room).await?;
            let is_full = found.len() == room;
            part.met.extend(found.into_iter().map(|(id, at)| {
                let place = Place::OfRoute { route, after: Some((at, id.clone())) };
                Met { id, at: Some(at), is_left: false, place }
            }));
            if is_full {
                part.next = part.met.last().map(|last| last.place.clone());
                return Ok(part);
            }
        }
        Ok(part)
    }

    /// A state that has no set by time.
    async fn walk_listed(
        &self,
        state: State,
        tenant: Option<&str>,
        from: Option<&Place>,
    ) -> Result<Part, Error> {
        let behind = match from {
            Some(Place::Listed(cursor)) => Some(cursor),
            _ => None,
        };
        let (entries, next) = self.entries_of(state, tenant, behind, PART).await?;
        let met = |Entered { id, is_left, behind }: Entered| Met {
            id,
            at: None,
            is_left,
            place: Place::Listed(behind),
        };
        Ok(Part { met: entries.into_iter().map(met).collect(), next: next.map(Place::Listed) })
    }

    /// What an operation asks of jobs, in order; `None` for a job that is not there, or that cannot be
    /// read, which is logged.
    pub(super) async fn survey(&self, ids: &[JobId]) -> Result<Vec<Option<Facts>>, Error> {
        let mut all = Vec::with_capacity(ids.len());
        while let Some(rest) = ids.get(all.len()..).filter(|rest| !rest.is_empty()) {
            let mut call = Call::new(&scripts::SURVEY, &self.keys);
            for id in rest.iter().take(MAX_BATCH) {
                call.arg(id.as_str());
            }
            let said: Vec<Vec<u8>> = call.run(&mut self.conn.clone()).await?;
            let (found, _) = said.as_chunks::<5>();
            if found.is_empty() {
                break;
            }
            all.extend(rest.iter().zip(found).map(|(id, [head, state, account, group, replaced])| {
                if head.is_empty() {
                    return None;
                }
                let job = Job::brief(id, &self.name, head, state, account, b"")
                    .inspect_err(|error| tracing::error!(%error, "passed over by an operation"))
                    .ok()?;
                let account = account.first().and_then(|letter| Account::from_letter(char::from(*letter)));
                let group = String::from_utf8(group.clone()).ok().filter(|group| !group.is_empty());
                Some(Facts { job, account, group, is_replaced: !replaced.is_empty() })
            }));
        }
        all.resize_with(ids.len(), || None);
        Ok(all)
    }
}

fn named(ids: &[JobId], from: Option<&Place>) -> Part {
    let first = match from {
        Some(Place::Named(seen)) => *seen,
        _ => 0,
    };
    let met: Vec<Met> = ids
        .iter()
        .enumerate()
        .skip(first)
        .take(PART)
        .map(|(i, id)| Met { id: id.clone(), at: None, is_left: false, place: Place::Named(i + 1) })
        .collect();
    let next = met.last().filter(|_| first + met.len() < ids.len()).map(|last| last.place.clone());
    Part { met, next }
}

impl Place {
    /// The same place, behind a job that was enqueued at this time (ms).
    pub(super) fn enqueued(self, ms: i64) -> Self {
        match self {
            Self::Listed(cursor) => Self::Listed(cursor.enqueued(ms)),
            other => other,
        }
    }
}
