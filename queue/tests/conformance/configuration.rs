//! The configuration that is stored with a queue: seeded once, versioned, followed by every worker.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use upshot_queue::{
    Configuration, Configured, Failure, Following, Limit, LimitKey, RetryPolicy, State, Wait, WorkerOptions,
};
use upshot_servers::Proxy;

use crate::{
    fixture::{Fixture, Worker, name, options},
    handles::Queue,
};

/// A job survives so many transient failures, and waits for none of them.
fn surviving(transient: u32) -> Configuration {
    let retry = RetryPolicy { transient, retry_for: [].into(), wait: Wait::NONE, ..RetryPolicy::default() };
    Configuration { retry, ..Configuration::default() }
}

fn seeded(seed: Configuration) -> WorkerOptions {
    WorkerOptions { seed: Some(seed), ..options() }
}

/// A worker whose handler never gets anywhere.
fn failing(fixture: &Fixture, seed: Configuration) -> Worker {
    Worker::start(&fixture.connector, seeded(seed), |_, _| async {
        Err::<Value, _>(Failure::transient("the printer is on fire"))
    })
}

#[tokio::test]
async fn executors_with_different_settings_go_by_the_configuration_that_was_first() {
    let fixture = Fixture::new().await;
    let first = Worker::start(&fixture.connector, seeded(surviving(1)), |_, _| async { Ok(json!(null)) });
    let id = fixture.enqueue(1).await.remove(0);
    fixture.until_state(&id, State::Succeeded).await;
    first.stop().await;
    let other = failing(&fixture, surviving(1_000_000));
    let id = fixture.enqueue(1).await.remove(0);
    let dead = fixture.until_state(&id, State::Dead).await;
    assert_eq!(dead.attempts, 2, "it goes by its own settings");
    other.stop().await;
    let stored = fixture.queue.configuration().await.unwrap().unwrap();
    assert_eq!((stored.version, stored.configuration), (1, surviving(1)));
    assert!(stored.by.starts_with("worker "), "{}", stored.by);
    fixture.finish().await;
}

#[tokio::test]
async fn a_change_reaches_a_running_worker() {
    let fixture = Fixture::new().await;
    let worker = failing(&fixture, surviving(1_000_000));
    let id = fixture.enqueue(1).await.remove(0);
    fixture.until(&id, |job| job.attempts > 2).await;
    let done = fixture.queue.operator.configure(&surviving(1), 1, "ada").await.unwrap();
    assert_eq!(done, Configured::Stored(2));
    fixture.until_state(&id, State::Dead).await;
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_change_names_the_version_that_it_was_made_from() {
    let fixture = Fixture::new().await;
    let operator = &fixture.queue.operator;
    assert_eq!(fixture.queue.configuration().await.unwrap(), None);
    assert_eq!(operator.configure(&surviving(1), 3, "ada").await.unwrap(), Configured::Conflict(0));
    assert_eq!(operator.configure(&surviving(1), 0, "ada").await.unwrap(), Configured::Stored(1));
    assert_eq!(operator.configure(&surviving(2), 1, "ada").await.unwrap(), Configured::Stored(2));
    assert_eq!(operator.configure(&surviving(3), 1, "bob").await.unwrap(), Configured::Conflict(2));
    // A caller whose reply was lost.
    assert_eq!(operator.configure(&surviving(2), 1, "ada").await.unwrap(), Configured::Stored(2));
    for version in 2..40 {
        let done = operator.configure(&surviving(version as u32 + 1), version, "ada\nbob").await.unwrap();
        assert_eq!(done, Configured::Stored(version + 1));
    }
    let kept = fixture.queue.configurations(100).await.unwrap();
    let versions: Vec<u64> = kept.iter().map(|each| each.version).collect();
    assert_eq!(versions, (21..=40).rev().collect::<Vec<_>>());
    assert!(kept.iter().all(|each| each.by == "adabob" && each.at > 0));
    assert_eq!(kept[0].configuration, surviving(40));
    let bad = Configuration {
        keep: upshot_queue::Retention { dead: Duration::ZERO, ..Default::default() },
        ..surviving(1)
    };
    let said = operator.configure(&bad, 40, "ada").await.unwrap_err().to_string();
    assert!(said.contains("`keep_dead` is 0s"), "{said}");
    fixture.finish().await;
}

fn key(name: &str) -> LimitKey {
    LimitKey::Key(name.to_owned())
}

fn limiting(limits: &[(&str, u32)]) -> Configuration {
    let limits = limits.iter().map(|(name, n)| (key(name), Limit::concurrency(*n))).collect();
    Configuration { limits, ..Configuration::default() }
}

#[tokio::test]
async fn a_version_sets_its_limits_and_clears_those_that_it_no_longer_names() {
    let fixture = Fixture::new().await;
    let (queue, operator) = (&fixture.queue, &fixture.queue.operator);
    let limits = async || {
        let limits = queue.limits().await.unwrap().limits;
        limits
            .into_iter()
            .map(|(key, limit)| (key.to_string(), limit.concurrency.unwrap()))
            .collect::<Vec<_>>()
    };
    let named = |limits: &[(&str, u32)]| {
        limits.iter().map(|(name, n)| (format!("key:{name}"), *n)).collect::<Vec<_>>()
    };
    operator.set_limit(&key("by-hand"), Limit::concurrency(9)).await.unwrap();
    operator.configure(&limiting(&[("a", 1), ("b", 2)]), 0, "ada").await.unwrap();
    assert_eq!(limits().await, named(&[("a", 1), ("b", 2), ("by-hand", 9)]));
    // Between two versions a single limit is set, and that is seen.
    operator.set_limit(&key("a"), Limit::concurrency(5)).await.unwrap();
    let stored = queue.configuration().await.unwrap().unwrap().configuration;
    assert_eq!(queue.limits_apart(&stored).await.unwrap(), [(key("a"), Limit::concurrency(5))]);
    operator.configure(&limiting(&[("a", 3)]), 1, "ada").await.unwrap();
    assert_eq!(limits().await, named(&[("a", 3), ("by-hand", 9)]));
    fixture.finish().await;
}

#[tokio::test]
async fn limits_that_an_operator_died_over_are_set_by_a_worker() {
    let fixture = Fixture::new().await;
    let operator = &fixture.queue.operator;
    operator.configure(&limiting(&[("a", 1)]), 0, "ada").await.unwrap();
    operator.set_limit(&key("a"), Limit::default()).await.unwrap();
    // As if that had been before the limit was set.
    let mut conn = fixture.connector.connect().unwrap();
    let key_name = fixture.queue.keys().configuration();
    () = redis::cmd("HSET").arg(&key_name).arg("unset").arg(0).query_async(&mut conn).await.unwrap();
    let worker = Worker::start(&fixture.connector, seeded(limiting(&[])), |_, _| async { Ok(json!(null)) });
    let id = fixture.enqueue(1).await.remove(0);
    fixture.until_state(&id, State::Succeeded).await;
    let limits = fixture.queue.limits().await.unwrap().limits;
    assert_eq!(limits, [(key("a"), Limit::concurrency(1))]);
    let unset: Option<u8> =
        redis::cmd("HGET").arg(&key_name).arg("unset").query_async(&mut conn).await.unwrap();
    assert_eq!(unset, None);
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_limit_that_two_versions_name_alike_is_left_as_an_operator_set_it() {
    let fixture = Fixture::new().await;
    let operator = &fixture.queue.operator;
    operator.configure(&limiting(&[("a", 1), ("b", 2)]), 0, "ada").await.unwrap();
    operator.set_limit(&key("a"), Limit::concurrency(0)).await.unwrap();
    operator.configure(&limiting(&[("a", 1), ("b", 3)]), 1, "ada").await.unwrap();
    let limits = fixture.queue.limits().await.unwrap().limits;
    assert_eq!(limits, [(key("a"), Limit::concurrency(0)), (key("b"), Limit::concurrency(3))]);
    fixture.finish().await;
}

/// What a setter leaves behind that died before it set a limit.
async fn unset(fixture: &Fixture, since: u64) {
    let mut conn = fixture.connector.connect().unwrap();
    let key = fixture.queue.keys().configuration();
    () = redis::cmd("HSET").arg(key).arg("unset").arg(since).query_async(&mut conn).await.unwrap();
}

#[tokio::test]
async fn limits_of_a_version_whose_setter_died_are_cleared_by_a_later_one() {
    let fixture = Fixture::new().await;
    let operator = &fixture.queue.operator;
    operator.configure(&limiting(&[("a", 1), ("b", 2)]), 0, "ada").await.unwrap();
    operator.configure(&limiting(&[("b", 3), ("c", 4)]), 1, "ada").await.unwrap();
    // As if the second one had set `c` and not come further.
    operator.set_limit(&key("a"), Limit::concurrency(1)).await.unwrap();
    operator.set_limit(&key("b"), Limit::concurrency(2)).await.unwrap();
    unset(&fixture, 1).await;
    operator.configure(&limiting(&[("b", 3)]), 2, "ada").await.unwrap();
    let limits = fixture.queue.limits().await.unwrap().limits;
    assert_eq!(limits, [(key("b"), Limit::concurrency(3))]);
    fixture.finish().await;
}

#[tokio::test]
async fn a_worker_that_cannot_read_the_configuration_does_nothing_and_says_so() {
    let fixture = Fixture::new().await;
    let operator = &fixture.queue.operator;
    operator.configure(&surviving(1), 0, "ada").await.unwrap();
    let mut conn = fixture.connector.connect().unwrap();
    let stored = fixture.queue.keys().configurations();
    let good: String = redis::cmd("LINDEX").arg(&stored).arg(0).query_async(&mut conn).await.unwrap();
    let set = async |text: &str| {
        let mut conn = fixture.connector.connect().unwrap();
        () = redis::cmd("LSET").arg(&stored).arg(0).arg(text).query_async(&mut conn).await.unwrap();
    };
    set(&good.replace("keep_dead", "keep_deaf")).await;
    let following = watch::Sender::default();
    let mut seen = following.subscribe();
    let options = WorkerOptions { following, ..seeded(surviving(1)) };
    let worker = Worker::start(&fixture.connector, options, |_, _| async { Ok(json!(null)) });
    let id = fixture.enqueue(1).await.remove(0);
    // Twice: until then another loop would have begun.
    for _ in 0..2 {
        seen.changed().await.unwrap();
        let now = seen.borrow_and_update().clone();
        assert!(matches!(&now, Following::Failing(why) if why.contains("version 1")), "{now:?}");
    }
    let sweeper: Option<String> =
        redis::cmd("GET").arg(fixture.queue.keys().sweeper()).query_async(&mut conn).await.unwrap();
    assert_eq!(sweeper, None, "it sweeps by settings that are not the queue's");
    assert_eq!(fixture.queue.job(&id).await.unwrap().unwrap().attempts, 0);
    set(&good).await;
    seen.wait_for(|now| *now == Following::Followed).await.unwrap();
    fixture.until_state(&id, State::Succeeded).await;
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn a_version_is_followed_although_a_limit_of_it_cannot_be_set() {
    let fixture = Fixture::new().await;
    let following = watch::Sender::default();
    let mut seen = following.subscribe();
    let options = WorkerOptions { following, ..seeded(surviving(1_000_000)) };
    let worker = Worker::start(&fixture.connector, options, |_, _| async {
        Err::<Value, _>(Failure::transient("the printer is on fire"))
    });
    seen.wait_for(|now| *now == Following::Followed).await.unwrap();
    operator_of_a_newer_program(&fixture, surviving(1)).await;
    seen.wait_for(|now| matches!(now, Following::Failing(why) if why.contains("weight"))).await.unwrap();
    let id = fixture.enqueue(1).await.remove(0);
    let dead = fixture.until_state(&id, State::Dead).await;
    assert_eq!(dead.attempts, 2, "it goes by the version before");
    let limits = fixture.queue.limits().await.unwrap().limits;
    assert_eq!(limits, [(key("b"), Limit::concurrency(2))], "a limit that can be set is set");
    worker.stop().await;
    fixture.finish().await;
}

/// Stores version 2 with a limit that this program does not keep, and one that it does.
async fn operator_of_a_newer_program(fixture: &Fixture, configuration: Configuration) {
    let mut document = configuration.document();
    document["limits"] = json!({"key:a": {"weight": 2.0}, "key:b": {"concurrency": 2}});
    let (mut conn, keys) = (fixture.connector.connect().unwrap(), fixture.queue.keys());
    let mut pipe = redis::pipe();
    pipe.cmd("LPUSH").arg(keys.configurations()).arg(format!("2 7 bob\n{document}"));
    pipe.cmd("HSET").arg(keys.configuration()).arg(&["version", "2", "at", "7", "unset", "1"]);
    pipe.cmd("PUBLISH").arg(keys.configured()).arg(2);
    () = pipe.query_async(&mut conn).await.unwrap();
}

#[tokio::test]
async fn another_version_of_the_same_number_is_followed() {
    let fixture = Fixture::new().await;
    let worker = failing(&fixture, surviving(1_000_000));
    let id = fixture.enqueue(1).await.remove(0);
    fixture.until(&id, |job| job.attempts > 2).await;
    // A Redis that lost its last second, and then took another first version.
    let document = surviving(1).document();
    let (mut conn, keys) = (fixture.connector.connect().unwrap(), fixture.queue.keys());
    let mut pipe = redis::pipe();
    pipe.cmd("LSET").arg(keys.configurations()).arg(0).arg(format!("1 7 bob\n{document}"));
    pipe.cmd("HSET").arg(keys.configuration()).arg("at").arg(7);
    pipe.cmd("PUBLISH").arg(keys.configured()).arg(1);
    () = pipe.query_async(&mut conn).await.unwrap();
    fixture.until_state(&id, State::Dead).await;
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_setter_overwrites_no_limit_of_a_later_version() {
    let fixture = Fixture::single().await;
    let proxy = Proxy::start(fixture.port()).await.unwrap();
    let connector = fixture.via(&format!("redis://127.0.0.1:{}/", proxy.port()));
    let slow = Queue::new(&connector, name()).unwrap();
    // The first limit of version 1 is set, and its setter does not know yet.
    let mut held = proxy.hold_reply(|_, reply| reply.starts_with(b"*4\r\n:"));
    let (one, other) = (limiting(&[("a", 1), ("b", 1), ("c", 1)]), limiting(&[("a", 2), ("b", 2)]));
    let first = slow.operator.configure(&one, 0, "ada");
    let second = async {
        held.reached().await;
        let done = fixture.queue.operator.configure(&other, 1, "bob").await.unwrap();
        assert_eq!(done, Configured::Stored(2));
        held.release();
    };
    assert_eq!(tokio::join!(first, second).0.unwrap(), Configured::Stored(1));
    let limits = fixture.queue.limits().await.unwrap().limits;
    assert_eq!(limits, [(key("a"), Limit::concurrency(2)), (key("b"), Limit::concurrency(2))]);
    fixture.finish().await;
}
