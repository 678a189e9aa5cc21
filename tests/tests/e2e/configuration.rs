//! How a queue is worked on: stored once, changed by operators, the same for every process.

use std::path::PathBuf;

use serde_json::{Value, json};
use upshot_tests::{Process, Stage};

/// What `upshot config …` prints as JSON, and whether it succeeds.
async fn config(stage: &Stage, api: &str, words: &[&str]) -> (bool, Value) {
    let line = [&["config"][..], words, &["--api", api, "--json"]].concat();
    let (succeeded, printed) = Process::output(&line, &stage.variables()).await;
    (succeeded, serde_json::from_str(&printed).unwrap_or_default())
}

/// A settings file whose queue keeps dead jobs for so long.
fn file(stage: &Stage, keep_dead: &str) -> PathBuf {
    let path = stage.files().with_extension(keep_dead).with_extension("toml");
    let text = format!(
        "[[routes]]\nevent = \"order.completed.v1\"\njob = \"invoice.issue\"\nqueue = \"invoices\"\nwithin = \"15m\"\n\
         [queues.invoices]\nkeep_dead = \"{keep_dead}\"\n\
         [[queues.invoices.limits]]\nkey = \"key:smtp\"\nconcurrency = 4\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settings_file_is_compared_and_applied() {
    let stage = Stage::new().await;
    let (api, url) = stage.start_api().await;
    let file = file(&stage, "60d");
    let file = file.to_str().unwrap();
    let (shown, none) = config(&stage, &url, &["show", "invoices"]).await;
    assert!(shown && none["version"] == 0, "{none}");
    let (applied, first) =
        config(&stage, &url, &["apply", file, "--expect-version", "0", "--by", "ada"]).await;
    assert!(applied && first["version"] == 1, "{first}");
    let (_, same) = config(&stage, &url, &["diff", file, "invoices"]).await;
    assert_eq!(same["differences"], json!([]), "{same}");
    std::fs::write(file, std::fs::read_to_string(file).unwrap().replace("60d", "90d")).unwrap();
    let (_, other) = config(&stage, &url, &["diff", file]).await;
    assert_eq!(other["differences"], json!([{"key": "keep_dead", "from": "60d", "to": "90d"}]), "{other}");
    let (stale, _) = config(&stage, &url, &["apply", file, "--expect-version", "0"]).await;
    assert!(!stale, "it is applied to a version that was not seen");
    let (applied, second) = config(&stage, &url, &["apply", file, "--expect-version", "1", "invoices"]).await;
    assert!(applied && second["version"] == 2, "{second}");
    let (_, shown) = config(&stage, &url, &["show"]).await;
    assert_eq!(
        (&shown["by"], &shown["configuration"]["keep_dead"]),
        (&json!("cli"), &json!("90d")),
        "{shown}"
    );
    let (_, earlier) = config(&stage, &url, &["show", "invoices", "--version", "1"]).await;
    assert_eq!((&earlier["by"], &earlier["configuration"]["keep_dead"]), (&json!("ada"), &json!("60d")));
    let page = Process::output(&["config", "show", "invoices", "--api", &url], &stage.variables()).await;
    for words in ["invoices: version 2", "keep_dead", "90d", "limits.\"key:smtp\".concurrency"] {
        assert!(page.0 && page.1.contains(words), "`{words}` is not in {}", page.1);
    }
    api.stop().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn executors_with_different_settings_agree() {
    let stage = Stage::new().await;
    let key = "UPSHOT_QUEUES__INVOICES__KEEP_DEAD";
    let first = stage.start("executor", &[(key, "60d".to_owned())]).await;
    first.logged(&["the queue had no configuration", "invoices"]).await;
    let other = stage.start("executor", &[(key, "90d".to_owned())]).await;
    other.logged(&["differ from the queue's configuration", "keep_dead: 90d -> 60d"]).await;
    let stored = stage.queue.configuration().await.unwrap().unwrap();
    assert_eq!((stored.version, stored.configuration.keep.dead.as_secs()), (1, 60 * 24 * 3600));
    first.stop().await;
    other.stop().await;
    stage.finish().await;
}
