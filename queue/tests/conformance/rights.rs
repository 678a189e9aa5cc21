//! A worker, a producer, an operator and a reader of the outbox that log in as the user of
//! `docs/redis-acl.md`: Redis refuses them nothing that they need, and what is others'.

use std::time::Duration;

use serde_json::json;
use upshot_queue::{
    Changed, Configuration, Configured, Connection, Created, Deadline, Expect, Failure, Filter, GroupFilter,
    JobId, Kinds, Late, Limit, LimitKey, NewJob, OutboxReader, OutboxTail, Phase, Plan, Priority, Progress,
    RetryPolicy, Scope, Scrubber, State, Steer, Steered, Unique, Wait, Walker, WorkerOptions,
    connect::Writes,
    operation::{Act, Selection, Source},
    protocol::Claim,
};

use crate::handles::Queue;

use crate::{
    by_hand::claim,
    fixture::{Fixture, PATIENCE, Worker, name, options, own_redis},
};

const HOUR: Duration = Duration::from_secs(3600);
const NOW: Duration = Duration::ZERO;

/// The line for Redis' ACL, word by word, with another prefix.
fn documented_user(prefix: &str) -> Vec<String> {
    let text = include_str!("../../../docs/redis-acl.md");
    let line = text.lines().find_map(|line| line.strip_prefix("user ")).expect("a line of the ACL");
    line.split(' ').map(|word| word.replace("upshot:*", &format!("{prefix}:*"))).collect()
}

/// What Redis refused to anybody so far, but for what nobody needs.
async fn refused(admin: &mut Connection) -> Vec<String> {
    let log: Vec<Vec<redis::Value>> = redis::cmd("ACL").arg("LOG").query_async(admin).await.unwrap();
    let text = |value: &redis::Value| redis::from_redis_value_ref::<String>(value).unwrap_or_default();
    let told = |entry: Vec<redis::Value>| entry.iter().map(text).collect::<Vec<_>>().join(" ");
    // The client library tells its name to servers that let it.
    log.into_iter().map(told).filter(|told| !told.contains("client|setinfo")).collect()
}

async fn ask(conn: &mut Connection, words: &[&str]) -> Result<redis::Value, String> {
    let mut cmd = redis::cmd(words[0]);
    cmd.arg(&words[1..]).query_async(conn).await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_user_may_all_that_is_needed() {
    let redis = own_redis().await;
    let fixture = Fixture::on(redis.url());
    let mut admin = fixture.connector.connect().unwrap();
    let mut user = vec!["ACL".to_owned(), "SETUSER".to_owned()];
    user.extend(documented_user(fixture.connector.prefix()));
    let user: Vec<&str> = user.iter().map(String::as_str).collect();
    ask(&mut admin, &user).await.unwrap();
    let connector = fixture.via(&format!("redis://upshot:password@127.0.0.1:{}/", redis.port()));
    let queue = Queue::new(&connector, name()).unwrap();
    connector.ping(&mut connector.connect().unwrap()).await.unwrap();
    for writes in [Writes::Work, Writes::Jobs] {
        connector.takes(&mut connector.connect().unwrap(), writes).await.unwrap();
    }
    connector.installation(&mut connector.connect().unwrap()).await.unwrap();

    // Jobs of every sort, of which one lost its worker.
    let job = |args: &'static str| NewJob {
        tenant: Some("a".into()),
        ..NewJob::new(JobId::random(), "test", args)
    };
    let lost = job("succeeds");
    queue.enqueue(std::slice::from_ref(&lost)).await.unwrap();
    let brief = Claim { lease: Duration::from_millis(1), ..claim("gone", 1) };
    assert_eq!(queue.worker.claim(&brief).await.unwrap().len(), 1);
    let steps = job("steps");
    let expect = Some(Expect::new("orders", HOUR));
    let fails = NewJob { subject: Some("order-1".into()), expect, ..job("fails once") };
    let dies = [job("dies"), job("dies"), job("dies")];
    let due = NewJob { delay: Duration::from_millis(1), ..job("succeeds") };
    let later = NewJob { delay: HOUR, ..job("succeeds") };
    let soon = NewJob {
        deadline: Some(Deadline { within: HOUR, then: Late::Expires }),
        unique: Some(Unique {
            key: "k".into(),
            scope: Scope::Queue,
            lifetime: HOUR,
            noted: HOUR,
            replaces_dead: false,
        }),
        limit_keys: vec!["api".into()],
        ..job("succeeds")
    };
    let expires = NewJob {
        deadline: Some(Deadline { within: Duration::from_millis(1), then: Late::Expires }),
        delay: HOUR,
        ..job("never runs")
    };
    let waits = job("waits");
    let odd = NewJob { kind: "odd".into(), ..job("parked") };
    let all = [&steps, &fails, &dies[0], &dies[1], &dies[2], &due, &later, &soon, &expires, &waits, &odd];
    queue.enqueue(&all.map(Clone::clone)).await.unwrap();

    // A limit, a rate, a weight, a pause.
    let (api, tenant) = (LimitKey::Key("api".into()), LimitKey::Tenant("a".into()));
    queue.operator.set_limit(&api, Limit::rate(1_000.0, 1)).await.unwrap();
    queue.operator.set_limit(&LimitKey::Queue, Limit::concurrency(8)).await.unwrap();
    let done = queue.operator.configure(&Configuration::default(), 0, "ada").await.unwrap();
    assert_eq!(done, Configured::Stored(1));
    assert_eq!(queue.configuration().await.unwrap().unwrap().by, "ada");
    queue.operator.pause_kind("other").await.unwrap();
    queue.operator.pause().await.unwrap();
    queue.operator.resume().await.unwrap();

    let mut reader =
        OutboxReader::join(&connector, name(), "audit", "one").await.unwrap().reclaiming_after(NOW);
    let mut tail = OutboxTail::join(&connector, name(), "receipts").await.unwrap();
    let hold = queue.hold_relay("test");
    tokio::select! {
        () = hold.until_ours() => hold.release().await.unwrap(),
        never = hold.run() => match never {},
    }
    let kinds = Kinds { known: [("test".to_owned(), 1)].into(), build: "1".into() };
    let wait = Wait { base: NOW, floor: NOW, ..Wait::default() };
    let retry = RetryPolicy { wait, ..RetryPolicy::default() };
    let options = WorkerOptions { retry, kinds: Some(kinds.clone()), ..options() };
    let worker = Worker::start(&connector, options, |job, lease| async move {
        match &job.args[..] {
            b"steps" => {
                let half = Progress { percent: 50, step: Some("render".into()), message: None };
                lease.progress(&half).await.unwrap();
                lease.log("half way").await.unwrap();
                lease.complete_step("render", &json!(1)).await.unwrap();
                lease.verify().await.unwrap();
            }
            b"fails once" if job.attempts == 1 => return Err(Failure::transient("once")),
            b"dies" => return Err(Failure::permanent("for good")),
            b"waits" => {
                lease.cancelled().cancelled().await;
                return Err(Failure::transient("stopped"));
            }
            _ => {}
        }
        Ok(json!(null))
    });
    for job in [&lost, &steps, &fails, &due, &soon] {
        fixture.until_state(&job.id, State::Succeeded).await;
    }
    for job in dies.iter().chain([&expires]) {
        fixture.until_state(&job.id, State::Dead).await;
    }
    fixture.until_state(&odd.id, State::Parked).await;
    fixture.until_state(&waits.id, State::Running).await;

    // What runs is counted, the handler is told over its channel, and others are heard.
    queue.operator.set_limit(&tenant, Limit { weight: Some(2.0), ..Limit::concurrency(5) }).await.unwrap();
    assert_eq!(queue.limit_use(&tenant).await.unwrap().running, Some(1));
    let mut listener = connector.listen().await.unwrap();
    listener.subscribe(queue.keys().changes()).await.unwrap();
    assert_eq!(queue.operator.cancel(&waits.id).await.unwrap(), Changed::Stopping);
    listener.next().await.unwrap();
    listener.unsubscribe(queue.keys().changes()).await.unwrap();
    fixture.until_state(&waits.id, State::Cancelled).await;
    // The worker sweeps as soon as it runs.
    let sweeper = queue.keys().sweeper();
    let swept =
        async { while ask(&mut admin, &["EXISTS", &sweeper]).await.unwrap() != redis::Value::Int(1) {} };
    tokio::time::timeout(PATIENCE, swept).await.expect("the worker never sweeps");
    worker.stop().await;

    // What people see.
    let told = async |filter| queue.list(&filter, None, 2).await.unwrap().jobs.len();
    for state in State::ALL {
        told(Filter { state: Some(state), ..Filter::default() }).await;
    }
    assert_eq!(told(Filter { subject: Some("order-1".into()), ..Filter::default() }).await, 1);
    assert_eq!(told(Filter { kind: Some("odd".into()), ..Filter::default() }).await, 1);
    assert_eq!(queue.conditions().await.unwrap().len(), 1);
    assert_eq!(queue.limits().await.unwrap().paused_kinds, ["other"]);
    assert!(queue.due_times(std::slice::from_ref(&later.id)).await.unwrap()[0].is_some());
    assert!(
        queue.dead_groups(&GroupFilter::default(), 10).await.unwrap().iter().any(|group| group.dead == 3)
    );
    let source = Source::State { state: State::Dead, group: None, condition: None };
    let selection =
        Selection { source, kind: None, tenant: Some("a".to_owned()), route: None, from: None, until: None };
    let (reason, by) = (None, "ada".to_owned());
    let plan = Plan { act: Act::Retry, selection, reason, by, pace: 0, same_cause: 10 };
    let Created::Done(operation) = queue.operator.create_operation(&plan, true).await.unwrap() else {
        panic!("too many operations")
    };
    let mut walker = Walker::new(queue.operator.clone(), "walker".to_owned());
    assert_eq!(walker.take().await.unwrap(), std::slice::from_ref(&operation));
    queue.operator.advance(&operation).await.unwrap();
    let counted = &queue.operations(None, 9).await.unwrap().operations[0];
    assert_eq!((counted.phase, counted.tally.as_ref().unwrap().would), (Phase::Counted, 4));
    let aborted = queue.operator.steer_operation(&operation, Steer::Abort, "ada", None).await.unwrap();
    assert_eq!(aborted, Steered::To(Phase::Aborted));
    assert!(queue.refusals(&operation, 0, 9).await.unwrap().is_empty());

    // What people do.
    assert_eq!(queue.operator.retry(&dies[0].id).await.unwrap(), Changed::To(State::Ready));
    let other = "succeeds".into();
    assert_eq!(queue.operator.retry_with(&dies[1].id, &other).await.unwrap(), Changed::To(State::Ready));
    assert_eq!(
        queue.operator.prioritise(&dies[0].id, Priority::High).await.unwrap(),
        Changed::To(State::Ready)
    );
    assert_eq!(queue.operator.reschedule(&dies[0].id, HOUR).await.unwrap(), Changed::To(State::Scheduled));
    assert_eq!(queue.operator.cancel(&dies[0].id).await.unwrap(), Changed::To(State::Cancelled));
    assert_eq!(queue.operator.cancel(&later.id).await.unwrap(), Changed::To(State::Cancelled));
    assert_eq!(queue.operator.cancel(&dies[1].id).await.unwrap(), Changed::To(State::Cancelled));
    assert_eq!(queue.operator.retry(&odd.id).await.unwrap(), Changed::To(State::Ready));
    assert_eq!(queue.operator.resume_kind("other").await.unwrap().released, 0);
    assert_eq!(queue.worker.unpark_for(Some(&kinds)).await.unwrap(), 0);
    assert_eq!(queue.operator.cancel(&odd.id).await.unwrap(), Changed::To(State::Cancelled));
    for key in [&api, &tenant, &LimitKey::Queue] {
        queue.operator.set_limit(key, Limit::default()).await.unwrap();
    }

    // The outbox, all of it, in parts and waiting for more.
    let mut entries = 0;
    loop {
        let read = reader.read(4, Duration::from_millis(1)).await.unwrap();
        if read.is_empty() {
            break;
        }
        entries += read.len();
        reader.acknowledge(&read).await.unwrap();
    }
    loop {
        let read = tail.read(4, Duration::from_millis(1)).await.unwrap();
        if read.is_empty() {
            break;
        }
        tail.acknowledge(&read).await.unwrap();
    }
    assert_eq!(queue.latest_transitions(1_000).await.unwrap().len(), entries);
    queue.worker.trim_outbox().await.unwrap();

    // The scrubber, and retention.
    assert_eq!(Scrubber::pass(&queue.worker).await.unwrap().total(), 0);
    assert_eq!(
        queue.operator.forget(std::slice::from_ref(&dies[2].id), NOW).await.unwrap(),
        [Changed::Forgotten]
    );
    let mut forgotten = 1;
    for state in [State::Succeeded, State::Dead, State::Cancelled] {
        forgotten += queue.worker.trim(state, NOW).await.unwrap().forgotten;
    }
    assert_eq!(forgotten as usize, 1 + all.len(), "every job has ended");

    assert_eq!(refused(&mut admin).await, Vec::<String>::new());
    // It may not see, or remove, what others keep in the same Redis.
    ask(&mut admin, &["SET", "other", "x"]).await.unwrap();
    let mut own = connector.connect().unwrap();
    for words in [
        &["GET", "other"][..],
        &["DEL", "other"],
        &["FLUSHALL"],
        &["KEYS", "*"],
        &["CONFIG", "GET", "*"],
        &["CLIENT", "KILL", "TYPE", "normal"],
        &["SCRIPT", "FLUSH"],
        &["PUBLISH", "other", "x"],
    ] {
        let refused = ask(&mut own, words).await.unwrap_err();
        assert!(refused.contains("NOPERM") || refused.contains("permissions"), "{words:?}: {refused}");
    }
    fixture.finish_after_forgetting(forgotten).await;
    redis.stop().await.unwrap();
}
