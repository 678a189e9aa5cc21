//! Idempotency keys: scope, lifetime, and dead jobs that give way; what is refused.

use std::time::Duration;

use serde_json::json;
use upshot_queue::{
    Changed, EnqueueResult, Error, Failure, Filter, GroupFilter, JobId, NewJob, OutboxReader, Rejection,
    Scope, State, Unique,
};

use crate::fixture::{Fixture, Worker, name, options};

fn job(key: &str, scope: Scope, kind: &str, tenant: &str) -> NewJob {
    let mut job = NewJob::new(JobId::random(), kind, "");
    job.tenant = Some(tenant.to_owned());
    let hour = Duration::from_secs(3600);
    job.unique =
        Some(Unique { key: key.to_owned(), scope, lifetime: hour, noted: hour, replaces_dead: false });
    job
}

#[tokio::test]
async fn a_key_finds_the_job_that_holds_it_within_its_scope() {
    let fixture = Fixture::new().await;
    for (scope, twins) in
        [(Scope::Queue, [true, true]), (Scope::Kind, [false, true]), (Scope::Tenant, [false, false])]
    {
        let first = job("order-1", scope, "mail", "a");
        let other_kind = job("order-1", scope, "invoice", "a");
        let other_tenant = job("order-1", scope, "mail", "b");
        let twin = job("order-1", scope, "mail", "a");
        let verdicts = fixture.queue.enqueue(&[first.clone(), other_kind, other_tenant, twin]).await.unwrap();
        let found = EnqueueResult::Duplicate { id: first.id.clone(), state: State::Ready };
        let expected = |twin| if twin { found.clone() } else { EnqueueResult::Inserted };
        assert_eq!(
            verdicts,
            [EnqueueResult::Inserted, expected(twins[0]), expected(twins[1]), found.clone()],
            "{scope:?}"
        );
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_key_ends_with_its_lifetime_and_with_its_job() {
    let fixture = Fixture::new().await;
    let mut short = job("k", Scope::Queue, "mail", "a");
    short.unique.as_mut().unwrap().lifetime = Duration::from_millis(1);
    fixture.queue.enqueue(std::slice::from_ref(&short)).await.unwrap();
    let next = loop {
        let next = job("k", Scope::Queue, "mail", "a");
        if fixture.queue.enqueue(std::slice::from_ref(&next)).await.unwrap() == [EnqueueResult::Inserted] {
            break next;
        }
    };
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    fixture.until_state(&next.id, State::Succeeded).await;
    fixture.until_state(&short.id, State::Succeeded).await;
    worker.stop().await;
    fixture.queue.worker.trim(State::Succeeded, Duration::ZERO).await.unwrap();
    // Its job is forgotten, so nobody is found; no lock is left behind.
    let again = fixture.queue.enqueue(&[job("k", Scope::Queue, "mail", "a")]).await.unwrap();
    assert_eq!(again, [EnqueueResult::Inserted]);
    fixture.finish_after_forgetting(2).await;
}

#[tokio::test]
async fn a_dead_job_gives_way_where_it_is_told_to() {
    let fixture = Fixture::new().await;
    let first = job("k", Scope::Queue, "mail", "a");
    fixture.queue.enqueue(std::slice::from_ref(&first)).await.unwrap();
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Err(Failure::permanent("no")) });
    fixture.until_state(&first.id, State::Dead).await;
    let second = job("k", Scope::Queue, "mail", "a");
    let found = EnqueueResult::Duplicate { id: first.id.clone(), state: State::Dead };
    assert_eq!(fixture.queue.enqueue(std::slice::from_ref(&second)).await.unwrap(), [found]);
    let second = NewJob { replaces_dead: true, ..second };
    assert_eq!(
        fixture.queue.enqueue(std::slice::from_ref(&second)).await.unwrap(),
        [EnqueueResult::Inserted]
    );
    fixture.until_state(&second.id, State::Dead).await;
    // Both beside each other is what the key is there against.
    let gone_by = fixture.queue.job(&first.id).await.unwrap().unwrap();
    assert_eq!((gone_by.state, gone_by.successor), (State::Dead, Some(second.id.clone())));
    assert_eq!(fixture.queue.operator.retry(&first.id).await.unwrap(), Changed::Replaced);
    assert_eq!(
        fixture.queue.operator.forget(&[second.id], Duration::ZERO).await.unwrap(),
        [Changed::Forgotten]
    );
    assert_eq!(
        fixture.queue.operator.retry(&first.id).await.unwrap(),
        Changed::Replaced,
        "it may have succeeded"
    );
    // The same id: the dead job is gone and the new one stands in its place.
    let same = NewJob { id: first.id.clone(), unique: None, replaces_dead: true, ..first };
    assert_eq!(fixture.queue.enqueue(std::slice::from_ref(&same)).await.unwrap(), [EnqueueResult::Inserted]);
    fixture.until_state(&same.id, State::Dead).await;
    worker.stop().await;
    fixture.finish_after_forgetting(2).await;
}

#[tokio::test]
async fn a_duplicate_stays_one_and_is_noted_under_its_own_id() {
    let fixture = Fixture::new().await;
    let enqueue = async |job: &NewJob| fixture.queue.enqueue(std::slice::from_ref(job)).await.unwrap();
    let [first, twin, later] = [(); 3].map(|()| job("k", Scope::Queue, "mail", "a"));
    let found = [EnqueueResult::Duplicate { id: first.id.clone(), state: State::Ready }];
    assert!(fixture.queue.would_find(&first).await.unwrap().is_none());
    assert_eq!(enqueue(&first).await, [EnqueueResult::Inserted]);
    assert_eq!(fixture.queue.would_find(&twin).await.unwrap().map(|job| job.id), Some(first.id.clone()));
    assert_eq!(enqueue(&twin).await, found);
    let ids = [twin.id.clone(), first.id.clone()];
    assert_eq!(fixture.queue.originals(&ids).await.unwrap(), [Some(first.id.clone()), None]);

    // The key's lifetime is over, and another job holds it by now.
    let mut admin = fixture.connector.connect().unwrap();
    let key = fixture.queue.keys().unique("|k");
    let deleted: u8 = redis::cmd("DEL").arg(key).query_async(&mut admin).await.unwrap();
    assert_eq!((deleted, enqueue(&later).await), (1, vec![EnqueueResult::Inserted]));
    assert_eq!(enqueue(&twin).await, found);
    assert_eq!(enqueue(&first).await, found, "it has not become a duplicate of the other");
    for job in [&twin, &first] {
        assert_eq!(fixture.queue.would_find(job).await.unwrap().map(|job| job.id), Some(first.id.clone()));
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_dead_holder_gives_way_to_others_and_not_to_itself() {
    let fixture = Fixture::new().await;
    let enqueue = async |job: &NewJob| fixture.queue.enqueue(std::slice::from_ref(job)).await.unwrap();
    let [first, twin] = [(); 2].map(|()| {
        let mut job = job("k", Scope::Queue, "mail", "a");
        job.unique.as_mut().unwrap().replaces_dead = true;
        job
    });
    let found = |state| [EnqueueResult::Duplicate { id: first.id.clone(), state }];
    assert_eq!(enqueue(&first).await, [EnqueueResult::Inserted]);
    assert_eq!(enqueue(&twin).await, found(State::Ready));
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Err(Failure::permanent("no")) });
    fixture.until_state(&first.id, State::Dead).await;
    worker.stop().await;
    assert_eq!(enqueue(&first).await, found(State::Dead), "a redelivery is no reason to run it again");
    assert!(fixture.queue.would_find(&twin).await.unwrap().is_none());
    assert_eq!(enqueue(&twin).await, [EnqueueResult::Inserted]);
    assert_eq!(fixture.queue.originals(std::slice::from_ref(&twin.id)).await.unwrap(), [None]);
    fixture.finish().await;
}

#[tokio::test]
async fn who_took_a_dead_jobs_place_stands_for_its_duplicates() {
    let fixture = Fixture::new().await;
    let enqueue = async |job: &NewJob| fixture.queue.enqueue(std::slice::from_ref(job)).await.unwrap();
    let [first, twin, second, third] = [(); 4].map(|()| {
        let mut job = job("k", Scope::Queue, "mail", "a");
        job.unique.as_mut().unwrap().replaces_dead = true;
        job
    });
    let stands = async || fixture.queue.originals(std::slice::from_ref(&twin.id)).await.unwrap();
    assert_eq!(enqueue(&first).await, [EnqueueResult::Inserted]);
    let repeats = [EnqueueResult::Duplicate { id: first.id.clone(), state: State::Ready }];
    assert_eq!(enqueue(&twin).await, repeats);
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Err(Failure::permanent("no")) });
    for (job, successor) in [(&first, &second), (&second, &third)] {
        fixture.until_state(&job.id, State::Dead).await;
        assert_eq!(stands().await, [Some(job.id.clone())]);
        assert_eq!(enqueue(successor).await, [EnqueueResult::Inserted]);
        assert_eq!(stands().await, [Some(successor.id.clone())]);
    }
    fixture.until_state(&third.id, State::Dead).await;
    worker.stop().await;
    let forgotten =
        fixture.queue.operator.forget(std::slice::from_ref(&third.id), Duration::ZERO).await.unwrap();
    assert_eq!(forgotten, [Changed::Forgotten]);
    assert_eq!(stands().await, [Some(second.id)], "the last that is known");
    fixture.finish_after_forgetting(1).await;
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_and_the_rest_is_taken() {
    let fixture = Fixture::new().await;
    let queue = fixture.queue.clone().with_max_payload(10);
    let good = NewJob::new(JobId::random(), "test", "0123456789");
    let large = NewJob::new(JobId::random(), "test", "01234567890");
    let verdicts = queue.enqueue(&[good.clone(), large.clone(), good.clone()]).await.unwrap();
    let found = EnqueueResult::Duplicate { id: good.id, state: State::Ready };
    let refused = EnqueueResult::Rejected(Rejection::Payload { bytes: 11, limit: 10 });
    assert_eq!(verdicts, [EnqueueResult::Inserted, refused, found]);
    assert!(queue.job(&large.id).await.unwrap().is_none());
    fixture.finish().await;
}

#[tokio::test]
async fn a_queue_of_another_layout_is_refused() {
    let fixture = Fixture::new().await;
    let mut admin = fixture.connector.connect().unwrap();
    let control = fixture.queue.keys().control();
    redis::cmd("HSET").arg(control).arg("schema").arg(99).exec_async(&mut admin).await.unwrap();
    let job = NewJob::new(JobId::random(), "test", "");
    let refused = fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap_err().to_string();
    assert!(
        refused.contains("layout 99") && refused.contains(&format!("layout {}", upshot_queue::keys::SCHEMA)),
        "{refused}"
    );
    // Reads compare it as well.
    let reads = [
        fixture.queue.job(&job.id).await.unwrap_err(),
        fixture.queue.counts().await.unwrap_err(),
        fixture.queue.list(&Filter::default(), None, 1).await.unwrap_err(),
        fixture.queue.dead_groups(&GroupFilter::default(), 1).await.unwrap_err(),
        fixture.queue.conditions().await.unwrap_err(),
        fixture.queue.outbox().await.unwrap_err(),
        OutboxReader::join(&fixture.connector, name(), "audit", "one").await.unwrap_err(),
    ];
    for error in reads {
        assert!(matches!(&error, Error::Layout { found } if found == "99"), "{error}");
    }
    redis::cmd("DEL").arg(control).exec_async(&mut admin).await.unwrap();
    // Keys of the first layout, which had no version yet.
    redis::cmd("HSET")
        .arg(fixture.queue.keys().stats())
        .arg("enqueued")
        .arg(1)
        .exec_async(&mut admin)
        .await
        .unwrap();
    let refused = fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap_err().to_string();
    assert!(refused.contains("layout 1"), "{refused}");
    redis::cmd("DEL").arg(fixture.queue.keys().stats()).exec_async(&mut admin).await.unwrap();
    fixture.finish().await;
}
