//! Counts how long the jobs that this worker ends spent in each stage.
//!
//! The counts stay in memory and go to the queue once a second, and when the worker stops. So a job
//! costs no call. A worker that is killed loses its last second of them.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::RedisError;

use super::{
    core::Core,
    protocol::{EndedAttempt, Settled},
};
use crate::{
    client::outcomes::{HOUR_MS, SKEWED},
    job::{
        clock::{Stage, WHOLE},
        id::QueueName,
    },
    policy::histogram::bucket_of,
    scripts::{self, Call, MAX_BATCH},
};

/// The time between two flushes.
const EVERY: Duration = Duration::from_secs(1);

/// What is counted: an hour, a route, the letter of a stage, and a bucket.
type Field = (i64, u32, char, u16);

/// Counts that the queue does not have yet.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    counts: Mutex<HashMap<Field, u64>>,
    unsent: tokio::sync::Mutex<Unsent>,
}

/// Counts on their way, and the number of the last call.
#[derive(Debug, Default)]
struct Unsent {
    number: u64,
    /// Of one hour each. A call without a reply is repeated as it is.
    parts: VecDeque<Part>,
}

#[derive(Debug)]
struct Part {
    number: u64,
    hour: i64,
    counts: Vec<(String, u64)>,
}

/// Flushes until it is dropped.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        tokio::time::sleep(EVERY).await;
        core.clocks.flush(&core).await;
    }
}

impl Clocks {
    /// Counts the ends that were written.
    pub(super) fn note(&self, queue: &QueueName, batch: &[EndedAttempt], settled: &Settled) {
        let hour = settled.at.div_euclid(HOUR_MS);
        let mut skewed = 0;
        // The map is whole after every statement that changes it.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (ended, _) in batch.iter().zip(&settled.written).filter(|(_, written)| **written) {
            let (Some(clock), Some(expectation)) = (ended.clock, ended.expectation) else { continue };
            let (clock, route) = (clock.ended(settled.at), expectation.route);
            let mut count = |letter, bucket| {
                *counts.entry((hour, route, letter, bucket)).or_default() += 1;
            };
            count(WHOLE, bucket_of(clock.whole()));
            // Jobs that spent no time in a stage are the others of the whole.
            for (stage, ms) in Stage::ALL.into_iter().map(|stage| (stage, clock.of(stage))) {
                if ms > 0 {
                    count(stage.letter(), bucket_of(ms));
                }
            }
            if clock.is_skewed {
                count(SKEWED, 0);
                skewed += 1;
            }
        }
        drop(counts);
        if skewed > 0 {
            metrics::counter!("job_queue_clock_skewed_total", "queue" => queue.to_string()).increment(skewed);
        }
    }

    /// Sends what is counted. What Redis does not take stays for the next time.
    pub(super) async fn flush(&self, core: &Core) {
        let mut unsent = self.unsent.lock().await;
        if unsent.parts.is_empty() {
            let counts = std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner));
            let mut hours: BTreeMap<i64, Vec<(String, u64)>> = BTreeMap::new();
            for ((hour, route, letter, bucket), n) in counts {
                let name = if letter == SKEWED {
                    format!("{route}|{letter}")
                } else {
                    format!("{route}|{letter}|{bucket}")
                };
                hours.entry(hour).or_default().push((name, n));
            }
            for (hour, counts) in hours {
                for counts in counts.chunks(MAX_BATCH) {
                    unsent.number += 1;
                    let part = Part { number: unsent.number, hour, counts: counts.to_vec() };
                    unsent.parts.push_back(part);
                }
            }
        }
        while let Some(part) = unsent.parts.front() {
            if let Err(error) = send(core, part).await {
                tracing::debug!(queue = %core.options.queue, %error, "the times of jobs are not counted yet");
                return;
            }
            unsent.parts.pop_front();
        }
    }
}

async fn send(core: &Core, part: &Part) -> Result<(), RedisError> {
    let client = &core.settles.client;
    let mut call = Call::new(&scripts::COUNT_CLOCKS, &client.keys);
    call.arg(core.worker()).arg(part.number).arg(part.hour);
    for (field, n) in &part.counts {
        call.arg(field.as_str()).arg(*n);
    }
    call.run::<u8>(&mut client.conn.clone()).await.map(drop)
}
