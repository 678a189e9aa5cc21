//! Events of one identity with other data: the same, a repair, or a conflict.

use std::{cell::Cell, time::Duration};

use serde_json::json;
use upshot_queue::{
    Changed, Conflict, Deadline, EnqueueResult, Error, FailureClass, Job, JobId, Late, NewJob, Reconciled,
    Rejection, Scope, State, Undecodable, Unique, protocol::Disposition, reconcile::MAX_REPAIRS, timeline,
};

use crate::handles::Queue;

use crate::{
    by_hand::{self, bury, park, succeed},
    fixture::{Fixture, Worker},
    parking::knows,
};

const UNREADABLE: &str = "args test@1 not 1.0";

/// A job of a tenant as its event makes it.
fn event(id: &JobId, data: &'static str) -> NewJob {
    NewJob { tenant: Some("acme".to_owned()), ..NewJob::new(id.clone(), "test", data) }
}

/// Leases the one job there is and ends its attempt.
async fn end(queue: &Queue, number: u64, end: &Disposition) -> Job {
    let leased = by_hand::lease(queue, "one", number).await;
    assert_eq!(leased.len(), 1);
    by_hand::settle(queue, "one", &leased, end).await;
    queue.job(&leased[0].id).await.unwrap().unwrap()
}

/// Enqueues the event, which has to find a job under its own id, and asks what it is to that.
async fn again(queue: &Queue, event: &NewJob) -> Reconciled {
    let verdicts = queue.enqueue(std::slice::from_ref(event)).await.unwrap();
    assert!(matches!(&verdicts[0], EnqueueResult::Duplicate { id, .. } if *id == event.id), "{verdicts:?}");
    queue.reconcile(&[event], |one, other| one == other).await.unwrap()[0]
}

/// Does something while a comparison is under way.
fn meanwhile<T>(done: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(done))
}

async fn job(queue: &Queue, id: &JobId) -> Job {
    queue.job(id).await.unwrap().unwrap()
}

fn data_conflict(state: State) -> Reconciled {
    Reconciled::Conflict(Conflict::Data { state })
}

#[tokio::test]
async fn a_job_in_each_state_is_the_same_repaired_or_in_conflict() {
    let hour = Duration::from_secs(3600);
    let transient =
        Disposition::Bury { class: FailureClass::Transient, normal: "away".into(), line: by_hand::line("x") };
    let rows: [(Option<Disposition>, Reconciled); 8] = [
        (None, data_conflict(State::Ready)),
        (Some(by_hand::retry(hour)), data_conflict(State::Scheduled)),
        (Some(succeed()), data_conflict(State::Succeeded)),
        (Some(by_hand::cancel()), data_conflict(State::Cancelled)),
        (Some(park("wait confirmed")), data_conflict(State::Parked)),
        (Some(transient), data_conflict(State::Dead)),
        (Some(park(UNREADABLE)), Reconciled::Repaired),
        (Some(bury()), Reconciled::Repaired),
    ];
    for (ended, expected) in rows {
        let fixture = Fixture::new().await;
        let queue = &fixture.queue;
        let first = event(&JobId::random(), "first");
        queue.enqueue(std::slice::from_ref(&first)).await.unwrap();
        if let Some(ended) = &ended {
            end(queue, 1, ended).await;
        }
        let before = job(queue, &first.id).await;
        // The same event again changes nothing, whatever became of its job; nor does that of
        // another tenant.
        assert_eq!(again(queue, &first).await, Reconciled::Same);
        for data in ["first", "other"] {
            let theirs = NewJob { tenant: Some("b".to_owned()), ..event(&first.id, data) };
            assert_eq!(again(queue, &theirs).await, Reconciled::Conflict(Conflict::Tenant));
        }
        assert_eq!(job(queue, &first.id).await.state, before.state);
        let other = event(&first.id, "other");
        assert_eq!(again(queue, &other).await, expected, "{ended:?}");
        let after = job(queue, &first.id).await;
        if expected != Reconciled::Repaired {
            assert_eq!((after.state, &after.args[..]), (before.state, &b"first"[..]));
            fixture.finish().await;
            continue;
        }
        assert_eq!((after.state, &after.args[..]), (State::Ready, &b"other"[..]));
        let edits: Vec<_> =
            after.earlier_args.iter().map(|edit| (edit.n, &edit.args[..], edit.by_event)).collect();
        assert_eq!(edits, [(1, &b"first"[..], true)]);
        assert!(after.failures.is_empty() && after.group.is_none() && after.parked.is_none());
        let did: Vec<_> = after.changes.iter().map(|change| change.did.as_str()).collect();
        assert_eq!(did.last(), Some(&"repaired"));
        let told = timeline::timeline(&after);
        assert!(
            told.iter()
                .any(|entry| matches!(&entry.what, timeline::What::Changed { did, .. } if did == "repaired"))
        );
        // Both events are known from now on.
        for event in [&first, &other] {
            assert_eq!(again(queue, event).await, Reconciled::Same);
        }
        assert_eq!(again(queue, &event(&first.id, "third")).await, data_conflict(State::Ready));
        assert_eq!(queue.counts().await.unwrap().transitions("repaired"), 1);
        let done = end(queue, 2, &succeed()).await;
        assert_eq!((done.state, &done.args[..]), (State::Succeeded, &b"other"[..]));
        fixture.finish().await;
    }
}

#[tokio::test]
async fn a_running_job_and_one_that_completed_a_step_are_not_repaired() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let first = event(&JobId::random(), "first");
    queue.enqueue(std::slice::from_ref(&first)).await.unwrap();
    let leased = by_hand::lease(queue, "one", 1).await;
    let other = event(&first.id, "other");
    assert_eq!(again(queue, &other).await, data_conflict(State::Running));
    let step = upshot_queue::protocol::Write::Step("charge", "1", "");
    assert!(queue.worker.write("one", &first.id, 1, step).await.unwrap());
    by_hand::settle(queue, "one", &leased, &bury()).await;
    assert_eq!(again(queue, &other).await, data_conflict(State::Dead));
    fixture.finish().await;
}

/// What an operator put is compared with nothing.
#[tokio::test]
async fn arguments_of_an_operator_are_not_compared() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let first = event(&JobId::random(), "first");
    queue.enqueue(std::slice::from_ref(&first)).await.unwrap();
    end(queue, 1, &bury()).await;
    assert_eq!(
        queue.operator.retry_with(&first.id, &"by hand".into()).await.unwrap(),
        Changed::To(State::Ready)
    );
    assert_eq!(again(queue, &first).await, Reconciled::Same);
    assert_eq!(again(queue, &event(&first.id, "by hand")).await, data_conflict(State::Ready));
    end(queue, 2, &bury()).await;
    let other = event(&first.id, "other");
    assert_eq!(again(queue, &other).await, Reconciled::Repaired);
    end(queue, 3, &bury()).await;
    assert_eq!(
        queue.operator.retry_with(&first.id, &"by hand".into()).await.unwrap(),
        Changed::To(State::Ready)
    );
    for event in [&first, &other] {
        assert_eq!(again(queue, event).await, Reconciled::Same);
    }
    let edits: Vec<bool> =
        job(queue, &first.id).await.earlier_args.iter().map(|edit| edit.by_event).collect();
    assert_eq!(edits, [false, true, false]);
    end(queue, 4, &succeed()).await;
    fixture.finish().await;
}

/// From the handler that cannot read its arguments to the event that repairs it.
#[tokio::test]
async fn a_job_that_cannot_be_read_is_repaired_and_runs_with_the_version_of_the_event() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let first = event(&JobId::random(), "broken");
    queue.enqueue(std::slice::from_ref(&first)).await.unwrap();
    let options = knows(&[("test", 1), ("test", 2)], "1.0");
    let worker = Worker::start_any(&fixture.connector, options, |job, _| async move {
        match &job.args[..] {
            b"mended" => Ok(json!(job.version)),
            _ => Err(upshot_queue::Stop::from(Undecodable("missing field `to`".into()))),
        }
    });
    fixture.until_state(&first.id, State::Parked).await;
    let mended = NewJob { version: 2, ..event(&first.id, "mended") };
    assert_eq!(again(queue, &mended).await, Reconciled::Repaired);
    let done = fixture.until_state(&first.id, State::Succeeded).await;
    assert_eq!((done.version, done.outcome, done.attempts), (2, Some(json!(2)), 1));
    assert_eq!(done.needed, None, "builds that could not read the first ones may read these");
    worker.stop().await;
    fixture.finish().await;
}

/// The first change wins, and later events are compared with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_changes_between_read_and_repair_is_looked_at_again() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let first = event(&JobId::random(), "first");
    queue.enqueue(std::slice::from_ref(&first)).await.unwrap();
    end(queue, 1, &bury()).await;
    // An operator retries it when it has been read and not yet repaired.
    let looks = Cell::new(0);
    let other = event(&first.id, "other");
    let same = |_: &[u8], _: &[u8]| {
        looks.set(looks.get() + 1);
        if looks.get() == 1 {
            assert_eq!(meanwhile(queue.operator.retry(&first.id)).unwrap(), Changed::To(State::Ready));
        }
        false
    };
    let answers = queue.reconcile(&[&other], same).await.unwrap();
    assert_eq!((answers[0], looks.get()), (data_conflict(State::Ready), 2));
    end(queue, 2, &bury()).await;
    // Two events at once, and one of them twice.
    let (one, two) = (event(&first.id, "one"), event(&first.id, "two"));
    let answers = queue.reconcile(&[&one, &two, &one], |one, other| one == other).await.unwrap();
    assert_eq!(answers, [Reconciled::Repaired, data_conflict(State::Ready), Reconciled::Same]);
    end(queue, 3, &succeed()).await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_changes_all_the_time_is_an_error_and_no_conflict() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let first = event(&JobId::random(), "first");
    queue.enqueue(std::slice::from_ref(&first)).await.unwrap();
    end(queue, 1, &bury()).await;
    let number = Cell::new(2);
    let other = event(&first.id, "other");
    let same = |_: &[u8], _: &[u8]| {
        meanwhile(async {
            queue.operator.retry(&first.id).await.unwrap();
            end(queue, number.replace(number.get() + 1), &bury()).await;
        });
        false
    };
    let error = queue.reconcile(&[&other], same).await.unwrap_err();
    assert!(matches!(&error, Error::Contended(id) if *id == first.id), "{error}");
    assert_eq!(&job(queue, &first.id).await.args[..], b"first");
    fixture.finish().await;
}

#[tokio::test]
async fn a_job_that_is_gone_is_to_be_enqueued_again() {
    let fixture = Fixture::new().await;
    let (there, gone) = (event(&JobId::random(), "a"), event(&JobId::random(), "a"));
    fixture.queue.enqueue(std::slice::from_ref(&there)).await.unwrap();
    let answers = fixture.queue.reconcile(&[&gone, &there], |one, other| one == other).await.unwrap();
    assert_eq!(answers, [Reconciled::Gone, Reconciled::Same]);
    assert!(fixture.queue.reconcile(&[], |_, _| true).await.unwrap().is_empty());
    fixture.finish().await;
}

/// Each repair keeps the arguments before it, so there is an end to them.
#[tokio::test]
async fn a_job_is_repaired_a_bounded_number_of_times_and_within_the_size_limit() {
    let fixture = Fixture::new().await;
    let queue = fixture.queue.clone().with_max_payload(8);
    let id = JobId::random();
    let data = |n: usize| NewJob { args: format!("{n}").into(), ..event(&id, "") };
    queue.enqueue(&[data(0)]).await.unwrap();
    let same = |one: &[u8], other: &[u8]| one == other;
    for n in 1..=MAX_REPAIRS {
        end(&queue, n as u64, &bury()).await;
        assert_eq!(queue.reconcile(&[&data(n)], same).await.unwrap(), [Reconciled::Repaired], "{n}");
    }
    end(&queue, 99, &bury()).await;
    for n in 0..=MAX_REPAIRS {
        assert_eq!(queue.reconcile(&[&data(n)], same).await.unwrap(), [Reconciled::Same], "{n}");
    }
    assert_eq!(queue.reconcile(&[&data(99)], same).await.unwrap(), [data_conflict(State::Dead)]);
    fixture.finish().await;

    let fixture = Fixture::new().await;
    let queue = fixture.queue.clone().with_max_payload(8);
    queue.enqueue(&[data(0)]).await.unwrap();
    end(&queue, 1, &bury()).await;
    let large = NewJob { args: "more than 8".into(), ..data(0) };
    let error = queue.reconcile(&[&large], same).await.unwrap_err();
    assert!(matches!(error, Error::Rejected(Rejection::Payload { bytes: 11, limit: 8 })), "{error}");
    fixture.finish().await;
}

/// Its work is another job's by now; a deadline that has passed does not end a repaired one.
#[tokio::test]
async fn a_dead_job_that_gave_way_is_not_repaired_and_a_repaired_one_has_no_deadline() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let hour = Duration::from_secs(3600);
    let unique =
        Unique { key: "k".into(), scope: Scope::Queue, lifetime: hour, noted: hour, replaces_dead: true };
    let deadline = Deadline { within: hour, then: Late::Expires };
    let first =
        NewJob { unique: Some(unique.clone()), deadline: Some(deadline), ..event(&JobId::random(), "first") };
    queue.enqueue(std::slice::from_ref(&first)).await.unwrap();
    end(queue, 1, &bury()).await;
    let next = NewJob { unique: Some(unique), ..event(&JobId::random(), "next") };
    assert_eq!(queue.enqueue(std::slice::from_ref(&next)).await.unwrap(), [EnqueueResult::Inserted]);
    let other = event(&first.id, "other");
    assert_eq!(again(queue, &other).await, data_conflict(State::Dead));
    assert_eq!(queue.operator.cancel(&next.id).await.unwrap(), Changed::To(State::Cancelled));
    assert_eq!(again(queue, &other).await, Reconciled::Repaired);
    assert_eq!(job(queue, &first.id).await.deadline, None);
    end(queue, 2, &succeed()).await;
    fixture.finish().await;
}
