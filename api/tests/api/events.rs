//! Events that are accepted.

use futures::StreamExt;
use lapin::{
    Consumer,
    options::{BasicAckOptions, BasicConsumeOptions},
    types::FieldTable,
};
use serde_json::json;
use upshot_runtime::amqp;

use upshot_testkit::TestRabbit;

use crate::fixture::{Fixture, NOBODY, PATIENCE, body, event, report};

/// Consumes what the bridge would consume.
async fn bridge(fixture: &Fixture) -> (amqp::Link, Consumer) {
    let connection = amqp::connect(amqp::Address::of_url(fixture.amqp()), "test", u64::MAX).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    amqp::declare(&connection, None).await.unwrap();
    let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
    let consumer = channel.basic_consume(amqp::INTAKE.into(), "test".into(), options, table).await.unwrap();
    (connection, consumer)
}

/// The next message: its body, its content type and its trace context.
async fn delivered(consumer: &mut Consumer) -> (Vec<u8>, String, Option<String>) {
    let next = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("nothing was published");
    let delivery = next.unwrap().unwrap();
    delivery.ack(BasicAckOptions::default()).await.unwrap();
    assert_eq!(delivery.exchange.as_str(), amqp::EVENTS);
    let properties = &delivery.properties;
    let headers = properties.headers().as_ref();
    let trace =
        headers.and_then(|table| table.inner().get("traceparent")?.as_long_string().map(ToString::to_string));
    (delivery.data.clone(), properties.content_type().as_ref().unwrap().to_string(), trace)
}

#[tokio::test]
async fn an_event_of_which_one_is_enough_is_answered_with_the_job_that_is_there() {
    let fixture = Fixture::with_rabbit().await;
    let (_connection, mut consumer) = bridge(&fixture).await;
    let first = fixture.enqueue_event(&report("r-1", "2026-03")).await.remove(0);
    for (id, month, duplicate) in [("r-2", "2026-03", true), ("r-3", "2026-04", false)] {
        let response = fixture.post(report(id, month).to_string()).await;
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        let accepted = body(response, 202).await;
        // The bridge decides; what is answered is what is there by now.
        delivered(&mut consumer).await;
        assert_eq!(accepted["duplicate"], duplicate, "{accepted}");
        let job = &accepted["jobs"][0];
        assert_eq!(job["id"] == first.as_str(), duplicate, "{accepted}");
        assert_eq!((job["state"].as_str(), &job["url"]), (duplicate.then_some("ready"), &json!(location)));
    }
    fixture.finish().await;
}

/// Such an event is no job, so the answer leads to what the queue will keep.
#[tokio::test]
async fn an_event_that_only_confirms_is_answered_with_what_it_confirms() {
    let (_, amqp) = TestRabbit::get().await.vhost();
    let redis = upshot_testkit::shared_redis().await.url();
    let fixture = Fixture::with(&redis, &amqp, |settings| {
        let rule = json!({"event": "order.paid.v1", "key": "paid {/order}", "queue": "invoices"});
        settings.confirmations = vec![serde_json::from_value(rule).unwrap()];
    })
    .await;
    let (_connection, mut consumer) = bridge(&fixture).await;
    let paid = |data: &serde_json::Value| {
        json!({"specversion": "1.0", "id": "p-1", "source": "/bank", "type": "order.paid.v1",
            "tenant": "acme", "data": data})
    };
    let response = fixture.post(paid(&json!({"order": "a b"})).to_string()).await;
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let accepted = body(response, 202).await;
    delivered(&mut consumer).await;
    assert_eq!(accepted["jobs"], json!([]));
    let [confirmation] = &accepted["confirmations"].as_array().unwrap()[..] else { panic!("{accepted}") };
    assert_eq!((&confirmation["queue"], &confirmation["key"]), (&json!("invoices"), &json!("paid a b")));
    assert_eq!(confirmation["url"], location);
    // The bridge has not handed it over yet.
    assert_eq!(fixture.json(&location, 200).await["signals"], json!([]));
    let condition = upshot_queue::Condition::new(Some("acme"), "paid a b").unwrap();
    fixture.queue("invoices").confirm(&condition, &json!({"id": "/bank p-1"})).await.unwrap();
    assert_eq!(fixture.json(&location, 200).await["signals"][0]["key"], "paid a b");
    // Without a key nothing is published.
    let refused = body(fixture.post(paid(&json!({})).to_string()).await, 422).await;
    assert_eq!((&refused["reason"], &refused["place"]), (&json!("missing_value"), &json!("/data/order")));
    fixture.finish().await;
}

#[tokio::test]
async fn an_event_is_published_as_it_came_and_a_second_time_found() {
    let fixture = Fixture::with_rabbit().await;
    let (_connection, mut consumer) = bridge(&fixture).await;
    let text = format!(" {}\n", event("e-1"));

    let response = fixture.post(text.clone()).await;
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let accepted = body(response, 202).await;
    assert_eq!(delivered(&mut consumer).await.0, text.as_bytes());
    assert_eq!(
        accepted["event"],
        json!({"source": "/shops/berlin", "id": "e-1", "type": "order.completed.v1"})
    );
    assert_eq!(accepted["duplicate"], false);
    let job = &accepted["jobs"][0];
    assert_eq!((job["queue"].as_str(), job["state"].as_str()), (Some("invoices"), None));
    assert_eq!(job["url"], location);

    let id = fixture.enqueue_event(&event("e-1")).await.remove(0);
    assert_eq!(job["id"], id.as_str());
    fixture.json(&location, 200).await;
    fixture.json(job["outcome"].as_str().unwrap(), 200).await;

    let again = body(fixture.post(text).await, 202).await;
    assert_eq!(again["duplicate"], true);
    assert_eq!(again["jobs"][0]["state"], "ready");
    assert_eq!(again["jobs"][0]["id"], id.as_str());
    delivered(&mut consumer).await;
    fixture.finish().await;
}

#[tokio::test]
async fn binary_mode_becomes_a_structured_message() {
    let fixture = Fixture::with_rabbit().await;
    let (_connection, mut consumer) = bridge(&fixture).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = fixture.client.post(fixture.url("/v1/events")).body(r#"{"any":"thing"}"#);
    let headers = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "e-2"),
        ("ce-source", "/shops/berlin"),
        ("ce-type", "order.confirmed.v1"),
        ("ce-subject", "caf%C3%A9"),
        ("ce-shopregion", "north"),
        ("traceparent", trace),
    ];
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let response = request.send().await.unwrap();
    // An event that becomes two jobs is looked up by itself.
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    assert!(location.contains("/v1/outcomes?source=%2Fshops%2Fberlin&id=e-2&accepted="), "{location}");
    assert_eq!(body(response, 202).await["jobs"].as_array().unwrap().len(), 2);

    let (message, content_type, traced) = delivered(&mut consumer).await;
    assert_eq!(content_type, "application/cloudevents+json");
    assert_eq!(traced.as_deref(), Some(trace));
    let message: serde_json::Value = serde_json::from_slice(&message).unwrap();
    assert_eq!(
        message,
        json!({
            "specversion": "1.0", "id": "e-2", "source": "/shops/berlin", "type": "order.confirmed.v1",
            "subject": "café", "shopregion": "north", "datacontenttype": "application/json",
            "data": {"any": "thing"}
        })
    );
    fixture.json(&location, 202).await;
    fixture.enqueue_event(&message).await;
    assert_eq!(fixture.json(&location, 200).await["outcomes"].as_array().unwrap().len(), 2);
    fixture.finish().await;
}

#[tokio::test]
async fn without_redis_an_event_is_accepted_all_the_same() {
    let redis = format!("redis://{NOBODY}");
    let fixture = Fixture::on(&redis, &TestRabbit::get().await.vhost().1).await;
    let accepted = body(fixture.post(event("e-3").to_string()).await, 202).await;
    assert!(accepted["duplicate"].is_null() && accepted["jobs"][0]["state"].is_null(), "{accepted}");
    let id = accepted["jobs"][0]["id"].as_str().unwrap();
    let problem = fixture.json(&format!("/v1/jobs/{id}"), 503).await;
    assert_eq!(problem["code"], "redis-unavailable");
    fixture.finish().await;
}

#[tokio::test]
async fn an_event_of_a_known_identity_with_other_data_is_refused_before_it_is_published() {
    let fixture = Fixture::with_rabbit().await;
    let (_connection, mut consumer) = bridge(&fixture).await;
    let first = event("e-1");
    fixture.enqueue_event(&first).await;
    // The same in other words.
    let again = body(fixture.post(serde_json::to_string_pretty(&first).unwrap()).await, 202).await;
    assert_eq!((&again["duplicate"], &again["repairs"]), (&json!(true), &json!(false)), "{again}");
    delivered(&mut consumer).await;
    let mut changed = first.clone();
    changed["data"]["note"] = json!("please ring twice");
    let mut foreign = first.clone();
    foreign["tenant"] = json!("another");
    for (event, place) in [(changed, "/data"), (foreign, "/tenant")] {
        let problem = body(fixture.post(event.to_string()).await, 409).await;
        assert_eq!(problem["code"], "conflicting-duplicate");
        assert_eq!((&problem["reason"], &problem["place"]), (&json!("conflicting_duplicate"), &json!(place)));
    }
    // Nothing else was published: the next one is the next event.
    let other = event("e-2");
    body(fixture.post(other.to_string()).await, 202).await;
    assert_eq!(delivered(&mut consumer).await.0, other.to_string().as_bytes());
    fixture.finish().await;
}
