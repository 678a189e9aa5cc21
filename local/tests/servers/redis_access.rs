//! Redis: passwords and users.

use redis::AsyncCommands;
use upshot_local::{RedisOptions, RedisServer};

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
