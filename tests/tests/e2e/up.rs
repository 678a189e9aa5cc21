//! `upshot up`: everything in one process, with private servers.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::Value;
use upshot_runtime::amqp::{self, Address};
use upshot_tests::{Process, orders::order};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_finds_its_data_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let variables: Vec<(String, String)> = [
        ("UPSHOT_DATA_DIR", data.display().to_string()),
        ("UPSHOT_API__LISTEN", "127.0.0.1:0".to_owned()),
        // No server listens there: the invoice waits, and waits again after the restart.
        ("UPSHOT_SMTP__URL", "smtp://127.0.0.1:1".to_owned()),
        ("UPSHOT_LOG__FORMAT", "json".to_owned()),
        ("PATH", std::env::var("PATH").unwrap()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let note = || serde_json::from_slice::<Value>(&fs::read(data.join("up.json")).unwrap()).unwrap();

    // Nothing is kept from other users by this umask.
    let up = Process::start_with_umask("000", &["up"], &variables).await;
    up.logged(&["Upshot is up"]).await;
    is_closed_to_others(&note()).await;
    let api = note()["api"].as_str().unwrap().to_owned();
    let post = reqwest::Client::new()
        .post(format!("{api}/v1/events"))
        .header("content-type", "application/cloudevents+json")
        .body(order(1).to_string());
    let answer: Value = post.send().await.unwrap().json().await.unwrap();
    let job = answer["jobs"][0]["id"].as_str().unwrap().to_owned();
    up.logged(&["attempt failed", &job]).await;
    let mut names = Vec::new();
    is_private(&data, &mut names);
    for name in
        ["up.json", "redis.conf", "password", ".erlang.cookie", "redis.log", "appendonly.aof.manifest"]
    {
        assert!(names.iter().any(|found| found == name), "{name} is not among {names:?}");
    }
    assert!(names.iter().any(|name| name.ends_with(".pdf")), "{names:?}");
    up.stop().await;
    is_private(&data, &mut names);
    assert!(!data.join("up.json").exists());

    let up = Process::start(&["up"], &variables).await;
    up.logged(&["Upshot is up"]).await;
    let api = note()["api"].as_str().unwrap().to_owned();
    let found: Value = reqwest::get(format!("{api}/v1/jobs/{job}")).await.unwrap().json().await.unwrap();
    assert_eq!(found["subject"], "order-1", "{found}");
    up.stop().await;
    // The servers' folders can be removed, because their servers have ended.
    drop(folder);
}

/// Only this user can read what is there.
fn is_private(path: &Path, names: &mut Vec<String>) {
    // Servers replace files while they run.
    let Ok(found) = fs::symlink_metadata(path) else { return };
    let mode = found.permissions().mode() & 0o7777;
    assert!(found.is_symlink() || mode & 0o077 == 0, "{} has mode {mode:o}", path.display());
    names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    if found.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            is_private(&entry.unwrap().path(), names);
        }
    }
}

/// Other processes of the machine are not let into the private servers, and see no password.
async fn is_closed_to_others(note: &Value) {
    let urls = ["amqp", "redis"].map(|name| note[name].as_str().unwrap().to_owned());
    let secret = |url: &str| url.split('@').next().unwrap().rsplit(':').next().unwrap().to_owned();
    let secrets = urls.each_ref().map(|url| secret(url));
    assert!(secrets.iter().all(|secret| secret.len() == 32), "{urls:?}");

    let redis =
        redis::Client::open(urls[1].replace(&format!("upshot-operator:{}@", secrets[1]), "")).unwrap();
    let mut conn = redis.get_multiplexed_async_connection().await.unwrap();
    let refused = redis::cmd("KEYS").arg("*").query_async::<Vec<String>>(&mut conn).await.unwrap_err();
    assert_eq!(refused.code(), Some("NOAUTH"), "{refused}");
    let guest = urls[0].replace(&format!("upshot-operator:{}@", secrets[0]), "guest:guest@");
    assert_ne!(guest, urls[0]);
    assert!(amqp::connect(Address::of_url(&guest), "test-guest", 1).await.is_err());

    for process in fs::read_dir("/proc").unwrap().flatten() {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        assert!(!secrets.iter().any(|secret| command.contains(secret)), "a command line shows a password");
    }
}
