//! A step's result belongs to the arguments that it was made from.

use serde_json::json;
use upshot_queue::{Changed, Failure, Job, JobId, NewJob, State, protocol::Write};

use crate::handles::Queue;

use crate::{
    by_hand::{bury, lease, settle},
    fixture::{Fixture, Worker, options},
};

async fn job(queue: &Queue, id: &JobId) -> Job {
    queue.job(id).await.unwrap().unwrap()
}

/// Ends the one job that is ready.
async fn end(queue: &Queue) {
    let leased = lease(queue, "one", 2).await;
    assert_eq!(leased.len(), 1);
    settle(queue, "one", &leased, &bury()).await;
}

/// A dead job that completed a step of each name in its first attempt.
async fn dead(queue: &Queue, names: &[&str]) -> Job {
    let new = NewJob::new(JobId::random(), "test", "wrong");
    queue.enqueue(std::slice::from_ref(&new)).await.unwrap();
    let leased = lease(queue, "one", 1).await;
    let digest = leased[0].args_digest();
    for name in names {
        assert!(queue.worker.write("one", &new.id, 1, Write::Step(name, "1", &digest)).await.unwrap());
    }
    settle(queue, "one", &leased, &bury()).await;
    job(queue, &new.id).await
}

#[tokio::test]
async fn other_arguments_set_the_steps_aside_that_a_caller_has_named() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    // Names as a handler may choose them.
    let names = ["render", "7:a=b", "späße\n", ""];
    let before = dead(queue, &names).await;
    let right = "right".into();
    for named in [&[][..], &names[..3], &["other"]] {
        assert_eq!(
            queue.operator.retry_repeating(&before.id, &right, named).await.unwrap(),
            Changed::Stepped
        );
    }
    assert_eq!(queue.operator.retry_with(&before.id, &right).await.unwrap(), Changed::Stepped);
    let refused = job(queue, &before.id).await;
    assert_eq!((refused.state, &refused.args[..], refused.edits()), (State::Dead, &b"wrong"[..], 0));
    assert_eq!((&refused.steps, &refused.changes), (&before.steps, &before.changes));

    let all = [&names[..], &["never completed"]].concat();
    assert_eq!(
        queue.operator.retry_repeating(&before.id, &right, &all).await.unwrap(),
        Changed::To(State::Ready)
    );
    let ready = job(queue, &before.id).await;
    assert!(ready.steps.is_empty(), "{ready:?}");
    assert!(ready.dropped.iter().all(|dropped| dropped.edit == 1));
    let dropped: Vec<_> = ready.dropped.into_iter().map(|dropped| dropped.step).collect();
    assert_eq!(dropped, before.steps, "what was done is still known");
    end(queue).await;
    fixture.finish().await;
}

#[tokio::test]
async fn the_same_bytes_are_not_other_arguments() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let before = dead(queue, &["render"]).await;
    assert_eq!(
        queue.operator.retry_with(&before.id, &"wrong".into()).await.unwrap(),
        Changed::To(State::Ready)
    );
    let ready = job(queue, &before.id).await;
    assert_eq!((ready.step("render"), ready.edits()), (Some(&json!(1)), 0));
    assert!(ready.earlier_args.is_empty());
    end(queue).await;
    fixture.finish().await;
}

/// A version that knew no digests has replaced the arguments and left the step.
#[tokio::test]
async fn a_step_that_was_made_from_other_arguments_is_replaced_by_its_next_result() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let before = dead(queue, &["render"]).await;
    let leased = retried(queue, &before.id).await;
    let digest = before.args_digest();
    let write = |digest| Write::Step("render", "2", digest);
    assert!(queue.worker.write("one", &before.id, 2, write(&digest)).await.unwrap());
    assert_eq!(job(queue, &before.id).await.step("render"), Some(&json!(1)), "the first result stays");
    assert!(queue.worker.write("one", &before.id, 2, write("00")).await.unwrap());
    let after = job(queue, &before.id).await;
    assert_eq!((after.step("render"), &after.steps[0].result), (None, &json!(2)));
    settle(queue, "one", &leased, &bury()).await;
    fixture.finish().await;
}

async fn retried(queue: &Queue, id: &JobId) -> Vec<Job> {
    assert_eq!(queue.operator.retry(id).await.unwrap(), Changed::To(State::Ready));
    lease(queue, "one", 2).await
}

#[tokio::test]
async fn a_handler_gets_no_result_that_other_arguments_gave() {
    let fixture = Fixture::new().await;
    let new = NewJob::new(JobId::random(), "test", "wrong");
    fixture.queue.enqueue(std::slice::from_ref(&new)).await.unwrap();
    let worker = Worker::start(&fixture.connector, options(), |job, lease| async move {
        let args = String::from_utf8_lossy(&job.args).into_owned();
        if lease.step("render").is_none() {
            lease.complete_step("render", &json!(args)).await.unwrap();
            return Err(Failure::permanent("dies behind its step"));
        }
        Ok(lease.step("render").unwrap().clone())
    });
    fixture.until_state(&new.id, State::Dead).await;
    let changed =
        fixture.queue.operator.retry_repeating(&new.id, &"right".into(), &["render"]).await.unwrap();
    assert_eq!(changed, Changed::To(State::Ready));
    fixture.until_state(&new.id, State::Dead).await;
    assert_eq!(fixture.queue.operator.retry(&new.id).await.unwrap(), Changed::To(State::Ready));
    let done = fixture.until_state(&new.id, State::Succeeded).await;
    assert_eq!(done.outcome, Some(json!("right")));
    worker.stop().await;
    fixture.finish().await;
}
