//! Jobs that no worker here can run are parked, and go on when one starts that can.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use upshot_queue::{
    Changed, ConditionCursor, FailureClass, JobId, Kinds, NewJob, Park, Released, Snooze, State, Undecodable,
    WorkerOptions,
};

use crate::{
    by_hand,
    fixture::{Fixture, Worker, options},
};

pub fn knows(kinds: &[(&str, u32)], build: &str) -> WorkerOptions {
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
    let mut conditions = fixture.queue.conditions().await.unwrap();
    conditions.sort();
    assert_eq!(conditions, [("kind new@1".to_owned(), 1), ("kind old@2".to_owned(), 1)]);
    old.stop().await;
    let all = knows(&[("old", 1), ("old", 2), ("new", 1)], "2");
    let new = Worker::start(&fixture.connector, all, |_, _| async { Ok(json!(null)) });
    fixture.until_count(State::Succeeded, 3).await;
    assert!(fixture.queue.conditions().await.unwrap().is_empty());
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
    assert_eq!(fixture.queue.operator.cancel(&id).await.unwrap(), Changed::To(State::Cancelled));
    assert!(fixture.queue.conditions().await.unwrap().is_empty());
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
        let condition = format!("args mail@1 not {named}");
        let is_parked =
            |job: &upshot_queue::Job| job.parked.as_ref().is_some_and(|parked| parked.condition == condition);
        fixture.until(&job.id, is_parked).await;
        worker.stop().await;
    }
    for build in ["1.0", "1.1"] {
        let kinds = knows(&[("mail", 1)], build).kinds;
        assert_eq!(fixture.queue.worker.unpark_for(kinds.as_ref()).await.unwrap(), 0, "{build}");
    }
    let kinds = knows(&[("mail", 1)], "1.2").kinds;
    assert_eq!(fixture.queue.worker.unpark_for(kinds.as_ref()).await.unwrap(), 1);
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
    assert_eq!(fixture.queue.operator.retry(&ids[0]).await.unwrap(), Changed::To(State::Ready));
    let any = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    fixture.until_count(State::Succeeded, 2).await;
    any.stop().await;
    fixture.finish().await;
}

/// Nobody but who meets the condition lets a job go that its handler parked.
#[tokio::test]
async fn a_handler_parks_its_job_until_its_need_is_met() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let confirmed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&confirmed);
    let worker = Worker::start_any(&fixture.connector, knows(&[("test", 1)], "1"), move |_, lease| {
        let seen = Arc::clone(&seen);
        async move {
            if lease.step("ask").is_none() {
                lease.complete_step("ask", &json!("asked")).await?;
            }
            if !seen.load(Ordering::Acquire) {
                return Err(upshot_queue::Stop::from(Park::new("order-1042 confirmed", "no answer yet")?));
            }
            Ok(lease.step("ask").cloned().unwrap())
        }
    });
    let job = fixture.until_state(&id, State::Parked).await;
    assert_eq!((job.attempts, job.history.len()), (0, 0), "the attempt does not count");
    let parked = job.parked.unwrap();
    assert_eq!(
        (parked.condition.as_str(), parked.why.as_str()),
        ("wait order-1042 confirmed", "no answer yet")
    );
    let change = &job.changes[0];
    assert_eq!(change.did, "parked");
    assert_eq!(change.note.as_deref(), Some("order-1042 confirmed: no answer yet"));
    let queue = &fixture.queue;
    assert_eq!(queue.conditions().await.unwrap(), [("wait order-1042 confirmed".to_owned(), 1)]);
    worker.stop().await;

    // Neither a worker of its kind nor one of all kinds has met it.
    for kinds in [knows(&[("test", 1)], "2").kinds, None] {
        assert_eq!(queue.worker.unpark_for(kinds.as_ref()).await.unwrap(), 0);
    }
    assert_eq!(queue.operator.resume_kind("test").await.unwrap(), Released::default());
    assert_eq!(queue.unpark(&"order-1043 confirmed".parse().unwrap()).await.unwrap(), Released::default());
    assert_eq!(queue.job(&id).await.unwrap().unwrap().state, State::Parked);

    confirmed.store(true, Ordering::Release);
    assert_eq!(queue.unpark(&"order-1042 confirmed".parse().unwrap()).await.unwrap().released, 1);
    assert!(queue.conditions().await.unwrap().is_empty());
    let other = Worker::start(&fixture.connector, options(), |_, lease| async move {
        Ok(lease.step("ask").cloned().unwrap())
    });
    let done = fixture.until_state(&id, State::Succeeded).await;
    assert_eq!((done.attempts, done.token, done.outcome), (1, 2, Some(json!("asked"))));
    other.stop().await;
    fixture.finish().await;
}

/// Meeting a condition takes a bounded number of jobs a call, and those that were parked when it
/// began: where the breaker is still open they are all parked again before it is through.
#[tokio::test(flavor = "multi_thread")]
async fn a_need_is_met_once_for_each_job_although_they_are_parked_again() {
    const JOBS: usize = 1_000;
    let fixture = Fixture::new().await;
    fixture.enqueue(JOBS).await;
    let options = WorkerOptions { concurrency: 512, ..options() };
    let worker = Worker::start_any(&fixture.connector, options, |_, _| async {
        Err::<serde_json::Value, _>(upshot_queue::Stop::from(Park::new(
            "breaker:smtp",
            "the mail server is away",
        )?))
    });
    fixture.until_count(State::Parked, JOBS as u64).await;
    let condition = "breaker:smtp".parse().unwrap();
    for round in 1..=3 {
        let Released { released, left } = fixture.queue.unpark(&condition).await.unwrap();
        assert_eq!(released + left, JOBS as u64);
        assert!(released <= 128, "{released} in one call");
        // The worker goes on with the rest.
        let all = (round * JOBS) as u64;
        fixture
            .until_counts(|counts| {
                assert!(counts.transitions("unparked") <= all, "{counts:?}");
                counts.transitions("unparked") == all && counts.of(State::Parked) == JOBS as u64
            })
            .await;
        assert!(fixture.queue.releases().await.unwrap().is_empty());
    }
    worker.stop().await;
    fixture.finish().await;
}

/// Parks jobs for a condition, by hand.
async fn park(fixture: &Fixture, n: usize, condition: &str) {
    fixture.enqueue(n).await;
    for number in 1.. {
        let jobs = by_hand::lease(&fixture.queue, "one", number).await;
        if jobs.is_empty() {
            return;
        }
        by_hand::settle(&fixture.queue, "one", &jobs, &by_hand::park(condition)).await;
    }
}

/// What was begun is recorded: anybody can go on with it, and see how far it is.
#[tokio::test]
async fn jobs_are_let_go_in_parts_that_anybody_can_go_on_with() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    park(&fixture, 300, "resume test").await;
    assert_eq!(queue.operator.resume_kind("test").await.unwrap(), Released { released: 128, left: 172 });
    let seen = queue.releases().await.unwrap();
    assert_eq!((seen[0].condition.as_str(), seen[0].total, seen[0].done), ("resume test", 300, 128));
    // Somebody who begins once more goes on.
    assert_eq!(queue.operator.resume_kind("test").await.unwrap(), Released { released: 128, left: 44 });
    assert_eq!((seen.len(), queue.releases().await.unwrap()[0].total), (1, 300));
    // A pause ends it: what is parked stays parked.
    queue.operator.pause_kind("test").await.unwrap();
    assert!(queue.releases().await.unwrap().is_empty());
    queue.operator.finish_releases(|| true).await.unwrap();
    assert_eq!(queue.counts().await.unwrap().of(State::Parked), 44);
    assert!(!queue.is_swept().await.unwrap(), "there is no worker");
    // A worker that finds the kind resumed begins, where whoever resumed it did not get that far.
    let mut srem = redis::cmd("SREM");
    srem.arg(queue.keys().paused_kinds()).arg("test");
    srem.exec_async(&mut fixture.connector.connect().unwrap()).await.unwrap();
    assert_eq!(queue.worker.unpark_for(None).await.unwrap(), 44);
    assert!(queue.releases().await.unwrap().is_empty());
    fixture.finish().await;
}

/// No matter who began with a large one, a small one does not wait for its end.
#[tokio::test]
async fn several_needs_are_let_go_in_turns() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    park(&fixture, 400, "wait large").await;
    park(&fixture, 200, "wait small").await;
    for condition in ["wait large", "wait small"] {
        assert_eq!(queue.operator.begin_release(condition).await.unwrap().released, 128);
    }
    let steps = std::cell::Cell::new(0);
    queue
        .operator
        .finish_releases(|| {
            steps.set(steps.get() + 1);
            steps.get() <= 2
        })
        .await
        .unwrap();
    let left = queue.releases().await.unwrap();
    assert_eq!((left.len(), left[0].condition.as_str(), left[0].done), (1, "wait large", 256));
    queue.operator.finish_releases(|| true).await.unwrap();
    assert_eq!(queue.counts().await.unwrap().of(State::Ready), 600);
    fixture.finish().await;
}

#[tokio::test]
async fn a_need_that_cannot_be_waited_for_is_a_permanent_failure() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let worker = Worker::start_any(&fixture.connector, options(), |_, _| async {
        Err::<serde_json::Value, _>(upshot_queue::Stop::from(Park::new("kind test@1", "odd")?))
    });
    let dead = fixture.until_state(&id, State::Dead).await;
    assert_eq!((dead.attempts, dead.history[0].class), (1, FailureClass::Permanent));
    assert!(dead.history[0].message.contains("`kind test@1` is one of the queue's own"), "{dead:?}");
    worker.stop().await;
    fixture.finish().await;
}

/// With a condition for each of many jobs the conditions are read a part at a time, and a worker finds the
/// jobs of its kinds beside them.
#[tokio::test(flavor = "multi_thread")]
async fn needs_beyond_number_are_read_in_parts() {
    const JOBS: usize = 3_000;
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    fixture.enqueue(JOBS).await;
    let future = NewJob::new(JobId::random(), "future", "");
    queue.enqueue(std::slice::from_ref(&future)).await.unwrap();
    let options = WorkerOptions { concurrency: 512, ..knows(&[("test", 1)], "1") };
    let worker = Worker::start_any(&fixture.connector, options, |job, _| async move {
        Err::<serde_json::Value, _>(upshot_queue::Stop::from(Park::new(
            format!("{} confirmed", job.id),
            "not yet",
        )?))
    });
    fixture.until_count(State::Parked, JOBS as u64 + 1).await;
    worker.stop().await;
    assert_eq!(queue.conditions().await.unwrap().len(), JOBS + 1);

    let mut from = Some(ConditionCursor::default());
    while let Some(cursor) = from {
        let (part, next) = queue.conditions_part(cursor).await.unwrap();
        assert!(part.len() < JOBS, "{} conditions at once", part.len());
        from = next;
    }
    let new = knows(&[("future", 1)], "2");
    assert_eq!(queue.worker.unpark_for(new.kinds.as_ref()).await.unwrap(), 0, "its claim takes it");
    let worker = Worker::start(&fixture.connector, new, |_, _| async { Ok(json!(null)) });
    fixture.until_state(&future.id, State::Succeeded).await;
    worker.stop().await;
    fixture.finish().await;
}

/// After a failover: who waits already was parked by a clock that was ahead.
#[tokio::test]
async fn who_is_parked_while_the_clock_is_behind_comes_behind_those_that_wait() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let condition = "wait door";
    let mut admin = fixture.connector.connect().unwrap();
    let parked = queue.keys().need(condition);
    let mut score = async |ms: Option<i64>, id: &JobId| {
        if let Some(ms) = ms {
            redis::cmd("ZADD")
                .arg(&parked)
                .arg("XX")
                .arg(ms)
                .arg(id.as_str())
                .exec_async(&mut admin)
                .await
                .unwrap();
        }
        redis::cmd("ZSCORE").arg(&parked).arg(id.as_str()).query_async::<i64>(&mut admin).await.unwrap()
    };
    let park = async |number| {
        let id = fixture.enqueue(1).await.remove(0);
        let jobs = by_hand::lease(queue, "one", number).await;
        by_hand::settle(queue, "one", &jobs, &by_hand::park(condition)).await;
        id
    };
    let first = park(1).await;
    let ahead = score(None, &first).await + 3_600_000;
    score(Some(ahead), &first).await;
    let second = park(2).await;
    assert!(score(None, &second).await > ahead);
    assert_eq!(queue.unpark(&"door".parse().unwrap()).await.unwrap().released, 2);
    fixture.finish().await;
}
