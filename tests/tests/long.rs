//! What takes longer than a test may: `make test-all` runs it, `make test` does not.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use upshot_queue::{FailureClass, State};
use upshot_servers::Proxy;
use upshot_tests::{Stage, orders::order};

/// By this all durations of the settings are shorter here.
const SCALE: u32 = 600;
/// Half a day.
const OUTAGE: Duration = Duration::from_secs(12 * 3600 / SCALE as u64);

/// The durations of the shipped settings, scaled. Rendering takes as long as it takes, so the
/// attempt's time-out is not one of them.
fn scaled() -> Vec<(&'static str, String)> {
    let second = Duration::from_secs(1);
    [
        ("UPSHOT_QUEUES__INVOICES__RETRY_FOR__TRANSIENT", 24 * 3600 * second),
        ("UPSHOT_QUEUES__INVOICES__RETRY_FOR__THROTTLED", 24 * 3600 * second),
        ("UPSHOT_QUEUES__INVOICES__BACKOFF__FIRST", second),
        ("UPSHOT_QUEUES__INVOICES__BACKOFF__MOST", 15 * 60 * second),
        ("UPSHOT_QUEUES__INVOICES__BACKOFF__LEAST", second / 5),
        ("UPSHOT_SMTP__TIMEOUTS__GREETING", 5 * 60 * second),
        ("UPSHOT_SMTP__TIMEOUTS__COMMAND", 5 * 60 * second),
        ("UPSHOT_SMTP__TIMEOUTS__DATA", 2 * 60 * second),
        ("UPSHOT_SMTP__TIMEOUTS__BLOCK", 3 * 60 * second),
        ("UPSHOT_SMTP__TIMEOUTS__ACCEPT", 10 * 60 * second),
        ("UPSHOT_SMTP__CONFIRM_REFUSAL", 60 * second),
        ("UPSHOT_SMTP__PROBE", 60 * second),
    ]
    .map(|(name, time)| (name, format!("{}us", (time / SCALE).as_micros())))
    .into()
}

/// For the first half nothing listens; for the second the server takes connections and says
/// nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_outage_of_half_a_day_kills_nothing() {
    const ORDERS: u32 = 60;
    let stage = Stage::new().await;
    let proxy = Proxy::start(stage.mail.port()).await.unwrap();
    let bridge = stage.start("bridge", &[]).await;
    let mut variables = scaled();
    variables.push(("UPSHOT_SMTP__URL", format!("smtp://127.0.0.1:{}", proxy.port())));
    let executor = stage.start("executor", &variables).await;
    let events: Vec<Value> = (1..=ORDERS).map(order).collect();

    // Some mails are under way when the server goes.
    let (before, during) = events.split_at(ORDERS as usize / 3);
    for event in before {
        stage.publish(event).await;
    }
    stage.succeeded(&stage.job_of(&before[0])).await;
    proxy.refuse().await;
    proxy.cut().await;
    let started = tokio::time::Instant::now();
    for event in during {
        stage.publish(event).await;
    }
    tokio::time::sleep_until(started + OUTAGE / 2).await;
    proxy.blackhole().await;
    tokio::time::sleep_until(started + OUTAGE).await;
    let counts = stage.queue.counts().await.unwrap();
    assert_eq!(counts.of(State::Dead), 0, "{counts:?}");
    proxy.heal().await;

    let mut most = 0;
    for event in &events {
        let done = stage.succeeded(&stage.job_of(event)).await;
        most = most.max(done.failures.get(&FailureClass::Transient).copied().unwrap_or(0));
    }
    assert!(most > 20, "no job needed more than its number of retries: {most}");
    let counts = stage.queue.counts().await.unwrap();
    assert_eq!((counts.of(State::Dead), counts.of(State::Succeeded)), (0, u64::from(ORDERS)), "{counts:?}");
    let mails = stage.mail.messages().unwrap();
    let ids: BTreeSet<String> = mails.iter().filter_map(|mail| mail.header("message-id")).collect();
    assert_eq!(ids.len(), ORDERS as usize, "every customer has a mail");
    for process in [bridge, executor] {
        process.stop().await;
    }
    stage.finish().await;
}
