//! Samples how long the latest runs of each route took.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;
use upshot_queue::{Client, Error, JobId, QueueName, State};

use super::{RunTimes, Work};

/// The latest succeeded jobs of a queue that are looked at.
const RUNS: usize = 400;
/// How long a sample is used again.
const FRESH: Duration = Duration::from_secs(5);
/// Packs of ids that are read together, and ids that a count looks at, at most.
const PACKS: usize = 4;
const LOOKED_AT: usize = 400;

/// Run times of the routes of a queue.
#[derive(Clone, Debug, Default)]
pub struct QueueRunTimes {
    routes: HashMap<u32, RunTimes>,
    unknown: RunTimes,
    /// How many of the sample ended, and when the first and the last did, UTC ms.
    ended: Option<(usize, i64, i64)>,
}

/// Samples of run times, used again for some seconds.
#[derive(Debug, Default)]
pub struct RunTimesCache {
    samples: Mutex<HashMap<QueueName, (Instant, Arc<QueueRunTimes>)>>,
}

impl QueueRunTimes {
    /// Those of a route, by its number.
    pub fn of(&self, route: u32) -> &RunTimes {
        self.routes.get(&route).unwrap_or(&self.unknown)
    }

    /// Reads the times of the latest succeeded jobs of a queue, a bounded number.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn read(queue: &Client) -> Result<Self, Error> {
        let latest = queue.succeeded_ids(None, RUNS).await?;
        let ids: Vec<JobId> = latest.into_iter().map(|(id, ..)| id).collect();
        let mut times: HashMap<u32, Vec<i64>> = HashMap::new();
        let mut ended: Option<(usize, i64, i64)> = None;
        for job in queue.briefs(&ids).await?.into_iter().flatten() {
            let (n, first, last) = ended.unwrap_or((0, job.since, job.since));
            ended = Some((n + 1, first.min(job.since), last.max(job.since)));
            if let (State::Succeeded, Some(began), Some(expectation)) =
                (job.state, job.began, job.expectation)
            {
                // The wait for a proof is no part of the run.
                let ended = job.awaits.as_ref().map_or(job.since, |awaits| awaits.since);
                times.entry(expectation.route).or_default().push(ended.saturating_sub(began).max(0));
            }
        }
        let routes = times.into_iter().map(|(route, times)| (route, RunTimes::new(times))).collect();
        Ok(Self { routes, unknown: RunTimes::default(), ended })
    }

    /// Jobs that succeeded in a ms, over the time of the sample; `None` for too small a sample.
    pub fn pace(&self) -> Option<f64> {
        let (n, first, last) = self.ended.filter(|(n, first, last)| *n > 1 && last > first)?;
        Some((n - 1) as f64 / (last - first) as f64)
    }

    /// The longest of the times that are reckoned with, ms.
    fn longest(&self) -> i64 {
        self.routes.values().map(RunTimes::p90).max().unwrap_or(0)
    }
}

impl RunTimesCache {
    /// The run times of a queue, at most some seconds old.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn of(&self, queue: &Client) -> Result<Arc<QueueRunTimes>, Error> {
        let mut samples = self.samples.lock().await;
        if let Some((at, times)) = samples.get(queue.name())
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(times));
        }
        let times = Arc::new(QueueRunTimes::read(queue).await?);
        samples.insert(queue.name().clone(), (Instant::now(), Arc::clone(&times)));
        Ok(times)
    }

    /// How many open outcomes of each route of a queue are at risk. Looks at those that are due
    /// soonest, about 400 at most; the second value is false if there may be more.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn count_at_risk(&self, queue: &Client, now: i64) -> Result<(HashMap<u32, u64>, bool), Error> {
        let times = self.of(queue).await?;
        let horizon = now.saturating_add(times.longest());
        let mut at_risk: HashMap<u32, u64> = HashMap::new();
        let (mut looked, mut behind): (usize, Option<(i64, JobId)>) = (0, None);
        loop {
            let from = behind.as_ref().map(|(until, first)| (*until, format!("{first}~")));
            let from = from.as_ref().map(|(until, first)| (*until, first.as_str()));
            let packs = queue.due_packs(from, PACKS).await?;
            let ids: Vec<JobId> = packs.iter().flat_map(|pack| pack.ids.iter().cloned()).collect();
            let briefs = queue.briefs(&ids).await?;
            let scheduled = briefs.iter().flatten().filter(|job| job.state == State::Scheduled);
            let scheduled: Vec<JobId> = scheduled.map(|job| job.id.clone()).collect();
            let starts = queue.due_times(&scheduled).await?;
            let starts: HashMap<JobId, Option<i64>> = scheduled.into_iter().zip(starts).collect();
            for job in briefs.iter().flatten() {
                let start = starts.get(&job.id).copied().flatten();
                if let Some(expectation) = job.expectation
                    && times.is_at_risk(job, Work::of(job, start), now)
                {
                    *at_risk.entry(expectation.route).or_default() += 1;
                }
            }
            looked += ids.len();
            let last = packs.last().and_then(|pack| Some((pack.until, pack.ids.first()?.clone())));
            match last {
                Some((until, _)) if packs.len() == PACKS && until <= horizon => {
                    if looked >= LOOKED_AT {
                        return Ok((at_risk, false));
                    }
                    behind = last;
                }
                _ => return Ok((at_risk, true)),
            }
        }
    }
}
