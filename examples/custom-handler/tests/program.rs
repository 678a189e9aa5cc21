//! The program itself: `custom-handler up` with private servers, an event, its job achieved.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support.rs"]
mod support;

use std::{
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;
use support::Depot;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};
use upshot_servers::signal::{self, Signal};
use upshot_testkit::within;

/// The program in the example's folder, with its data elsewhere.
fn program(data: &Path, carrier: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custom-handler"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .env("UPSHOT_DATA_DIR", data)
        .env("UPSHOT_APP__CARRIER__URL", carrier)
        .env("UPSHOT_API__LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn said(command: &mut Command) -> Output {
    within("the command ends", command.output()).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_becomes_an_achieved_job_of_the_programs_own() {
    let data = tempfile::tempdir().unwrap();
    let depot = Depot::default();
    let carrier = depot.open().await;
    let mut up = program(data.path(), &carrier).arg("up").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
    let line = within("it is up", lines.next_line()).await.unwrap().expect("it ended early");
    assert!(line.contains("Upshot is up"), "{line}");

    let published = said(program(data.path(), &carrier).args(["publish", "event.json", "--json"])).await;
    assert!(published.status.success(), "{}", text(&published.stderr));
    let report: Value = serde_json::from_slice(&published.stdout).unwrap();
    let id = report["jobs"][0]["id"].as_str().unwrap().to_owned();
    let followed = said(program(data.path(), &carrier).args(["job", &id, "--follow"])).await;
    assert!(text(&followed.stdout).contains("succeeded"), "{}", text(&followed.stdout));
    let shown = said(program(data.path(), &carrier).args(["job", &id, "--json"])).await;
    let job: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(
        (job["kind"].as_str(), job["outcome"]["summary"].as_str()),
        (Some("order.ship"), Some("shipped"))
    );
    assert_eq!(*depot.labels.lock().unwrap(), ["1042"]);

    signal::send(up.id().unwrap(), Signal::Terminate).unwrap();
    assert!(within("it stops", up.wait()).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn its_help_its_version_and_its_settings_are_its_own() {
    let data = tempfile::tempdir().unwrap();
    let help = said(program(data.path(), "http://127.0.0.1:9").arg("--help")).await;
    assert!(text(&help.stdout).contains("Usage: custom-handler"), "{}", text(&help.stdout));
    let version = said(program(data.path(), "http://127.0.0.1:9").arg("--version")).await;
    assert!(text(&version.stdout).starts_with("custom-handler "), "{}", text(&version.stdout));
    let settings = said(program(data.path(), "http://127.0.0.1:9").arg("settings")).await;
    assert!(text(&settings.stdout).contains("[bridge]"), "{}", text(&settings.stderr));
    assert!(settings.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_of_the_programs_own_section_is_refused_with_its_place() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("upshot.toml");
    let settings = include_str!("../upshot.toml").replace("depot =", "depo =");
    std::fs::write(&file, &settings).unwrap();
    let mut command = program(data.path(), "http://127.0.0.1:9");
    let refused = said(command.arg("--config").arg(&file).arg("executor")).await;
    let line = 1 + settings.lines().position(|line| line.starts_with("depo =")).unwrap();
    let told = text(&refused.stderr);
    assert!(!refused.status.success() && told.contains(&format!("line {line}")), "{told}");
    assert!(told.contains("`depo`") && told.contains("`depot`"), "{told}");
    let mut command = program(data.path(), "http://127.0.0.1:9");
    let refused = said(command.env("UPSHOT_APP__CARIER__URL", "x").arg("executor")).await;
    assert!(text(&refused.stderr).contains("[app.carier]"), "{}", text(&refused.stderr));
}
