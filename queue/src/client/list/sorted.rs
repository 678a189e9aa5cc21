//! Parts of sorted sets, after an entry by its name.

use redis::RedisResult;

use crate::{
    client::handle::Client,
    job::state::State,
    scripts::{self, Call},
};

/// A sorted set that is read in parts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sorted<'a> {
    /// The index of a state; for running jobs, the index of their claims.
    Of(State),
    /// The sorted set of a lane.
    Placed(&'a str),
    /// The dead jobs of a group.
    Members(&'a str),
    /// The jobs that are parked for a condition.
    Need(&'a str),
    /// The operations.
    Operations,
    /// The jobs of a group that run again.
    Retrying(&'a str),
    /// The conditions for which signals are kept.
    Signals,
    /// The ids whose outcomes are expected within the same time.
    Due,
    /// The expectations of one account of a route, by `route:letter`.
    Outcomes(&'a str),
}

impl Client {
    /// Up to `most` entries and their scores after an entry, or from the beginning. Finished jobs
    /// come newest first unless `up` is set, others always in order.
    pub(crate) async fn part_of(
        &self,
        sorted: Sorted<'_>,
        up: bool,
        behind: Option<(i64, &str)>,
        most: usize,
    ) -> RedisResult<Vec<(String, i64)>> {
        let (what, of) = match sorted {
            Sorted::Of(state) => (state.as_str(), ""),
            Sorted::Placed(lane) => ("placed", lane),
            Sorted::Members(group) => ("members", group),
            Sorted::Need(condition) => ("need", condition),
            Sorted::Operations => ("operations", ""),
            Sorted::Retrying(group) => ("retrying", group),
            Sorted::Signals => ("signals", ""),
            Sorted::Due => ("due", ""),
            Sorted::Outcomes(name) => ("outcomes", name),
        };
        let mut call = Call::new(&scripts::PAGE, &self.keys);
        call.arg(what).arg(of).arg(if up { "up" } else { "down" });
        match behind {
            Some((score, member)) => call.arg(score).arg(member),
            None => call.arg("").arg(""),
        };
        let found: Vec<(String, f64)> = call.arg(most).run(&mut self.conn.clone()).await?;
        Ok(found.into_iter().map(|(member, score)| (member, score as i64)).collect())
    }
}
