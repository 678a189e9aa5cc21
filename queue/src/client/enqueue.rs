//! Enqueues jobs.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    client::handle::Client,
    error::Error,
    job::{NewJob, Rejection, flow, id::JobId, state::State},
    redis::clock::delay_ms,
    scripts::{self, CALL_BYTES, Call},
};

/// The result of an enqueue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnqueueResult {
    /// The job was inserted.
    Inserted,
    /// A job was there already.
    Duplicate {
        /// The job with the same id, or the job that holds the idempotency key.
        id: JobId,
        /// Where it is.
        state: State,
    },
    /// The queue refuses the job. The other jobs of its batch were taken.
    Rejected(Rejection),
}

/// Batches of one list in flight at the same time.
const IN_FLIGHT: usize = 3;

impl Client {
    /// Enqueues jobs, at most 77 in a script call, or 20 if each has its own lane. Returns a result
    /// for each, in order.
    ///
    /// # Errors
    /// When Redis failed. Parts of a longer list may be in the queue already; enqueueing the same
    /// list again finds them.
    pub async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<EnqueueResult>, Error> {
        let mut results: Vec<EnqueueResult> = Vec::with_capacity(jobs.len());
        let mut taken: Vec<(usize, &NewJob)> = Vec::with_capacity(jobs.len());
        for (place, job) in jobs.iter().enumerate() {
            match job.check(self.max_payload) {
                Ok(()) => taken.push((place, job)),
                Err(rejection) => {
                    results.resize(place, EnqueueResult::Inserted);
                    results.push(EnqueueResult::Rejected(rejection));
                }
            }
        }
        results.resize(jobs.len(), EnqueueResult::Inserted);
        by_lane(&mut taken);
        // The next batches are built while Redis works on the first.
        let batches: Vec<_> = batches(&taken).into_iter().map(|batch| self.enqueue_batch(batch)).collect();
        let mut found = stream::iter(batches).buffered(IN_FLIGHT);
        while let Some(found) = found.try_next().await? {
            for (place, result) in found {
                if let Some(there) = results.get_mut(place) {
                    *there = result;
                }
            }
        }
        Ok(results)
    }

    /// Enqueues one batch. Returns the results of jobs that were there already, by their position
    /// in the list.
    async fn enqueue_batch(&self, batch: &[(usize, &NewJob)]) -> Result<Vec<(usize, EnqueueResult)>, Error> {
        let mut call = Call::new(&scripts::ENQUEUE, &self.keys);
        add_batch(&mut call, batch);
        let found: Vec<(usize, String)> = self.run_replicated(&call).await?;
        let result = |(nth, said): &(usize, String)| {
            let (place, job) = batch.get(nth.checked_sub(1)?)?;
            Some((*place, result(said, &job.id)))
        };
        Ok(found.iter().filter_map(result).collect())
    }
}

/// Adds the jobs of a batch to a call, as `enqueue.lua` has them.
pub(super) fn add_batch(call: &mut Call, batch: &[(usize, &NewJob)]) {
    let width = batch.iter().map(|(_, job)| job.width()).max().unwrap_or(2);
    let groups: Vec<_> = batch.chunk_by(|(_, one), (_, next)| one.group() == next.group()).collect();
    let mut routes: Vec<&str> = Vec::new();
    for route in groups.iter().filter_map(|group| group.first()?.1.group().1) {
        if !routes.contains(&route) {
            routes.push(route);
        }
    }
    call.arg(batch.len()).arg(width).arg(groups.len()).arg(routes.len()).arg(&routes);
    for group in groups {
        let Some((_, first)) = group.first() else { continue };
        let flow = first.flow();
        let (_, route, within) = first.group();
        let route = routes.iter().position(|each| Some(*each) == route).map_or(0, |place| place + 1);
        call.arg(flow::lane(first.priority, &flow)).arg(route).arg(delay_ms(within)).arg(group.len());
        for (_, job) in group {
            call.arg(job.id.as_str()).arg(job.body(&flow));
            if width > 2 {
                call.arg(job.due());
            }
            if width > 3 {
                call.arg(job.subject.as_deref().unwrap_or_default());
            }
            if width > 4 {
                call.arg(job.delay.as_millis() as u64);
            }
            if width > 5 {
                call.arg(job.rare());
            }
        }
    }
}

/// The largest cost of a batch, in jobs, so that no call blocks Redis for long.
const MAX_COST: usize = 80;
/// The additional cost of the first job of a lane.
const LANE_COST: usize = 3;

/// Sorts jobs by lane and keeps their order within a lane, so that a call touches few lanes and
/// Redis stores the jobs of a lane together. Keeps the list's order if it decides which of two jobs
/// finds the other.
fn by_lane(jobs: &mut [(usize, &NewJob)]) {
    if jobs.is_sorted_by_key(|(_, job)| job.group()) {
        return;
    }
    let mut ids = HashSet::with_capacity(jobs.len());
    if jobs.iter().all(|(_, job)| job.unique.is_none() && ids.insert(&job.id)) {
        jobs.sort_by_key(|(_, job)| job.group());
    }
}

/// The jobs in batches, in order.
fn batches<'a, 'b>(jobs: &'a [(usize, &'b NewJob)]) -> Vec<&'a [(usize, &'b NewJob)]> {
    let (mut parts, mut rest) = (Vec::new(), jobs);
    while !rest.is_empty() {
        let (mut cost, mut bytes) = (0, 0);
        let mut end = 0;
        let mut last = None;
        for (_, job) in rest {
            // A lane that appears twice counts twice; in a sorted list no lane does.
            let is_new = last.replace(job.group()) != Some(job.group());
            cost += if is_new { 1 + LANE_COST } else { 1 };
            if cost > MAX_COST || bytes >= CALL_BYTES {
                break;
            }
            bytes += job.bytes();
            end += 1;
        }
        let (part, behind) = rest.split_at(end);
        parts.push(part);
        rest = behind;
    }
    parts
}

/// The script's reply about a job that was there: its state, or its state and the id of another
/// job.
fn result(said: &str, id: &JobId) -> EnqueueResult {
    if said == "damaged" {
        return EnqueueResult::Rejected(Rejection::Damaged(id.clone()));
    }
    let (state, other) = said.split_once(' ').map_or((said, None), |(state, other)| (state, Some(other)));
    let id = other.map_or_else(|| id.clone(), |other| JobId::trusted(other.to_owned()));
    EnqueueResult::Duplicate { id, state: state.parse().unwrap_or(State::Ready) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job(tenant: u16) -> NewJob {
        let mut job = NewJob::new(JobId::random(), "k", "");
        job.tenant = Some(tenant.to_string());
        job
    }

    proptest! {
        #[test]
        fn batches_are_the_list_in_parts_that_a_script_takes(
            tenants in prop::collection::vec(0u16..200, 0..600),
            together in any::<bool>(),
            bytes in prop::sample::select(vec![0, 20_000, 600_000]),
        ) {
            let mut jobs: Vec<NewJob> = tenants.iter().copied().map(job).collect();
            // Every third job has that many.
            let args = bytes::Bytes::from(vec![b' '; bytes]);
            jobs.iter_mut().step_by(3).for_each(|job| job.args = args.clone());
            let mut list: Vec<_> = jobs.iter().enumerate().collect();
            if together {
                by_lane(&mut list);
            }
            let parts = batches(&list);
            let places = |jobs: &[(usize, &NewJob)]| jobs.iter().map(|(place, _)| *place).collect::<Vec<_>>();
            prop_assert_eq!(places(&parts.concat()), places(&list));
            let lanes = |jobs: &[(usize, &NewJob)]| jobs.chunk_by(|(_, a), (_, b)| a.group() == b.group()).count();
            let cost = |jobs: &[(usize, &NewJob)]| jobs.len() + lanes(jobs) * LANE_COST;
            let bytes = |jobs: &[(usize, &NewJob)]| jobs.iter().map(|(_, job)| job.args.len()).sum::<usize>();
            for part in &parts {
                prop_assert!(!part.is_empty() && cost(part) <= MAX_COST);
                prop_assert!(bytes(&part[..part.len() - 1]) < CALL_BYTES);
            }
            // No batch has room for the first job of the next one.
            for pair in parts.windows(2) {
                let more = [pair[0], &pair[1][..1]].concat();
                let full = bytes(pair[0]) >= CALL_BYTES;
                prop_assert!(full || cost(&more) > MAX_COST);
            }
        }

        #[test]
        fn jobs_of_a_lane_lie_together_in_the_order_they_had(tenants in prop::collection::vec(0u16..9, 0..200)) {
            let jobs: Vec<NewJob> = tenants.iter().copied().map(job).collect();
            let mut list: Vec<_> = jobs.iter().enumerate().collect();
            by_lane(&mut list);
            prop_assert!(list.is_sorted_by_key(|(place, job)| (job.group(), *place)));
            let mut places: Vec<_> = list.iter().map(|(place, _)| *place).collect();
            places.sort_unstable();
            prop_assert!(places.into_iter().eq(0..jobs.len()));
        }
    }

    #[test]
    fn a_list_whose_jobs_may_find_each_other_keeps_its_order() {
        let mut jobs = [job(2), job(1), job(2)];
        jobs[2].id = jobs[1].id.clone();
        let mut list: Vec<_> = jobs.iter().enumerate().collect();
        by_lane(&mut list);
        assert!(list.is_sorted_by_key(|(place, _)| *place));
    }
}
