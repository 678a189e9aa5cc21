//! Work that succeeds: backlogs, steps, progress, a stop in good order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::sync::{Notify, mpsc};
use upshot_queue::{
    Deadline, Failure, Job, JobId, Late, Limit, LimitKey, NewJob, Progress, State, WorkerOptions,
    protocol::{Claim, Disposition, EndedAttempt},
};

use crate::{
    by_hand,
    fixture::{Fixture, Worker, options},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_20000_that_formed_without_a_worker_is_done() {
    let fixture = Fixture::new().await;
    fixture.enqueue(20_000).await;
    let runs = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&runs);
    let options = WorkerOptions { concurrency: 256, ..WorkerOptions::new(crate::fixture::name()) };
    let worker = Worker::start(&fixture.connector, options, move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok(json!(null)) }
    });
    fixture.until_count(State::Succeeded, 20_000).await;
    assert_eq!(runs.load(Ordering::Relaxed), 20_000);
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_completed_step_is_there_in_the_next_attempt() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let worker = Worker::start(&fixture.connector, options(), |_, lease| async move {
        match lease.step("render").cloned() {
            Some(stored) => Ok(stored),
            None => {
                let progress = Progress { percent: 50, step: Some("render".into()), message: None };
                lease.progress(&progress).await.unwrap();
                lease.complete_step("render", &json!({"sha": "abc"})).await.unwrap();
                Err(Failure::transient("after the step"))
            }
        }
    });
    let done = fixture.until_state(&id, State::Succeeded).await;
    assert_eq!(done.outcome, Some(json!({"sha": "abc"})));
    assert_eq!(done.progress.map(|progress| progress.percent), Some(50));
    assert_eq!((done.attempts, done.history.len()), (2, 1));
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_stop_lets_running_jobs_finish() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(1).await;
    let (started, mut begun) = mpsc::unbounded_channel();
    let go = Arc::new(Notify::new());
    let gate = Arc::clone(&go);
    let worker = Worker::start(&fixture.connector, options(), move |_, _| {
        let (started, gate) = (started.clone(), Arc::clone(&gate));
        async move {
            started.send(()).unwrap();
            gate.notified().await;
            Ok(json!("done"))
        }
    });
    begun.recv().await.unwrap();
    let stopping = tokio::spawn(worker.stop());
    go.notify_one();
    stopping.await.unwrap();
    assert_eq!(fixture.queue.job(&ids[0]).await.unwrap().unwrap().state, State::Succeeded);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_the_work_and_double_none() {
    let fixture = Fixture::new().await;
    let runs = Arc::new(AtomicU64::new(0));
    let worker = || {
        let runs = Arc::clone(&runs);
        Worker::start(&fixture.connector, options(), move |_, _| {
            runs.fetch_add(1, Ordering::Relaxed);
            async { Ok(json!(null)) }
        })
    };
    let workers = [worker(), worker()];
    for _ in 0..10 {
        fixture.enqueue(100).await;
    }
    fixture.until_count(State::Succeeded, 1000).await;
    assert_eq!(runs.load(Ordering::Relaxed), 1000);
    for worker in workers {
        worker.stop().await;
    }
    fixture.finish().await;
}

#[tokio::test]
async fn an_interrupted_job_is_handed_back_and_the_attempt_does_not_count() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let (started, mut begun) = mpsc::unbounded_channel();
    let options = options();
    let interrupt = options.interrupt.clone();
    let worker = Worker::start(&fixture.connector, options, move |_, _| {
        started.send(()).unwrap();
        std::future::pending()
    });
    begun.recv().await.unwrap();
    let stopping = tokio::spawn(worker.stop());
    interrupt.cancel();
    stopping.await.unwrap();
    let job = fixture.queue.job(&id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempts, job.history.len()), (State::Ready, 0, 0));
    fixture.finish().await;
}

/// Each call reads what it takes over: whole leases, until it has 512 KiB.
#[tokio::test]
async fn large_jobs_are_reclaimed_a_few_at_a_time() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    queue.enqueue(&(0..24).map(|_| large_job()).collect::<Vec<_>>()).await.unwrap();
    let mut leases = Vec::new();
    for number in 1..=8 {
        let claimed = queue.worker.claim(&claim_of(number, 3)).await.unwrap();
        let jobs: Vec<Job> = claimed.jobs(queue, "w").map(Result::unwrap).collect();
        leases.extend(jobs.into_iter().map(|job| (job.id, job.token)));
    }
    assert_eq!(leases.len(), 24);
    // All expire in the same moment.
    let each = leases.iter().map(|(id, token)| (id, *token));
    queue.worker.renew("w", Duration::from_millis(1), each).await.unwrap();
    let (mut number, mut reclaimed) = (8, 0);
    while reclaimed < 24 {
        number += 1;
        let now = queue.worker.claim(&claim_of(number, 0)).await.unwrap().maintained.unwrap().reclaimed;
        assert!(now <= 3, "{now} jobs of 200 kB were taken over at once");
        reclaimed += now;
    }
    fixture.finish().await;
}

/// Each call reads what it ends for its deadline, until it has 512 KiB; and it leases
/// nothing while there is more to end, because that may be what comes next.
#[tokio::test]
async fn large_jobs_expire_a_few_at_a_time_and_none_runs_meanwhile() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    // When the last ones are in, the deadlines of the others have passed.
    let late = || NewJob {
        deadline: Some(Deadline { within: Duration::from_millis(1), then: Late::Expires }),
        ..large_job()
    };
    queue.enqueue(&(0..24).map(|_| late()).collect::<Vec<_>>()).await.unwrap();
    let (mut number, mut dead) = (0, 0);
    while dead < 24 {
        number += 1;
        let claimed = queue.worker.claim(&claim_of(number, 3)).await.unwrap();
        assert!(claimed.is_empty(), "a job was leased although its deadline had passed");
        let all = queue.counts().await.unwrap().of(State::Dead);
        assert!(all - dead <= 3, "{} jobs of 200 kB ended at once", all - dead);
        dead = all;
    }
    fixture.finish().await;
}

fn large_job() -> NewJob {
    NewJob::new(JobId::random(), "test", "x".repeat(200_000))
}

fn claim_of(number: u64, want: usize) -> Claim<'static> {
    Claim { want, ..by_hand::claim("w", number) }
}

#[tokio::test]
async fn an_outcome_that_is_too_large_ends_its_job_and_says_what_to_do() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let worker = Worker::start(&fixture.connector, options(), |_, _| async {
        Ok(json!("x".repeat(upshot_queue::worker::MAX_OUTCOME)))
    });
    let dead = fixture.until_state(&id, State::Dead).await;
    let message = &dead.history[0].message;
    assert!(
        message.contains("1048578 bytes") && message.contains("store what is large elsewhere"),
        "{message}"
    );
    worker.stop().await;
    fixture.finish().await;
}

/// Each claim copies what it answers with: it takes as many jobs as come to 512 KiB.
#[tokio::test]
async fn large_jobs_are_claimed_a_few_at_a_time() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let key = LimitKey::Key("printer".to_owned());
    queue.operator.set_limit(&key, Limit::concurrency(50)).await.unwrap();
    let jobs: Vec<NewJob> = (0..24)
        .map(|i| {
            let mut job = large_job();
            job.tenant = (i % 3 > 0).then(|| format!("tenant-{}", i % 3));
            job.limit_keys = vec!["printer".to_owned()];
            job
        })
        .collect();
    queue.enqueue(&jobs).await.unwrap();
    let mut left = jobs.len();
    let mut number = 0;
    while left > 0 {
        number += 1;
        let claimed = queue.worker.claim(&claim_of(number, 100)).await.unwrap();
        left -= 3;
        assert_eq!((claimed.len(), claimed.more), (3, left > 0));
        assert_eq!(queue.limit_use(&key).await.unwrap().running, Some(3));
        let jobs: Vec<_> = claimed.jobs(queue, "w").map(Result::unwrap).collect();
        let succeed = |job: &Job| EndedAttempt {
            expectation: job.expectation,
            id: job.id.clone(),
            token: job.token,
            flow: job.flow(),
            args: job.args.len(),
            clock: None,
            disposition: Disposition::Succeed("null".to_owned()),
        };
        let ended: Vec<_> = jobs.iter().map(succeed).collect();
        assert_eq!(queue.worker.settle("w", &ended).await.unwrap(), [true; 3]);
    }
    queue.operator.set_limit(&key, Limit::default()).await.unwrap();
    fixture.finish().await;
}

/// What is kept with a job is bounded, whatever its handler says.
#[tokio::test]
async fn long_texts_are_cut_and_a_large_result_of_a_step_is_refused() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let worker = Worker::start(&fixture.connector, options(), |_, lease| async move {
        let long = "x".repeat(3_000_000);
        lease.log(&long).await.unwrap();
        let progress = Progress { percent: 50, step: Some(long.clone()), message: Some(long.clone()) };
        lease.progress(&progress).await.unwrap();
        let refused = lease.complete_step("render", &json!(long)).await.unwrap_err().to_string();
        Ok(json!(refused))
    });
    let done = fixture.until_state(&id, State::Succeeded).await;
    let refused = done.outcome.unwrap().to_string();
    assert!(refused.contains("`render` has 3000002 bytes") && refused.contains("elsewhere"), "{refused}");
    assert!(done.steps.is_empty() && done.log[0].message.len() < 2_100 && done.marks[0].percent == 50);
    let mut conn = fixture.connector.connect().unwrap();
    let key = fixture.queue.keys().job(&id);
    let bytes: u64 = redis::cmd("MEMORY").arg("USAGE").arg(&key).query_async(&mut conn).await.unwrap();
    assert!(bytes < 10_000, "{bytes} bytes");
    worker.stop().await;
    fixture.finish().await;
}
