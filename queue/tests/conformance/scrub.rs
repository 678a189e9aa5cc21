//! The scrubber mends what was damaged by hand, and then finds nothing.

use serde_json::json;
use upshot_queue::{Filter, JobId, Limit, LimitKey, NewJob, Scrubber, State, Trimmed};

use crate::fixture::{Fixture, Worker, options};

#[tokio::test]
async fn damage_is_found_and_mended() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(6).await;
    let keys = fixture.queue.keys().clone();
    let mut admin = fixture.connector.connect().unwrap();
    let mut run = async |words: &[&str]| {
        let mut cmd = redis::cmd(words[0]);
        cmd.arg(&words[1..]);
        cmd.exec_async(&mut admin).await.unwrap();
    };
    let lane = keys.lane("2:");
    // What was enqueued in the ms in which a pass begins is left to the next one.
    let enqueued_at = fixture.queue.job(&ids[5]).await.unwrap().unwrap().enqueued_at;
    fixture.until_after(enqueued_at).await;
    // In no index.
    run(&["LREM", &lane, "1", ids[0].as_str()]).await;
    // In a second one.
    run(&["ZADD", &keys.dead(), "1", ids[1].as_str()]).await;
    // A time without a job; a job that says it runs, and no lease knows it.
    run(&["ZADD", &keys.scheduled(), "99999999999999", "aaaaaaaaaaaaaaaaaaaaaaaaaa"]).await;
    run(&["HSET", &keys.job(&ids[2]), "state", "running 1 gone 1000 7"]).await;
    // A job that is no more.
    run(&["DEL", &keys.job(&ids[3])]).await;
    // Nobody's turn would reach the lane.
    run(&["DEL", &keys.ring(2)]).await;
    let found = Scrubber::pass(&fixture.queue.worker).await.unwrap();
    assert_eq!((found.missing, found.doubled, found.ghosts), (2, 2, 2), "{found:?}");
    assert_eq!(Scrubber::pass(&fixture.queue.worker).await.unwrap().total(), 0);
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    fixture.until_count(State::Succeeded, 5).await;
    worker.stop().await;
    assert_eq!(fixture.queue.counts().await.unwrap().transitions("mended"), found.total());
    // The job that nobody had claimed was taken over from nobody.
    assert_eq!(fixture.queue.counts().await.unwrap().transitions("crashed"), 1);
    assert_eq!(Scrubber::pass(&fixture.queue.worker).await.unwrap().total(), 0);
    fixture.finish_damaged();
}

#[tokio::test]
async fn a_lane_without_a_turn_gets_one() {
    let fixture = Fixture::new().await;
    fixture.enqueue(3).await;
    let keys = fixture.queue.keys();
    let mut admin = fixture.connector.connect().unwrap();
    redis::cmd("DEL").arg(keys.ring(2)).arg(keys.flows(2)).exec_async(&mut admin).await.unwrap();
    let found = Scrubber::pass(&fixture.queue.worker).await.unwrap();
    assert_eq!((found.total(), found.stuck), (1, 1));
    // A limit that was deleted by hand while lanes waited for it.
    let key = LimitKey::Tenant("a".into());
    fixture.queue.operator.set_limit(&key, Limit::concurrency(0)).await.unwrap();
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    fixture.until_count(State::Succeeded, 3).await;
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn what_succeeded_and_is_not_listed_is_listed_again() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(3).await;
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    fixture.until_count(State::Succeeded, 3).await;
    worker.stop().await;
    let mut admin = fixture.connector.connect().unwrap();
    redis::cmd("DEL").arg(fixture.queue.keys().succeeded()).exec_async(&mut admin).await.unwrap();
    assert_eq!(Scrubber::pass(&fixture.queue.worker).await.unwrap().missing, 3);
    assert_eq!(Scrubber::pass(&fixture.queue.worker).await.unwrap().total(), 0);
    let filter = Filter { state: Some(State::Succeeded), ..Filter::default() };
    let mut listed = Vec::new();
    let mut from = None;
    loop {
        let page = fixture.queue.list(&filter, from, 2).await.unwrap();
        listed.extend(page.jobs.into_iter().map(|job| job.id));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    listed.sort();
    let mut ids = ids;
    ids.sort();
    assert_eq!(listed, ids);
    fixture.finish_damaged();
}

/// A list is read from its end, and what is there may be cancelled meanwhile.
#[tokio::test]
async fn a_pass_finds_nothing_while_the_newest_jobs_are_cancelled() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(5_000).await;
    let last = fixture.queue.job(&ids[4_999]).await.unwrap().unwrap();
    fixture.until_after(last.enqueued_at).await;
    let mut scrubber = Scrubber::default();
    let mut newest = ids.iter().rev();
    let found = loop {
        if let Some(found) = scrubber.step(&fixture.queue.worker).await.unwrap() {
            break found;
        }
        for id in newest.by_ref().take(3) {
            fixture.queue.operator.cancel(id).await.unwrap();
        }
    };
    assert_eq!(found.total(), 0, "{found:?}");
    let counts = fixture.queue.counts().await.unwrap();
    assert_eq!(counts.of(State::Ready) + counts.of(State::Cancelled), 5_000);
    fixture.finish().await;
}

/// What is kept too long by an index is not what its job is.
#[tokio::test]
async fn retention_forgets_only_what_has_ended() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let mut admin = fixture.connector.connect().unwrap();
    let mut cmd = redis::cmd("ZADD");
    cmd.arg(fixture.queue.keys().dead()).arg(1).arg(id.as_str()).exec_async(&mut admin).await.unwrap();
    let forgotten = fixture.queue.worker.trim(State::Dead, std::time::Duration::ZERO).await.unwrap();
    assert_eq!(forgotten, Trimmed::default());
    assert_eq!(fixture.queue.job(&id).await.unwrap().unwrap().state, State::Ready);
    fixture.finish().await;
}

/// No call reads more than 512 KiB of jobs, and what it leaves is done by the next one.
#[tokio::test]
async fn calls_over_many_large_jobs_are_bounded() {
    let fixture = Fixture::new().await;
    let large = |_| NewJob::new(JobId::random(), "test", "x".repeat(200_000));
    let jobs: Vec<NewJob> = (0..10).map(large).collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
    assert_eq!(Scrubber::pass(&fixture.queue.worker).await.unwrap().total(), 0);
    for id in &ids {
        fixture.queue.operator.cancel(id).await.unwrap();
    }
    let mut forgotten = 0;
    loop {
        let some = fixture.queue.worker.trim(State::Cancelled, std::time::Duration::ZERO).await.unwrap();
        assert!(some.forgotten <= 3, "{some:?} jobs of 200 kB in a call");
        forgotten += some.forgotten;
        if !some.more {
            break;
        }
    }
    assert_eq!(forgotten, 10);
    fixture.finish_after_forgetting(10).await;
}
