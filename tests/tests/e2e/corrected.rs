//! Other arguments for a job with completed steps: every step runs again with them.

use std::path::Path;

use data_encoding::BASE64;
use serde_json::Value;
use upshot_queue::State;
use upshot_servers::Wiretap;
use upshot_tests::{Process, Stage, orders::order};

use crate::invoices::text_of;

/// A mail server that knows no recipient whose address starts with `rej`.
async fn refusing() -> Wiretap {
    let answer = |heard: &[u8]| {
        let heard = String::from_utf8_lossy(heard);
        let said = match heard.get(..4).unwrap_or_default() {
            "RCPT" if heard.contains("<rej") => "550 5.1.1 no such user\r\n",
            "DATA" => "354 go on\r\n",
            _ => "250 ok\r\n",
        };
        Some(said.as_bytes().to_vec())
    };
    Wiretap::start(b"220 tap\r\n", answer).await.unwrap()
}

fn case(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_invoice_is_one_in_its_mail_and_in_its_file() {
    let stage = Stage::new().await;
    let tap = refusing().await;
    let bridge = stage.start("bridge", &[]).await;
    let smtp = ("UPSHOT_SMTP__URL", format!("smtp://127.0.0.1:{}", tap.port()));
    let executor = stage.start("executor", &[smtp]).await;
    let (api, url) = stage.start_api().await;

    let mut event = order(1);
    event["data"] = serde_json::from_slice(&std::fs::read(case("retry_args_before.json")).unwrap()).unwrap();
    let id = stage.job_of(&event);
    stage.publish(&event).await;
    let dead = stage.until(&id, |job| job.state.is_final()).await;
    assert_eq!((dead.state, dead.steps.len()), (State::Dead, 2), "{dead:?}");
    let first = stage.files().join(dead.step("store").unwrap()["key"].as_str().unwrap());
    assert!(text_of(&first).await.contains("€119.00"));

    let after = case("retry_args_after.json").display().to_string();
    let arguments = ["retry", id.as_str(), "--args", &after, "--api", &url];
    let (succeeded, said) = Process::start(&arguments, &[]).await.ended().await;
    assert!(!succeeded, "nobody was there to agree: {said}");
    let key = dead.step("store").unwrap()["key"].as_str().unwrap();
    for word in ["render at 2", "store at 2", key, "happen twice", "--yes"] {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert_eq!(stage.until(&id, |_| true).await.revision, dead.revision, "it stays as it was");

    executor.stop().await;
    let arguments = [&arguments[..], &["--yes"]].concat();
    let (succeeded, said) = Process::output(&arguments, &[]).await;
    assert!(succeeded && said.contains("these steps run again: render, store"), "{said}");
    let shown: Value = reqwest::get(format!("{url}/v1/jobs/{id}")).await.unwrap().json().await.unwrap();
    assert_eq!(
        (shown["steps"].as_array().unwrap().len(), &shown["dropped_steps"][1]["result"]["key"]),
        (0, &key.into())
    );

    let executor = stage.start("executor", &[]).await;
    let job = stage.succeeded(&id).await;
    let second = stage.files().join(job.step("store").unwrap()["key"].as_str().unwrap());
    assert_ne!(first, second);
    assert!(text_of(&first).await.contains("€119.00"), "what was filed stays filed");
    let text = text_of(&second).await;
    assert!(text.contains("€59.50") && text.contains("Right Name") && !text.contains("119.00"), "{text}");
    let mails = stage.mail.messages().unwrap();
    let [mail] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    let raw: String = String::from_utf8_lossy(&mail.raw).lines().collect();
    assert!(raw.contains("59.50"), "{raw}");
    // In lines, which are joined above.
    assert!(raw.contains(&BASE64.encode(&std::fs::read(&second).unwrap())), "another file is attached");
    assert!(mail.header("Message-ID").unwrap().contains("edit-1"), "{:?}", mail.header("Message-ID"));
    for process in [bridge, executor, api] {
        process.stop().await;
    }
    stage.finish().await;
}
