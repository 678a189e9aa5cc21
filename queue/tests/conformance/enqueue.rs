//! Enqueueing: verdicts, duplicates, batches, delays.

use std::time::Duration;

use serde_json::json;
use upshot_queue::{JobId, NewJob, State, Verdict};

use crate::fixture::{Fixture, Worker, options};

#[tokio::test]
async fn the_same_id_finds_the_job_that_is_there_and_says_its_state() {
    let fixture = Fixture::new().await;
    let job = NewJob::new(JobId::derive(&["a", "1"]), "test", "{}");
    let verdicts = fixture.queue.enqueue(&[job.clone(), job.clone()]).await.unwrap();
    assert_eq!(verdicts, [Verdict::Inserted, Verdict::Duplicate { id: job.id.clone(), state: State::Ready }]);

    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!({"done": true})) });
    fixture.until_state(&job.id, State::Succeeded).await;
    let again = fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    assert_eq!(again, [Verdict::Duplicate { id: job.id.clone(), state: State::Succeeded }]);
    let found = fixture.queue.job(&job.id).await.unwrap().unwrap();
    assert_eq!((found.duplicates, found.attempts), (2, 1));
    assert_eq!(found.outcome, Some(json!({"done": true})));
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_list_longer_than_a_batch_goes_in_whole_and_in_order() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(1000).await;
    assert_eq!(fixture.queue.counts().await.unwrap().of(State::Ready), 1000);
    let page = fixture.queue.list(&Default::default(), None, 1000).await.unwrap();
    let listed: Vec<JobId> = page.jobs.into_iter().map(|job| job.id).collect();
    assert_eq!(listed, ids);
    fixture.finish().await;
}

#[tokio::test]
async fn a_delayed_job_does_not_run_before_its_time() {
    let fixture = Fixture::new().await;
    let mut job = NewJob::new(JobId::random(), "test", "");
    job.delay = Duration::from_millis(700);
    fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    assert_eq!(fixture.queue.job(&job.id).await.unwrap().unwrap().state, State::Scheduled);
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(1)) });
    let done = fixture.until_state(&job.id, State::Succeeded).await;
    assert!(done.since - done.enqueued_at >= 700, "ran after {} ms", done.since - done.enqueued_at);
    worker.stop().await;
    fixture.finish().await;
}
