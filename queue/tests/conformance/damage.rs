//! One damaged key stops no other job.

use serde_json::json;
use upshot_queue::{Changed, Deadline, JobId, Late, NewJob, Scrubber, State};

use crate::{
    by_hand,
    fixture::{Fixture, Worker, options},
};

async fn say(fixture: &Fixture, words: &[&str]) {
    let mut cmd = redis::cmd(words[0]);
    cmd.arg(&words[1..]).exec_async(&mut fixture.connector.connect().unwrap()).await.unwrap();
}

/// Puts a text where a job was.
async fn damage(fixture: &Fixture, id: &JobId) {
    say(fixture, &["SET", &fixture.queue.keys().job(id), "damaged"]).await;
}

fn urgent() -> NewJob {
    let deadline = Some(Deadline { within: std::time::Duration::from_millis(1), then: Late::Expires });
    NewJob { deadline, ..NewJob::new(JobId::random(), "test", "") }
}

#[tokio::test]
async fn a_damaged_job_with_a_deadline_stops_no_other_job() {
    let fixture = Fixture::new().await;
    let job = urgent();
    fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let deadline = fixture.queue.job(&job.id).await.unwrap().unwrap().deadline.unwrap();
    damage(&fixture, &job.id).await;
    fixture.until_after(deadline).await;
    let healthy = fixture.enqueue(2).await;
    let claimed = fixture.queue.worker.claim(&by_hand::claim("one", 1)).await.unwrap();
    assert!(claimed.maintained.is_ok(), "{:?}", claimed.maintained);
    assert_eq!((claimed.len(), claimed.more), (healthy.len(), false));
    let jobs = by_hand::jobs(&fixture.queue, "one", claimed);
    by_hand::settle(&fixture.queue, "one", &jobs, &by_hand::succeed()).await;
    assert!(by_hand::lease(&fixture.queue, "one", 2).await.is_empty());
    assert_eq!(fixture.queue.operator.cancel(&job.id).await.unwrap(), Changed::Unknown);
    fixture.finish_damaged();
}

/// An entry of the jobs that wait makes maintenance fail each time, because it cannot write.
#[tokio::test]
async fn jobs_run_although_maintenance_fails() {
    let fixture = Fixture::new().await;
    fixture.enqueue(1).await;
    let waits = by_hand::lease(&fixture.queue, "one", 1).await;
    by_hand::settle(&fixture.queue, "one", &waits, &by_hand::park_within("wait a", 1)).await;
    let parked = fixture.queue.job(&waits[0].id).await.unwrap().unwrap();
    say(&fixture, &["DEL", &fixture.queue.keys().parked()]).await;
    say(&fixture, &["SET", &fixture.queue.keys().parked(), "damaged"]).await;
    fixture.until_after(parked.since + 1).await;
    fixture.enqueue(1).await;
    let late = urgent();
    fixture.queue.enqueue(std::slice::from_ref(&late)).await.unwrap();
    let deadline = fixture.queue.job(&late.id).await.unwrap().unwrap().deadline.unwrap();
    fixture.until_after(deadline).await;
    let claimed = fixture.queue.worker.claim(&by_hand::claim("one", 2)).await.unwrap();
    assert!(claimed.maintained.is_err());
    let jobs = by_hand::jobs(&fixture.queue, "one", claimed);
    assert_eq!(jobs.len(), 1, "the healthy job, and not the one whose deadline passed");
    by_hand::settle(&fixture.queue, "one", &jobs, &by_hand::succeed()).await;
    // A full worker does only what is due, and learns why that failed.
    let full = upshot_queue::protocol::Claim { want: 0, ..by_hand::claim("one", 3) };
    assert!(fixture.queue.worker.claim(&full).await.unwrap().maintained.is_err());
    let one = upshot_queue::WorkerOptions { concurrency: 1, ..options() };
    let worker = Worker::start(&fixture.connector, one, |_, _| async { Ok(json!(null)) });
    for id in fixture.enqueue(3).await {
        fixture.until_state(&id, State::Succeeded).await;
    }
    worker.stop().await;
    fixture.finish_damaged();
}

#[tokio::test]
async fn a_job_damaged_while_it_runs_stops_no_other_end() {
    let fixture = Fixture::new().await;
    fixture.enqueue(3).await;
    let jobs = by_hand::lease(&fixture.queue, "one", 1).await;
    damage(&fixture, &jobs[1].id).await;
    let ends: Vec<_> = jobs.iter().map(|job| by_hand::ended(job, by_hand::succeed())).collect();
    assert_eq!(fixture.queue.worker.settle("one", &ends).await.unwrap(), [true, false, true]);
    let leases = jobs.iter().map(|job| (&job.id, job.token));
    let renewed = fixture.queue.worker.renew("one", std::time::Duration::from_secs(9), leases).await.unwrap();
    assert_eq!(renewed.lost.len(), 3);
    Scrubber::pass(&fixture.queue.worker).await.unwrap();
    fixture.finish_damaged();
}
