//! The scrubber mends what was damaged by hand, and then finds nothing.

use serde_json::json;
use upshot_queue::{Filter, Limit, LimitKey, Scrubber, State};

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
    let found = Scrubber::pass(&fixture.queue).await.unwrap();
    assert_eq!((found.missing, found.doubled, found.ghosts), (2, 2, 2), "{found:?}");
    assert_eq!(Scrubber::pass(&fixture.queue).await.unwrap().total(), 0);
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    fixture.until_count(State::Succeeded, 5).await;
    worker.stop().await;
    assert_eq!(fixture.queue.counts().await.unwrap().transitions("mended"), found.total());
    // The job that nobody had claimed was taken over from nobody.
    assert_eq!(fixture.queue.counts().await.unwrap().transitions("crashed"), 1);
    assert_eq!(Scrubber::pass(&fixture.queue).await.unwrap().total(), 0);
    fixture.finish_damaged();
}

#[tokio::test]
async fn a_lane_without_a_turn_gets_one() {
    let fixture = Fixture::new().await;
    fixture.enqueue(3).await;
    let keys = fixture.queue.keys();
    let mut admin = fixture.connector.connect().unwrap();
    redis::cmd("DEL").arg(keys.ring(2)).arg(keys.flows(2)).exec_async(&mut admin).await.unwrap();
    let found = Scrubber::pass(&fixture.queue).await.unwrap();
    assert_eq!((found.total(), found.stuck), (1, 1));
    // A limit that was deleted by hand while lanes waited for it.
    let key = LimitKey::Tenant("a".into());
    fixture.queue.set_limit(&key, Limit::concurrency(0)).await.unwrap();
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
    assert_eq!(Scrubber::pass(&fixture.queue).await.unwrap().missing, 3);
    assert_eq!(Scrubber::pass(&fixture.queue).await.unwrap().total(), 0);
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
