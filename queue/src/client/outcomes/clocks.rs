//! Reads how long the jobs took whose outcomes were achieved: a histogram for each route and stage.

use std::collections::BTreeMap;

use crate::{
    client::handle::Client,
    error::Error,
    job::clock::{Stage, WHOLE},
    policy::histogram::Histogram,
    scripts::CLOCKS_MS,
};

/// Milliseconds of an hour.
pub(crate) const HOUR_MS: i64 = 3_600_000;
/// The letter of the count of jobs whose clocks disagreed.
pub(crate) const SKEWED: char = 's';
/// Hours that are read together.
const HOURS: usize = 24;

/// Histograms of some hours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// By the number of the route.
    pub routes: BTreeMap<u32, RouteClocks>,
    /// Times that found no room in their hour, and are in no histogram.
    pub uncounted: u64,
}

/// The histograms of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteClocks {
    /// The whole times.
    pub whole: Histogram,
    /// Jobs whose clocks disagreed.
    pub skewed: u64,
    /// The times in each stage that are not 0.
    stages: BTreeMap<Stage, Histogram>,
}

impl RouteClocks {
    /// The times in a stage, of as many jobs as the whole has.
    pub fn of(&self, stage: Stage) -> Histogram {
        let mut times = self.stages.get(&stage).cloned().unwrap_or_default();
        times.add(0, self.whole.count().saturating_sub(times.count()));
        times
    }

    /// Adds those of another route, or of another hour.
    pub fn merge(&mut self, other: &Self) {
        self.whole.merge(&other.whole);
        self.skewed = self.skewed.saturating_add(other.skewed);
        for (stage, times) in &other.stages {
            self.stages.entry(*stage).or_default().merge(times);
        }
    }
}

impl Clocks {
    /// Adds a field. Leaves out what a newer version wrote.
    fn add(&mut self, name: &str, n: u64) {
        if name == "*" {
            self.uncounted = self.uncounted.saturating_add(n);
            return;
        }
        let mut parts = name.split('|');
        let route = parts.next().and_then(|route| route.parse().ok());
        let letter = parts.next().and_then(|letter| letter.parse::<char>().ok());
        let bucket = parts.next().map(str::parse::<u16>);
        let (Some(route), Some(letter)) = (route, letter) else { return };
        let of = self.routes.entry(route).or_default();
        match (letter, Stage::from_letter(letter), bucket) {
            (SKEWED, _, None) => of.skewed = of.skewed.saturating_add(n),
            (WHOLE, _, Some(Ok(bucket))) => of.whole.add(bucket, n),
            (_, Some(stage), Some(Ok(bucket))) => of.stages.entry(stage).or_default().add(bucket, n),
            _ => {}
        }
    }
}

impl Client {
    /// The histograms of the hours that a period (UTC ms) touches: at most the last ones that are
    /// kept. Returns when the first of these hours began as well.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn clocks(&self, from: i64, to: i64) -> Result<(i64, Clocks), Error> {
        self.check_layout().await?;
        let last = to.div_euclid(HOUR_MS);
        let kept = i64::try_from(CLOCKS_MS).unwrap_or(i64::MAX) / HOUR_MS;
        let first = from.div_euclid(HOUR_MS).max(last - kept).min(last);
        let hours: Vec<i64> = (first..=last).collect();
        let mut clocks = Clocks::default();
        for hours in hours.chunks(HOURS) {
            let mut pipe = redis::pipe();
            for hour in hours {
                pipe.cmd("HGETALL").arg(self.keys.clocks(*hour));
            }
            let found: Vec<Vec<(String, u64)>> = pipe.query_async(&mut self.conn.clone()).await?;
            found.into_iter().flatten().for_each(|(name, n)| clocks.add(&name, n));
        }
        Ok((first * HOUR_MS, clocks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::histogram::bucket_of;

    #[test]
    fn fields_of_an_hour_are_taken_apart() {
        let mut clocks = Clocks::default();
        let run = format!("3|r|{}", bucket_of(8));
        let whole = format!("3|e|{}", bucket_of(100));
        for (name, n) in [
            (run.as_str(), 2),
            (whole.as_str(), 4),
            ("3|s", 1),
            ("*", 7),
            ("by|4711-a", 9),
            ("3|?|1", 1),
            ("3|r|", 1),
        ] {
            clocks.add(name, n);
        }
        let of = &clocks.routes[&3];
        assert_eq!((of.whole.count(), of.skewed, clocks.uncounted, clocks.routes.len()), (4, 1, 7, 1));
        let run = of.of(Stage::Run);
        assert_eq!((run.count(), run.quantile(0.5), run.quantile(0.51)), (4, Some(0), Some(8)));
        let mut twice = of.clone();
        twice.merge(of);
        assert_eq!((twice.of(Stage::Run).count(), twice.skewed), (8, 2));
    }
}
