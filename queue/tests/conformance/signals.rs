//! Signals: what meets the conditions that jobs wait for, early or late, once or twice.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use upshot_queue::{
    BadSignal, Condition, Error, Job, JobId, Kept, Lease, MAX_SIGNAL, MAX_SIGNALS, NewJob, Park, Released,
    Scrubber, State, Stop, Trimmed, signals::Signalled,
};

use crate::{
    by_hand,
    fixture::{Fixture, Worker, options},
};

const LONG: Duration = Duration::from_secs(3600);

fn condition(key: &str) -> Condition {
    key.parse().unwrap()
}

/// A handler that runs.
type Answering = std::pin::Pin<Box<dyn Future<Output = Result<Value, Stop>> + Send>>;

/// Waits for the condition, and returns the payload; `null` where the wait ran out of time.
fn waits(
    condition: Condition,
    within: Duration,
) -> impl Fn(Arc<Job>, Lease) -> Answering + Clone + Send + Sync + 'static {
    move |_, lease| {
        let condition = condition.clone();
        Box::pin(async move {
            match lease.answer(&condition) {
                Some(answer) => Ok(answer.payload.clone().unwrap_or_default()),
                None => Err(Park::wait(condition, within, "nobody has said it").into()),
            }
        })
    }
}

fn did(job: &Job) -> Vec<&str> {
    job.changes.iter().map(|change| change.did.as_str()).collect()
}

async fn transitions<const N: usize>(fixture: &Fixture, names: [&str; N]) -> [u64; N] {
    let counts = fixture.queue.counts().await.unwrap();
    let signals = counts.signals;
    names.map(|name| match name {
        "signals" => signals.stored,
        "signals_early" => signals.early,
        "signal_contradictions" => signals.contradictions,
        name => counts.transitions(name),
    })
}

/// A job that was parked for a condition by hand, as worker `one`.
async fn parked(fixture: &Fixture, n: usize, stored: &str) -> Vec<JobId> {
    let mut ids = Vec::new();
    for number in 1.. {
        let left = n - ids.len();
        if left == 0 {
            break;
        }
        fixture.enqueue(left.min(16)).await;
        let jobs = by_hand::lease(&fixture.queue, "one", number).await;
        by_hand::settle(&fixture.queue, "one", &jobs, &by_hand::park(stored)).await;
        ids.extend(jobs.into_iter().map(|job| job.id));
    }
    ids
}

#[tokio::test]
async fn an_early_signal_is_found_by_the_job_that_waits_later() {
    let fixture = Fixture::new().await;
    let confirmed = condition("order-1042 confirmed");
    let said = fixture.queue.signal(&confirmed, &json!({"by": "ann"})).await.unwrap();
    assert_eq!(said, Signalled { kept: Kept::Stored, released: Released::default() });
    let id = fixture.enqueue(1).await.remove(0);
    let worker = Worker::start_any(&fixture.connector, options(), waits(confirmed, LONG));
    let done = fixture.until_state(&id, State::Succeeded).await;
    assert_eq!(done.outcome, Some(json!({"by": "ann"})));
    assert_eq!((did(&done), done.attempts), (vec!["parked", "signalled"], 1), "{:?}", done.changes);
    assert_eq!(transitions(&fixture, ["parked", "signalled", "signals", "signals_early"]).await, [1; 4]);
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_late_signal_lets_the_waiting_job_continue() {
    let fixture = Fixture::new().await;
    let confirmed = condition("order-1042 confirmed");
    let id = fixture.enqueue(1).await.remove(0);
    let worker = Worker::start_any(&fixture.connector, options(), waits(confirmed.clone(), LONG));
    fixture.until_state(&id, State::Parked).await;
    let said = fixture.queue.signal(&confirmed, &json!(17)).await.unwrap();
    assert_eq!(said, Signalled { kept: Kept::Stored, released: Released { released: 1, left: 0 } });
    let done = fixture.until_state(&id, State::Succeeded).await;
    assert_eq!((done.outcome.as_ref(), done.attempts), (Some(&json!(17)), 1));
    assert_eq!(
        transitions(&fixture, ["signalled", "unparked", "signals", "signals_early"]).await,
        [1, 0, 1, 0]
    );
    // Sent twice it changes nothing.
    let again = fixture.queue.signal(&confirmed, &json!(17)).await.unwrap();
    assert_eq!(again, Signalled { kept: Kept::Known, released: Released::default() });
    assert_eq!(transitions(&fixture, ["signals", "signal_contradictions"]).await, [1, 0]);
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_second_payload_is_a_contradiction_and_the_first_one_stays() {
    let fixture = Fixture::new().await;
    let approved = condition("loan 7 approved");
    fixture.queue.signal(&approved, &json!({"approved": true})).await.unwrap();
    let id = fixture.enqueue(1).await.remove(0);
    let worker = Worker::start_any(&fixture.connector, options(), waits(approved.clone(), LONG));
    let done = fixture.until_state(&id, State::Succeeded).await;
    assert_eq!(done.outcome, Some(json!({"approved": true})));
    for _ in 0..2 {
        let said = fixture.queue.signal(&approved, &json!({"approved": false})).await.unwrap();
        assert_eq!(said.kept, Kept::Contradicts { first: json!({"approved": true}) });
    }
    let kept = fixture.queue.kept_signal(&approved).await.unwrap().unwrap();
    assert_eq!((kept.payload, kept.contradictions), (json!({"approved": true}), 1));
    assert_eq!(kept.other.unwrap().0, json!({"approved": false}));
    assert_eq!(transitions(&fixture, ["signals", "signal_contradictions"]).await, [1, 1]);
    let job = fixture.queue.job(&id).await.unwrap().unwrap();
    assert_eq!(did(&job), ["parked", "signalled", "contradicted"], "the job that took the first shows it");
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_wait_ends_without_a_signal() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let confirmed = condition("order-1042 confirmed");
    let brief = Duration::from_millis(30);
    let worker = Worker::start_any(&fixture.connector, options(), waits(confirmed.clone(), brief));
    let done = fixture.until_state(&id, State::Succeeded).await;
    assert_eq!((done.outcome.as_ref(), done.attempts), (Some(&Value::Null), 1));
    assert_eq!(did(&done), ["parked", "waited"]);
    let answer = &done.answers["wait order-1042 confirmed"];
    assert_eq!(answer.payload, None);
    assert!(answer.at >= done.changes[0].at + 30, "{done:?}");
    assert_eq!(transitions(&fixture, ["parked", "lapsed", "signalled"]).await, [1, 1, 0]);
    assert!(fixture.queue.conditions().await.unwrap().is_empty());
    // A signal that comes now is kept for others.
    let said = fixture.queue.signal(&confirmed, &json!(null)).await.unwrap();
    assert_eq!(said.released, Released::default());
    worker.stop().await;
    fixture.finish().await;
}

/// The end of a wait counts from its beginning, and a retry of the dead job waits again.
#[tokio::test]
async fn a_job_that_died_of_a_wait_waits_again_when_it_is_retried() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let confirmed = condition("order-1042 confirmed");
    let worker = Worker::start_any(&fixture.connector, options(), {
        let confirmed = confirmed.clone();
        move |_, lease| {
            let confirmed = confirmed.clone();
            async move {
                match lease.answer(&confirmed) {
                    Some(answer) => match &answer.payload {
                        Some(payload) => Ok(payload.clone()),
                        None => Err(Stop::from(upshot_queue::Failure::permanent("nobody said it"))),
                    },
                    None => Err(Park::wait(confirmed, Duration::from_millis(30), "not yet").into()),
                }
            }
        }
    });
    let dead = fixture.until_state(&id, State::Dead).await;
    assert_eq!(dead.answers.len(), 1);
    fixture.queue.signal(&confirmed, &json!("late")).await.unwrap();
    fixture.queue.operator.retry(&id).await.unwrap();
    let done = fixture.until_state(&id, State::Succeeded).await;
    assert_eq!(done.outcome, Some(json!("late")));
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn signals_of_tenants_are_apart() {
    let fixture = Fixture::new().await;
    let of = |tenant| Condition::of_tenant(tenant, "contract signed").unwrap();
    let ids = parked(&fixture, 1, &of("acme").stored()).await;
    for other in [of("zeta"), condition("contract signed")] {
        assert_eq!(fixture.queue.signal(&other, &json!(1)).await.unwrap().released, Released::default());
    }
    assert_eq!(fixture.queue.signal(&of("acme"), &json!(2)).await.unwrap().released.released, 1);
    let job = fixture.queue.job(&ids[0]).await.unwrap().unwrap();
    assert_eq!(job.answers[&of("acme").stored()].payload, Some(json!(2)));
    fixture.finish().await;
}

/// Jobs that wait for one signal are let go in parts, and each gets the payload.
#[tokio::test]
async fn one_signal_lets_many_jobs_continue_in_parts() {
    let fixture = Fixture::new().await;
    let ids = parked(&fixture, 300, "wait doors open").await;
    let doors = condition("doors open");
    let said = fixture.queue.signal(&doors, &json!("now")).await.unwrap();
    assert_eq!(said.released, Released { released: 128, left: 172 });
    fixture.queue.operator.finish_releases(|| true).await.unwrap();
    let jobs = fixture.queue.jobs(&ids).await.unwrap();
    for job in &jobs {
        assert_eq!(job.state, State::Ready);
        assert_eq!(job.answers["wait doors open"].payload, Some(json!("now")));
    }
    assert_eq!(transitions(&fixture, ["signalled", "unparked"]).await, [300, 0]);
    fixture.finish().await;
}

/// A handler that does not look at the answer is not called again and again.
#[tokio::test]
async fn a_job_that_parks_for_an_answered_condition_stays_parked() {
    let fixture = Fixture::new().await;
    let shut = condition("breaker:smtp");
    fixture.queue.signal(&shut, &json!(null)).await.unwrap();
    fixture.enqueue(1).await;
    for (number, state) in [(1, State::Ready), (2, State::Parked)] {
        let jobs = by_hand::lease(&fixture.queue, "one", number).await;
        by_hand::settle(&fixture.queue, "one", &jobs, &by_hand::park("wait breaker:smtp")).await;
        assert_eq!(fixture.queue.job(&jobs[0].id).await.unwrap().unwrap().state, state);
    }
    assert_eq!(fixture.queue.unpark(&shut).await.unwrap().released, 1);
    fixture.finish().await;
}

/// Runs a command on the job that waits.
async fn say(fixture: &Fixture, words: &[&str]) {
    let mut cmd = redis::cmd(words[0]);
    cmd.arg(&words[1..]).exec_async(&mut fixture.connector.connect().unwrap()).await.unwrap();
}

/// The handler parks again without looking at the answer. The end of its first wait is over then.
#[tokio::test]
async fn an_answer_outlives_the_end_of_its_wait() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue(1).await.remove(0);
    let end = by_hand::park_within("wait a", 40);
    let jobs = by_hand::lease(&fixture.queue, "one", 1).await;
    by_hand::settle(&fixture.queue, "one", &jobs, &end).await;
    let ends = fixture.queue.job(&id).await.unwrap().unwrap().since + 40;
    assert_eq!(fixture.queue.signal(&condition("a"), &json!("yes")).await.unwrap().released.released, 1);
    let jobs = by_hand::lease(&fixture.queue, "one", 2).await;
    by_hand::settle(&fixture.queue, "one", &jobs, &end).await;
    // An earlier version left the end of the wait with the job, and its scrubber the entry.
    let keys = fixture.queue.keys().clone();
    for entry in [false, true] {
        say(&fixture, &["HSET", &keys.job(&id), "until:wait a", &ends.to_string()]).await;
        if entry {
            say(&fixture, &["ZADD", &keys.expiring(), &ends.to_string(), &format!("wait {id}")]).await;
        }
        assert_eq!(Scrubber::pass(&fixture.queue.worker).await.unwrap().total(), 0);
        fixture.until_after(ends).await;
        assert!(by_hand::lease(&fixture.queue, "one", 3 + u64::from(entry)).await.is_empty());
        let job = fixture.queue.job(&id).await.unwrap().unwrap();
        assert_eq!((job.state, &job.answers["wait a"].payload), (State::Parked, &Some(json!("yes"))));
    }
    fixture.finish().await;
}

/// A job whose entry is left of another wait, as by an earlier version.
#[tokio::test]
async fn an_entry_of_an_earlier_wait_ends_no_other_wait() {
    let fixture = Fixture::new().await;
    let endless = parked(&fixture, 1, "wait a").await.remove(0);
    fixture.enqueue(1).await;
    let jobs = by_hand::lease(&fixture.queue, "one", 2).await;
    by_hand::settle(&fixture.queue, "one", &jobs, &by_hand::park_within("wait b", 3_600_000)).await;
    let expiring = fixture.queue.keys().expiring().to_owned();
    for id in [&endless, &jobs[0].id] {
        say(&fixture, &["ZADD", &expiring, "1", &format!("wait {id}")]).await;
    }
    assert!(by_hand::lease(&fixture.queue, "one", 3).await.is_empty());
    for id in [&endless, &jobs[0].id] {
        let job = fixture.queue.job(id).await.unwrap().unwrap();
        assert!(job.state == State::Parked && job.answers.is_empty(), "{job:?}");
    }
    let mut conn = fixture.connector.connect().unwrap();
    let left: Vec<(String, f64)> = redis::cmd("ZRANGE")
        .arg(&expiring)
        .arg("0")
        .arg("-1")
        .arg("WITHSCORES")
        .query_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(left.len(), 1, "the entry of the wait without an end is dropped: {left:?}");
    assert!(left[0].1 > 3_600_000.0, "the other entry has the end of the wait: {left:?}");
    fixture.finish().await;
}

#[tokio::test]
async fn signals_are_bounded_in_size_and_number() {
    let fixture = Fixture::new().await;
    let large = fixture.queue.signal(&condition("a"), &json!("x".repeat(MAX_SIGNAL))).await;
    assert!(matches!(large, Err(Error::Signal(BadSignal::TooLarge(bytes))) if bytes == MAX_SIGNAL + 2));
    fixture.queue.signal(&condition("a"), &json!("x".repeat(MAX_SIGNAL - 2))).await.unwrap();
    let kept = fixture.queue.counts().await.unwrap().signals.bytes;
    assert_eq!(kept, 250 + MAX_SIGNAL as u64 + 2 * "wait a".len() as u64);
    let mut conn = fixture.connector.connect().unwrap();
    let mut set = redis::cmd("HSET");
    let control = fixture.queue.keys().control().to_owned();
    set.arg(&control).arg("signal_bytes").arg(MAX_SIGNALS - 10).exec_async(&mut conn).await.unwrap();
    let full = fixture.queue.signal(&condition("b"), &json!(1)).await.unwrap_err();
    let said = full.to_string();
    assert!(matches!(full, Error::Signal(BadSignal::Full(_))) && said.contains("`keep_signals`"), "{said}");
    assert_eq!(fixture.queue.kept_signal(&condition("b")).await.unwrap(), None);
    // A contradiction counts, and its payload is not kept.
    for n in [1, 1, 2] {
        let said = fixture.queue.signal(&condition("a"), &json!("y".repeat(20 * n))).await.unwrap();
        assert!(matches!(said.kept, Kept::Contradicts { .. }), "{said:?}");
    }
    let first = fixture.queue.kept_signal(&condition("a")).await.unwrap().unwrap();
    assert_eq!((first.contradictions, first.other), (2, None));
    assert_eq!(fixture.queue.counts().await.unwrap().signals.bytes, MAX_SIGNALS as u64 - 10);
    // One that is known needs no room.
    fixture.queue.signal(&condition("a"), &json!("x".repeat(MAX_SIGNAL - 2))).await.unwrap();
    set = redis::cmd("HSET");
    set.arg(&control).arg("signal_bytes").arg(kept).exec_async(&mut conn).await.unwrap();
    fixture.finish().await;
}

#[tokio::test]
async fn kept_signals_are_listed_and_forgotten() {
    let fixture = Fixture::new().await;
    for n in 0..5 {
        fixture.queue.signal(&condition(&format!("order-{n} confirmed")), &json!(n)).await.unwrap();
    }
    let (mut seen, mut from) = (Vec::new(), None);
    loop {
        let page = fixture.queue.kept_signals(from.as_ref(), 2).await.unwrap();
        seen.extend(page.signals.iter().map(|signal| signal.payload.as_u64().unwrap()));
        let Some(next) = page.next else { break };
        // A cursor survives being written down.
        from = Some(next.to_string().parse().unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    assert_eq!(fixture.queue.worker.trim_signals(LONG).await.unwrap(), Trimmed::default());
    assert_eq!(fixture.queue.kept_signals(None, 100).await.unwrap().signals.len(), 5);
    let last = fixture.queue.kept_signals(None, 1).await.unwrap().signals[0].at;
    fixture.until_after(last + 1).await;
    let trimmed = fixture.queue.worker.trim_signals(Duration::ZERO).await.unwrap();
    assert_eq!(trimmed, Trimmed { forgotten: 5, more: false, held: false });
    assert!(fixture.queue.kept_signals(None, 100).await.unwrap().signals.is_empty());
    assert_eq!(fixture.queue.counts().await.unwrap().signals.bytes, 0);
    fixture.finish().await;
}

#[tokio::test]
async fn a_withdrawn_signal_answers_no_further_job() {
    let fixture = Fixture::new().await;
    let (approved, operator) = (condition("loan 7 approved"), &fixture.queue.operator);
    let answered = parked(&fixture, 129, &approved.stored()).await;
    fixture.queue.signal(&approved, &json!(true)).await.unwrap();
    assert!(operator.withdraw_signal(&approved).await.unwrap());
    assert!(!operator.withdraw_signal(&approved).await.unwrap(), "it is gone");
    assert_eq!(fixture.queue.kept_signal(&approved).await.unwrap(), None);
    assert_eq!(fixture.queue.counts().await.unwrap().signals.bytes, 0);
    operator.finish_releases(|| true).await.unwrap();
    let jobs = fixture.queue.jobs(&answered).await.unwrap();
    assert_eq!(jobs.iter().filter(|job| job.answers.len() == 1 && job.state == State::Ready).count(), 128);
    assert_eq!(jobs.iter().filter(|job| job.state == State::Parked).count(), 1);
    // The other payload is no contradiction.
    let said = fixture.queue.signal(&approved, &json!(false)).await.unwrap();
    assert_eq!((said.kept, said.released.released), (Kept::Stored, 1));
    fixture.finish().await;
}

/// A job whose wait ends and whose deadline passes at the same time ends as expired, once.
#[tokio::test]
async fn a_wait_and_a_deadline_may_end_together() {
    let fixture = Fixture::new().await;
    let within = Duration::from_millis(20);
    let deadline = Some(upshot_queue::Deadline { within, then: upshot_queue::Late::Expires });
    let job = NewJob { deadline, ..NewJob::new(JobId::random(), "test", "") };
    fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let jobs = by_hand::lease(&fixture.queue, "one", 1).await;
    by_hand::settle(&fixture.queue, "one", &jobs, &by_hand::park_within("wait a", 1)).await;
    fixture.until_after(jobs[0].deadline.unwrap() + 1).await;
    assert!(by_hand::lease(&fixture.queue, "one", 2).await.is_empty());
    let dead = fixture.queue.job(&job.id).await.unwrap().unwrap();
    assert_eq!((dead.state, did(&dead)), (State::Dead, vec!["parked", "waited"]));
    fixture.finish().await;
}
