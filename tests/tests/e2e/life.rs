//! One life with every stage: what the stages took adds up to the time from the event to the verdict.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;
use upshot_queue::State;
use upshot_runtime::amqp;
use upshot_testkit::within;
use upshot_tests::{Process, orders::order};

const SETTINGS: &str = "[app.invoice]\nconfirm_delivery = '1d'\n";
/// How long the script stays in a stage, at least.
const HELD: Duration = Duration::from_millis(300);

/// A mail server that is busy at first, in front of another one. Its address.
async fn busy_at_first(behind: String) -> (String, AbortOnDropHandle<()>) {
    let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("smtp://{}", front.local_addr().unwrap());
    let behind = behind.trim_start_matches("smtp://").to_owned();
    let serving = async move {
        let (mut first, _) = front.accept().await.unwrap();
        first.write_all(b"421 too busy\r\n").await.unwrap();
        drop(first);
        loop {
            let (mut came, _) = front.accept().await.unwrap();
            let mut to = TcpStream::connect(&behind).await.unwrap();
            tokio::spawn(async move { drop(copy_bidirectional(&mut came, &mut to).await) });
        }
    };
    (address, AbortOnDropHandle::new(tokio::spawn(serving)))
}

/// Stays in a stage for a while: asks again and again what is so all the time.
async fn hold<F: Future<Output = bool>>(is_so: impl Fn() -> F) -> i64 {
    let since = Instant::now();
    while since.elapsed() < HELD {
        assert!(is_so().await, "the stage lasts");
    }
    i64::try_from(since.elapsed().as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stages_of_a_life_add_up_to_the_time_from_event_to_verdict() {
    let stage = upshot_tests::Stage::new().await;
    std::fs::create_dir_all(stage.files()).unwrap();
    let file = stage.files().join("life.toml");
    std::fs::write(&file, SETTINGS).unwrap();
    let config = ("UPSHOT_CONFIG", file.display().to_string());
    let (api, url) = stage.start_api_with(std::slice::from_ref(&config)).await;
    let mut variables = stage.variables();
    variables.push(("UPSHOT_API_URL".to_owned(), url.clone()));
    let command = async |arguments: &[&str]| {
        let (succeeded, said) = Process::output(arguments, &variables).await;
        assert!(succeeded, "{arguments:?}: {said}");
    };
    command(&["pause", "invoices"]).await;

    // RabbitMQ holds it.
    let began = Utc::now();
    let mut event = order(1);
    event["time"] = json!(began.to_rfc3339_opts(SecondsFormat::Millis, true));
    let id = stage.job_of(&event);
    stage.publish(&event).await;
    let in_broker = hold(async || stage.waiting_in(amqp::INTAKE).await == 1).await;
    let bridge = stage.start("bridge", std::slice::from_ref(&config)).await;

    // The queue is paused, then the kind.
    let is = async |state: State| {
        let job = stage.queue.job(&id).await.unwrap().unwrap();
        job.state == state
    };
    stage.until(&id, |job| job.state == State::Ready).await;
    let in_queue = hold(async || is(State::Ready).await).await;
    let (smtp, _serving) = busy_at_first(stage.mail.url()).await;
    let executor = stage.start("executor", &[config, ("UPSHOT_SMTP__URL", smtp)]).await;
    command(&["pause", "invoices", "--kind", "invoice.issue"]).await;
    command(&["resume", "invoices"]).await;
    stage.until(&id, |job| job.state == State::Parked).await;
    let parked = hold(async || is(State::Parked).await).await;
    command(&["resume", "invoices", "--kind", "invoice.issue"]).await;

    // The mail server is busy once; then its confirmation is late.
    let job = stage.until(&id, |job| job.awaiting().is_some()).await;
    assert_eq!((job.attempts, job.history.len()), (2, 1), "{job:?}");
    let awaited = hold(async || is(State::Parked).await).await;
    let message_id = job.step("send").unwrap()["message_id"].clone();
    let key = format!("delivered {}", message_id.as_str().unwrap().trim_matches(['<', '>']));
    command(&["confirm", "invoices", &key, "--tenant", "test"]).await;
    stage.succeeded(&id).await;

    let read = async |address: String| -> Value {
        let reading = async { reqwest::get(&address).await.unwrap().json::<Value>().await.unwrap() };
        within("the API answers", reading).await
    };
    let clock = read(format!("{url}/v1/jobs/{id}")).await["clock"].clone();
    let verdict = read(format!("{url}/v1/outcomes/{id}")).await;
    let decided: DateTime<Utc> = verdict["decided_at"].as_str().unwrap().parse().unwrap();
    let ms = |name: &str| clock[name].as_i64().unwrap();
    for (name, held) in [
        ("broker_ms", in_broker),
        ("queue_ms", in_queue),
        ("parked_ms", parked),
        ("confirmation_ms", awaited),
        ("run_ms", 1),
        // The backoff of the stage is 100 ms, less its jitter.
        ("retry_wait_ms", 1),
    ] {
        // Two clocks are read, in whole milliseconds.
        assert!(ms(name) + 2 >= held, "{name} is {}, and the script stayed for {held}: {clock}", ms(name));
    }
    let stages =
        ["broker_ms", "bridge_ms", "queue_ms", "parked_ms", "run_ms", "retry_wait_ms", "confirmation_ms"];
    let sum: i64 = stages.into_iter().map(ms).sum();
    let whole = decided.signed_duration_since(began).num_milliseconds();
    assert!((sum - whole).abs() * 100 <= whole, "the stages took {sum} ms and the life {whole} ms: {clock}");
    assert_eq!((ms("dead_ms"), &clock["is_skewed"]), (0, &json!(false)), "{clock}");

    for process in [bridge, executor, api] {
        process.stop().await;
    }
    stage.finish().await;
}
