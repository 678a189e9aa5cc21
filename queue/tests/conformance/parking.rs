//! Jobs that no worker here can run are parked, and go on when one starts that can.

use std::time::Duration;

use serde_json::json;
use upshot_queue::{Changed, JobId, Kinds, NewJob, Snooze, State, Undecodable, WorkerOptions};

use crate::fixture::{Fixture, Worker, options};

fn knows(kinds: &[(&str, u32)], build: &str) -> WorkerOptions {
    let known = kinds.iter().map(|(kind, version)| ((*kind).to_owned(), *version)).collect();
    WorkerOptions { kinds: Some(Kinds { known, build: build.to_owned() }), ..options() }
}

#[tokio::test]
async fn unknown_kinds_and_versions_wait_for_a_worker_that_knows_them() {
    let fixture = Fixture::new().await;
    let kind = |kind: &str, version| NewJob { version, ..NewJob::new(JobId::random(), kind, "") };
    let jobs = [kind("old", 1), kind("old", 2), kind("new", 1)];
    fixture.queue.enqueue(&jobs).await.unwrap();
    let old = Worker::start(&fixture.connector, knows(&[("old", 1)], "1"), |_, _| async { Ok(json!(null)) });
    fixture.until_state(&jobs[0].id, State::Succeeded).await;
    fixture.until_count(State::Parked, 2).await;
    let parked = fixture.queue.job(&jobs[2].id).await.unwrap().unwrap();
    assert_eq!(parked.attempts, 0, "it burns no attempt");
    assert!(parked.parked.unwrap().why.contains("no handler for kind `new` version 1"));
    let mut needs = fixture.queue.needs().await.unwrap();
    needs.sort();
    assert_eq!(needs, [("kind new@1".to_owned(), 1), ("kind old@2".to_owned(), 1)]);
    old.stop().await;
    let all = knows(&[("old", 1), ("old", 2), ("new", 1)], "2");
    let new = Worker::start(&fixture.connector, all, |_, _| async { Ok(json!(null)) });
    fixture.until_count(State::Succeeded, 3).await;
    assert!(fixture.queue.needs().await.unwrap().is_empty());
    new.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn arguments_that_one_build_cannot_read_wait_for_another() {
    let fixture = Fixture::new().await;
    let job = NewJob::new(JobId::random(), "mail", "future");
    fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let cannot = |_, _| async { Err::<serde_json::Value, _>(Undecodable("missing field `to`".into())) };
    let old = Worker::start_any(&fixture.connector, knows(&[("mail", 1)], "1.0"), cannot);
    let parked = fixture.until_state(&job.id, State::Parked).await;
    assert_eq!((parked.attempts, parked.parked.unwrap().why.as_str()), (0, "missing field `to`"));
    old.stop().await;
    let new =
        Worker::start(&fixture.connector, knows(&[("mail", 1)], "1.1"), |_, _| async { Ok(json!(null)) });
    fixture.until_state(&job.id, State::Succeeded).await;
    new.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_parked_job_can_be_cancelled() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let worker = Worker::start(&fixture.connector, knows(&[], "1"), |_, _| async { Ok(json!(null)) });
    fixture.until_state(&id, State::Parked).await;
    assert_eq!(fixture.queue.cancel(&id).await.unwrap(), Changed::To(State::Cancelled));
    assert!(fixture.queue.needs().await.unwrap().is_empty());
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_snoozed_job_runs_later_and_the_attempt_does_not_count() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let worker = Worker::start_any(&fixture.connector, options(), |job, _| async move {
        if job.token == 1 {
            return Err(Snooze { wait: Duration::from_millis(300), why: "not yet".into() });
        }
        Ok(json!(null))
    });
    let done = fixture.until_state(&id, State::Succeeded).await;
    assert_eq!((done.attempts, done.token, done.history.len()), (1, 2, 0));
    assert_eq!(done.changes[0].note.as_deref(), Some("not yet"));
    worker.stop().await;
    fixture.finish().await;
}

/// Two builds that both cannot read a job would unpark it for each other for ever.
#[tokio::test]
async fn builds_that_cannot_read_a_job_do_not_hand_it_to_and_fro() {
    let fixture = Fixture::new().await;
    let job = NewJob::new(JobId::random(), "mail", "future");
    fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let cannot = |_, _| async { Err::<serde_json::Value, _>(Undecodable("odd".into())) };
    for (build, named) in [("1.0", "1.0"), ("1.1", "1.0|1.1")] {
        let worker = Worker::start_any(&fixture.connector, knows(&[("mail", 1)], build), cannot);
        let need = format!("args mail@1 not {named}");
        let is_parked =
            |job: &upshot_queue::Job| job.parked.as_ref().is_some_and(|parked| parked.need == need);
        fixture.until(&job.id, is_parked).await;
        worker.stop().await;
    }
    for build in ["1.0", "1.1"] {
        let kinds = knows(&[("mail", 1)], build).kinds;
        assert_eq!(fixture.queue.unpark_for(kinds.as_ref()).await.unwrap(), 0, "{build}");
    }
    let kinds = knows(&[("mail", 1)], "1.2").kinds;
    assert_eq!(fixture.queue.unpark_for(kinds.as_ref()).await.unwrap(), 1);
    fixture.finish().await;
}

#[tokio::test]
async fn a_worker_of_all_kinds_lets_parked_jobs_go_on() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(2).await;
    let picky = Worker::start(&fixture.connector, knows(&[], "1"), |_, _| async { Ok(json!(null)) });
    fixture.until_count(State::Parked, 2).await;
    picky.stop().await;
    // By hand one goes on at once.
    assert_eq!(fixture.queue.retry(&ids[0]).await.unwrap(), Changed::To(State::Ready));
    let any = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    fixture.until_count(State::Succeeded, 2).await;
    any.stop().await;
    fixture.finish().await;
}
