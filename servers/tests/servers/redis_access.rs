//! Redis: passwords and users.

use redis::AsyncCommands;
use upshot_servers::{RedisOptions, RedisServer};

#[tokio::test]
async fn only_those_who_know_a_password_are_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let options = RedisOptions {
        password: Some("s3cr3t".to_owned()),
        users: vec!["clerk on >pw ~order:* -@all +@connection +@read +@write".to_owned()],
        ..RedisOptions::default()
    };
    let server = RedisServer::start_with(dir.path(), options).await.unwrap();
    let connect =
        async |url: String| redis::Client::open(url).unwrap().get_multiplexed_async_connection().await;
    let mut all = connect(server.url()).await.unwrap();
    let () = all.set("order:1", "tea").await.unwrap();
    let mut clerk = connect(format!("redis://clerk:pw@127.0.0.1:{}/", server.port())).await.unwrap();
    assert_eq!(clerk.get::<_, String>("order:1").await.unwrap(), "tea");
    let refused = clerk.get::<_, Option<String>>("invoice:1").await.unwrap_err();
    assert!(refused.to_string().contains("NoPerm"), "{refused}");
    for login in ["", ":wrong@", "clerk:wrong@"] {
        let url = format!("redis://{login}127.0.0.1:{}/", server.port());
        let entered = match connect(url).await {
            Ok(mut conn) => conn.ping::<String>().await.is_ok(),
            Err(_) => false,
        };
        assert!(!entered, "`{login}` was let in");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_password_is_made_up_once_and_kept_from_command_lines() {
    let dir = tempfile::tempdir().unwrap();
    let options = RedisOptions { own_password: true, ..RedisOptions::default() };
    let mut urls = Vec::new();
    for _ in 0..2 {
        let server = RedisServer::start_with(dir.path(), options.clone()).await.unwrap();
        let connect =
            async |url: String| redis::Client::open(url).unwrap().get_multiplexed_async_connection().await;
        let mut conn = connect(server.url()).await.unwrap();
        let () = conn.set("order:1", "tea").await.unwrap();
        let mut stranger = connect(format!("redis://127.0.0.1:{}/", server.port())).await.unwrap();
        let refused = stranger.get::<_, Option<String>>("order:1").await.unwrap_err();
        assert_eq!(refused.code(), Some("NOAUTH"), "{refused}");
        let command = std::fs::read(format!("/proc/{}/cmdline", server.pid())).unwrap();
        let secret = std::fs::read_to_string(dir.path().join("password")).unwrap();
        assert!(server.url().contains(&secret) && secret.len() == 32);
        assert!(!String::from_utf8_lossy(&command).contains(&secret));
        urls.push(server.url());
        server.stop().await.unwrap();
    }
    assert_eq!(urls[0], urls[1]);
}
