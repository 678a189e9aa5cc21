//! A Redis that comes back with its append-only file: every job is where it was, and what
//! held jobs back, or was on its way, goes on.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use upshot_queue::{
    Changed, Deadline, EnqueueResult, FailureClass, Filter, GroupFilter, Job, JobId, Late, Limit, LimitKey,
    LimitUse, NewJob, OutboxReader, Priority, Scope, State, Unique,
    connect::Backoff,
    protocol::{Claim, Disposition, Maintained, Renewed, Write},
};
use upshot_servers::RedisServer;

use crate::handles::Queue;

use crate::{
    by_hand::{bury, cancel, claim, jobs, lease, park, retry, settle, succeed},
    fixture::{Fixture, name},
};

const HOUR: Duration = Duration::from_secs(3600);
const NOW: Duration = Duration::ZERO;

/// Ends Redis and starts it again.
async fn restart(redis: &mut RedisServer, killed: bool, queue: &Queue) {
    if killed {
        redis.kill().await.unwrap();
    }
    redis.restart().await.unwrap();
    // The connection is made anew at the first call after the loss.
    let mut backoff = Backoff::default();
    while queue.counts().await.is_err() {
        backoff.wait().await;
    }
}

/// A job of a tenant.
fn job(tenant: &str) -> NewJob {
    NewJob { tenant: Some(tenant.to_owned()), ..NewJob::new(JobId::random(), "test", tenant.to_owned()) }
}

/// All that is known of a queue: every field of every job, in the order in which it is
/// listed, and what holds jobs back.
#[derive(Debug, PartialEq)]
struct Known {
    jobs: Vec<(JobId, BTreeMap<String, String>)>,
    due: Vec<Option<i64>>,
    said: String,
}

async fn known(fixture: &Fixture, limits: &[LimitKey]) -> Known {
    let queue = &fixture.queue;
    let mut conn = fixture.connector.connect().unwrap();
    let (mut stored, mut from) = (Vec::new(), None);
    loop {
        let page = queue.list(&Filter::default(), from, 8).await.unwrap();
        for job in page.jobs {
            let mut cmd = redis::cmd("HGETALL");
            let fields = cmd.arg(queue.keys().job(&job.id)).query_async(&mut conn).await.unwrap();
            stored.push((job.id, fields));
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let ids: Vec<JobId> = stored.iter().map(|(id, _)| id.clone()).collect();
    let mut counts = queue.counts().await.unwrap();
    counts.transitions.sort();
    let mut conditions = queue.conditions().await.unwrap();
    conditions.sort();
    let mut used = Vec::new();
    for key in limits {
        used.push(queue.limit_use(key).await.unwrap());
    }
    let said = format!(
        "{counts:#?}\n{conditions:?}\n{:#?}\n{:#?}\n{used:?}",
        queue.limits().await.unwrap(),
        queue.dead_groups(&GroupFilter::default(), 10).await.unwrap()
    );
    Known { due: queue.due_times(&ids).await.unwrap(), jobs: stored, said }
}

/// The jobs' ids, in order.
fn ids<'a>(jobs: impl IntoIterator<Item = &'a Job>) -> Vec<&'a JobId> {
    jobs.into_iter().map(|job| &job.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_is_where_it_was_when_redis_was_stopped() {
    Box::pin(every_job_is_where_it_was(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_is_where_it_was_when_redis_was_killed() {
    Box::pin(every_job_is_where_it_was(true)).await;
}

async fn every_job_is_where_it_was(killed: bool) {
    let dir = tempfile::tempdir().unwrap();
    // One whose folder is its own to remove could only be killed.
    let mut redis = RedisServer::start(dir.path()).await.unwrap();
    let fixture = Fixture::on(redis.url());
    let queue = &fixture.queue;
    if killed {
        // By itself Redis owes up to a second to the disk, which a kill would lose.
        let mut cmd = redis::cmd("CONFIG");
        cmd.arg("SET").arg("appendfsync").arg("always");
        cmd.exec_async(&mut fixture.connector.connect().unwrap()).await.unwrap();
    }
    let (one_at_a_time, api) = (LimitKey::Tenant("slow".into()), LimitKey::Key("api".into()));
    let limits = [LimitKey::Queue, one_at_a_time.clone(), api.clone()];
    queue.operator.set_limit(&one_at_a_time, Limit::concurrency(1)).await.unwrap();
    // A token in a quarter of an hour.
    queue.operator.set_limit(&api, Limit::rate(0.001, 2)).await.unwrap();
    queue.operator.pause_kind("paused").await.unwrap();

    // One of each end, by worker `one`.
    let first = ["succeeded", "failed", "dead", "dead", "cancelled", "parked", "slow", "released"].map(job);
    queue.enqueue(&first).await.unwrap();
    let leased = lease(queue, "one", 1).await;
    assert_eq!(leased.len(), 8);
    let of = |jobs: &[Job], tenant: &str| -> Vec<Job> {
        jobs.iter().filter(|job| job.tenant.as_deref() == Some(tenant)).cloned().collect()
    };
    let dead = of(&leased, "dead");
    assert!(queue.worker.write("one", &dead[0].id, 1, Write::Step("render", "\"once\"", "")).await.unwrap());
    let outcome = Disposition::Succeed("{\"sent\":true}".to_owned());
    for (tenant, end) in [
        ("succeeded", outcome),
        ("failed", retry(HOUR)),
        ("dead", bury()),
        ("cancelled", cancel()),
        ("parked", park("a key")),
        ("released", Disposition::Release { line: String::new() }),
    ] {
        settle(queue, "one", &of(&leased, tenant), &end).await;
    }
    // One that goes on running, with something written; beside it two that use up a rate,
    // and one whose kind is paused.
    let slow = of(&leased, "slow").remove(0);
    for write in [
        Write::Step("render", "1", ""),
        Write::Progress("{\"percent\":50}", "50 render"),
        Write::Log("\"half way\""),
    ] {
        assert!(queue.worker.write("one", &slow.id, 1, write).await.unwrap());
    }
    let with_key = || NewJob { limit_keys: vec!["api".into()], ..job("keyed") };
    let paused = NewJob { kind: "paused".into(), ..job("any") };
    queue.enqueue(&[with_key(), with_key(), paused.clone()]).await.unwrap();
    let keyed = lease(queue, "one", 2).await;
    assert_eq!(keyed.len(), 3, "and the one that was released");
    // One that loses its worker.
    let lost = job("lost");
    queue.enqueue(std::slice::from_ref(&lost)).await.unwrap();
    let brief = Claim { lease: Duration::from_millis(1), ..claim("gone", 1) };
    let gone = jobs(queue, "gone", queue.worker.claim(&brief).await.unwrap());
    assert_eq!(ids(&gone), [&lost.id]);

    // What waits: behind limits, by priority, with a deadline, with an idempotency key, for
    // a time, and for one that will have come.
    let held = [job("slow"), with_key()];
    let urgent = NewJob { priority: Priority::Critical, ..job("a") };
    let low = NewJob { priority: Priority::Low, ..job("a") };
    let deadline = Some(Deadline { within: HOUR, then: Late::Expires });
    let soon = NewJob { deadline, ..job("b") };
    let later = job("b");
    let unique = Some(Unique {
        key: "order-1".into(),
        scope: Scope::Queue,
        lifetime: HOUR,
        noted: HOUR,
        replaces_dead: false,
    });
    let owner = NewJob { unique: unique.clone(), ..job("c") };
    let scheduled = NewJob { delay: HOUR, ..job("d") };
    let due = NewJob { delay: Duration::from_millis(1), ..job("e") };
    let all = [&held[0], &held[1], &low, &later, &soon, &owner, &urgent, &scheduled, &due];
    queue.enqueue(&all.map(Clone::clone)).await.unwrap();
    let mut reader = OutboxReader::join(&fixture.connector, name(), "audit", "one").await.unwrap();
    let read = reader.read(3, NOW).await.unwrap();
    reader.acknowledge(&read).await.unwrap();
    let unacknowledged = reader.read(2, NOW).await.unwrap();
    let entries = queue.latest_transitions(1_000).await.unwrap().len();
    queue.operator.pause().await.unwrap();
    let before = known(&fixture, &limits).await;
    assert_eq!(before.jobs.len(), first.len() + 3 + 1 + all.len());

    restart(&mut redis, killed, queue).await;

    assert_eq!(known(&fixture, &limits).await, before);
    // Who enqueues again finds what is there, by its id and by its key.
    let found = |job: &NewJob, state| EnqueueResult::Duplicate { id: job.id.clone(), state };
    let twin = NewJob { unique, ..job("c") };
    let verdicts = queue.enqueue(&[scheduled.clone(), twin]).await.unwrap();
    assert_eq!(verdicts, [found(&scheduled, State::Scheduled), found(&owner, State::Ready)]);
    // The reader goes on with what it had not acknowledged, and then where it was.
    let mut reader = reader.reclaiming_after(NOW);
    let mut backoff = Backoff::default();
    let again = loop {
        // Its connection is one of its own, and made anew after its first call as well.
        match reader.read(100, NOW).await {
            Ok(entries) => break entries,
            Err(_) => backoff.wait().await,
        }
    };
    assert_eq!(again, unacknowledged);
    reader.acknowledge(&again).await.unwrap();
    let rest = reader.read(1_000, NOW).await.unwrap();
    assert_eq!(read.len() + again.len() + rest.len(), entries);
    reader.acknowledge(&rest).await.unwrap();

    // The pause holds; what is due is promoted nevertheless, and the lost worker noticed.
    let paused_claim = queue.worker.claim(&claim("two", 1)).await.unwrap();
    assert!(paused_claim.is_empty());
    assert_eq!(paused_claim.maintained.unwrap(), Maintained { reclaimed: 1, dead: 0 });
    queue.operator.resume().await.unwrap();
    let next = lease(queue, "two", 2).await;
    // The most urgent first and the least urgent last; what limits hold, and the paused
    // kind, are not among them.
    let mut leased_now = ids(&next);
    assert_eq!((leased_now.first(), leased_now.last()), (Some(&&urgent.id), Some(&&low.id)));
    let mut expected = vec![&urgent.id, &low.id, &later.id, &soon.id, &owner.id, &due.id, &lost.id];
    leased_now.sort();
    expected.sort();
    assert_eq!(leased_now, expected);
    let place = |id: &JobId| next.iter().position(|job| job.id == *id);
    assert!(place(&soon.id) < place(&later.id), "the deadline of a tenant's job counts");
    let reclaimed = queue.job(&lost.id).await.unwrap().unwrap();
    assert_eq!((reclaimed.attempts, reclaimed.token), (2, 2));
    assert_eq!(reclaimed.failures.get(&FailureClass::Crashed), Some(&1));
    let late = [crate::by_hand::ended(&gone[0], succeed())];
    assert_eq!(queue.worker.settle("gone", &late).await.unwrap(), [false], "it has another worker");
    settle(queue, "two", &next, &succeed()).await;

    // What ran goes on under its lease: the last claim is answered again, and the lease is
    // renewed, written under and ended.
    let claimed_again = lease(queue, "one", 2).await;
    assert_eq!(ids(&claimed_again), ids(&keyed));
    let leases = || [&slow].into_iter().chain(&keyed).map(|job| (&job.id, job.token));
    let leases: Vec<_> = leases().collect();
    assert_eq!(queue.worker.renew("one", HOUR, leases.into_iter()).await.unwrap(), Renewed::default());
    assert!(queue.worker.write("one", &slow.id, 1, Write::Step("send", "2", "")).await.unwrap());
    assert_eq!(
        queue.limit_use(&one_at_a_time).await.unwrap(),
        LimitUse { running: Some(1), tokens: None, waiting_lanes: 1 }
    );
    let released: Vec<Job> = of(&keyed, "released");
    assert_eq!((released[0].attempts, released[0].token), (1, 2));
    settle(queue, "one", &keyed, &succeed()).await;
    settle(queue, "one", std::slice::from_ref(&slow), &succeed()).await;
    let done = queue.job(&slow.id).await.unwrap().unwrap();
    assert_eq!((done.step("render"), done.step("send")), (Some(&json!(1)), Some(&json!(2))));
    assert_eq!((done.log.len(), done.marks.len(), done.attempts), (1, 1, 1));

    // The limit on concurrency has room now; the rate has none for a quarter of an hour.
    let next = lease(queue, "two", 3).await;
    assert_eq!(ids(&next), [&held[0].id]);
    settle(queue, "two", &next, &succeed()).await;
    queue.operator.set_limit(&api, Limit::default()).await.unwrap();
    let next = lease(queue, "two", 4).await;
    assert_eq!(ids(&next), [&held[1].id]);
    settle(queue, "two", &next, &succeed()).await;

    // What was dead, parked or put off goes on by hand; the paused kind was parked by its turn.
    assert_eq!(
        queue.operator.retry_paced(&[dead[0].id.clone(), dead[1].id.clone()], NOW).await.unwrap(),
        [Changed::To(State::Ready); 2]
    );
    assert_eq!(queue.operator.unpark("a key").await.unwrap(), 1);
    assert_eq!(queue.operator.resume_kind("paused").await.unwrap().released, 1);
    let failed = &first[1].id;
    assert_eq!(queue.operator.reschedule(failed, NOW).await.unwrap(), Changed::To(State::Ready));
    let next = lease(queue, "two", 5).await;
    assert_eq!(next.len(), 5);
    let revived = next.iter().find(|job| job.id == dead[0].id).unwrap();
    assert_eq!((revived.attempts, revived.step("render")), (2, Some(&json!("once"))));
    let retried = next.iter().find(|job| job.id == *failed).unwrap();
    assert_eq!(retried.failures.get(&FailureClass::Transient), Some(&1));
    settle(queue, "two", &next, &succeed()).await;
    let cancelled = &first[4].id;
    assert_eq!(queue.operator.retry(cancelled).await.unwrap(), Changed::Refused(State::Cancelled));

    let counts = queue.counts().await.unwrap();
    // The one that is due in an hour, the cancelled one, and all others.
    let n = before.jobs.len() as u64;
    assert_eq!(
        [State::Scheduled, State::Cancelled, State::Succeeded].map(|state| counts.of(state)),
        [1, 1, n - 2],
        "{counts:?}"
    );
    fixture.finish().await;
    redis.stop().await.unwrap();
}
