//! A Redis Cluster: slots, a node that goes and comes back.

use redis::cluster::ClusterClient;
use redis::{AsyncCommands, RedisResult};
use upshot_local::{RedisCluster, RedisOptions};

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
