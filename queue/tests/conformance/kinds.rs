//! Workers that run different kinds share a queue: the claim of a worker that does not run a job
//! parks it, once, and the claim of a worker that runs it takes it from there.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use upshot_queue::{
    Deadline, Job, JobId, Late, Limit, LimitKey, NewJob, Priority, Scrubber, Shares, State,
    connect::Heard,
    protocol::{Claim, Claimed},
};

use crate::handles::Queue;

use crate::{
    by_hand,
    fixture::{Fixture, PATIENCE, Worker},
    parking::knows,
};

/// The less urgent classes get nothing before the more urgent ones.
const NONE: Shares = Shares { high: 0.0, normal: 0.0, low: 0.0 };

fn jobs(kind: &str, n: usize) -> Vec<NewJob> {
    (0..n).map(|i| NewJob::new(JobId::random(), kind, i.to_string())).collect()
}

fn of_tenant(kind: &str, tenant: &str, n: usize) -> Vec<NewJob> {
    jobs(kind, n).into_iter().map(|job| NewJob { tenant: Some(tenant.to_owned()), ..job }).collect()
}

fn ids(jobs: &[NewJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id.clone()).collect()
}

/// A claim by a worker of its own name that runs one kind.
async fn claim(queue: &Queue, kind: &str, number: u64, want: usize) -> Claimed {
    let kinds = [format!("1|{kind}")];
    let claim =
        Claim { kinds: Some(&kinds), want, quantum: want, shares: NONE, ..by_hand::claim(kind, number) };
    queue.worker.claim(&claim).await.unwrap()
}

/// The jobs that such a claim leases.
async fn lease(queue: &Queue, kind: &str, number: u64, want: usize) -> Vec<Job> {
    by_hand::jobs(queue, kind, claim(queue, kind, number, want).await)
}

/// Has a worker that runs nothing of it park all that is ready.
async fn park(queue: &Queue) {
    for number in 1.. {
        let claimed = claim(queue, "nothing", number, 16).await;
        assert!(claimed.is_empty());
        if !claimed.more {
            return;
        }
    }
}

/// What happened to each job, in order.
async fn lives(queue: &Queue) -> BTreeMap<JobId, Vec<String>> {
    let mut lives: BTreeMap<JobId, Vec<String>> = BTreeMap::new();
    for entry in queue.latest_transitions(10_000).await.unwrap().iter().rev() {
        for transition in &entry.transitions {
            lives.entry(transition.id.clone()).or_default().push(transition.what.clone());
        }
    }
    lives
}

async fn settle(queue: &Queue, kind: &str, jobs: &[Job]) {
    by_hand::settle(queue, kind, jobs, &by_hand::succeed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_different_kinds_do_not_hand_a_job_to_and_fro() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let done = |_, _| async { Ok(json!(null)) };
    let workers =
        [("one", 1), ("other", 1)].map(|kind| Worker::start(&fixture.connector, knows(&[kind], "1"), done));
    for _ in 0..20 {
        queue.enqueue(&[jobs("one", 3), jobs("other", 3)].concat()).await.unwrap();
    }
    let unknown = jobs("unknown", 1);
    queue.enqueue(&unknown).await.unwrap();
    fixture.until_count(State::Succeeded, 120).await;
    fixture.until_state(&unknown[0].id, State::Parked).await;
    // What they do now and then lets none of it go.
    for kind in [("one", 1), ("other", 1)] {
        assert_eq!(queue.worker.unpark_for(knows(&[kind], "1").kinds.as_ref()).await.unwrap(), 0);
    }
    for worker in workers {
        worker.stop().await;
    }
    let mut lives = lives(queue).await;
    assert_eq!(lives.remove(&unknown[0].id).unwrap(), ["enqueued", "parked"]);
    assert_eq!(lives.len(), 120);
    for (id, mut life) in lives {
        life.retain(|what| what != "parked");
        assert_eq!(life, ["enqueued", "claimed", "succeeded"], "{id}");
    }
    let parked = queue.counts().await.unwrap().transitions("parked");
    assert!(parked <= 121, "none is parked twice: {parked}");
    fixture.finish().await;
}

/// One that runs the kind may have heard of the job before, and sleep by now.
#[tokio::test]
async fn parking_a_job_for_its_kind_wakes_other_workers() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    queue.enqueue(&jobs("mail", 2)).await.unwrap();
    let mut listener = fixture.connector.listen().await.unwrap();
    listener.subscribe(queue.keys().wake()).await.unwrap();
    assert_eq!(claim(queue, "nothing", 1, 8).await.unknown, 2);
    let heard = tokio::time::timeout(PATIENCE, listener.next()).await.expect("no worker is woken");
    assert!(matches!(heard.unwrap(), Heard::Message(_)));
    fixture.finish().await;
}

/// The old worker goes on beside the new one.
#[tokio::test]
async fn in_a_rolling_deploy_the_new_kind_waits_for_the_new_worker() {
    let fixture = Fixture::new().await;
    let new = NewJob { version: 2, ..jobs("mail", 1).remove(0) };
    let done = |_, _| async { Ok(json!(null)) };
    let old = Worker::start(&fixture.connector, knows(&[("mail", 1)], "1"), done);
    fixture.queue.enqueue(std::slice::from_ref(&new)).await.unwrap();
    let parked = fixture.until_state(&new.id, State::Parked).await;
    assert_eq!((parked.attempts, parked.token, parked.changes.len()), (0, 0, 0));
    assert_eq!(parked.parked.unwrap().condition, "kind mail@2");
    let rolled = Worker::start(&fixture.connector, knows(&[("mail", 1), ("mail", 2)], "2"), done);
    let done = fixture.until_state(&new.id, State::Succeeded).await;
    assert_eq!((done.attempts, done.token, done.parked), (1, 1, None));
    assert_eq!(lives(&fixture.queue).await[&new.id], ["enqueued", "parked", "claimed", "succeeded"]);
    assert!(fixture.queue.conditions().await.unwrap().is_empty());
    old.stop().await;
    rolled.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn unknown_jobs_in_front_hold_up_no_claim() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    for want in [1, 16] {
        let (foreign, own) = (jobs("foreign", 2_000), jobs("own", 1));
        queue.enqueue(&foreign).await.unwrap();
        queue.enqueue(&own).await.unwrap();
        let mut calls = 0;
        let leased = loop {
            calls += 1;
            let claimed = claim(queue, "own", calls + 1_000 * want as u64, want).await;
            assert!(claimed.unknown <= 160, "{} in one call", claimed.unknown);
            if !claimed.is_empty() {
                break by_hand::jobs(queue, "own", claimed);
            }
            assert!(claimed.more, "it goes on at once");
        };
        assert_eq!(leased[0].id, own[0].id);
        assert!(calls <= 2_000 / 32 + 2, "{calls} calls of {want}");
        settle(queue, "own", &leased).await;
    }
    assert_eq!(queue.conditions().await.unwrap(), [("kind foreign@1".to_owned(), 4_000)]);
    fixture.finish().await;
}

/// Each gets a half, and of single jobs every second one on the average.
#[tokio::test]
async fn neither_parked_nor_ready_jobs_starve_the_others() {
    for want in [1, 16] {
        let fixture = Fixture::new().await;
        let queue = &fixture.queue;
        let parked = jobs("mail", 100);
        queue.enqueue(&parked).await.unwrap();
        park(queue).await;
        queue.enqueue(&jobs("mail", 100)).await.unwrap();
        let mut leased = Vec::new();
        for number in 1..=32 / want as u64 {
            leased.extend(lease(queue, "mail", number, want).await);
        }
        assert_eq!(leased.len(), 32);
        let parked = ids(&parked);
        let n = leased.iter().filter(|job| parked.contains(&job.id)).count();
        if want == 1 {
            // By chance; one in a million runs is beyond.
            assert!((3..=29).contains(&n), "{n} of 32");
        } else {
            assert_eq!(n, 16);
            assert!(parked.contains(&leased[0].id), "parked ones come first");
        }
        settle(queue, "mail", &leased).await;
        // What one of them leaves the other one takes.
        for number in 100..150 {
            let leased = lease(queue, "mail", number, 16).await;
            settle(queue, "mail", &leased).await;
        }
        assert_eq!(queue.counts().await.unwrap().of(State::Succeeded), 200);
        fixture.finish().await;
    }
}

#[tokio::test]
async fn parked_jobs_are_taken_by_class_in_their_order_and_by_turns_of_their_flows() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let (many, few) = (of_tenant("mail", "many", 40), of_tenant("mail", "few", 2));
    let urgent = NewJob { priority: Priority::High, ..jobs("mail", 1).remove(0) };
    let soon = NewJob {
        deadline: Some(Deadline { within: Duration::from_secs(600), then: Late::Runs }),
        ..of_tenant("mail", "many", 1).remove(0)
    };
    queue.enqueue(&[&many[..], &few].concat()).await.unwrap();
    queue.enqueue(&[urgent.clone(), soon.clone()]).await.unwrap();
    park(queue).await;
    let raised = &few[1];
    queue.operator.prioritise(&raised.id, Priority::Critical).await.unwrap();
    let kinds = ["1|mail".to_owned()];
    let mut order = Vec::new();
    for number in 1..=5 {
        let claim = Claim {
            kinds: Some(&kinds),
            want: 1,
            quantum: 1,
            shares: NONE,
            ..by_hand::claim("mail", number)
        };
        order.extend(by_hand::jobs(queue, "mail", queue.worker.claim(&claim).await.unwrap()));
    }
    let found: Vec<&JobId> = order.iter().map(|job| &job.id).collect();
    assert_eq!(found[..2], [&raised.id, &urgent.id]);
    assert_eq!(found[2..4], [&few[0].id, &soon.id], "turns, then least slack");
    // Those that were enqueued in one ms have no order among them.
    assert!(ids(&many).contains(found[4]));
    settle(queue, "mail", &order).await;
    fixture.finish().await;
}

#[tokio::test]
async fn limits_hold_for_jobs_that_are_taken_from_where_they_were_parked() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let key = LimitKey::Tenant("a".to_owned());
    queue.operator.set_limit(&key, Limit::concurrency(1)).await.unwrap();
    queue.operator.set_limit(&LimitKey::Tenant("closed".to_owned()), Limit::concurrency(0)).await.unwrap();
    let first =
        [of_tenant("mail", "a", 3), of_tenant("mail", "closed", 200), of_tenant("mail", "z", 2)].concat();
    queue.enqueue(&first).await.unwrap();
    // A lane that is held is not looked at, so nothing of it is parked.
    park(queue).await;
    queue.operator.set_limit(&LimitKey::Tenant("closed".to_owned()), Limit::default()).await.unwrap();
    park(queue).await;
    queue.operator.set_limit(&LimitKey::Tenant("closed".to_owned()), Limit::concurrency(0)).await.unwrap();
    assert_eq!(queue.conditions().await.unwrap(), [("kind mail@1".to_owned(), 205)]);
    let tenants = |jobs: &[Job]| {
        let mut tenants: Vec<String> = jobs.iter().filter_map(|job| job.tenant.clone()).collect();
        tenants.sort();
        tenants
    };
    let one = lease(queue, "mail", 1, 8).await;
    assert_eq!(tenants(&one), ["a", "z", "z"], "a closed flow holds up no other flow");
    assert_eq!(queue.limit_use(&key).await.unwrap().running, Some(1));
    let none = claim(queue, "mail", 2, 8).await;
    assert!(none.is_empty() && !none.more, "and keeps no worker busy");
    settle(queue, "mail", &one).await;
    assert_eq!(queue.limit_use(&key).await.unwrap().running, Some(0));
    let two = lease(queue, "mail", 3, 8).await;
    assert_eq!(tenants(&two), ["a"]);
    settle(queue, "mail", &two).await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_rate_says_when_a_parked_job_can_run() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    queue.enqueue(&of_tenant("mail", "a", 2)).await.unwrap();
    park(queue).await;
    queue.operator.set_limit(&LimitKey::Tenant("a".to_owned()), Limit::rate(0.1, 1)).await.unwrap();
    let claimed = claim(queue, "mail", 1, 8).await;
    assert_eq!(claimed.len(), 1);
    let wait = claimed.next_at - claimed.now;
    assert!((9_000..=10_000).contains(&wait), "{wait} ms until the next token");
    settle(queue, "mail", &by_hand::jobs(queue, "mail", claimed)).await;
    fixture.finish().await;
}

#[tokio::test]
async fn jobs_that_are_parked_for_a_paused_kind_wait_until_it_is_resumed() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    queue.enqueue(&jobs("mail", 2)).await.unwrap();
    park(queue).await;
    queue.operator.pause_kind("mail").await.unwrap();
    assert!(claim(queue, "mail", 1, 8).await.is_empty());
    assert_eq!(queue.operator.resume_kind("mail").await.unwrap().released, 0);
    let leased = lease(queue, "mail", 2, 8).await;
    assert_eq!(leased.len(), 2);
    settle(queue, "mail", &leased).await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_parked_job_whose_deadline_passed_is_not_taken() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let deadline = Deadline { within: Duration::from_millis(50), then: Late::Expires };
    let job = NewJob { deadline: Some(deadline), ..jobs("mail", 1).remove(0) };
    queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    park(queue).await;
    fixture.until_after(queue.job(&job.id).await.unwrap().unwrap().deadline.unwrap()).await;
    assert!(claim(queue, "mail", 1, 8).await.is_empty());
    assert_eq!(queue.job(&job.id).await.unwrap().unwrap().state, State::Dead);
    fixture.finish().await;
}

#[tokio::test]
async fn a_worker_of_all_kinds_takes_what_was_parked_for_any() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    queue.enqueue(&[jobs("one", 2), jobs("other", 2)].concat()).await.unwrap();
    park(queue).await;
    let leased = by_hand::lease(queue, "all", 1).await;
    assert_eq!(leased.len(), 4);
    by_hand::settle(queue, "all", &leased, &by_hand::succeed()).await;
    fixture.finish().await;
}

/// A worker may name a kind that is not the job's: it is parked for its own then.
#[tokio::test]
async fn a_job_that_was_parked_for_another_kind_is_not_run_by_that() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    queue.enqueue(&jobs("own", 1)).await.unwrap();
    let leased = lease(queue, "own", 1, 1).await;
    by_hand::settle(queue, "own", &leased, &by_hand::park("kind other@1")).await;
    assert!(claim(queue, "other", 1, 8).await.is_empty());
    assert_eq!(queue.conditions().await.unwrap(), [("kind own@1".to_owned(), 1)]);
    let leased = lease(queue, "own", 2, 8).await;
    assert_eq!((leased.len(), leased[0].attempts), (1, 1));
    settle(queue, "own", &leased).await;
    fixture.finish().await;
}

#[tokio::test]
async fn large_unknown_jobs_are_parked_a_few_at_a_time() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let large = |_| NewJob::new(JobId::random(), "mail", "x".repeat(200_000));
    queue.enqueue(&(0..8).map(large).collect::<Vec<_>>()).await.unwrap();
    let mut parked = Vec::new();
    for number in 1.. {
        let claimed = claim(queue, "nothing", number, 16).await;
        parked.push(claimed.unknown);
        if !claimed.more {
            break;
        }
    }
    parked.retain(|n| *n > 0);
    assert_eq!(parked, [3, 3, 2]);
    let mut taken = Vec::new();
    for number in 1..=3 {
        let leased = lease(queue, "mail", number, 16).await;
        taken.push(leased.len());
        settle(queue, "mail", &leased).await;
    }
    assert_eq!(taken, [3, 3, 2]);
    fixture.finish().await;
}

/// The scrubber repairs an index that was damaged manually, and the jobs run.
#[tokio::test]
async fn the_scrubber_finds_parked_jobs_that_no_claim_would() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    queue.enqueue(&jobs("mail", 2)).await.unwrap();
    park(queue).await;
    let mut conn = fixture.connector.connect().unwrap();
    redis::cmd("DEL").arg(queue.keys().unknown()).exec_async(&mut conn).await.unwrap();
    redis::cmd("DEL").arg(queue.keys().unknown_jobs("mail@1")).exec_async(&mut conn).await.unwrap();
    assert!(claim(queue, "mail", 1, 8).await.is_empty());
    assert_eq!(Scrubber::pass(&queue.worker).await.unwrap().missing, 2);
    let leased = lease(queue, "mail", 2, 8).await;
    assert_eq!(leased.len(), 2);
    settle(queue, "mail", &leased).await;
    fixture.finish().await;
}

/// A kind whose jobs never end, or are all held by limits, holds up no other kind.
#[tokio::test]
async fn kinds_take_turns_where_one_of_them_never_ends() {
    for held in [false, true] {
        let fixture = Fixture::new().await;
        let queue = &fixture.queue;
        let first = if held {
            let job = |n: usize| NewJob {
                tenant: Some(format!("t-{n}")),
                limit_keys: vec!["closed".to_owned()],
                ..jobs("a.first", 1).remove(0)
            };
            (0..70).map(job).collect()
        } else {
            jobs("a.first", 200)
        };
        let second = jobs("b.second", 1);
        queue.enqueue(&[&first[..], &second].concat()).await.unwrap();
        park(queue).await;
        if held {
            queue
                .operator
                .set_limit(&LimitKey::Key("closed".to_owned()), Limit::concurrency(0))
                .await
                .unwrap();
        }
        let kinds = ["1|a.first".to_owned(), "1|b.second".to_owned()];
        let mut found = false;
        for number in 1..=4 {
            let claim =
                Claim { kinds: Some(&kinds), want: 8, shares: NONE, ..by_hand::claim("both", number) };
            let claimed = queue.worker.claim(&claim).await.unwrap();
            assert!(held || claimed.len() == 8);
            assert!(!held || claimed.more || claimed.next_at > 0, "it comes back for what it did not visit");
            let leased = by_hand::jobs(queue, "both", claimed);
            found |= leased.iter().any(|job| job.id == second[0].id);
            settle(queue, "both", &leased).await;
        }
        assert!(found, "held: {held}");
        fixture.finish().await;
    }
}
