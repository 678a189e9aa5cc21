//! A mail server accepts mail and drops it: nothing fails, and the outcomes are overdue.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use upshot_queue::{Account, Job, JobId, State};
use upshot_runtime::amqp;
use upshot_servers::{MailOptions, MailServer};
use upshot_testkit::within;
use upshot_tests::{Process, Stage, orders::order};

/// Orders are overdue soon, and confirmations are expected for long.
const SETTINGS: &str = r#"
[[routes]]
event = "order.completed.v1"
job = "invoice.issue"
queue = "invoices"
within = "1s"

[app.invoice]
confirm_delivery = "1d"
"#;

fn config(stage: &Stage) -> (&'static str, String) {
    std::fs::create_dir_all(stage.files()).unwrap();
    let file = stage.files().join("undelivered.toml");
    std::fs::write(&file, SETTINGS).unwrap();
    ("UPSHOT_CONFIG", file.display().to_string())
}

async fn read(url: &str) -> Value {
    let answer = reqwest::get(url).await.unwrap();
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    answer.json().await.unwrap()
}

/// Waits until `upshot overview` says this. The API looks at RabbitMQ every few seconds.
async fn overview_says(words: &str, variables: &[(String, String)]) {
    let said = async {
        loop {
            let (succeeded, said) = Process::output(&["overview"], variables).await;
            assert!(succeeded, "{said}");
            // A narrow screen breaks lines.
            if said.split_whitespace().collect::<Vec<_>>().join(" ").contains(words) {
                return;
            }
        }
    };
    within(words, said).await;
}

fn is_overdue(job: &Job) -> bool {
    job.state == State::Parked && job.expectation.is_some_and(|expected| expected.account == Account::Overdue)
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_a_provider_drops_is_overdue_while_everything_is_calm() {
    let stage = Stage::new().await;
    let options = MailOptions { ephemeral: true, drops: true, ..MailOptions::default() };
    // Its folder goes with the server.
    let provider = MailServer::start_with(&tempfile::tempdir().unwrap().keep(), options).await.unwrap();
    let config = config(&stage);
    let (api, url) = stage.start_api_with(std::slice::from_ref(&config)).await;
    let bridge = stage.start("bridge", std::slice::from_ref(&config)).await;
    let smtp = ("UPSHOT_SMTP__URL", provider.url());
    let executor = stage.start("executor", &[config.clone(), smtp]).await;

    let events: Vec<Value> = (1..=3).map(order).collect();
    for event in &events {
        stage.publish(event).await;
    }
    let ids: Vec<JobId> = events.iter().map(|event| stage.job_of(event)).collect();
    for id in &ids {
        let job = stage.until(id, is_overdue).await;
        assert!(job.step("send").unwrap()["reply"].as_str().unwrap().starts_with("250"), "{job:?}");
        assert_eq!((job.attempts, job.history.len()), (1, 0), "{job:?}");
        assert!(job.awaiting().is_some(), "{job:?}");
    }

    // The infrastructure is calm.
    let counts = stage.queue.counts().await.unwrap();
    let calm = [State::Ready, State::Scheduled, State::Running, State::Dead].map(|state| counts.of(state));
    assert_eq!((calm, counts.of(State::Parked)), ([0; 4], 3), "{counts:?}");
    assert_eq!(stage.waiting_in(amqp::INTAKE).await, 0);
    assert_eq!(stage.waiting_in(amqp::QUARANTINE).await, 0);
    for process in [&api, &bridge, &executor] {
        assert_eq!(process.count(&["\"ERROR\""]), 0, "{}", process.tail());
    }

    // The ledger knows better.
    let mut variables = stage.variables();
    variables.push(("UPSHOT_API_URL".to_owned(), url.clone()));
    let words =
        "is calm (0 ready, 0 running, 3 parked) and no event waits in RabbitMQ, yet 3 outcomes are overdue";
    overview_says(words, &variables).await;
    let list = read(&format!("{url}/v1/outcomes?status=overdue")).await;
    let overdue = list["outcomes"].as_array().unwrap().iter().map(|each| each["job"].as_str().unwrap());
    assert_eq!(overdue.collect::<BTreeSet<_>>(), ids.iter().map(JobId::as_str).collect(), "{list}");
    let (_, story) = Process::output(&["story", "order-1"], &variables).await;
    for words in ["OVERDUE", "step `send` was completed", "it awaits its proof `delivered "] {
        assert!(story.contains(words), "`{words}` is not in:\n{story}");
    }
    let outcome = read(&format!("{url}/v1/outcomes/{}", ids[0])).await;
    assert_eq!(outcome["status"], "overdue", "{outcome}");

    // The customer has the invoice after all.
    let message_id = stage.enqueued(&ids[0]).await.step("send").unwrap()["message_id"].clone();
    let key = format!("delivered {}", message_id.as_str().unwrap().trim_matches(['<', '>']));
    let confirm = ["confirm", "invoices", &key, "--tenant", "test", "--id", "e-1", "--fact", "receipt=r-17"];
    let (succeeded, said) = Process::output(&confirm, &variables).await;
    assert!(succeeded, "{said}");
    let job = stage.succeeded(&ids[0]).await;
    assert_eq!(job.expectation.unwrap().account, Account::AchievedLate);
    let outcome = read(&format!("{url}/v1/outcomes/{}", ids[0])).await;
    assert_eq!(outcome["in_time"], false, "{outcome}");
    assert_eq!(outcome["awaiting"], Value::Null);
    let evidence: BTreeMap<&str, &Value> = outcome["evidence"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| (each["kind"].as_str().unwrap(), each))
        .collect();
    assert_eq!(
        (&evidence["confirmation"]["receipt"], &evidence["mail"]["message_id"]),
        (&json!("r-17"), &message_id)
    );

    // The mail of another customer came back.
    let message_id = stage.enqueued(&ids[1]).await.step("send").unwrap()["message_id"].clone();
    let body = json!({
        "queue": "invoices", "tenant": "test", "id": "e-2", "outcome": "missed", "reason": "mailbox unknown",
        "key": format!("delivered {}", message_id.as_str().unwrap().trim_matches(['<', '>'])),
    });
    let confirmations = format!("{url}/v1/confirmations");
    let sent = reqwest::Client::new().post(&confirmations).json(&body).send().await.unwrap();
    assert_eq!(sent.json::<Value>().await.unwrap(), json!({"result": "stored", "jobs": 1, "left": 0}));
    let job = stage.enqueued(&ids[1]).await;
    assert_eq!((job.state, job.attempts), (State::Dead, 1));
    let outcome = read(&format!("{url}/v1/outcomes/{}", ids[1])).await;
    let reason = json!({"class": "refuted", "message": "mailbox unknown"});
    assert_eq!((&outcome["status"], &outcome["reason"]), (&json!("missed"), &reason), "{outcome}");

    for process in [bridge, executor, api] {
        process.stop().await;
    }
    provider.stop().await.unwrap();
    stage.finish().await;
}
