//! Operations: acts on many jobs, made in steps that no crash repeats.

use std::{collections::BTreeMap, time::Duration};

use upshot_queue::{
    Account, Advanced, Condition, Created, Expect, JobId, NewJob, Operation, OperationId, Phase, Plan,
    Priority, State, Steer, Steered, Walker,
    operation::{Act, Selection, Source, When},
};

use crate::{
    by_hand::{bury, lease, park, retry, settle, succeed},
    fixture::Fixture,
    handles::Queue,
};

fn plan(act: Act, source: Source) -> Plan {
    let selection = Selection { source, kind: None, tenant: None, route: None, from: None, until: None };
    let reason = Some("the customer was called".to_owned());
    Plan { act, selection, reason, by: "ada".to_owned(), pace: 0, same_cause: 0 }
}

fn of(state: State) -> Source {
    Source::State { state, group: None, condition: None }
}

/// Enqueues jobs, each of a tenant.
async fn enqueue(queue: &Queue, tenants: &[&str]) -> Vec<JobId> {
    let job = |tenant: &&str| NewJob {
        tenant: Some((*tenant).to_owned()),
        expect: Some(Expect::new("r", Duration::from_secs(3600))),
        ..NewJob::new(JobId::random(), "test", "1")
    };
    let jobs: Vec<NewJob> = tenants.iter().map(job).collect();
    queue.enqueue(&jobs).await.unwrap();
    let mut ids: Vec<JobId> = jobs.into_iter().map(|job| job.id).collect();
    // An index has jobs of the same ms in this order.
    if tenants.windows(2).all(|two| two[0] == two[1]) {
        ids.sort();
    }
    ids
}

/// Makes steps until one changes a job.
async fn step(queue: &Queue, id: &OperationId) -> Advanced {
    loop {
        let said = queue.operator.advance(id).await.unwrap();
        if !matches!(said, Advanced::Wait(_)) {
            return said;
        }
    }
}

/// Buries all ready jobs.
async fn bury_all(fixture: &Fixture, number: &mut u64) {
    loop {
        *number += 1;
        let jobs = lease(&fixture.queue, "w", *number).await;
        if jobs.is_empty() {
            break;
        }
        settle(&fixture.queue, "w", &jobs, &bury()).await;
    }
    after_now(fixture).await;
}

/// Waits until no state began in the present ms, so that an operation is created later.
async fn after_now(fixture: &Fixture) {
    let mut conn = fixture.connector.connect().unwrap();
    let (s, us): (i64, i64) = redis::cmd("TIME").query_async(&mut conn).await.unwrap();
    fixture.until_after(s * 1000 + us / 1000).await;
}

async fn create(queue: &Queue, plan: &Plan, is_dry: bool) -> OperationId {
    plan.check().unwrap();
    match queue.operator.create_operation(plan, is_dry).await.unwrap() {
        Created::Done(id) => id,
        Created::Full(active) => panic!("{active} are active"),
    }
}

/// Makes steps until the operation neither counts nor runs.
async fn walk(queue: &Queue, id: &OperationId) -> Operation {
    loop {
        match queue.operator.advance(id).await.unwrap() {
            Advanced::By { .. } | Advanced::Wait(_) => {}
            Advanced::Idle(_) => return queue.operation(id).await.unwrap().unwrap(),
        }
    }
}

async fn start(queue: &Queue, id: &OperationId) {
    let operation = queue.operation(id).await.unwrap().unwrap();
    let would = operation.tally.unwrap().would;
    if operation.plan.unwrap().act.destroys() {
        let bare = queue.operator.steer_operation(id, Steer::Start, "bob", None).await.unwrap();
        assert_eq!(bare, Steered::Counted(would));
    }
    let said = queue.operator.steer_operation(id, Steer::Start, "bob", Some(would)).await.unwrap();
    assert_eq!(said, Steered::To(Phase::Running));
}

async fn states(queue: &Queue, ids: &[JobId]) -> Vec<State> {
    let mut states = Vec::new();
    for id in ids {
        states.push(queue.job(id).await.unwrap().unwrap().state);
    }
    states
}

#[tokio::test]
async fn a_dry_run_counts_and_a_start_changes_exactly_these() {
    let (fixture, mut number) = (Fixture::new().await, 0);
    let queue = &fixture.queue;
    let ids = enqueue(queue, &["a", "a", "b"]).await;
    bury_all(&fixture, &mut number).await;
    let group = queue.job(&ids[0]).await.unwrap().unwrap().group.unwrap();
    let id = create(queue, &plan(Act::Retry, of(State::Dead)), true).await;
    // It dies after the cut-off.
    let late = enqueue(queue, &["a"]).await;
    bury_all(&fixture, &mut number).await;

    let counted = walk(queue, &id).await;
    assert_eq!((counted.phase, counted.changed), (Phase::Counted, 0));
    let tally = counted.tally.unwrap();
    assert_eq!((tally.would, tally.refusals()), (3, 0));
    assert_eq!(tally.tenants, BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
    let cause = &tally.causes[&group];
    assert_eq!(
        (cause.jobs, cause.class.as_str(), cause.message.as_str()),
        (3, "permanent", "no such customer")
    );
    assert_eq!(states(queue, &ids).await, [State::Dead; 3]);

    let wrong = queue.operator.steer_operation(&id, Steer::Start, "bob", Some(4)).await.unwrap();
    assert_eq!(wrong, Steered::Counted(3));
    let right = queue.operator.steer_operation(&id, Steer::Start, "bob", Some(3)).await.unwrap();
    assert_eq!(right, Steered::To(Phase::Running));
    let again = queue.operator.steer_operation(&id, Steer::Start, "bob", Some(3)).await.unwrap();
    assert_eq!(again, Steered::Refused(Phase::Running));
    let done = walk(queue, &id).await;
    assert_eq!((done.phase, done.changed, done.refused), (Phase::Done, 3, 0));
    assert!(done.started <= done.ended && done.ended.is_some());
    assert_eq!(
        done.deeds.iter().map(|deed| (deed.did.as_str(), deed.by.as_str())).collect::<Vec<_>>(),
        [("created", "ada"), ("started", "bob"),]
    );
    assert_eq!(states(queue, &ids).await, [State::Ready; 3]);
    assert_eq!(states(queue, &late).await, [State::Dead]);
    let job = queue.job(&ids[0]).await.unwrap().unwrap();
    let change = job.changes.last().unwrap();
    assert_eq!((change.did.as_str(), change.by.as_deref()), ("retried", Some("bob")));
    let note = change.note.clone().unwrap();
    assert_eq!(note, format!("the customer was called, operation {id}"));
    for steer in [Steer::Start, Steer::Pause, Steer::Resume, Steer::Abort] {
        let said = queue.operator.steer_operation(&id, steer, "bob", None).await.unwrap();
        assert_eq!(said, Steered::Refused(Phase::Done));
    }
    let unknown = OperationId::random();
    let said = queue.operator.steer_operation(&unknown, Steer::Abort, "bob", None).await.unwrap();
    assert_eq!((said, queue.operation(&unknown).await.unwrap()), (Steered::Unknown, None));
    fixture.finish().await;
}

/// Every process reads each step, and tries to make it; one of them dies between its read and its write,
/// or after its write, at every step.
#[tokio::test]
async fn each_job_is_changed_once_whatever_processes_do() {
    let (fixture, mut number) = (Fixture::new().await, 0);
    let queue = &fixture.queue;
    let ids = enqueue(queue, &["a"; 300]).await;
    let spared = enqueue(queue, &["b"; 20]).await;
    bury_all(&fixture, &mut number).await;
    let mut many = plan(Act::Retry, of(State::Dead));
    many.selection.tenant = Some("a".to_owned());
    let id = create(queue, &many, false).await;
    let (mut made, mut rounds) = (0, 0);
    while queue.operation(&id).await.unwrap().unwrap().phase == Phase::Running {
        // Each is a program of its own: an operator keeps nothing between two calls.
        let said = futures::future::join_all((0..4).map(|_| queue.operator.advance(&id))).await;
        made += said.into_iter().filter(|said| matches!(said, Ok(Advanced::By { changed: 1.., .. }))).count();
        rounds += 1;
        assert!(rounds < 100, "it does not end");
    }
    let done = queue.operation(&id).await.unwrap().unwrap();
    assert_eq!((done.phase, done.changed, done.refused), (Phase::Done, 300, 0));
    assert_eq!(made, 3, "128, 128 and 44 jobs");
    for job in &ids {
        let job = queue.job(job).await.unwrap().unwrap();
        assert_eq!((job.state, job.changes.len()), (State::Ready, 1), "{job:?}");
    }
    assert_eq!(states(queue, &spared).await, [State::Dead; 20]);
    fixture.finish().await;
}

#[tokio::test]
async fn what_an_operation_set_going_and_died_again_is_left() {
    let (fixture, mut number) = (Fixture::new().await, 0);
    let queue = &fixture.queue;
    let ids = enqueue(queue, &["a", "a", "a"]).await;
    bury_all(&fixture, &mut number).await;
    let mut paced = plan(Act::Retry, of(State::Dead));
    paced.pace = 501;
    let id = create(queue, &paced, false).await;
    let first = queue.operator.advance(&id).await.unwrap();
    assert!(matches!(first, Advanced::By { changed: 1, phase: Phase::Running, .. }), "{first:?}");
    assert!(matches!(queue.operator.advance(&id).await.unwrap(), Advanced::Wait(_)));
    // The first one dies again at once.
    bury_all(&fixture, &mut number).await;
    let done = walk(queue, &id).await;
    assert_eq!((done.phase, done.changed, done.again), (Phase::Done, 3, 1));
    let counted: Vec<usize> = {
        let mut counted = Vec::new();
        for id in &ids {
            counted.push(queue.job(id).await.unwrap().unwrap().changes.len());
        }
        counted
    };
    assert_eq!(counted, [1, 1, 1]);
    assert_eq!(states(queue, &ids).await, [State::Dead, State::Ready, State::Ready]);
    fixture.finish().await;
}

#[tokio::test]
async fn a_pause_an_abort_and_a_resume_take_effect_between_two_steps() {
    let (fixture, mut number) = (Fixture::new().await, 0);
    let queue = &fixture.queue;
    let ids = enqueue(queue, &["a"; 3]).await;
    bury_all(&fixture, &mut number).await;
    let mut paced = plan(Act::Retry, of(State::Dead));
    paced.pace = 501;
    let id = create(queue, &paced, false).await;
    queue.operator.advance(&id).await.unwrap();
    let steer = async |steer| queue.operator.steer_operation(&id, steer, "bob", None).await.unwrap();
    assert_eq!(steer(Steer::Pause).await, Steered::To(Phase::Paused));
    assert_eq!(walk(queue, &id).await.changed, 1);
    assert_eq!(queue.operating().await.unwrap(), []);
    assert_eq!(steer(Steer::Resume).await, Steered::To(Phase::Running));
    let after = step(queue, &id).await;
    assert!(matches!(after, Advanced::By { changed: 1, .. }), "{after:?}");
    assert_eq!(steer(Steer::Abort).await, Steered::To(Phase::Aborted));
    let aborted = walk(queue, &id).await;
    assert_eq!((aborted.changed, aborted.phase), (2, Phase::Aborted));
    assert_eq!(states(queue, &ids).await, [State::Ready, State::Ready, State::Dead]);
    fixture.finish().await;
}

#[tokio::test]
async fn a_second_operator_on_the_same_jobs_sees_refusals() {
    let (fixture, mut number) = (Fixture::new().await, 0);
    let queue = &fixture.queue;
    let mut ids = enqueue(queue, &["a", "a"]).await;
    bury_all(&fixture, &mut number).await;
    let gone = JobId::random();
    ids.push(gone.clone());
    let both = plan(Act::Retry, Source::Ids(ids.clone()));
    let first = create(queue, &both, true).await;
    let second = create(queue, &both, true).await;
    for id in [&first, &second] {
        let tally = walk(queue, id).await.tally.unwrap();
        assert_eq!((tally.would, &tally.refused), (2, &BTreeMap::from([("unknown".to_owned(), 1)])));
        start(queue, id).await;
    }
    let first = walk(queue, &first).await;
    assert_eq!((first.changed, first.refused), (2, 1));
    let second = walk(queue, &second).await;
    assert_eq!((second.phase, second.changed, second.refused), (Phase::Done, 0, 3));
    let refusals = queue.refusals(&second.id, 0, 10).await.unwrap();
    let mut shown: Vec<(&JobId, &str)> =
        refusals.iter().map(|each| (&each.id, each.reason.as_str())).collect();
    shown.reverse();
    assert_eq!(shown, [(&ids[0], "ready"), (&ids[1], "ready"), (&gone, "unknown")]);
    fixture.finish().await;
}

#[tokio::test]
async fn an_operation_stops_itself_when_a_cause_recurs() {
    let (fixture, mut number) = (Fixture::new().await, 0);
    let queue = &fixture.queue;
    let ids = enqueue(queue, &["a"; 5]).await;
    bury_all(&fixture, &mut number).await;
    let group = queue.job(&ids[0]).await.unwrap().unwrap().group.unwrap();
    let mut ruled = plan(Act::Retry, of(State::Dead));
    (ruled.same_cause, ruled.pace) = (2, 501);
    let id = create(queue, &ruled, false).await;
    for again in [1, 2] {
        let said = step(queue, &id).await;
        assert!(matches!(said, Advanced::By { changed: 1, .. }), "{said:?}");
        bury_all(&fixture, &mut number).await;
        let seen = queue.operation(&id).await.unwrap().unwrap();
        assert_eq!((seen.again, seen.phase == Phase::Stopped), (again, again == 2));
    }
    let stopped = walk(queue, &id).await;
    assert_eq!((stopped.phase, stopped.again, stopped.changed), (Phase::Stopped, 2, 2));
    assert_eq!((stopped.stopped_by.as_ref(), stopped.again_by_cause.get(&group)), (Some(&group), Some(&2)));
    assert_eq!(queue.counts().await.unwrap().of(State::Dead), 5);
    // A person who resumes it lets two more die.
    let said = queue.operator.steer_operation(&id, Steer::Resume, "bob", None).await.unwrap();
    assert_eq!(said, Steered::To(Phase::Running));
    let done = walk(queue, &id).await;
    assert_eq!((done.phase, done.changed), (Phase::Done, 5));
    fixture.finish().await;
}

/// A retry that fails is no death, and the cause recurs all the same.
#[tokio::test]
async fn an_attempt_that_fails_counts_for_the_stop_rule_once() {
    let (fixture, mut number) = (Fixture::new().await, 0);
    let queue = &fixture.queue;
    let ids = enqueue(queue, &["a"; 3]).await;
    bury_all(&fixture, &mut number).await;
    let mut ruled = plan(Act::Retry, of(State::Dead));
    (ruled.same_cause, ruled.pace) = (2, 501);
    let id = create(queue, &ruled, false).await;
    for again in [1, 2] {
        step(queue, &id).await;
        // The first one fails twice, and counts once.
        for _ in 0..2 {
            number += 1;
            let jobs = lease(queue, "w", number).await;
            settle(queue, "w", &jobs, &retry(Duration::ZERO)).await;
        }
        let seen = queue.operation(&id).await.unwrap().unwrap();
        assert_eq!((seen.again, seen.phase == Phase::Stopped), (again, again == 2));
    }
    let stopped = queue.operation(&id).await.unwrap().unwrap();
    assert_eq!((stopped.changed, stopped.again_by_cause.values().sum::<u64>()), (2, 2));
    assert_eq!(states(queue, &ids).await[2], State::Dead);
    bury_all(&fixture, &mut number).await;
    fixture.finish().await;
}

/// Of each act a selection: what the dry run says is what happens.
#[tokio::test]
async fn a_dry_run_says_what_each_act_does() {
    let (fixture, mut number) = (Fixture::new().await, 0);
    let queue = &fixture.queue;
    // Two of each: dead, parked, scheduled and ready.
    let dead = enqueue(queue, &["a", "b"]).await;
    bury_all(&fixture, &mut number).await;
    let parked = enqueue(queue, &["a", "b"]).await;
    number += 1;
    let jobs = lease(queue, "w", number).await;
    settle(queue, "w", &jobs, &park("wait smtp")).await;
    let ended = enqueue(queue, &["a"]).await;
    number += 1;
    let jobs = lease(queue, "w", number).await;
    settle(queue, "w", &jobs, &succeed()).await;
    let later = |tenant: &str| NewJob {
        tenant: Some(tenant.to_owned()),
        delay: Duration::from_secs(3600),
        ..NewJob::new(JobId::random(), "test", "1")
    };
    let jobs = [later("a"), later("b")];
    queue.enqueue(&jobs).await.unwrap();
    let scheduled: Vec<JobId> = jobs.into_iter().map(|job| job.id).collect();
    let ready = enqueue(queue, &["a", "b"]).await;
    after_now(&fixture).await;
    let all: Vec<JobId> =
        [&dead, &parked, &ended, &scheduled, &ready].into_iter().flatten().cloned().collect();

    let condition: Condition = "smtp".parse().unwrap();
    let waits = Source::State { state: State::Parked, group: None, condition: Some(condition.stored()) };
    let soon = Act::Reschedule { to: When::After(60_000) };
    let cases = [
        (Act::Prioritise { priority: Priority::High }, of(State::Ready), 2),
        (Act::Prioritise { priority: Priority::High }, of(State::Scheduled), 2),
        // Those that have it already are passed over.
        (Act::Prioritise { priority: Priority::High }, Source::Ids(all.clone()), 2),
        (soon, of(State::Scheduled), 2),
        (soon, Source::Ids(all.clone()), 4),
        (Act::Waive, Source::Outcome(Account::Missed), 2),
        (Act::Waive, Source::Ids(all.clone()), 4),
        (Act::Unpark, waits, 2),
        (Act::Unpark, Source::Ids(all.clone()), 0),
        (Act::Retry, of(State::Dead), 2),
        (Act::Cancel, of(State::Scheduled), 4),
        (Act::Cancel, Source::Ids(all.clone()), 4),
        (Act::Purge, of(State::Cancelled), 8),
        // A named job that succeeded is not forgotten.
        (Act::Purge, Source::Ids(all.clone()), 0),
    ];
    for (act, source, would) in cases {
        let told = format!("{act:?} of {source:?}");
        let id = create(queue, &plan(act, source), true).await;
        let tally = walk(queue, &id).await.tally.unwrap();
        assert_eq!(tally.would, would, "{told}: {tally:?}");
        start(queue, &id).await;
        let done = walk(queue, &id).await;
        assert_eq!((done.phase, done.changed), (Phase::Done, would), "{told}");
        let mut refused = BTreeMap::new();
        for refusal in queue.refusals(&id, 0, 100).await.unwrap() {
            *refused.entry(refusal.reason).or_default() += 1;
        }
        assert_eq!(refused, tally.refused, "{told}");
        after_now(&fixture).await;
    }
    fixture.finish_after_forgetting(8).await;
}

#[tokio::test]
async fn a_filter_admits_its_jobs_only() {
    let (fixture, mut number) = (Fixture::new().await, 0);
    let queue = &fixture.queue;
    enqueue(queue, &["a", "b"]).await;
    bury_all(&fixture, &mut number).await;
    let since = queue.dead_groups(&upshot_queue::GroupFilter::default(), 1).await.unwrap()[0].last_seen;
    let with = |change: &dyn Fn(&mut Selection)| {
        let mut plan = plan(Act::Retry, of(State::Dead));
        change(&mut plan.selection);
        plan
    };
    for (plan, would) in [
        (with(&|all| all.tenant = Some("b".to_owned())), 1),
        (with(&|all| all.tenant = Some("c".to_owned())), 0),
        (with(&|all| all.kind = Some("test".to_owned())), 2),
        (with(&|all| all.kind = Some("other".to_owned())), 0),
        (with(&|all| all.route = Some("r".to_owned())), 2),
        (with(&|all| all.route = Some("none".to_owned())), 0),
        (with(&|all| all.from = Some(since + 1)), 0),
        (with(&|all| all.until = Some(since + 1)), 2),
        (with(&|all| all.until = Some(since - 60_000)), 0),
    ] {
        let id = create(queue, &plan, true).await;
        assert_eq!(walk(queue, &id).await.tally.unwrap().would, would, "{plan:?}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn few_operations_are_active_and_old_ones_are_listed_newest_first() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let empty = plan(Act::Retry, of(State::Dead));
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(create(queue, &empty, true).await);
        after_now(&fixture).await;
    }
    assert_eq!(queue.operator.create_operation(&empty, true).await.unwrap(), Created::Full(8));
    for id in &ids {
        assert_eq!(walk(queue, id).await.phase, Phase::Counted);
    }
    // A start and a resume are refused as a creation is.
    let mut active = Vec::new();
    for _ in 0..8 {
        active.push(create(queue, &empty, true).await);
        after_now(&fixture).await;
    }
    let said = queue.operator.steer_operation(&ids[0], Steer::Start, "bob", None).await.unwrap();
    assert_eq!(said, Steered::Full(8));
    for id in &active {
        walk(queue, id).await;
    }
    ids.extend(active);
    ids.push(create(queue, &empty, true).await);
    ids.reverse();
    let (mut found, mut behind) = (Vec::new(), None);
    loop {
        let page = queue.operations(behind.as_ref(), 4).await.unwrap();
        found.extend(page.operations.into_iter().map(|operation| operation.id));
        behind = page.next;
        if behind.is_none() {
            break;
        }
    }
    assert_eq!(found, ids);
    fixture.finish().await;
}

#[tokio::test]
async fn one_process_walks_until_its_lease_ends() {
    let fixture = Fixture::new().await;
    let queue = &fixture.queue;
    let walker = |name: &str| Walker::new(queue.operator.clone(), name.to_owned());
    let (mut one, mut other) = (walker("one"), walker("other"));
    assert_eq!(one.take().await.unwrap(), []);
    let id = create(queue, &plan(Act::Retry, of(State::Dead)), true).await;
    assert_eq!(one.take().await.unwrap(), std::slice::from_ref(&id));
    assert_eq!(other.take().await.unwrap(), []);
    assert_eq!(one.take().await.unwrap(), std::slice::from_ref(&id));
    // Its process is gone, and the lease with it.
    let mut gone = redis::cmd("DEL");
    let () = gone
        .arg(queue.keys().operator())
        .query_async(&mut fixture.connector.connect().unwrap())
        .await
        .unwrap();
    assert_eq!(other.take().await.unwrap(), [id]);
    assert_eq!(one.take().await.unwrap(), []);
    assert!(other.keep().await.unwrap());
    assert!(!one.keep().await.unwrap());
    fixture.finish().await;
}
