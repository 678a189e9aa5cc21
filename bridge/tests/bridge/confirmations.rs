//! Messages to `upshot.confirmations`, and events by rule, become signals: each once, none lost.

use std::time::Duration;

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use upshot_bridge::Bridge;
use upshot_queue::{Condition, MAX_SIGNALS, State};
use upshot_runtime::{
    Health, Settings,
    amqp::{CONFIRMATIONS, EVENTS, INTAKE},
};
use upshot_shared::{Route, confirmation::TYPE, event::STRUCTURED};
use upshot_testkit::{PATIENCE, TestRedis, own_redis, within};

use crate::fixture::{Stage, order, waiting_in};

/// An event that only confirms, and one that is also a job.
const RULES: &str = r#"
[[confirmations]]
event = "order.paid.v1"
key = "paid {subject}"
queue = "orders"
evidence = { amount = "{/amount}" }
[[confirmations]]
event = "order.returned.v1"
key = "sent {/parcel}"
queue = "orders"
outcome = "missed"
reason = "returned: {/why}"
"#;

fn rules(settings: &mut Settings) {
    let read: Settings = toml::from_str(RULES).unwrap();
    settings.confirmations = read.confirmations;
    let queue = settings.routes[0].queue.clone();
    settings.routes.push(Route::new("order.returned.v1", "order.credit", queue, PATIENCE));
}

async fn with_rules() -> Stage {
    Stage::with(TestRedis::new("orders").await, rules).await
}

fn event(kind: &str, id: &str, data: &Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/shop", "type": kind, "subject": "order-1", "data": data})
}

/// A confirmation for the queue of the test.
fn of(key: &str, id: &str) -> String {
    json!({"queue": "orders", "key": key, "id": id}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_kept_as_a_signal_however_often_and_in_whatever_form_it_comes() {
    let stage = Stage::new().await;
    stage.confirm(&of("delivered 1", "/mail 7")).await;
    stage.confirm(&of("delivered 1", "/mail 7")).await;
    let body = json!({"queue": "orders", "key": "delivered 1"});
    let structured = json!({"specversion": "1.0", "id": "7", "source": "/mail", "type": TYPE, "data": body});
    let properties = BasicProperties::default().with_content_type(STRUCTURED.into());
    let text = structured.to_string();
    stage.publisher.publish(CONFIRMATIONS, "", text.as_bytes(), properties, true).await.unwrap();
    let mut headers = FieldTable::default();
    for (name, value) in [("specversion", "1.0"), ("id", "7"), ("source", "/mail"), ("type", TYPE)] {
        headers.insert(format!("cloudEvents:{name}").into(), AMQPValue::LongString(value.into()));
    }
    let properties = BasicProperties::default().with_headers(headers);
    let text = body.to_string();
    stage.publisher.publish(CONFIRMATIONS, "", text.as_bytes(), properties, true).await.unwrap();
    stage.confirm(r#"{"queue": "orders", "key": "last"}"#).await;
    stage.signal("last").await;
    let kept = stage.signal("delivered 1").await;
    assert_eq!(kept.payload, json!({"id": "/mail 7"}));
    assert_eq!(kept.contradictions, 0);
    let signals = stage.redis.queue.counts().await.unwrap().signals;
    assert_eq!((signals.stored, signals.contradictions), (2, 0));
    // Another verdict for the same key is on record, and changes nothing.
    let other = json!({"queue": "orders", "key": "delivered 1", "id": "/mail 8", "outcome": "missed", "reason": "full"});
    stage.confirm(&other.to_string()).await;
    stage.confirm(r#"{"queue": "orders", "key": "very last"}"#).await;
    stage.signal("very last").await;
    let kept = stage.signal("delivered 1").await;
    assert_eq!((kept.payload, kept.contradictions), (json!({"id": "/mail 7"}), 1));
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_confirmation_goes_to_quarantine_alone() {
    let stage = Stage::new().await;
    for body in [
        "{\"queue\":",
        "[]",
        r#"{"queue": "lost", "key": "a"}"#,
        r#"{"queue": "orders"}"#,
        r#"{"queue": "orders", "key": "a", "outcome": "perhaps"}"#,
    ] {
        stage.confirm(body).await;
    }
    let properties = BasicProperties::default().with_content_type(STRUCTURED.into());
    let misplaced = order("1", &json!(1)).to_string();
    stage.publisher.publish(CONFIRMATIONS, "", misplaced.as_bytes(), properties, true).await.unwrap();
    stage.confirm(&of("delivered 1", "1")).await;
    stage.signal("delivered 1").await;
    let mut told: Vec<[String; 3]> = Vec::new();
    for copy in stage.taken(6).await {
        let headers = copy.properties.headers().as_ref().unwrap().inner();
        let text = |name: &str| headers[name].as_long_string().unwrap().to_string();
        told.push(["x-upshot-reason", "x-upshot-place", "x-upshot-exchange"].map(text));
    }
    told.sort();
    let expected = [
        ["contract_violation", ""],
        ["contract_violation", "/key"],
        ["contract_violation", "/outcome"],
        ["contract_violation", "/queue"],
        ["malformed_json", "/queue"],
        ["unknown_type", "/type"],
    ];
    assert_eq!(told, expected.map(|[reason, place]| [reason, place, CONFIRMATIONS].map(str::to_owned)));
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_a_confirmation_by_its_rule() {
    let stage = with_rules().await;
    // It needs no route, and comes twice.
    for _ in 0..2 {
        stage.publish(&event("order.paid.v1", "1", &json!({"amount": 9.5}))).await;
    }
    let kept = stage.signal("paid order-1").await;
    let evidence = json!({"event": "order.paid.v1", "amount": "9.5"});
    assert_eq!(kept.payload, json!({"id": "/shop 1", "evidence": evidence}));
    // It is a job as well.
    stage.publish(&event("order.returned.v1", "2", &json!({"parcel": 7, "why": "unknown"}))).await;
    let kept = stage.signal("sent 7").await;
    assert_eq!(
        (&kept.payload["outcome"], &kept.payload["reason"]),
        (&json!("missed"), &json!("returned: unknown"))
    );
    let counts = stage.redis.queue.counts().await.unwrap();
    assert_eq!((counts.of(State::Ready), counts.signals.contradictions), (1, 0));
    // Without a key it is neither a confirmation nor a job.
    stage.publish(&event("order.returned.v1", "3", &json!({"why": "unknown"}))).await;
    assert_eq!(stage.quarantined(1).await, ["missing_value"]);
    assert_eq!(stage.redis.queue.counts().await.unwrap().of(State::Ready), 1);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_confirmation_is_acknowledged_before_redis_holds_it() {
    let server = own_redis().await;
    let mut redis = TestRedis::on(&server.url(), "test", "orders");
    redis.settings.redis.response_timeout = Duration::from_secs(1);
    let stage = Stage::with(redis, rules).await;
    server.pause().unwrap();
    for id in ["1", "2"] {
        stage.confirm(&of(&format!("delivered {id}"), id)).await;
    }
    stage.publish(&event("order.paid.v1", "1", &json!({"amount": 1}))).await;
    let refused = async {
        while stage.health.why_missing("confirming").is_none() {
            tokio::task::yield_now().await;
        }
    };
    within("readiness says that Redis takes no confirmation", refused).await;
    // The bridge dies: RabbitMQ has them all again.
    stage.running.abort();
    let back = async {
        while waiting_in(&stage.amqp, CONFIRMATIONS).await < 2 || waiting_in(&stage.amqp, INTAKE).await < 1 {}
    };
    within("RabbitMQ has them again", back).await;
    server.resume().unwrap();
    let bridge = Bridge::new(&stage.redis.settings, Health::default()).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(bridge.run(stop.clone()));
    for key in ["delivered 1", "delivered 2", "paid order-1"] {
        assert_eq!(stage.signal(key).await.contradictions, 0, "{key}");
    }
    stop.cancel();
    within("the bridge stops", running).await.unwrap();
    for queue in [CONFIRMATIONS, INTAKE] {
        assert_eq!(waiting_in(&stage.amqp, queue).await, 0, "{queue}");
    }
    stage.publisher.close().await;
    stage.redis.finish().await;
    server.stop().await.unwrap();
}

/// Sets what the queue counts as the bytes of its signals.
async fn count_signals(stage: &Stage, bytes: u64) {
    let mut conn = stage.redis.connector.connect().unwrap();
    let control = stage.redis.queue.keys().control().to_owned();
    redis::cmd("HSET").arg(control).arg("signal_bytes").arg(bytes).exec_async(&mut conn).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_waits_while_its_queue_is_full_and_others_continue() {
    let redis = TestRedis::new("orders").await;
    let stage = Stage::with(redis, |settings| {
        rules(settings);
        settings
            .queues
            .insert("parcels".parse().unwrap(), upshot_runtime::settings::QueueSettings::default());
    })
    .await;
    stage.confirm(&of("first", "1")).await;
    stage.signal("first").await;
    let bytes = stage.redis.queue.counts().await.unwrap().signals.bytes;
    count_signals(&stage, MAX_SIGNALS as u64).await;
    stage.confirm(&of("late", "2")).await;
    stage.publish(&event("order.paid.v1", "1", &json!({}))).await;
    let warned = async {
        while stage.health.warnings().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    within("a warning is raised", warned).await;
    let said = stage.health.warnings().remove("confirmations_full").unwrap();
    assert!(said.contains("`orders`") && said.contains("keep_signals"), "{said}");
    // What the queue knows, other queues, events and bad messages continue.
    stage.confirm(&of("first", "1")).await;
    stage.confirm("no JSON").await;
    stage.confirm(r#"{"queue": "parcels", "key": "other"}"#).await;
    let parcels = upshot_queue::Client::new(&stage.redis.connector, "parcels".parse().unwrap()).unwrap();
    let other = Condition::new(None, "other").unwrap();
    let kept = async { while parcels.kept_signal(&other).await.unwrap().is_none() {} };
    within("the other queue has its signal", kept).await;
    stage.publish(&order("1", &json!(7))).await;
    stage.redis.until(&stage.job_of("1"), State::Ready).await;
    assert_eq!(stage.quarantined(1).await, ["malformed_json"]);
    let late = Condition::new(None, "late").unwrap();
    assert_eq!(stage.redis.queue.kept_signal(&late).await.unwrap(), None);
    count_signals(&stage, bytes).await;
    for key in ["late", "paid order-1"] {
        stage.signal(key).await;
    }
    let cleared = async {
        while !stage.health.warnings().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    within("the warning ends", cleared).await;
    stage.finish().await;
}

/// More than the bridge reads ahead, from both sides: whatever has room gets its turn.
#[tokio::test(flavor = "multi_thread")]
async fn confirmations_of_a_full_queue_use_up_neither_the_intake_nor_the_others_turn() {
    let redis = TestRedis::new("orders").await;
    let stage = Stage::with(redis, |settings| {
        rules(settings);
        settings.bridge.prefetch = 4;
        settings
            .queues
            .insert("parcels".parse().unwrap(), upshot_runtime::settings::QueueSettings::default());
    })
    .await;
    stage.confirm(&of("first", "1")).await;
    stage.signal("first").await;
    let bytes = stage.redis.queue.counts().await.unwrap().signals.bytes;
    count_signals(&stage, MAX_SIGNALS as u64).await;
    for n in 0..12 {
        let mut paid = event("order.paid.v1", &n.to_string(), &json!({"amount": n}));
        paid["subject"] = json!(format!("order-{n}"));
        stage.publish(&paid).await;
        stage.confirm(&of(&format!("late {n}"), "2")).await;
    }
    stage.publish(&order("1", &json!(7))).await;
    stage.redis.until(&stage.job_of("1"), State::Ready).await;
    stage.confirm(r#"{"queue": "parcels", "key": "other"}"#).await;
    let parcels = upshot_queue::Client::new(&stage.redis.connector, "parcels".parse().unwrap()).unwrap();
    let other = Condition::new(None, "other").unwrap();
    let kept = async { while parcels.kept_signal(&other).await.unwrap().is_none() {} };
    within("the other queue has its signal", kept).await;
    assert_eq!(stage.redis.queue.counts().await.unwrap().signals.stored, 1);
    // The bridge dies with all of them in hand.
    stage.running.abort();
    count_signals(&stage, bytes).await;
    let bridge = Bridge::new(&stage.redis.settings, Health::default()).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(bridge.run(stop.clone()));
    for n in 0..12 {
        let kept = stage.signal(&format!("paid order-{n}")).await;
        let evidence = json!({"event": "order.paid.v1", "amount": n.to_string()});
        assert_eq!(kept.payload, json!({"id": format!("/shop {n}"), "evidence": evidence}));
        assert_eq!((kept.contradictions, stage.signal(&format!("late {n}")).await.contradictions), (0, 0));
    }
    stop.cancel();
    within("the bridge stops", running).await.unwrap();
    for queue in [CONFIRMATIONS, INTAKE] {
        assert_eq!(waiting_in(&stage.amqp, queue).await, 0, "{queue}");
    }
    stage.publisher.close().await;
    stage.redis.finish().await;
}

/// A confirmation lets jobs end, which frees memory; a new job takes more.
#[tokio::test(flavor = "multi_thread")]
async fn at_its_memory_limit_redis_takes_confirmations_and_events_wait() {
    let server = own_redis().await;
    let stage = Stage::with(TestRedis::on(&server.url(), "test", "orders"), rules).await;
    let mut admin =
        redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut limit = async |bytes: &str| {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg(bytes).exec_async(&mut admin).await.unwrap();
    };
    limit("1").await;
    stage.publish(&order("1", &json!(7))).await;
    let refused = async {
        while stage.health.why_missing("batch").is_none() {
            tokio::task::yield_now().await;
        }
    };
    within("readiness says that Redis takes no job", refused).await;
    stage.publish(&event("order.paid.v1", "1", &json!({"amount": 1}))).await;
    for n in 0..20 {
        stage.confirm(&of(&format!("delivered {n}"), "2")).await;
    }
    for n in 0..20 {
        stage.signal(&format!("delivered {n}")).await;
    }
    limit("0").await;
    stage.redis.until(&stage.job_of("1"), State::Ready).await;
    stage.signal("paid order-1").await;
    stage.finish().await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_the_wrong_exchange_is_told_where_to_go() {
    let stage = Stage::new().await;
    let body = json!({"queue": "orders", "key": "delivered 1"});
    let confirmation =
        json!({"specversion": "1.0", "id": "7", "source": "/mail", "type": TYPE, "data": body});
    let properties = BasicProperties::default().with_content_type(STRUCTURED.into());
    let text = confirmation.to_string();
    stage.publisher.publish(EVENTS, TYPE, text.as_bytes(), properties, true).await.unwrap();
    let copy = stage.taken(1).await.remove(0);
    let headers = copy.properties.headers().as_ref().unwrap().inner();
    let text = |name: &str| headers[name].as_long_string().unwrap().to_string();
    assert_eq!(text("x-upshot-reason"), "unknown_type");
    assert!(text("x-upshot-detail").contains(CONFIRMATIONS), "{}", text("x-upshot-detail"));
    stage.finish().await;
}
