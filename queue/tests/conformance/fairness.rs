//! Who goes first: priorities with shares, tenants by weight, deadlines.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::sync::Semaphore;
use upshot_queue::{
    Changed, Deadline, FailureClass, JobId, Late, Limit, LimitKey, NewJob, Priority, Shares, State,
    WorkerOptions,
    protocol::{Claim, Disposition, EndedAttempt},
};

use crate::{
    by_hand,
    fixture::{Fixture, Worker, name, options},
};

/// Claims one by one and ends each at once; what every job was, in order.
async fn drain(fixture: &Fixture, shares: Shares, most: usize) -> Vec<String> {
    let mut order = Vec::new();
    for _ in 0..most {
        let (jobs, _) = serve(fixture, shares, 1).await;
        if jobs.is_empty() {
            break;
        }
        order.extend(jobs);
    }
    order
}

/// Claims so many at once and ends them; what every job was, in order, and whether
/// there was more to do.
async fn serve(fixture: &Fixture, shares: Shares, want: usize) -> (Vec<String>, bool) {
    serve_ahead(fixture, shares, want, (want / 4).max(1)).await
}

/// The same; a lane may be given so many ahead of its turn.
async fn serve_ahead(fixture: &Fixture, shares: Shares, want: usize, ahead: usize) -> (Vec<String>, bool) {
    // Under a number that was used before, the same jobs would be answered.
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let claim = Claim { want, shares, quantum: ahead, ..by_hand::claim("one", number) };
    let claimed = fixture.queue.worker.claim(&claim).await.unwrap();
    let more = claimed.more;
    let (mut jobs, mut ended) = (Vec::new(), Vec::new());
    for job in claimed.jobs(&fixture.queue, "one") {
        let job = job.unwrap();
        let (flow, args) = (job.flow(), job.args.len());
        ended.push(EndedAttempt {
            expectation: job.expectation,
            id: job.id,
            token: job.token,
            flow,
            args,
            clock: None,
            disposition: Disposition::Succeed("null".into()),
        });
        jobs.push(String::from_utf8(job.args.to_vec()).unwrap());
    }
    if !ended.is_empty() {
        let written = fixture.queue.worker.settle("one", &ended).await.unwrap();
        assert!(written.into_iter().all(|written| written));
    }
    (jobs, more)
}

static NUMBER: AtomicU64 = AtomicU64::new(1);

const STRICT: Shares = Shares { high: 0.0, normal: 0.0, low: 0.0 };

fn job(args: &str, priority: Priority, tenant: &str) -> NewJob {
    let mut job = NewJob::new(JobId::random(), "test", args.to_owned());
    job.priority = priority;
    job.tenant = Some(tenant.to_owned());
    job
}

fn counted(order: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for each in order {
        *counts.entry(each.as_str()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn urgent_jobs_go_first() {
    let fixture = Fixture::new().await;
    let jobs: Vec<NewJob> =
        Priority::ALL.into_iter().rev().map(|priority| job(priority.as_str(), priority, "a")).collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    assert_eq!(fixture.queue.counts().await.unwrap().ready, [1, 1, 1, 1]);
    assert_eq!(drain(&fixture, STRICT, 9).await, ["critical", "high", "normal", "low"]);
    fixture.finish().await;
}

#[tokio::test]
async fn a_share_keeps_the_low_class_from_starving() {
    let fixture = Fixture::new().await;
    for priority in [Priority::Critical, Priority::Low] {
        let jobs: Vec<NewJob> = (0..200).map(|_| job(priority.as_str(), priority, "a")).collect();
        fixture.queue.enqueue(&jobs).await.unwrap();
    }
    let shares = Shares { low: 0.1, ..STRICT };
    let order = drain(&fixture, shares, 100).await;
    assert_eq!(counted(&order), [("critical", 90), ("low", 10)].into());
    let order = drain(&fixture, STRICT, 50).await;
    assert_eq!(counted(&order), [("critical", 50)].into());
    fixture.finish().await;
}

#[tokio::test]
async fn large_claims_keep_the_shares_of_classes() {
    let fixture = Fixture::new().await;
    for priority in [Priority::Critical, Priority::Low] {
        let jobs: Vec<NewJob> = (0..2000).map(|_| job(priority.as_str(), priority, "a")).collect();
        fixture.queue.enqueue(&jobs).await.unwrap();
    }
    let shares = Shares { low: 0.1, ..STRICT };
    let mut low = 0;
    for claims in 1..=15_usize {
        let (jobs, _) = serve(&fixture, shares, 100).await;
        assert_eq!(jobs.len(), 100);
        low += jobs.iter().filter(|job| *job == "low").count();
        // It is paid in parts of what a lane may be given ahead.
        assert!(claims * 10 >= low && low + 25 >= claims * 10, "{low} after {claims}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_class_gets_its_share_also_of_claims_that_one_lane_may_fill() {
    let fixture = Fixture::new().await;
    for priority in [Priority::Critical, Priority::Low] {
        let jobs: Vec<NewJob> = (0..4000).map(|_| job(priority.as_str(), priority, "a")).collect();
        fixture.queue.enqueue(&jobs).await.unwrap();
    }
    let (shares, mut low) = (Shares { low: 0.4, ..STRICT }, 0);
    for _ in 0..20 {
        let (jobs, _) = serve_ahead(&fixture, shares, 100, 100).await;
        low += jobs.iter().filter(|job| *job == "low").count();
    }
    assert!(low.abs_diff(20 * 40) <= 100, "{low} of 2000");
    fixture.finish().await;
}

#[tokio::test]
async fn a_claim_of_many_small_lanes_ends_early_and_keeps_the_shares_of_classes() {
    let fixture = Fixture::new().await;
    for priority in [Priority::Critical, Priority::Low] {
        let jobs: Vec<NewJob> =
            (0..300).map(|i| job(priority.as_str(), priority, &format!("tenant-{i}"))).collect();
        fixture.queue.enqueue(&jobs).await.unwrap();
    }
    let shares = Shares { low: 0.25, ..STRICT };
    let (mut order, more) = serve(&fixture, shares, 100).await;
    let low = order.iter().filter(|job| *job == "low").count();
    assert!(more && (28..=48).contains(&order.len()), "{} of 100 were served", order.len());
    assert!((7..=12).contains(&low), "{low} of {}", order.len());
    while order.len() < 600 {
        let (jobs, more) = serve(&fixture, shares, 100).await;
        assert!(!jobs.is_empty());
        order.extend(jobs);
        assert!(more || order.len() == 600, "{} were served and there was no more", order.len());
    }
    assert_eq!(counted(&order), [("critical", 300), ("low", 300)].into());
    fixture.finish().await;
}

#[tokio::test]
async fn a_claim_beside_very_many_lanes_is_smaller_and_says_that_there_is_more() {
    let fixture = Fixture::new().await;
    let jobs: Vec<NewJob> =
        (0..1100 * 8).map(|i| job("many", Priority::Normal, &format!("tenant-{}", i % 1100))).collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    let (order, more) = serve_ahead(&fixture, STRICT, 128, 128).await;
    assert_eq!((order.len(), more), (80, true));
    let (order, more) = serve_ahead(&fixture, STRICT, 70, 70).await;
    assert_eq!((order.len(), more), (70, false));
    // A limit is no reason to ask again at once.
    fixture.queue.operator.set_limit(&LimitKey::Queue, Limit::concurrency(50)).await.unwrap();
    let (order, more) = serve_ahead(&fixture, STRICT, 128, 128).await;
    assert_eq!((order.len(), more), (50, false));
    fixture.finish().await;
}

#[tokio::test]
async fn a_large_backlog_of_one_tenant_does_not_delay_anothers_first_job() {
    let fixture = Fixture::new().await;
    let jobs: Vec<NewJob> = (0..20_000).map(|_| job("large", Priority::Normal, "large")).collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    drain(&fixture, STRICT, 10).await;
    fixture.queue.enqueue(&[job("small", Priority::Normal, "small")]).await.unwrap();
    let order = drain(&fixture, STRICT, 2).await;
    assert!(order.contains(&"small".to_owned()), "{order:?}");
    fixture.finish().await;
}

#[tokio::test]
async fn the_more_tenants_wait_the_less_one_is_given_ahead_of_its_turn() {
    let fixture = Fixture::new().await;
    let enqueue = async |tenants: std::ops::Range<usize>| {
        for tenant in tenants {
            let name = format!("tenant-{tenant}");
            let jobs: Vec<NewJob> = (0..200).map(|_| job(&name, Priority::Normal, &name)).collect();
            fixture.queue.enqueue(&jobs).await.unwrap();
        }
    };
    enqueue(0..10).await;
    let (order, _) = serve_ahead(&fixture, STRICT, 100, 100).await;
    assert_eq!(counted(&order).into_values().collect::<Vec<_>>(), [100]);
    enqueue(10..200).await;
    let (order, _) = serve_ahead(&fixture, STRICT, 100, 100).await;
    assert_eq!(counted(&order).into_values().collect::<Vec<_>>(), [25; 4]);
    fixture.finish().await;
}

#[tokio::test]
async fn tenants_share_by_weight_whatever_number_of_lanes_they_have() {
    let fixture = Fixture::new().await;
    let weight = LimitKey::Tenant("heavy".into());
    fixture.queue.operator.set_limit(&weight, Limit::weight(3.0)).await.unwrap();
    let mut jobs = Vec::new();
    for i in 0..400 {
        jobs.push(job("heavy", Priority::Normal, "heavy"));
        jobs.push(job("light", Priority::Normal, "light"));
        // Ten lanes of one tenant: they have the share of one.
        let mut split = job("split", Priority::Normal, "split");
        split.limit_keys = vec![format!("provider-{}", i % 10)];
        jobs.push(split);
    }
    fixture.queue.enqueue(&jobs).await.unwrap();
    let order = drain(&fixture, STRICT, 500).await;
    let counts = counted(&order);
    for (who, expected) in [("heavy", 300), ("light", 100), ("split", 100)] {
        let got = counts.get(who).copied().unwrap_or(0);
        assert!(got.abs_diff(expected) <= 15, "{who} got {got} of 500, not about {expected}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn coming_back_again_and_again_gains_nothing() {
    let fixture = Fixture::new().await;
    let jobs: Vec<NewJob> = (0..100).map(|_| job("steady", Priority::Normal, "steady")).collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    let (mut served, mut waits) = (0, false);
    for _ in 0..40 {
        // One job at a time, always there just before the next claim.
        if !waits {
            fixture.queue.enqueue(&[job("sly", Priority::Normal, "sly")]).await.unwrap();
        }
        waits = drain(&fixture, STRICT, 1).await != ["sly"];
        served += usize::from(!waits);
    }
    assert!((18..=22).contains(&served), "{served} of 40 claims");
    fixture.finish().await;
}

#[tokio::test]
async fn of_one_tenant_the_least_slack_goes_first() {
    let fixture = Fixture::new().await;
    let deadline = |args: &str, minutes: u64| {
        let mut job = job(args, Priority::Normal, "a");
        job.deadline = Some(Deadline { within: Duration::from_secs(minutes * 60), then: Late::Runs });
        job
    };
    let jobs = [
        job("none", Priority::Normal, "a"),
        deadline("hour", 60),
        deadline("minute", 1),
        deadline("week", 10_080),
    ];
    fixture.queue.enqueue(&jobs).await.unwrap();
    assert_eq!(drain(&fixture, STRICT, 9).await, ["minute", "hour", "none", "week"]);
    fixture.finish().await;
}

#[tokio::test]
async fn those_that_left_a_lane_are_passed_over_however_many() {
    let fixture = Fixture::new().await;
    let jobs: Vec<NewJob> = (0..600).map(|i| job(&i.to_string(), Priority::Normal, "a")).collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    let (mut order, mut rounds) = (Vec::new(), 0);
    for (i, job) in jobs.iter().enumerate().take(500).filter(|(i, _)| i % 100 > 0) {
        assert!(matches!(fixture.queue.operator.cancel(&job.id).await.unwrap(), Changed::To(_)), "{i}");
    }
    // It is ready again, and so comes behind those that were ready before.
    fixture.queue.operator.prioritise(&jobs[501].id, Priority::High).await.unwrap();
    fixture.queue.operator.prioritise(&jobs[501].id, Priority::Normal).await.unwrap();
    while order.len() < 105 {
        let (jobs, more) = serve(&fixture, STRICT, 3).await;
        assert!(!jobs.is_empty() || more, "after {order:?}");
        order.extend(jobs);
        rounds += 1;
        assert!(rounds < 200, "after {order:?}");
    }
    let again = |i: &usize| *i == 501;
    let first = (0..500).step_by(100).chain((500..600).filter(|i| !again(i)));
    let expected: Vec<String> = first.chain([501]).map(|i| i.to_string()).collect();
    assert_eq!(order, expected);
    let gone: bool = redis::cmd("EXISTS")
        .arg(fixture.queue.keys().gone("2:a"))
        .arg(fixture.queue.keys().lane("2:a"))
        .query_async(&mut fixture.connector.connect().unwrap())
        .await
        .unwrap();
    assert!(!gone);
    fixture.finish().await;
}

#[tokio::test]
async fn a_job_that_is_late_expires_or_runs_as_it_was_told() {
    let fixture = Fixture::new().await;
    let within = Duration::from_millis(1);
    let [mut expires, mut runs] = [job("e", Priority::Normal, "a"), job("r", Priority::Normal, "a")];
    expires.deadline = Some(Deadline { within, then: Late::Expires });
    runs.deadline = Some(Deadline { within, then: Late::Runs });
    // Paused, so that neither starts in time.
    fixture.queue.operator.pause().await.unwrap();
    fixture.queue.enqueue(&[expires.clone(), runs.clone()]).await.unwrap();
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    let dead = fixture.until_state(&expires.id, State::Dead).await;
    assert_eq!((dead.attempts, dead.history[0].class), (0, FailureClass::Expired));
    assert_eq!(dead.failures.get(&FailureClass::Expired), Some(&1));
    assert_eq!(fixture.queue.job(&runs.id).await.unwrap().unwrap().state, State::Ready);
    fixture.queue.operator.resume().await.unwrap();
    fixture.until_state(&runs.id, State::Succeeded).await;
    // By hand it runs after all.
    assert_eq!(fixture.queue.operator.retry(&expires.id).await.unwrap(), Changed::To(State::Ready));
    fixture.until_state(&expires.id, State::Succeeded).await;
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn priority_and_time_of_a_waiting_job_can_be_changed() {
    let fixture = Fixture::new().await;
    let jobs: Vec<NewJob> = ["one", "two", "three"].map(|args| job(args, Priority::Normal, "a")).into();
    fixture.queue.enqueue(&jobs).await.unwrap();
    let queue = &fixture.queue;
    assert_eq!(
        queue.operator.prioritise(&jobs[2].id, Priority::High).await.unwrap(),
        Changed::To(State::Ready)
    );
    let later = queue.operator.reschedule(&jobs[0].id, Duration::from_secs(3600)).await.unwrap();
    assert_eq!(later, Changed::To(State::Scheduled));
    assert_eq!(drain(&fixture, STRICT, 9).await, ["three", "two"]);
    assert_eq!(
        queue.operator.reschedule(&jobs[0].id, Duration::ZERO).await.unwrap(),
        Changed::To(State::Ready)
    );
    assert_eq!(drain(&fixture, STRICT, 9).await, ["one"]);
    let done = queue.operator.reschedule(&jobs[0].id, Duration::ZERO).await.unwrap();
    assert_eq!(done, Changed::Refused(State::Succeeded));
    let job = queue.job(&jobs[0].id).await.unwrap().unwrap();
    let did: Vec<&str> = job.changes.iter().map(|change| change.did.as_str()).collect();
    assert_eq!(did, ["rescheduled", "rescheduled"]);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_keep_the_shares_of_tenants() {
    let fixture = Fixture::new().await;
    fixture.queue.operator.pause().await.unwrap();
    let tenants = ["a", "b", "c"];
    for tenant in tenants {
        let jobs: Vec<NewJob> = (0..300).map(|_| job(tenant, Priority::Normal, tenant)).collect();
        fixture.queue.enqueue(&jobs).await.unwrap();
    }
    let order = Arc::new(Mutex::new(Vec::new()));
    let worker = || {
        let order = Arc::clone(&order);
        let options = WorkerOptions { concurrency: 16, ..WorkerOptions::new(name()) };
        Worker::start(&fixture.connector, options, move |job, _| {
            order.lock().unwrap().push(job.tenant.clone().unwrap());
            async { Ok(json!(null)) }
        })
    };
    let workers = [worker(), worker()];
    fixture.queue.operator.resume().await.unwrap();
    fixture.until_count(State::Succeeded, 900).await;
    for worker in workers {
        worker.stop().await;
    }
    let order = order.lock().unwrap().clone();
    let counts = counted(&order[..300]);
    for tenant in tenants {
        // Sixteen at a time and two of them, so the first 300 are a little uneven.
        let got = counts.get(tenant).copied().unwrap_or(0);
        assert!((60..=140).contains(&got), "{tenant} had {got} of the first 300");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn of_slow_jobs_every_tenant_gets_its_part_of_a_large_claim() {
    let fixture = Fixture::new().await;
    let tenants: Vec<String> = (0..8).map(|i| format!("tenant-{i}")).collect();
    for tenant in &tenants {
        let jobs: Vec<NewJob> = (0..20).map(|_| job(tenant, Priority::Normal, tenant)).collect();
        fixture.queue.enqueue(&jobs).await.unwrap();
    }
    let started = Arc::new(Mutex::new(Vec::new()));
    let [begun, gate] = [0; 2].map(|none| Arc::new(Semaphore::new(none)));
    let options = WorkerOptions { concurrency: 64, ..WorkerOptions::new(name()) };
    let worker = Worker::start(&fixture.connector, options, {
        let (started, begun, gate) = (Arc::clone(&started), Arc::clone(&begun), Arc::clone(&gate));
        move |job, _| {
            started.lock().unwrap().push(job.tenant.clone().unwrap());
            begun.add_permits(1);
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                Ok(json!(null))
            }
        }
    });
    begun.acquire_many(64).await.unwrap().forget();
    gate.add_permits(160);
    fixture.until_count(State::Succeeded, 160).await;
    worker.stop().await;
    let started = started.lock().unwrap().clone();
    // Nothing had ended yet, so nobody was served ahead of the others.
    let counts = counted(&started[..64]);
    assert!(tenants.iter().all(|tenant| counts.get(tenant.as_str()) == Some(&8)), "{counts:?}");
    fixture.finish().await;
}

/// A tenant with a lane for each of its jobs gets no more turns than one with a single lane.
#[tokio::test]
async fn many_lanes_of_a_tenant_do_not_delay_anothers_first_job() {
    let fixture = Fixture::new().await;
    let many = |i: usize| {
        let mut job = NewJob::new(JobId::random(), "test", "acme");
        job.tenant = Some("acme".to_owned());
        job.limit_keys = vec![format!("database-{i}")];
        job
    };
    fixture.queue.enqueue(&(0..200).map(many).collect::<Vec<_>>()).await.unwrap();
    let mut first = NewJob::new(JobId::random(), "test", "zeta");
    first.tenant = Some("zeta".to_owned());
    fixture.queue.enqueue(&[first]).await.unwrap();
    let mut served = Vec::new();
    for _ in 0..10 {
        served.extend(serve_ahead(&fixture, Shares::default(), 1, 1).await.0);
    }
    assert!(served.contains(&"zeta".to_owned()), "{served:?}");
    fixture.finish().await;
}

/// Nor do tenants that come later and have smaller names.
#[tokio::test]
async fn who_came_first_among_new_tenants_is_served_first() {
    let fixture = Fixture::new().await;
    let of = |tenant: String| {
        let mut job = NewJob::new(JobId::random(), "test", tenant.clone());
        job.tenant = Some(tenant);
        job
    };
    let mut order = Vec::new();
    for i in (0..40).rev() {
        fixture.queue.enqueue(&[of(format!("tenant-{i:02}"))]).await.unwrap();
        order.push(format!("tenant-{i:02}"));
    }
    let mut served = Vec::new();
    for _ in 0..40 {
        served.extend(serve_ahead(&fixture, Shares::default(), 1, 1).await.0);
    }
    assert_eq!(served, order);
    fixture.finish().await;
}
