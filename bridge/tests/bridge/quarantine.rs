//! What cannot be accepted is listed once, whatever fails meanwhile, and its copy keeps everything.

use std::{collections::BTreeMap, time::Duration};

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use redis::AsyncCommands;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use upshot_bridge::Bridge;
use upshot_ledger::{
    keys::Keys,
    quarantine::{Figures, Filter, Quarantine, Reconciled, Row},
};
use upshot_queue::State;
use upshot_runtime::{
    Health,
    amqp::{EVENTS, INTAKE, QUARANTINE},
};
use upshot_shared::event::STRUCTURED;
use upshot_testkit::{TestRedis, own_redis, within};

use crate::fixture::{Stage, order, waiting_in};

/// The figures, once that many rows stand in Redis.
async fn listed(rows: &Quarantine, count: u64) -> Figures {
    let reading = async {
        loop {
            let figures = rows.figures().await.unwrap();
            if figures.rows >= count {
                return figures;
            }
        }
    };
    within("the rows are in Redis", reading).await
}

/// The figures, once that many copies are known.
async fn copies(rows: &Quarantine, count: u64) -> Figures {
    let reading = async {
        loop {
            let figures = rows.figures().await.unwrap();
            if figures.copies >= count {
                return figures;
            }
        }
    };
    within("the copies are known", reading).await
}

async fn rows_of(rows: &Quarantine) -> Vec<Row> {
    let page = rows.list(&Filter::default(), None, 100).await.unwrap();
    assert!(page.next.is_none(), "{page:?}");
    page.rows
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_has_a_row_and_is_counted_once() {
    let stage = Stage::new().await;
    let rows = Quarantine::new(&stage.redis.connector).unwrap();
    let lost = json!({"specversion": "1.0", "id": "4", "source": "/shop", "type": "order.lost.v1", "subject": "s-4"});
    stage.publish(&lost).await;
    for _ in 0..3 {
        stage.publish(&order("3", &json!("seven"))).await;
    }
    let raw = BasicProperties::default().with_content_type(STRUCTURED.into());
    stage.publisher.publish(EVENTS, "order.placed.v1", b"{\"id\":", raw, true).await.unwrap();
    let plain = BasicProperties::default();
    stage.publisher.publish(EVENTS, "order.placed.v1", br#"{"id": "7"}"#, plain, true).await.unwrap();
    let large = order("8", &json!("x".repeat(70_000)));
    stage.publish(&large).await;
    stage.publish(&order("1", &json!(1))).await;
    stage.publish(&order("1", &json!(2))).await;

    let figures = copies(&rows, 8).await;
    assert!(figures.is_balanced());
    let counted: BTreeMap<&str, (i64, u64)> =
        figures.by_reason().into_iter().map(|(reason, of)| (reason, (of.listed, of.received))).collect();
    let once = [
        "conflicting_duplicate",
        "contract_violation",
        "malformed_json",
        "not_a_cloud_event",
        "oversize",
        "unknown_type",
    ];
    assert_eq!(counted, once.map(|reason| (reason, (1, 1))).into());
    assert_eq!(figures.reconcile(8), Reconciled::default());
    let found = rows_of(&rows).await;
    let of = |reason: &str| found.iter().find(|row| row.reason == reason).unwrap();
    let violation = of("contract_violation");
    assert_eq!((violation.times, violation.facts.place.as_str()), (3, "/data/number"));
    assert_eq!(violation.facts.event_id.as_deref(), Some("3"));
    let unknown = of("unknown_type");
    let facts = &unknown.facts;
    let known = [&facts.kind, &facts.source, &facts.subject].map(Option::as_deref);
    assert_eq!(known, [Some("order.lost.v1"), Some("/shop"), Some("s-4")]);
    assert_eq!((facts.size, facts.routing_key.as_str()), (lost.to_string().len() as u64, "order.lost.v1"));
    assert_eq!(of("malformed_json").facts.event_id, None);
    assert_eq!(of("not_a_cloud_event").facts.event_id.as_deref(), Some("7"));
    assert_eq!(of("oversize").facts.event_id.as_deref(), Some("8"));
    // Taken out of RabbitMQ by hand.
    stage.quarantined(8).await;
    assert_eq!(figures.reconcile(0), Reconciled { unlisted: 0, missing: 8 });
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the texts are short")]
async fn the_copy_keeps_every_property_of_the_message() {
    let stage = Stage::new().await;
    let mut headers = FieldTable::default();
    headers.insert("x-shop".into(), AMQPValue::LongLongInt(7));
    headers.insert("nested".into(), AMQPValue::FieldTable(FieldTable::default()));
    headers.insert("CC".into(), AMQPValue::FieldArray(vec![AMQPValue::LongString("nowhere".into())].into()));
    let properties = BasicProperties::default()
        .with_content_type(STRUCTURED.into())
        .with_content_encoding("identity".into())
        .with_headers(headers)
        .with_priority(7)
        .with_correlation_id("correlation".into())
        .with_reply_to("answers".into())
        .with_expiration("600000".into())
        .with_message_id("message".into())
        .with_timestamp(1_773_480_413)
        .with_type("order".into())
        .with_app_id("shop".into());
    stage.publisher.publish(EVENTS, "key", b"[]", properties.clone(), true).await.unwrap();
    let rows = Quarantine::new(&stage.redis.connector).unwrap();
    // Both keys lead to the intake, and RabbitMQ routes a message to a queue once.
    listed(&rows, 1).await;
    let copy = stage.taken(1).await.remove(0);
    let (sent, found) = (&properties, &copy.properties);
    assert_eq!(copy.data, b"[]");
    assert_eq!(found.content_type(), sent.content_type());
    assert_eq!(found.content_encoding(), sent.content_encoding());
    assert_eq!(found.priority(), sent.priority());
    assert_eq!(found.correlation_id(), sent.correlation_id());
    assert_eq!(found.reply_to(), sent.reply_to());
    assert_eq!(found.message_id(), sent.message_id());
    assert_eq!(found.timestamp(), sent.timestamp());
    assert_eq!(found.kind(), sent.kind());
    assert_eq!(found.app_id(), sent.app_id());
    // What would tell the broker to act stands in headers.
    assert_eq!((found.expiration(), found.delivery_mode()), (&None, &Some(2)));
    let headers = found.headers().as_ref().unwrap().inner();
    let text = |name: &str| headers[name].as_long_string().unwrap().to_string();
    assert_eq!(text("x-upshot-expiration"), "600000");
    assert_eq!(headers["x-upshot-cc"], sent.headers().as_ref().unwrap().inner()["CC"]);
    for name in ["x-shop", "nested"] {
        assert_eq!(headers[name], sent.headers().as_ref().unwrap().inner()[name]);
    }
    assert_eq!(text("x-upshot-reason"), "not_a_cloud_event");
    assert_eq!(text("x-upshot-routing-key"), "key");
    // The copy leads to its row.
    let row = rows.row(&text("x-upshot-quarantine-id").parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((row.reason.as_str(), row.facts.routing_key.as_str()), ("not_a_cloud_event", "key"));
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_dies_while_redis_is_away_counts_the_message_once() {
    let server = own_redis().await;
    let mut redis = TestRedis::on(&server.url(), "test", "orders");
    redis.settings.redis.response_timeout = Duration::from_secs(1);
    let stage = Stage::on(redis).await;
    let rows = Quarantine::new(&stage.redis.connector).unwrap();
    server.pause().unwrap();
    stage.publish(&order("3", &json!("seven"))).await;
    let refused = async {
        while stage.health.why_missing("quarantine").is_none() {
            tokio::task::yield_now().await;
        }
    };
    within("readiness says that rows cannot be written", refused).await;
    let said = stage.health.why_missing("quarantine").unwrap();
    assert!(said.contains("wait unacknowledged") && said.contains("Redis"), "{said}");
    // RabbitMQ has confirmed the copy, and the original is not acknowledged.
    assert_eq!(waiting_in(&stage.amqp, QUARANTINE).await, 1);
    stage.running.abort();
    let back = async { while waiting_in(&stage.amqp, INTAKE).await < 1 {} };
    within("RabbitMQ has the original again", back).await;
    server.resume().unwrap();
    let bridge = Bridge::new(&stage.redis.settings, Health::default()).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(bridge.run(stop.clone()));
    let emptied = async { while waiting_in(&stage.amqp, QUARANTINE).await < 2 {} };
    within("the message comes to quarantine again", emptied).await;
    let figures = listed(&rows, 1).await;
    assert_eq!((figures.rows, figures.by_reason()["contract_violation"].received), (1, 1));
    stop.cancel();
    within("the bridge stops", running).await.unwrap();
    let figures = rows.figures().await.unwrap();
    assert_eq!((figures.rows, figures.by_reason()["contract_violation"].received), (1, 1));
    // Redis may have taken the row of the first copy after the bridge gave up.
    assert_eq!(figures.copies + figures.reconcile(2).unlisted, 2, "{figures:?}");
    stage.publisher.close().await;
    stage.redis.finish().await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_list_holds_up_no_message() {
    let stage = Stage::new().await;
    let keys = Keys::new(stage.redis.connector.prefix());
    let mut conn = stage.redis.connector.connect().unwrap();
    let _: () = conn.set(keys.rows(), "x").await.unwrap();
    stage.publish(&order("3", &json!("seven"))).await;
    stage.publish(&order("5", &json!(7))).await;
    stage.redis.until(&stage.job_of("5"), State::Ready).await;
    let warned = async {
        while stage.health.warnings().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    within("a warning is raised", warned).await;
    let said = stage.health.warnings().remove("quarantine_rows").unwrap();
    assert!(said.contains(&keys.rows()) && said.contains("Rename"), "{said}");
    assert_eq!(stage.quarantined(1).await, ["contract_violation"]);
    // The next message has a row once the key is out of the way.
    let _: () = conn.del(keys.rows()).await.unwrap();
    stage.publish(&order("4", &json!("seven"))).await;
    let rows = Quarantine::new(&stage.redis.connector).unwrap();
    let figures = listed(&rows, 1).await;
    assert_eq!(figures.by_reason()["contract_violation"].received, 1);
    assert_eq!(stage.quarantined(1).await, ["contract_violation"]);
    assert!(stage.health.warnings().is_empty());
    stage.finish().await;
}
