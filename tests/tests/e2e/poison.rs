//! Messages that clients of other systems choke on: each is set aside alone, the next event is
//! processed, and no session ends.

use lapin::{BasicProperties, message::Delivery};
use serde_json::Value;
use upshot_shared::event::STRUCTURED;
use upshot_tests::{RawProducer, Stage, orders::order};

fn header(delivery: &Delivery, name: &str) -> Option<String> {
    let headers = delivery.properties.headers().as_ref()?;
    headers.inner().get(name)?.as_long_string().map(ToString::to_string)
}

/// A value in a value in a value, in wire format.
fn nested(kind: u8, levels: usize) -> Vec<u8> {
    let name: &[u8] = if kind == b'F' { b"\x01a" } else { b"" };
    // From the inside out, so that it is written in one go.
    let mut size = 1;
    let mut heads = Vec::with_capacity(levels);
    for _ in 0..levels {
        size += name.len();
        heads.push(size as u32);
        size += 5;
    }
    let mut value = Vec::with_capacity(size);
    for length in heads.iter().rev() {
        value.push(kind);
        value.extend_from_slice(&length.to_be_bytes());
        value.extend_from_slice(name);
    }
    value.push(b'V');
    value
}

/// Properties with a content type, and with these entries as headers.
fn with_headers(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut table = Vec::new();
    for (name, value) in entries {
        table.push(name.len() as u8);
        table.extend_from_slice(name);
        table.extend_from_slice(value);
    }
    let media = STRUCTURED.as_bytes();
    // The flags of content type and headers.
    let mut properties = vec![0xa0, 0, media.len() as u8];
    properties.extend_from_slice(media);
    properties.extend_from_slice(&(table.len() as u32).to_be_bytes());
    properties.extend_from_slice(&table);
    properties
}

/// Properties with a content type alone.
fn plain() -> Vec<u8> {
    RawProducer::properties(BasicProperties::default().with_content_type(STRUCTURED.into()))
}

/// A long string in wire format.
fn long_string(bytes: &[u8]) -> Vec<u8> {
    [&b"S"[..], &(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

/// What becomes of a message.
enum Fate {
    /// It is set aside, with this in its detail.
    SetAside(&'static str),
    /// Its event is accepted.
    Accepted,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_stops_another() {
    let stage = Stage::new().await;
    let bridge = stage.start("bridge", &[]).await;
    let executor = stage.start("executor", &[]).await;
    let mut producer = RawProducer::connect(&stage.amqp).await;
    let key = b"order.completed.v1";
    let bad_text = long_string(&[0xff; 400]);
    let long_trace = long_string(&[b'x'; 513]);
    let media = |end: &[u8]| {
        let media = [STRUCTURED.as_bytes(), end].concat();
        [&[0x80, 0, media.len() as u8], &media[..]].concat()
    };
    let cases: Vec<(&str, &[u8], Vec<u8>, Fate)> = vec![
        ("trace of 513 bytes", key, with_headers(&[(b"traceparent", &long_trace)]), Fate::Accepted),
        ("trace not UTF-8", key, with_headers(&[(b"traceparent", &bad_text)]), Fate::Accepted),
        (
            "content type not UTF-8",
            key,
            media(b"; charset=\xe9"),
            Fate::SetAside("`content_type` is not UTF-8"),
        ),
        (
            "message id not UTF-8",
            key,
            [&[0x80, 0x80][..], &media(b"")[2..], b"\x02M\xe9"].concat(),
            Fate::SetAside("`message_id` is not UTF-8"),
        ),
        (
            "header name not UTF-8",
            key,
            with_headers(&[(b"x-K\xe4se", b"S\0\0\0\x01x")]),
            Fate::SetAside("is not UTF-8"),
        ),
        ("routing key not UTF-8", b"order.\xe4", plain(), Fate::SetAside("the routing key is not UTF-8")),
        ("short integer", key, with_headers(&[(b"n", b"s\0\x07")]), Fate::Accepted),
        ("nothing", key, with_headers(&[(b"n", b"V")]), Fate::Accepted),
        (
            "header twice",
            key,
            with_headers(&[(b"n", b"I\0\0\0\x01"), (b"n", b"I\0\0\0\x02")]),
            Fate::Accepted,
        ),
        (
            "attribute twice",
            key,
            with_headers(&[(b"cloudEvents:id", b"S\0\0\0\x01a"), (b"cloudEvents:id", b"S\0\0\0\x01b")]),
            Fate::SetAside("stands there twice"),
        ),
        (
            "lists, 1,000 levels",
            key,
            with_headers(&[(b"n", &nested(b'A', 1_000))]),
            Fate::SetAside("is nested"),
        ),
        (
            "lists, 20,000 levels",
            key,
            with_headers(&[(b"n", &nested(b'A', 20_000))]),
            Fate::SetAside("is nested"),
        ),
        (
            "tables, 15,000 levels",
            key,
            with_headers(&[(b"n", &nested(b'F', 15_000))]),
            Fate::SetAside("is nested"),
        ),
        ("headers of 120 kB", key, with_headers(&[(b"h", &long_string(&[b'y'; 120_000]))]), Fate::Accepted),
    ];
    let mut set_aside = Vec::new();
    for (number, (name, key, properties, fate)) in cases.iter().enumerate() {
        let event = order(1_000 + number as u32);
        producer.publish(key, properties, event.to_string().as_bytes()).await;
        let good = order(2_000 + number as u32);
        stage.publish(&good).await;
        stage.succeeded(&stage.job_of(&good)).await;
        match fate {
            Fate::Accepted => drop(stage.succeeded(&stage.job_of(&event)).await),
            Fate::SetAside(words) => set_aside.push((name, *words, event)),
        }
    }
    let kept = stage.quarantined(set_aside.len()).await;
    for (name, words, event) in &set_aside {
        let body = event.to_string();
        let delivery = kept.iter().find(|delivery| delivery.data == body.as_bytes());
        let delivery = delivery.unwrap_or_else(|| panic!("{name}: not in quarantine"));
        assert_eq!(header(delivery, "x-upshot-reason").unwrap(), "unreadable", "{name}");
        let detail = header(delivery, "x-upshot-detail").unwrap();
        assert!(detail.contains(words), "{name}: {detail}");
    }
    let log = bridge.tail();
    for process in [bridge, executor] {
        process.stop().await;
    }
    // Each has a row, with what could be read.
    let (api, address) = stage.start_api().await;
    let page = reqwest::get(format!("{address}/v1/quarantine?reason=unreadable")).await.unwrap();
    let page: Value = page.json().await.unwrap();
    assert_eq!(page["messages"].as_array().unwrap().len(), set_aside.len(), "{page}");
    assert_eq!(page["summary"]["reasons"]["unreadable"]["received"], set_aside.len());
    let known =
        page["messages"].as_array().unwrap().iter().filter(|each| each["type"] == "order.completed.v1");
    assert!(known.count() > 0, "{page}");
    api.stop().await;
    // One session from the first message to the last.
    assert!(!log.contains("waiting"), "a session ended: {log}");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_message_among_500_good_ones_is_set_aside_alone() {
    let stage = Stage::new().await;
    let events: Vec<Value> = (1..=500).map(order).collect();
    let mut producer = RawProducer::connect(&stage.amqp).await;
    let key = b"order.completed.v1";
    let (first, last) = events.split_at(250);
    for event in first {
        producer.publish(key, &plain(), event.to_string().as_bytes()).await;
    }
    let bad = with_headers(&[(b"n", &nested(b'A', 20_000)), (b"\xff", b"V")]);
    producer.publish(key, &bad, order(501).to_string().as_bytes()).await;
    for event in last {
        producer.publish(key, &plain(), event.to_string().as_bytes()).await;
    }
    let bridge = stage.start("bridge", &[]).await;
    assert_eq!(stage.quarantined(1).await.len(), 1);
    // The bridge takes what is there before it stops.
    stage.enqueued(&stage.job_of(&events[499])).await;
    bridge.stop().await;
    assert_eq!(stage.queue.counts().await.unwrap().transitions("enqueued"), 500);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_are_read_as_far_as_there_is_room() {
    let stage = Stage::new().await;
    let large = vec![b'x'; 8 << 20];
    for _ in 0..24 {
        let properties = BasicProperties::default().with_content_type(STRUCTURED.into());
        stage.publish_raw("order.completed.v1", &large, properties).await;
    }
    let good = order(1);
    stage.publish(&good).await;
    let bridge = stage.start("bridge", &[]).await;
    stage.enqueued(&stage.job_of(&good)).await;
    let peak = bridge.peak_memory();
    // Unbounded, the backlog alone took 200 MB, and its copies as much again.
    assert!(peak < 240 << 20, "{} MB", peak >> 20);
    let kept = stage.quarantined(24).await;
    assert!(kept.iter().all(|each| each.data == large));
    bridge.stop().await;
    stage.finish().await;
}
