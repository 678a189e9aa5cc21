//! Enqueueing: verdicts, duplicates, batches, delays.

use std::time::Duration;

use serde_json::json;
use upshot_queue::{EnqueueResult, JobId, NewJob, Rejection, State};

use crate::{
    by_hand,
    fixture::{Fixture, Worker, options},
};

#[tokio::test]
async fn the_same_id_finds_the_job_that_is_there_and_says_its_state() {
    let fixture = Fixture::new().await;
    let job = NewJob::new(JobId::derive(&["a", "1"]), "test", "{}");
    let verdicts = fixture.queue.enqueue(&[job.clone(), job.clone()]).await.unwrap();
    assert_eq!(
        verdicts,
        [EnqueueResult::Inserted, EnqueueResult::Duplicate { id: job.id.clone(), state: State::Ready }]
    );

    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!({"done": true})) });
    fixture.until_state(&job.id, State::Succeeded).await;
    let again = fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    assert_eq!(again, [EnqueueResult::Duplicate { id: job.id.clone(), state: State::Succeeded }]);
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

/// A key that somebody damaged by hand is set aside alone, wherever a call comes upon it.
#[tokio::test]
async fn a_key_of_another_type_holds_up_nothing_but_its_own_job() {
    let fixture = Fixture::new().await;
    let jobs: Vec<NewJob> = (0..3).map(|_| NewJob::new(JobId::random(), "test", "1")).collect();
    let damaged = &jobs[1].id;
    let mut admin = fixture.connector.connect().unwrap();
    let mut damage = async || {
        let key = fixture.queue.keys().job(damaged);
        let mut pipe = redis::pipe();
        pipe.cmd("DEL").arg(&key).cmd("RPUSH").arg(&key).arg("damaged");
        pipe.exec_async(&mut admin).await.unwrap();
    };
    damage().await;
    let verdicts = fixture.queue.enqueue(&jobs).await.unwrap();
    assert_eq!((&verdicts[0], &verdicts[2]), (&EnqueueResult::Inserted, &EnqueueResult::Inserted));
    assert_eq!(verdicts[1], EnqueueResult::Rejected(Rejection::Damaged(damaged.clone())));
    let mut del = redis::cmd("DEL");
    let mut conn = fixture.connector.connect().unwrap();
    del.arg(fixture.queue.keys().job(damaged)).exec_async(&mut conn).await.unwrap();
    assert_eq!(fixture.queue.enqueue(&jobs).await.unwrap()[1], EnqueueResult::Inserted);
    // In its lane: claims come past it.
    damage().await;
    let claimed = by_hand::lease(&fixture.queue, "one", 1).await;
    let claimed: Vec<&JobId> = claimed.iter().map(|job| &job.id).collect();
    assert_eq!(claimed, [&jobs[0].id, &jobs[2].id]);
    fixture.finish_damaged();
}
