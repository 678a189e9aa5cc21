//! No server outlives the process that started it, however that one ends.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use upshot_servers::signal::{self, Signal};

/// A process that has started a server, and the server's processes.
struct Parent {
    process: Child,
    children: Vec<u32>,
}

async fn start(kind: &str, folder: &Path) -> Parent {
    let mut process = Command::new(env!("CARGO_BIN_EXE_upshot-servers"))
        .arg(kind)
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let children: Vec<u32> = line.split_whitespace().skip(1).map(|pid| pid.parse().unwrap()).collect();
    assert!(!children.is_empty() && children.iter().all(|pid| signal::exists(*pid)), "{line}");
    Parent { process, children }
}

/// Waits for what no channel reports: the end of processes that are not ours.
async fn gone(pids: &[u32], within: Duration) {
    let deadline = Instant::now() + within;
    while let Some(left) = pids.iter().find(|pid| signal::exists(**pid)) {
        assert!(Instant::now() < deadline, "process {left} is still there");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn killed_parent(kind: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut first = start(kind, dir.path()).await;
    first.process.kill().await.unwrap();
    // The next start waits for the old server's end, however long that takes.
    let mut second = start(kind, dir.path()).await;
    gone(&first.children, Duration::ZERO).await;
    drop(second.process.stdin.take());
    assert!(second.process.wait().await.unwrap().success());
    gone(&second.children, Duration::ZERO).await;
}

#[tokio::test]
async fn redis_ends_with_a_killed_parent() {
    killed_parent("redis").await;
}

#[tokio::test]
async fn a_redis_cluster_ends_with_a_killed_parent() {
    killed_parent("redis-cluster").await;
}

#[tokio::test]
async fn redis_and_its_sentinels_end_with_a_killed_parent() {
    killed_parent("redis-sentinels").await;
}

#[tokio::test]
async fn mail_ends_with_a_killed_parent() {
    killed_parent("mail").await;
}

#[tokio::test]
async fn rabbitmq_and_its_port_mapper_end_with_a_killed_parent() {
    killed_parent("rabbitmq").await;
}

#[tokio::test]
async fn a_frozen_server_ends_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut parent = start("redis", dir.path()).await;
    signal::send(parent.children[0], Signal::Stop).unwrap();
    parent.process.kill().await.unwrap();
    gone(&parent.children, Duration::from_secs(15)).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn ctrl_c_at_a_terminal_does_not_reach_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let mut parent = start("redis", dir.path()).await;
    let group = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let after_name = stat.rsplit(')').next().unwrap().to_owned();
        after_name.split_whitespace().nth(2).unwrap().to_owned()
    };
    assert_ne!(group(parent.children[0]), group(parent.process.id().unwrap()));
    parent.process.kill().await.unwrap();
    gone(&parent.children, Duration::from_secs(15)).await;
}
