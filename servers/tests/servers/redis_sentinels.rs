//! Redis with sentinels: a dead master is replaced, with its data.

use std::time::Duration;

use redis::AsyncCommands;
use tokio::time::{Instant, sleep};
use upshot_servers::{RedisOptions, RedisSentinels};

#[tokio::test]
async fn a_dead_master_is_replaced_and_comes_back_as_a_replica() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sentinels");
    // A password, so that the sentinels and the replica need one as well.
    let options =
        RedisOptions { ephemeral: true, password: Some("pw".to_owned()), ..RedisOptions::default() };
    let mut redis = RedisSentinels::start(&folder, options).await.unwrap();
    let [old, new] = [0, 1].map(|server| redis.servers()[server].port());
    assert_eq!(redis.master_port().await, Some(old));
    let url = redis.servers()[0].url();
    let mut master = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let () = master.set("order", "1042").await.unwrap();
    let held: usize = redis::cmd("WAIT").arg(1).arg(0).query_async(&mut master).await.unwrap();
    assert_eq!(held, 1);

    redis.servers()[0].kill().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while redis.master_port().await != Some(new) {
        assert!(Instant::now() < deadline, "the replica was not promoted");
        sleep(Duration::from_millis(50)).await;
    }
    let url = redis.servers()[1].url();
    let mut master = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let kept: String = master.get("order").await.unwrap();
    assert_eq!(kept, "1042");
    redis.servers()[0].restart().await.unwrap();
    // That there is a replica again. Which of the two it is the sentinels may have
    // decided anew on a machine that is busy; either has what was kept.
    redis.ready().await.unwrap();
    let now = redis.master_port().await.unwrap();
    let replica = &redis.servers()[usize::from(now == old)];
    assert_ne!(replica.port(), now);
    let mut replica =
        redis::Client::open(replica.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let told: String = redis::cmd("INFO").arg("replication").query_async(&mut replica).await.unwrap();
    assert!(told.contains("role:slave") && told.contains("master_link_status:up"), "{told}");
    assert_eq!(replica.get::<_, String>("order").await.unwrap(), "1042");
    redis.stop().await.unwrap();
    assert!(!folder.exists());
}
