//! What is wrong is refused where it comes in, or ends before anything is filed.

use serde_json::json;
use upshot_queue::{FailureClass, State};
use upshot_tests::{Process, Stage, orders::order};

use crate::invoices::text_of;

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_job_gets_arguments_that_keep_the_contract_and_no_others() {
    let stage = Stage::new().await;
    // This bridge accepts what the shipped contract does not.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("order.completed.v1.schema.json"), "{}").unwrap();
    let lenient = ("UPSHOT_CONTRACTS__DIR", folder.path().display().to_string());
    let bridge = stage.start("bridge", &[lenient]).await;
    let executor = stage.start("executor", &[]).await;
    let (api, url) = stage.start_api().await;

    let mut event = order(1);
    event["data"]["customer"]["email"] = json!("ada..b@bücher.example");
    event["data"]["note"] = json!("Please ring twice.\r\nThanks");
    let id = stage.job_of(&event);
    stage.publish(&event).await;
    let dead = stage.until(&id, |job| job.state.is_final()).await;
    assert_eq!((dead.state, dead.history[0].class), (State::Dead, FailureClass::Permanent));
    assert!(dead.steps.is_empty(), "nothing was filed: {dead:?}");

    let retry = async |email: &str| {
        let mut data = event["data"].clone();
        data["customer"]["email"] = json!(email);
        let file = folder.path().join("args.json");
        std::fs::write(&file, data.to_string()).unwrap();
        let file = file.display().to_string();
        let arguments = ["retry", id.as_str(), "--args", &file, "--api", &url];
        Process::start(&arguments, &[]).await.ended().await
    };
    let (succeeded, said) = retry("ada.@bücher.example").await;
    assert!(!succeeded, "{said}");
    for word in ["422", "/args/customer/email", "order.completed.v1", "stays as it was"] {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert_eq!(stage.until(&id, |_| true).await.revision, dead.revision);

    let (succeeded, said) = retry("ada@bücher.example").await;
    assert!(succeeded, "{said}");
    let job = stage.succeeded(&id).await;
    let invoice = stage.files().join(job.step("store").unwrap()["key"].as_str().unwrap());
    let text = text_of(&invoice).await;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert!(lines.contains(&"Please ring twice.") && lines.contains(&"Thanks"), "{text}");
    let mails = stage.mail.messages().unwrap();
    assert_eq!(mails.len(), 1);
    let to = mails[0].header("To").unwrap();
    assert!(to.contains("<ada@xn--bcher-kva.example>"), "{to}");
    for process in [bridge, executor, api] {
        process.stop().await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_whose_draft_is_gone_is_rendered_again() {
    let stage = Stage::new().await;
    // Where the folder of invoices would be: nothing can be filed.
    std::fs::create_dir_all(stage.files()).unwrap();
    std::fs::write(stage.files().join("invoices"), "").unwrap();
    let bridge = stage.start("bridge", &[]).await;
    let executor = stage.start("executor", &[]).await;
    let event = order(2);
    let id = stage.job_of(&event);
    stage.publish(&event).await;
    // A store that refuses its settings parks the job.
    let rendered = stage.until(&id, |job| job.parked.is_some()).await;
    let draft = stage.files().join(rendered.step("render").unwrap()["key"].as_str().unwrap());
    std::fs::remove_file(&draft).unwrap();
    std::fs::remove_file(stage.files().join("invoices")).unwrap();

    let job = stage.succeeded(&id).await;
    let filed = job.step("store").unwrap();
    assert_eq!(filed["sha256"], rendered.step("render").unwrap()["sha256"]);
    assert!(stage.files().join(filed["key"].as_str().unwrap()).exists());
    assert!(!draft.exists());
    assert_eq!(stage.mail.messages().unwrap().len(), 1);
    for process in [bridge, executor] {
        process.stop().await;
    }
    stage.finish().await;
}
