//! Executors are killed and frozen at the worst moments.

use std::{collections::BTreeSet, os::unix::fs::MetadataExt, path::PathBuf, time::Duration};

use upshot_queue::{
    Created, FailureClass, Job, JobId, NewJob, Operator, Phase, Plan, Priority, State,
    operation::{Act, Selection, Source},
};
use upshot_servers::{Proxy, proxy::smtp_acceptance, signal::Signal};
use upshot_tests::{Process, Stage, orders::order};

/// An executor whose mail goes through a proxy.
async fn behind(stage: &Stage, proxy: &Proxy) -> Process {
    stage.start("executor", &[("UPSHOT_SMTP__URL", format!("smtp://127.0.0.1:{}", proxy.port()))]).await
}

fn filed(stage: &Stage, job: &Job) -> PathBuf {
    stage.files().join(job.step("store").unwrap()["key"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_store_and_send_the_object_is_written_once_and_one_mail_goes_out() {
    let stage = Stage::new().await;
    let proxy = Proxy::start(stage.mail.port()).await.unwrap();
    proxy.blackhole().await;
    let bridge = stage.start("bridge", &[]).await;
    let executor = behind(&stage, &proxy).await;
    let event = order(1);
    let id = stage.job_of(&event);
    stage.publish(&event).await;
    let stored = stage.until(&id, |job| job.step("store").is_some()).await;
    let before = std::fs::metadata(filed(&stage, &stored)).unwrap();
    executor.kill().await;

    let other = stage.start("executor", &[]).await;
    let job = stage.succeeded(&id).await;
    assert_eq!((job.attempts, job.history[0].class), (2, FailureClass::Crashed));
    let after = std::fs::metadata(filed(&stage, &job)).unwrap();
    assert_eq!(
        (before.ino(), before.mtime_nsec()),
        (after.ino(), after.mtime_nsec()),
        "the object was written again"
    );
    assert_eq!(stage.mail.messages().unwrap().len(), 1);
    for process in [bridge, other] {
        process.stop().await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_mail_was_accepted_the_duplicate_has_the_same_message_id() {
    let stage = Stage::new().await;
    let proxy = Proxy::start(stage.mail.port()).await.unwrap();
    let mut held = proxy.hold_reply(smtp_acceptance());
    let bridge = stage.start("bridge", &[]).await;
    let executor = behind(&stage, &proxy).await;
    let event = order(2);
    let id = stage.job_of(&event);
    stage.publish(&event).await;
    held.reached().await;
    assert_eq!(stage.mail.messages().unwrap().len(), 1);
    executor.kill().await;

    let other = stage.start("executor", &[]).await;
    let job = stage.succeeded(&id).await;
    assert_eq!(job.attempts, 2);
    let mails = stage.mail.messages().unwrap();
    let ids: Vec<_> = mails.iter().map(|mail| mail.header("Message-ID").unwrap()).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0].contains(id.as_str()), "{ids:?}");
    for process in [bridge, other] {
        process.stop().await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_past_its_lease_every_late_write_is_refused_and_counted() {
    let stage = Stage::new().await;
    let proxy = Proxy::start(stage.mail.port()).await.unwrap();
    let mut held = proxy.hold_reply(smtp_acceptance());
    let bridge = stage.start("bridge", &[]).await;
    let frozen = behind(&stage, &proxy).await;
    let event = order(3);
    let id = stage.job_of(&event);
    stage.publish(&event).await;
    held.reached().await;
    frozen.signal(Signal::Stop);

    let other = stage.start("executor", &[]).await;
    let job = stage.succeeded(&id).await;
    let (worker, outcome) = (job.worker.clone(), job.outcome.clone());
    held.release();
    frozen.signal(Signal::Continue);
    // It wakes up with the server's reply in hand, and learns that it is late.
    frozen.logged(&["lease lost"]).await;
    let after = stage.until(&id, |_| true).await;
    assert_eq!((after.state, after.attempts), (State::Succeeded, 2));
    assert_eq!((after.worker, after.outcome), (worker, outcome));
    assert!(stage.queue.counts().await.unwrap().transitions("refused") >= 1);
    for process in [bridge, other, frozen] {
        process.stop().await;
    }
    stage.finish().await;
}

/// The writes of an invoice: progress and result of its three steps, and its end.
const WRITES: u32 = 7;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_write_of_an_invoice_costs_nothing_and_repeats_nothing() {
    let stage = Stage::new().await;
    let bridge = stage.start("bridge", &[]).await;
    for n in 1..=WRITES {
        let event = order(100 + n);
        let id = stage.job_of(&event);
        stage.publish(&event).await;
        stage.enqueued(&id).await;
        let crashing = stage.start("executor", &[("UPSHOT_CRASH_AFTER", n.to_string())]).await;
        let (succeeded, said) = crashing.ended().await;
        assert!(!succeeded && said.contains("UPSHOT_CRASH_AFTER"), "{said}");
        let executor = stage.start("executor", &[]).await;
        let job = stage.succeeded(&id).await;
        let crashes = u64::from(n < WRITES);
        assert_eq!(job.attempts, 1 + crashes, "after write {n}: {:?}", job.history);
        executor.stop().await;
    }
    let mails = stage.mail.messages().unwrap();
    let ids: BTreeSet<String> = mails.iter().filter_map(|mail| mail.header("message-id")).collect();
    assert_eq!((mails.len(), ids.len()), (WRITES as usize, WRITES as usize));
    bridge.stop().await;
    stage.finish().await;
}

/// Each API process dies right after a step of an operation; the next one makes the next step.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_dies_after_a_step_of_an_operation_leaves_the_rest_to_another() {
    let stage = Stage::new().await;
    let delay = Duration::from_secs(3600);
    let job = |_| NewJob { delay, ..NewJob::new(JobId::random(), "invoice.issue", "{}") };
    let jobs: Vec<NewJob> = (0..300).map(job).collect();
    for part in jobs.chunks(100) {
        stage.queue.enqueue(part).await.unwrap();
    }
    let last = stage.until(&jobs[299].id, |_| true).await;
    let mut redis = stage.redis_connection();
    // The operation is created in a later ms.
    loop {
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut redis).await.unwrap();
        if seconds * 1000 + micros / 1000 > last.since {
            break;
        }
    }
    let source = Source::State { state: State::Scheduled, group: None, condition: None };
    let selection = Selection { source, kind: None, tenant: None, route: None, from: None, until: None };
    let (act, by) = (Act::Prioritise { priority: Priority::High }, "ada".to_owned());
    let plan = Plan { act, selection, reason: None, by, pace: 0, same_cause: 0 };
    let created = Operator::new(stage.queue.clone()).create_operation(&plan, false).await.unwrap();
    let Created::Done(id) = created else { panic!("{created:?}") };
    for (changed, phase) in [(128, Phase::Running), (256, Phase::Running), (300, Phase::Done)] {
        let more = [("UPSHOT_CRASH_AFTER", "1"), ("UPSHOT_API__LISTEN", "127.0.0.1:0")];
        let crashing = stage.start("api", &more.map(|(name, value)| (name, value.to_owned()))).await;
        let (succeeded, said) = crashing.ended().await;
        assert!(!succeeded && said.contains("UPSHOT_CRASH_AFTER"), "{said}");
        let operation = stage.queue.operation(&id).await.unwrap().unwrap();
        assert_eq!((operation.changed, operation.refused, operation.phase), (changed, 0, phase));
    }
    for job in &jobs {
        let job = stage.until(&job.id, |_| true).await;
        assert_eq!((job.priority, job.changes.len()), (Priority::High, 1), "{job:?}");
    }
    stage.finish().await;
}
