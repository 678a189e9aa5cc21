//! What people do to jobs: cancel, retry with other arguments, retry many, purge; the timeline.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tokio::sync::mpsc;
use upshot_queue::{
    Changed, Failure, FailureClass, Filter, GroupFilter, Job, JobId, NewJob, Progress, RetryPolicy, Snooze,
    State, WorkerOptions,
    timeline::{What, timeline},
};

use crate::fixture::{Fixture, Worker, options};

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(2).await;
    let mut later = NewJob::new(JobId::random(), "test", "");
    later.delay = Duration::from_secs(3600);
    fixture.queue.enqueue(std::slice::from_ref(&later)).await.unwrap();
    for id in [&ids[0], &later.id] {
        assert_eq!(fixture.queue.operator.cancel(id).await.unwrap(), Changed::To(State::Cancelled));
    }
    assert_eq!(fixture.queue.operator.cancel(&ids[0]).await.unwrap(), Changed::Refused(State::Cancelled));
    assert_eq!(fixture.queue.operator.cancel(&JobId::random()).await.unwrap(), Changed::Unknown);
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    fixture.until_state(&ids[1], State::Succeeded).await;
    worker.stop().await;
    assert_eq!(fixture.queue.counts().await.unwrap().of(State::Cancelled), 2);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handler_of_a_running_job_is_told_wherever_it_runs() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(2).await;
    let (started, mut begun) = mpsc::unbounded_channel();
    let handler = move |job: Arc<Job>, lease: upshot_queue::Lease| {
        let started = started.clone();
        async move {
            started.send(()).unwrap();
            lease.cancelled().cancelled().await;
            // One gives up, the other had just finished.
            if &job.args[..] == b"0" { Err(Failure::transient("stopped")) } else { Ok(json!("done")) }
        }
    };
    let options = WorkerOptions { concurrency: 1, ..options() };
    let workers = [(); 2].map(|()| Worker::start(&fixture.connector, options.clone(), handler.clone()));
    begun.recv().await.unwrap();
    begun.recv().await.unwrap();
    for id in &ids {
        assert_eq!(fixture.queue.operator.cancel(id).await.unwrap(), Changed::Stopping);
    }
    let stopped = fixture.until_state(&ids[0], State::Cancelled).await;
    assert!(stopped.cancel_asked_at.is_some() && stopped.failures.is_empty());
    fixture.until_state(&ids[1], State::Succeeded).await;
    for worker in workers {
        worker.stop().await;
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_does_not_listen_is_dropped_after_a_grace() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let (started, mut begun) = mpsc::unbounded_channel();
    let options = WorkerOptions { cancel_grace: Duration::from_millis(50), ..options() };
    let worker = Worker::start(&fixture.connector, options, move |_, _| {
        started.send(()).unwrap();
        std::future::pending()
    });
    begun.recv().await.unwrap();
    assert_eq!(fixture.queue.operator.cancel(&id).await.unwrap(), Changed::Stopping);
    fixture.until_state(&id, State::Cancelled).await;
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_dead_job_is_retried_with_other_arguments_and_keeps_the_old_ones() {
    let fixture = Fixture::new().await;
    let job = NewJob::new(JobId::random(), "test", "wrong\nbytes\0");
    fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let worker = Worker::start(&fixture.connector, options(), |job, _| async move {
        if &job.args[..] == b"right" { Ok(json!("ok")) } else { Err(Failure::permanent("cannot be read")) }
    });
    fixture.until_state(&job.id, State::Dead).await;
    let edited = fixture.queue.operator.retry_with(&job.id, &"right".into()).await.unwrap();
    assert_eq!(edited, Changed::To(State::Ready));
    let done = fixture.until_state(&job.id, State::Succeeded).await;
    assert_eq!(&done.args[..], b"right");
    assert_eq!(&done.earlier_args[0].args[..], b"wrong\nbytes\0");
    assert_eq!(done.changes[0].did, "edited");
    assert!(done.group.is_none());
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn dead_jobs_are_grouped_by_cause_and_retried_at_a_pace() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(7).await;
    let mended = Arc::new(Mutex::new(false));
    let seen = Arc::clone(&mended);
    let worker = Worker::start(&fixture.connector, options(), move |job, _| {
        let mended = *seen.lock().unwrap();
        async move {
            let n: u32 = std::str::from_utf8(&job.args).unwrap().parse().unwrap();
            match n {
                _ if mended => Ok(json!(null)),
                0..5 => Err(Failure::permanent(format!("customer {} is unknown", 4000 + n))),
                _ => Err(Failure::permanent("disk full")),
            }
        }
    });
    fixture.until_count(State::Dead, 7).await;
    let groups = fixture.queue.dead_groups(&GroupFilter::default(), 10).await.unwrap();
    assert_eq!(groups.len(), 2);
    let group = groups.iter().find(|group| group.count == 5).unwrap();
    assert_eq!((group.message.as_str(), group.class), ("customer <*> is unknown", FailureClass::Permanent));
    assert_eq!((group.dead, group.kind.as_str()), (5, "test"));
    assert!(group.first_seen <= group.last_seen && ids.contains(group.sample.as_ref().unwrap()));

    *mended.lock().unwrap() = true;
    let pace = Duration::from_millis(40);
    let dead = dead_jobs(&fixture).await;
    let of_group = dead.iter().filter(|job| job.group.as_ref() == Some(&group.fingerprint));
    let group: Vec<JobId> = of_group.map(|job| job.id.clone()).collect();
    assert_eq!(group.len(), 5);
    let asked = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let retried = fixture.queue.operator.retry_paced(&group, pace).await.unwrap();
    assert!(retried.iter().all(|changed| matches!(changed, Changed::To(_))), "{retried:?}");
    fixture.until_count(State::Succeeded, 5).await;
    let mut began = Vec::new();
    for id in &ids[..5] {
        began.push(fixture.queue.job(id).await.unwrap().unwrap().began.unwrap());
    }
    began.sort_unstable();
    for (i, began) in began.iter().enumerate() {
        let due = (asked + pace * u32::try_from(i).unwrap()).as_millis();
        assert!(u128::from(began.unsigned_abs()) >= due, "the {i}th began at {began}, due at {due}");
    }
    let left = fixture.queue.dead_groups(&GroupFilter::default(), 10).await.unwrap();
    assert_eq!(left.iter().map(|group| group.dead).collect::<Vec<_>>(), [2]);

    let dead: Vec<JobId> = dead_jobs(&fixture).await.into_iter().map(|job| job.id).collect();
    let kept = fixture.queue.operator.forget(&dead, Duration::from_secs(3600)).await.unwrap();
    assert_eq!(kept, [Changed::Refused(State::Dead); 2]);
    let purged = fixture.queue.operator.forget(&dead, Duration::ZERO).await.unwrap();
    assert_eq!(purged, [Changed::Forgotten; 2]);
    assert!(fixture.queue.dead_groups(&GroupFilter::default(), 10).await.unwrap().is_empty());
    worker.stop().await;
    fixture.finish_after_forgetting(2).await;
}

async fn dead_jobs(fixture: &Fixture) -> Vec<Job> {
    let filter = Filter { state: Some(State::Dead), ..Filter::default() };
    fixture.queue.list(&filter, None, 100).await.unwrap().jobs
}

#[tokio::test]
async fn the_timeline_tells_a_jobs_life() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let retry = RetryPolicy {
        wait: upshot_queue::Wait { base: Duration::ZERO, floor: Duration::ZERO, ..Default::default() },
        ..RetryPolicy::default()
    };
    let worker = Worker::start_any(
        &fixture.connector,
        WorkerOptions { retry, ..options() },
        |job, lease| async move {
            if job.token == 1 {
                let snooze = Snooze { wait: Duration::ZERO, why: "it is cold".to_owned() };
                return Err(upshot_queue::Stop::from(snooze));
            }
            if job.attempts == 1 {
                let progress = Progress { percent: 50, step: Some("render".into()), message: None };
                lease.progress(&progress).await.unwrap();
                lease.complete_step("render", &json!(1)).await.unwrap();
                lease.log("line one\nline two").await.unwrap();
                return Err(Failure::transient("the printer is on fire").into());
            }
            Ok(json!(null))
        },
    );
    let done = fixture.until_state(&id, State::Succeeded).await;
    let words: Vec<String> = timeline(&done)
        .into_iter()
        .map(|entry| match entry.what {
            What::Enqueued => "enqueued".to_owned(),
            What::Claimed { attempt, worker } => format!("claimed {attempt} {}", worker.is_some()),
            What::Progress { percent, .. } => format!("{percent} %"),
            What::Step { name } => name,
            What::Log { message } => message,
            What::Failed { attempt, class, message } => format!("failed {attempt} {class} {message}"),
            What::Changed { did, .. } => did,
            What::Finished { state } => state.to_string(),
        })
        .collect();
    let expected = [
        "enqueued",
        "claimed 1 true",
        "snoozed",
        "claimed 1 true",
        "50 %",
        "render",
        "line one\nline two",
        "failed 1 transient the printer is on fire",
        "claimed 2 true",
        "succeeded",
    ];
    assert_eq!(words, expected);
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn log_and_marks_are_capped() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let worker = Worker::start(&fixture.connector, options(), |_, lease| async move {
        for i in 0..150 {
            lease.log(&format!("line {i} {}", "x".repeat(100))).await.unwrap();
            lease.progress(&Progress { percent: 1, step: None, message: None }).await.unwrap();
        }
        Ok(json!(null))
    });
    let done = fixture.until_state(&id, State::Succeeded).await;
    assert!(
        done.log.len() < 100 && done.log.last().unwrap().message.starts_with("line 149"),
        "{}",
        done.log.len()
    );
    assert_eq!(done.marks.len(), 32);
    worker.stop().await;
    fixture.finish().await;
}
