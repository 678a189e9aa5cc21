//! Calls over many large jobs: each reads no more than 512 KiB of them, and what it leaves
//! is done by the next one. The outbox has an entry a call, so it tells what each did.

use std::time::Duration;

use upshot_queue::{Changed, JobId, NewJob, State, protocol::Disposition};

use crate::{
    by_hand::{self, bury, cancel, park},
    fixture::Fixture,
};

const JOBS: usize = 10;
/// Of so many bytes: the third one comes to the bound.
const LARGE: usize = 200_000;
const AT_ONCE: usize = 3;

/// Large jobs that ended in some way, in the order in which they did.
async fn ended(fixture: &Fixture, end: &Disposition) -> Vec<JobId> {
    let large = |_| NewJob::new(JobId::random(), "test", "x".repeat(LARGE));
    fixture.queue.enqueue(&(0..JOBS).map(large).collect::<Vec<_>>()).await.unwrap();
    let mut ids = Vec::new();
    for number in 1.. {
        let jobs = by_hand::lease(&fixture.queue, "one", number).await;
        if jobs.is_empty() {
            break;
        }
        by_hand::settle(&fixture.queue, "one", &jobs, end).await;
        ids.extend(jobs.into_iter().map(|job| job.id));
    }
    assert_eq!(ids.len(), JOBS);
    ids
}

/// How many jobs each call did this to, the first call first.
async fn calls(fixture: &Fixture, what: &str) -> Vec<usize> {
    let entries = fixture.queue.latest_transitions(1_000).await.unwrap();
    let did = |entry: &upshot_queue::outbox::Entry| {
        entry.transitions.iter().filter(|transition| transition.what == what).count()
    };
    entries.iter().rev().map(did).filter(|n| *n > 0).collect()
}

/// As many as fill a call, until none is left.
fn bounded() -> Vec<usize> {
    let mut left = JOBS;
    std::iter::from_fn(|| {
        let n = left.min(AT_ONCE);
        left -= n;
        (n > 0).then_some(n)
    })
    .collect()
}

#[tokio::test]
async fn large_jobs_are_unparked_a_few_at_a_time() {
    let fixture = Fixture::new().await;
    let ids = ended(&fixture, &park("a key")).await;
    assert_eq!(fixture.queue.operator.unpark("a key").await.unwrap(), JOBS as u64);
    assert_eq!(calls(&fixture, "unparked").await, bounded());
    assert!(fixture.queue.conditions().await.unwrap().is_empty());
    let jobs = fixture.queue.jobs(&ids).await.unwrap();
    assert!(jobs.iter().all(|job| job.state == State::Ready), "{jobs:?}");
    fixture.finish().await;
}

#[tokio::test]
async fn large_jobs_are_retried_a_few_at_a_time() {
    let fixture = Fixture::new().await;
    let ids = ended(&fixture, &bury()).await;
    let unknown = JobId::random();
    // What each became is told in the order that was asked for, whatever call did it.
    let asked: Vec<JobId> = ids[..5].iter().chain([&unknown]).chain(&ids[5..]).cloned().collect();
    let said = fixture.queue.operator.retry_paced(&asked, Duration::from_secs(60)).await.unwrap();
    let expected = |(place, id): (usize, &JobId)| match place {
        _ if *id == unknown => Changed::Unknown,
        0 => Changed::To(State::Ready),
        _ => Changed::To(State::Scheduled),
    };
    assert_eq!(said, asked.iter().enumerate().map(expected).collect::<Vec<_>>());
    assert_eq!(calls(&fixture, "revived").await, bounded());
    // The pace goes on from call to call.
    let due: Vec<i64> = fixture.queue.due_times(&ids[1..]).await.unwrap().into_iter().flatten().collect();
    assert_eq!(due.len(), JOBS - 1);
    assert!(due.is_sorted_by(|one, next| next - one >= 60_000), "{due:?}");
    fixture.finish().await;
}

#[tokio::test]
async fn large_jobs_are_forgotten_a_few_at_a_time() {
    let fixture = Fixture::new().await;
    let ids = ended(&fixture, &cancel()).await;
    let said = fixture.queue.operator.forget(&ids, Duration::ZERO).await.unwrap();
    assert_eq!(said, [Changed::Forgotten; JOBS]);
    assert_eq!(calls(&fixture, "forgotten").await, bounded());
    assert!(fixture.queue.jobs(&ids).await.unwrap().is_empty());
    fixture.finish_after_forgetting(JOBS as u64).await;
}
