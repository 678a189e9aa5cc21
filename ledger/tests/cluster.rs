//! Rows about messages in quarantine, on a Redis Cluster, for the user of `docs/redis-acl.md`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use lapin::BasicProperties;
use upshot_ledger::quarantine::{Bounds, Facts, Filter, MessageId, Quarantine};
use upshot_queue::{Connector, RedisOptions};
use upshot_servers::{RedisCluster, RedisOptions as Local};
use upshot_shared::Reason;

const PREFIX: &str = "own";

/// The documented line of the ACL with what a cluster needs besides.
fn user() -> String {
    let text = include_str!("../../docs/redis-acl.md");
    let line = text.lines().find_map(|line| line.strip_prefix("user ")).unwrap();
    let besides = text.split("On a cluster it needs `").nth(1).unwrap().split('`').next().unwrap();
    format!("{} {besides}", line.replace("upshot:*", &format!("{PREFIX}:*")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_may_only_its_own_keys_lists_messages_on_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local { ephemeral: true, users: vec![user()], ..Local::default() };
    let mut cluster = RedisCluster::start(folder.path(), local).await.unwrap();
    let hosts: Vec<String> =
        cluster.nodes().iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let url = format!("redis+cluster://upshot:password@{}", hosts.join(","));
    let connector = Connector::new(RedisOptions::new(url, PREFIX)).unwrap();
    let rows = Quarantine::new(&connector).unwrap();
    let bounds = Bounds { keep: Duration::from_secs(3600), keep_bytes: 4 << 10 };
    let id = |n: u32| MessageId::of("k", &BasicProperties::default(), &n.to_be_bytes());
    for n in 0..30 {
        for times in [1, 2] {
            let recorded = rows.record(&id(n), Reason::Oversize, &Facts::default(), bounds).await.unwrap();
            assert_eq!((recorded.times, recorded.is_new), (times, times == 1));
        }
    }
    let figures = rows.figures().await.unwrap();
    assert!(figures.is_balanced() && figures.rows > 3 && figures.bytes <= 4 << 10, "{figures:?}");
    assert_eq!(figures.by_reason()["oversize"].received, 30);
    assert_eq!(rows.list(&Filter::default(), None, 3).await.unwrap().rows[0].id, id(29));
    assert!(rows.row(&id(29)).await.unwrap().is_some() && rows.row(&id(0)).await.unwrap().is_none());
    rows.trim(Bounds { keep: Duration::ZERO, ..bounds }).await.unwrap();
    assert_eq!(rows.figures().await.unwrap().rows, 0);
    cluster.stop().await.unwrap();
}
