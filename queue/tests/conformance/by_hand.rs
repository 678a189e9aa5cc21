//! What a worker says to Redis, said by hand: so a test decides which call comes when.

use std::{sync::LazyLock, time::Duration};

use serde_json::json;
use upshot_queue::{
    Crashes, FailureClass, Job, Shares, Wait,
    protocol::{Claim, Claimed, Disposition, EndedAttempt},
};

use crate::handles::Queue;

/// A call for up to 16 jobs, whose lease outlives the test.
pub fn claim(worker: &str, number: u64) -> Claim<'_> {
    static CRASHES: LazyLock<Crashes> = LazyLock::new(|| Crashes::new(3, Wait::NONE));
    Claim {
        worker,
        want: 16,
        lease: Duration::from_secs(600),
        crashes: &CRASHES,
        crashes_by_kind: &[],
        kinds: None,
        request_id: number,
        shares: Shares::default(),
        quantum: 16,
    }
}

/// What was leased.
pub fn jobs(queue: &Queue, worker: &str, claimed: Claimed) -> Vec<Job> {
    claimed.jobs(queue, worker).map(Result::unwrap).collect()
}

/// Leases jobs.
pub async fn lease(queue: &Queue, worker: &str, number: u64) -> Vec<Job> {
    jobs(queue, worker, queue.worker.claim(&claim(worker, number)).await.unwrap())
}

pub fn ended(job: &Job, disposition: Disposition) -> EndedAttempt {
    EndedAttempt {
        id: job.id.clone(),
        token: job.token,
        flow: job.flow(),
        expectation: job.expectation,
        args: job.args.len(),
        clock: None,
        disposition,
    }
}

/// Ends attempts in the same way; none is refused.
pub async fn settle(queue: &Queue, worker: &str, jobs: &[Job], end: &Disposition) {
    let batch: Vec<EndedAttempt> = jobs.iter().map(|job| ended(job, end.clone())).collect();
    assert!(queue.worker.settle(worker, &batch).await.unwrap().into_iter().all(|written| written));
}

pub fn succeed() -> Disposition {
    Disposition::Succeed("null".to_owned())
}

pub fn retry(delay: Duration) -> Disposition {
    let normal = "away".to_owned();
    Disposition::Retry { delay, class: FailureClass::Transient, normal, line: failed() }
}

pub fn bury() -> Disposition {
    let normal = "no such customer".to_owned();
    Disposition::Bury { class: FailureClass::Permanent, normal, line: failed() }
}

pub fn cancel() -> Disposition {
    Disposition::Cancel { line: line("cancelled") }
}

pub fn park(condition: &str) -> Disposition {
    Disposition::Park {
        condition: condition.to_owned(),
        within: None,
        why: "nobody is there".to_owned(),
        line: line("parked"),
    }
}

/// Parks for so many ms.
pub fn park_within(condition: &str, ms: u64) -> Disposition {
    let mut end = park(condition);
    if let Disposition::Park { within, .. } = &mut end {
        *within = Some(Duration::from_millis(ms));
    }
    end
}

/// A line of the history.
pub fn line(did: &str) -> String {
    json!({"at": 1, "did": did}).to_string()
}

fn failed() -> String {
    json!({"at": 1, "attempt": 1, "class": "permanent", "message": "no such customer"}).to_string()
}
