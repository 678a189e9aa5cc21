//! One server: logins, and what a login may.

use redis::AsyncCommands;
use upshot_queue::{Connector, RedisOptions};
use upshot_servers::RedisServer;

use crate::fixture::{connector, documented_user, folder, key, options, works, write_replicated};

#[tokio::test(flavor = "multi_thread")]
async fn one_server_works() {
    let (dir, local) = folder();
    let redis = RedisServer::start_with(&dir, local).await.unwrap();
    let connector = connector(redis.url());
    works(&connector).await;
    let mut conn = connector.connect().unwrap();
    assert!(connector.advice(&mut conn).await.is_empty());
    let alone = write_replicated(&connector, &conn, &key(&connector, "work"), 1).await.unwrap();
    assert_eq!(alone, 0, "there is no replica");
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_holds_its_own_keys() {
    let (dir, local) = folder();
    let redis = RedisServer::start_with(&dir, local).await.unwrap();
    let third = connector(format!("{}3", redis.url()));
    works(&third).await;
    let mut first = connector(redis.url()).connect().unwrap();
    assert_eq!(redis::cmd("DBSIZE").query_async::<u64>(&mut first).await.unwrap(), 0);
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_may_only_its_own_keys_works() {
    let (dir, mut local) = folder();
    let prefix = options("redis://h").prefix;
    local.users = vec![documented_user(&prefix).0.replace(">password", ">s3cr@t")];
    local.password = Some("of-the-owner".to_owned());
    let redis = RedisServer::start_with(&dir, local).await.unwrap();
    let login = |login: &str| {
        let url = format!("redis://{login}@127.0.0.1:{}", redis.port());
        Connector::new(RedisOptions { prefix: prefix.clone(), ..options(url) }).unwrap()
    };
    let worker = login("upshot:s3cr%40t");
    works(&worker).await;
    let mut conn = worker.connect().unwrap();
    assert!(worker.advice(&mut conn).await.is_empty(), "it may not ask, and nothing is said");
    write_replicated(&worker, &conn, &key(&worker, "work"), 1).await.unwrap();
    let foreign = conn.set::<_, _, ()>("other", "x").await.unwrap_err().to_string();
    assert!(foreign.to_lowercase().contains("no permissions"), "{foreign}");

    let stranger = login("upshot:s3cr%40");
    let refused = stranger.ping(&mut stranger.connect().unwrap()).await.unwrap_err().to_string();
    assert!(refused.contains("AuthenticationFailed") && !refused.contains("s3cr"), "{refused}");
    redis.stop().await.unwrap();
}

#[test]
fn an_address_that_cannot_be_used_is_refused_at_once() {
    let error = Connector::new(options("redis://u:s3cr3t@h:none")).unwrap_err().to_string();
    assert!(error.contains("`redis://…@h:none`") && !error.contains("s3cr3t"), "{error}");
}
