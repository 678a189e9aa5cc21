//! Schedules in real processes, of which one stands still over due times.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use upshot_queue::{Connector, Filter, RedisOptions, StoredSchedule};
use upshot_servers::signal::Signal;
use upshot_tests::{PATIENCE, Process, Stage};

/// A schedule that is due each second. No handler runs its kind, so its jobs wait.
const OFTEN: &str = "[[schedules]]\nname = 'often'\nqueue = 'invoices'\njob = 'report.write'\nevery = '1s'\ncatch_up = 'all'\n";

/// Waits until the schedule had this many runs more: reads it, and again after each change of a job.
async fn ran(stage: &Stage, more: u64) -> StoredSchedule {
    let prefix = stage.queue.keys().control().trim_end_matches(":{invoices}").to_owned();
    let connector = Connector::new(RedisOptions::new(&stage.redis, &prefix)).unwrap();
    let mut listener = connector.listen().await.unwrap();
    listener.subscribe(stage.queue.keys().changes()).await.unwrap();
    let read = async || stage.queue.schedule("often").await.unwrap().seen.pop();
    let before = read().await.map_or(0, |stored| stored.runs);
    let waiting = async {
        loop {
            if let Some(stored) = read().await.filter(|stored| stored.runs >= before + more) {
                return stored;
            }
            listener.next().await.expect("Redis went away");
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the schedule does not run")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_stands_still_over_due_times_does_nothing_twice() {
    let stage = Stage::new().await;
    let file = stage.files().with_extension("toml");
    std::fs::write(&file, OFTEN).unwrap();
    let settings = [("UPSHOT_CONFIG", file.display().to_string())];
    let frozen = stage.start("executor", &settings).await;
    frozen.logged(&["the queue had no schedules of settings: stored"]).await;
    let other = stage.start("executor", &settings).await;
    ran(&stage, 2).await;
    frozen.signal(Signal::Stop);
    ran(&stage, 3).await;
    frozen.signal(Signal::Continue);
    ran(&stage, 3).await;
    // The one that stood still is all there is, then neither is.
    other.kill().await;
    ran(&stage, 2).await;
    frozen.stop().await;
    let stored = stage.queue.schedule("often").await.unwrap().seen.pop().unwrap();
    let counts = stage.queue.counts().await.unwrap();
    assert_eq!((counts.transitions("enqueued"), counts.transitions("duplicates")), (stored.runs, 0));
    let page = stage.queue.list(&Filter::default(), None, 1000).await.unwrap();
    let due: Vec<&String> = page.jobs.iter().map(|job| &job.labels["scheduled_for"]).collect();
    let once: BTreeSet<&String> = due.iter().copied().collect();
    assert_eq!((due.len() as u64, once.len() as u64), (stored.runs, stored.runs), "{due:?}");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_are_made_and_applied_from_the_command_line() {
    let stage = Stage::new().await;
    let (api, url) = stage.start_api().await;
    let schedule = async |words: &[&str]| -> (bool, Value) {
        let line = [&["schedule"][..], words, &["--api", &url, "--json"]].concat();
        let (succeeded, printed) = Process::output(&line, &stage.variables()).await;
        (succeeded, serde_json::from_str(&printed).unwrap_or_default())
    };
    let create = ["create", "invoices", "nightly", "--job", "report.write", "--cron", "30 6 * * MON-FRI"];
    let (made, shown) =
        schedule(&[&create[..], &["--zone", "Europe/Berlin", "--args", r#"{"of": 1}"#]].concat()).await;
    assert!(made && shown["definition"]["zone"] == "Europe/Berlin", "{shown}");
    let (_, shown) = schedule(&["show", "invoices", "nightly", "--reveal"]).await;
    assert_eq!(shown["definition"]["arguments"], json!({"of": 1}));
    let (ran, started) = schedule(&["run", "invoices", "nightly"]).await;
    assert!(ran && started["job"].is_string(), "{started}");
    let file = stage.files().with_extension("toml");
    let weekly =
        "[[schedules]]\nname = 'weekly'\nqueue = 'invoices'\njob = 'report.write'\ncron = '0 3 * * 1'\n";
    std::fs::write(&file, weekly).unwrap();
    let file = file.to_str().unwrap();
    let (applied, there) = schedule(&["apply", file, "invoices", "--expect-version", "0"]).await;
    assert!(applied && there["schedules"].as_array().unwrap().len() == 2, "{there}");
    let (stale, _) = schedule(&["apply", file, "invoices", "--expect-version", "0"]).await;
    assert!(!stale, "it is applied to a version that was not seen");
    let page = Process::output(&["schedule", "list", "--api", &url], &stage.variables()).await;
    for words in ["nightly", "weekly", "! weekly: no worker of the queue runs `report.write`"] {
        assert!(page.0 && page.1.contains(words), "`{words}` is not in {}", page.1);
    }
    let (removed, _) = schedule(&["delete", "invoices", "nightly"]).await;
    let (_, left) = schedule(&["list"]).await;
    assert!(removed && left["schedules"].as_array().unwrap().len() == 1, "{left}");
    api.stop().await;
    stage.finish().await;
}
