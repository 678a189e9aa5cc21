//! A Redis Cluster: each queue on one node, and nodes that go and come back.

use std::collections::{HashMap, HashSet};

use upshot_queue::{Connector, EnqueueResult, RedisOptions, connect::Writes};
use upshot_servers::RedisCluster;

use crate::handles::Queue;

use crate::fixture::{
    connector, documented_user, enqueue, folder, job, key, options, queue, ready, until_ok, works,
    write_replicated,
};

/// Enough for every node to have some.
const QUEUES: usize = 16;

fn queues(connector: &Connector) -> Vec<Queue> {
    (0..QUEUES).map(|number| queue(connector, &format!("queue-{number}"))).collect()
}

/// The names of the queues that a node holds, as it tells itself.
async fn held(port: u16, prefix: &str) -> HashSet<String> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    let mut conn = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> =
        redis::cmd("KEYS").arg(format!("{prefix}:*")).query_async(&mut conn).await.unwrap();
    let name = |key: &String| key.split(['{', '}']).nth(1).unwrap().to_owned();
    keys.iter().map(name).collect()
}

/// Has every node write to its disk before it answers. By itself Redis may owe a
/// second of answers to a disk that is slow, and a kill would lose it.
async fn durable(cluster: &mut RedisCluster) {
    for node in cluster.nodes() {
        let client = redis::Client::open(node.url()).unwrap();
        let mut conn = client.get_multiplexed_async_connection().await.unwrap();
        let mut cmd = redis::cmd("CONFIG");
        cmd.arg("SET").arg("appendfsync").arg("always").exec_async(&mut conn).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_works_from_any_of_its_nodes() {
    let (dir, local) = folder();
    let mut cluster = RedisCluster::start(&dir, local).await.unwrap();
    works(&connector(cluster.url())).await;
    let last = cluster.nodes().last().unwrap().port();
    // The first address is nobody's.
    works(&connector(format!("redis+cluster://127.0.0.1:1,127.0.0.1:{last}"))).await;
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_may_only_its_own_keys_works_on_a_cluster() {
    let (dir, mut local) = folder();
    let prefix = options("redis://h").prefix;
    let (user, besides) = documented_user(&prefix);
    local.users = vec![format!("{user} {besides}")];
    let cluster = RedisCluster::start(&dir, local).await.unwrap();
    let url = cluster.url().replace("://", "://upshot:password@");
    works(&Connector::new(RedisOptions { prefix, ..options(url) }).unwrap()).await;
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_queue_is_on_the_node_that_owns_its_slot() {
    let (dir, local) = folder();
    let mut cluster = RedisCluster::start(&dir, local).await.unwrap();
    let connector = connector(cluster.url());
    for queue in queues(&connector) {
        assert_eq!(enqueue(&queue, &job()).await, EnqueueResult::Inserted);
        assert_eq!(ready(&queue).await, 1);
    }
    let mut seen = HashSet::new();
    let conn = connector.connect().unwrap();
    for node in cluster.nodes() {
        let names = held(node.port(), connector.prefix()).await;
        assert!(!names.is_empty(), "a node without a queue");
        for name in &names {
            // The page comes from the node that holds the queue, and shows no other.
            let pattern = format!("{}:*", connector.prefix());
            let own = key(&connector, name);
            let (_, page) = conn.clone().scan_page(&own, 0, &pattern, 10_000).await.unwrap();
            let listed: HashSet<_> = page.iter().filter_map(|key| key.split(['{', '}']).nth(1)).collect();
            assert_eq!(listed, names.iter().map(String::as_str).collect());
            assert_eq!(write_replicated(&connector, &conn, &own, 1).await.unwrap(), 0);
        }
        assert!(names.iter().all(|name| seen.insert(name.clone())), "a queue is on two nodes: {names:?}");
    }
    assert_eq!(seen.len(), QUEUES);
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replica_of_the_node_that_has_the_queue_is_waited_for() {
    let (dir, local) = folder();
    let cluster = RedisCluster::start_with_replicas(&dir, local).await.unwrap();
    let connector = connector(cluster.url());
    works(&connector).await;
    let conn = connector.connect().unwrap();
    // One queue on each node at least.
    for queue in queues(&connector) {
        let own = key(&connector, queue.name().as_str());
        let held = write_replicated(&connector, &conn, &own, 2).await.unwrap();
        assert_eq!(held, 1, "there is one replica, also for those who want two");
    }
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_node_is_gone_the_queues_of_the_others_go_on() {
    let (dir, local) = folder();
    let mut cluster = RedisCluster::start(&dir, local).await.unwrap();
    durable(&mut cluster).await;
    let connector = connector(cluster.url());
    let queues = queues(&connector);
    let first = job();
    for queue in &queues {
        enqueue(queue, &first).await;
    }
    let away = held(cluster.nodes()[0].port(), connector.prefix()).await;
    cluster.nodes()[0].kill().await.unwrap();
    let second = job();
    for queue in &queues {
        if away.contains(queue.name().as_str()) {
            queue.enqueue(std::slice::from_ref(&second)).await.unwrap_err();
        } else {
            assert_eq!(enqueue(queue, &second).await, EnqueueResult::Inserted);
        }
    }
    cluster.nodes()[0].restart().await.unwrap();
    let mut verdicts = HashMap::new();
    for queue in &queues {
        let verdict = enqueue(queue, &second).await;
        verdicts.insert(queue.name().to_string(), verdict);
        // A repeated one is found, also where its answer had been lost.
        assert!(matches!(enqueue(queue, &first).await, EnqueueResult::Duplicate { .. }));
        assert_eq!(ready(queue).await, 2, "{}", queue.name());
    }
    assert!(away.iter().all(|name| verdicts[name] == EnqueueResult::Inserted), "{verdicts:?}");
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_gone_altogether_is_found_again() {
    let (dir, local) = folder();
    let mut cluster = RedisCluster::start(&dir, local).await.unwrap();
    durable(&mut cluster).await;
    let connector = connector(cluster.url());
    let queue = queue(&connector, "work");
    let first = job();
    enqueue(&queue, &first).await;
    for node in cluster.nodes() {
        node.kill().await.unwrap();
    }
    queue.enqueue(&[job()]).await.unwrap_err();
    connector.listen().await.map(drop).unwrap_err();
    for node in cluster.nodes() {
        node.restart().await.unwrap();
    }
    cluster.ready().await.unwrap();
    assert!(matches!(enqueue(&queue, &first).await, EnqueueResult::Duplicate { .. }));
    let conn = connector.connect().unwrap();
    until_ok("a ping", || {
        let (connector, mut conn) = (connector.clone(), conn.clone());
        async move { connector.ping(&mut conn).await }
    })
    .await;
    cluster.stop().await.unwrap();
}

/// A master that is frozen keeps its connections and accepts new ones, while its replica
/// takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_master_of_a_cluster_is_left() {
    let (dir, local) = folder();
    let mut cluster = RedisCluster::start_with_replicas(&dir, local).await.unwrap();
    let connector = connector(cluster.url());
    let (queue, first) = (queue(&connector, "work"), job());
    assert_eq!(enqueue(&queue, &first).await, EnqueueResult::Inserted);
    let mut conn = connector.connect().unwrap();
    assert_eq!(write_replicated(&connector, &conn, &key(&connector, "work"), 1).await.unwrap(), 1);
    let master = owner(&mut cluster, &connector).await;
    cluster.nodes()[master].pause().unwrap();
    // What makes a service ready: every master takes writes. The frozen one is none any more.
    until_ok("a look at all masters", || {
        let (connector, mut conn) = (connector.clone(), conn.clone());
        async move { connector.takes(&mut conn, Writes::Work).await }
    })
    .await;
    assert!(matches!(enqueue(&queue, &first).await, EnqueueResult::Duplicate { .. }));
    assert_eq!(enqueue(&queue, &job()).await, EnqueueResult::Inserted);
    connector.ping(&mut conn).await.unwrap();
    cluster.nodes()[master].resume().unwrap();
    cluster.stop().await.unwrap();
}

/// The place of the master that has the queue `work`.
async fn owner(cluster: &mut RedisCluster, connector: &Connector) -> usize {
    for (place, node) in cluster.nodes().iter().enumerate() {
        let mut conn =
            redis::Client::open(node.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
        let role: Vec<redis::Value> = redis::cmd("ROLE").query_async(&mut conn).await.unwrap();
        let role: String = redis::from_redis_value(role.into_iter().next().unwrap()).unwrap();
        if role == "master" && held(node.port(), connector.prefix()).await.contains("work") {
            return place;
        }
    }
    panic!("no master has the queue");
}
