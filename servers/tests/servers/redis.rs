//! Redis: data, ports, locks, faults, and what errors say.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use upshot_servers::{Error, RedisOptions, RedisServer, signal};

async fn connect(server: &RedisServer) -> MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

fn ephemeral() -> RedisOptions {
    RedisOptions { ephemeral: true, ..RedisOptions::default() }
}

#[tokio::test]
async fn a_second_start_finds_the_data_on_the_same_port() {
    let dir = tempfile::tempdir().unwrap();
    let server = RedisServer::start(dir.path()).await.unwrap();
    let () = connect(&server).await.set("order", "1042").await.unwrap();
    let (port, pid) = (server.port(), server.pid());
    server.stop().await.unwrap();
    assert!(!signal::exists(pid));

    let server = RedisServer::start(dir.path()).await.unwrap();
    assert_eq!(server.port(), port);
    let kept: String = connect(&server).await.get("order").await.unwrap();
    assert_eq!(kept, "1042");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn it_is_configured_for_a_queue() {
    let dir = tempfile::tempdir().unwrap();
    let server = RedisServer::start(dir.path()).await.unwrap();
    let mut connection = connect(&server).await;
    for (key, expected) in [
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("save", ""),
        ("bind", "127.0.0.1"),
        ("maxmemory-policy", "noeviction"),
    ] {
        let (_, value): (String, String) =
            redis::cmd("CONFIG").arg("GET").arg(key).query_async(&mut connection).await.unwrap();
        assert_eq!(value, expected, "{key}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn it_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = RedisServer::start(dir.path()).await.unwrap();
    let () = connect(&server).await.set("order", "1042").await.unwrap();
    let (port, pid) = (server.port(), server.pid());
    server.kill().await.unwrap();
    assert!(!signal::exists(pid));
    assert!(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());

    server.restart().await.unwrap();
    assert_eq!(server.port(), port);
    assert_ne!(server.pid(), pid);
    let kept: String = connect(&server).await.get("order").await.unwrap();
    assert_eq!(kept, "1042");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_paused_server_is_silent_and_still_ends() {
    let dir = tempfile::tempdir().unwrap();
    let server = RedisServer::start(dir.path()).await.unwrap();
    let mut connection = connect(&server).await;
    server.pause().unwrap();
    let ping = tokio::time::timeout(Duration::from_millis(200), connection.ping::<String>());
    assert!(!matches!(ping.await, Ok(Ok(_))));
    server.resume().unwrap();
    assert_eq!(connect(&server).await.ping::<String>().await.unwrap(), "PONG");
    server.pause().unwrap();
    let pid = server.pid();
    server.stop().await.unwrap();
    assert!(!signal::exists(pid));
}

#[tokio::test]
async fn a_folder_serves_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let server = RedisServer::start(dir.path()).await.unwrap();
    let refused = RedisServer::start(dir.path()).await.unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let server = RedisServer::start(dir.path()).await.unwrap();
    let port = server.port();
    server.stop().await.unwrap();
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let server = RedisServer::start(dir.path()).await.unwrap();
    assert_ne!(server.port(), port);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_ephemeral_folder_goes_with_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("redis");
    let mut server = RedisServer::start_with(&folder, ephemeral()).await.unwrap();
    let () = connect(&server).await.set("order", "1042").await.unwrap();
    server.restart().await.unwrap();
    let kept: String = connect(&server).await.get("order").await.unwrap();
    assert_eq!(kept, "1042", "a restart keeps it");
    server.stop().await.unwrap();
    assert!(!folder.exists());

    let mut server = RedisServer::start_with(&folder, ephemeral()).await.unwrap();
    server.kill().await.unwrap();
    assert!(folder.exists(), "a kill keeps it");
    drop(server);
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_missing_program_says_what_to_install() {
    let dir = tempfile::tempdir().unwrap();
    let program = Some("/nonexistent/redis-server".into());
    let options = RedisOptions { program, ..RedisOptions::default() };
    let text = RedisServer::start_with(dir.path(), options).await.unwrap_err().to_string();
    assert!(text.contains("Redis is not installed (looked for /nonexistent/redis-server)"), "{text}");
    assert!(text.contains("sudo apt-get install redis-server"), "{text}");
}

#[tokio::test]
async fn a_failing_program_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data/appendonlydir");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("appendonly.aof.manifest"), "not a manifest\n").unwrap();
    let text = RedisServer::start(dir.path()).await.unwrap_err().to_string();
    assert!(text.contains("Redis ended by itself (exit status 1)"), "{text}");
    assert!(text.contains("Invalid AOF manifest file format"), "the log is quoted: {text}");
    assert!(text.contains("redis-check-aof --fix"), "the remedy is named: {text}");
    assert_free(dir.path()).await;
}

/// The folder is not held by a start that failed.
async fn assert_free(dir: &Path) {
    std::fs::remove_dir_all(dir.join("data")).unwrap();
    RedisServer::start(dir).await.unwrap().stop().await.unwrap();
}
