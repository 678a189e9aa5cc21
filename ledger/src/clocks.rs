//! Says how long outcomes take, by stage, and how old the oldest one is that has no verdict.
//!
//! The times are of outcomes that were achieved. What is stuck is not among them, so the age of the
//! oldest open outcome stands beside them.

use std::collections::BTreeMap;

use futures::future;
use upshot_queue::{Client, Clock, Error, Histogram, JobId, NO_ROUTE, RouteClocks, Stage};

use crate::span::span;

/// Times (ms) that a half, 95 and 99 of a hundred outcomes did not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiles {
    /// A half.
    pub p50: i64,
    /// 95 of a hundred.
    pub p95: i64,
    /// 99 of a hundred.
    pub p99: i64,
}

/// An outcome without a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oldest {
    /// Its job.
    pub job: JobId,
    /// For how long it has been asked for, ms.
    pub age: i64,
}

/// How long the outcomes of a route take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTimes {
    /// The histograms of those that were achieved.
    pub clocks: RouteClocks,
    /// The oldest one without a verdict.
    pub oldest: Option<Oldest>,
}

/// The times of a queue's routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When the first hour began that counts, UTC ms.
    pub from: i64,
    /// By the number of the route.
    pub routes: BTreeMap<u32, RouteTimes>,
    /// Times that found no room in their hour, and are in no histogram.
    pub uncounted: u64,
}

impl Quantiles {
    /// Those of a histogram; `None` if it is empty.
    pub fn of(times: &Histogram) -> Option<Self> {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| times.quantile(share));
        Some(Self { p50: p50?, p95: p95?, p99: p99? })
    }
}

impl RouteTimes {
    /// Adds those of another route.
    pub fn merge(&mut self, other: Self) {
        self.clocks.merge(&other.clocks);
        let both = self.oldest.take().into_iter().chain(other.oldest);
        self.oldest = both.max_by_key(|oldest| oldest.age);
    }
}

impl Times {
    /// Reads the times of outcomes that were achieved in the hours that a period (UTC ms) touches,
    /// and the oldest open outcomes at `now`.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn read(
        queue: &Client,
        routes: impl Iterator<Item = u32>,
        (from, to): (i64, i64),
        now: i64,
    ) -> Result<Self, Error> {
        let routes: Vec<u32> = routes.filter(|route| *route != NO_ROUTE).collect();
        let ((from, clocks), oldest) =
            future::try_join(queue.clocks(from, to), queue.oldest_open(&routes)).await?;
        let uncounted = clocks.uncounted;
        let mut times: BTreeMap<u32, RouteTimes> = clocks
            .routes
            .into_iter()
            .map(|(route, clocks)| (route, RouteTimes { clocks, oldest: None }))
            .collect();
        for (route, job) in oldest {
            let age = job.clock(now).whole();
            times.entry(route).or_default().oldest = Some(Oldest { job: job.id, age });
        }
        Ok(Self { from, routes: times, uncounted })
    }
}

/// How long a job took, in words, from the longest stage on: `59 min in all: 58 min dead, 30 s
/// between attempts`. Stages of less than a hundredth of it are left out.
pub fn told(clock: &Clock) -> String {
    let whole = clock.whole();
    let mut stages: Vec<(i64, Stage)> = Stage::ALL
        .into_iter()
        .map(|stage| (clock.of(stage), stage))
        .filter(|(ms, _)| ms * 100 >= whole && *ms > 0)
        .collect();
    stages.sort_by_key(|(ms, _)| std::cmp::Reverse(*ms));
    let stages: Vec<String> =
        stages.into_iter().map(|(ms, stage)| format!("{} {}", span(ms), words(stage))).collect();
    let all = span(whole);
    if stages.is_empty() { all } else { format!("{all} in all: {}", stages.join(", ")) }
}

/// A stage in the words behind its time.
const fn words(stage: Stage) -> &'static str {
    match stage {
        Stage::Broker => "on the way to the bridge",
        Stage::Bridge => "in the bridge",
        Stage::Queue => "in the queue",
        Stage::Parked => "parked",
        Stage::Run => "running",
        Stage::RetryWait => "between attempts",
        Stage::Confirmation => "waiting for the proof",
        Stage::Dead => "dead",
    }
}

#[cfg(test)]
mod tests {
    use upshot_queue::{Job, NewJob, Origin, State, clock::LABEL_CLOCK, histogram::bucket_of};

    use super::*;

    #[test]
    fn a_clock_tells_its_longest_stages_first() {
        let new = NewJob::new("a".repeat(26).parse().unwrap(), "test", "");
        let mut job = Job::sample(&"q".parse().unwrap(), new, 10_000);
        let origin = Origin { asked: Some(4_000), received: 9_999 };
        job.labels.insert(LABEL_CLOCK.to_owned(), origin.label());
        (job.state, job.since, job.began) = (State::Succeeded, 13_000, Some(11_000));
        let said = "9.0 s in all: 5.9 s on the way to the bridge, 2.0 s running, 1.0 s in the queue";
        assert_eq!(told(&job.clock(0)), said);
    }

    #[test]
    fn times_of_two_queues_are_one() {
        let of = |ms: i64, age: i64| {
            let mut times = RouteTimes::default();
            times.clocks.whole.add(bucket_of(ms), 1);
            times.oldest = Some(Oldest { job: "a".repeat(26).parse().unwrap(), age });
            times
        };
        let mut sum = of(1_000, 7);
        sum.merge(of(100_000, 3));
        let quantiles = Quantiles::of(&sum.clocks.whole).unwrap();
        assert!((950..1_050).contains(&quantiles.p50) && quantiles.p99 > 90_000, "{quantiles:?}");
        assert_eq!(sum.oldest.unwrap().age, 7);
        assert_eq!(Quantiles::of(&Histogram::default()), None);
    }
}
