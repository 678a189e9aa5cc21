//! A Redis Cluster: slots, a node that goes and comes back, a replica in its place.

use std::time::Duration;

use redis::cluster::ClusterClient;
use redis::{AsyncCommands, RedisResult};
use tokio::time::{Instant, sleep};
use upshot_servers::{RedisCluster, RedisOptions};

#[tokio::test]
async fn every_slot_is_served_also_after_a_restart_of_a_node() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("cluster");
    let options = RedisOptions { ephemeral: true, ..RedisOptions::default() };
    let mut cluster = RedisCluster::start(&folder, options).await.unwrap();
    let nodes: Vec<String> =
        cluster.nodes().iter().map(|node| format!("redis://127.0.0.1:{}", node.port())).collect();
    assert_eq!(nodes.len(), 3);
    let set = async || -> RedisResult<()> {
        let mut conn = ClusterClient::new(nodes.clone())?.get_async_connection().await?;
        // Enough keys for every node to have some.
        for key in 0..50 {
            let () = conn.set(format!("key-{key}"), key).await?;
        }
        Ok(())
    };
    set().await.unwrap();
    for node in cluster.nodes() {
        let mut conn = redis::Client::open(node.url()).unwrap();
        let held: u64 = redis::cmd("DBSIZE").query(&mut conn).unwrap();
        assert!((1..50).contains(&held), "{held} of 50 keys on one node");
    }
    cluster.nodes()[0].kill().await.unwrap();
    cluster.nodes()[0].restart().await.unwrap();
    cluster.ready().await.unwrap();
    set().await.unwrap();
    cluster.stop().await.unwrap();
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_replica_takes_the_place_of_its_master() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("cluster");
    // A password, so that the replicas need one as well.
    let options =
        RedisOptions { ephemeral: true, password: Some("pw".to_owned()), ..RedisOptions::default() };
    let mut cluster = RedisCluster::start_with_replicas(&folder, options).await.unwrap();
    assert_eq!(cluster.nodes().len(), 6);
    let ask = |url: String, words: &[&str]| {
        let mut conn = redis::Client::open(url)?.get_connection()?;
        redis::cmd(words[0]).arg(&words[1..]).query::<String>(&mut conn)
    };
    for node in 3..6 {
        let told = ask(cluster.nodes()[node].url(), &["INFO", "replication"]).unwrap();
        let of = format!("master_port:{}\r", cluster.nodes()[node - 3].port());
        assert!(told.contains("role:slave") && told.contains(&of), "{told}");
    }
    cluster.nodes()[0].kill().await.unwrap();
    let replica = cluster.nodes()[3].url();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ask(replica.clone(), &["INFO", "replication"]).is_ok_and(|told| told.contains("role:master")) {
        assert!(Instant::now() < deadline, "the replica was not promoted");
        sleep(Duration::from_millis(50)).await;
    }
    cluster.nodes()[0].restart().await.unwrap();
    cluster.ready().await.unwrap();
    cluster.stop().await.unwrap();
    assert!(!folder.exists());
}
