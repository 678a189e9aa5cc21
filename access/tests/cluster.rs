//! The audit log on a Redis Cluster, for the user of `docs/redis-acl.md`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeSet, time::Duration};

use upshot_access::acts::{Acts, Conclusion, Ended, Intent, Kept, list::Filter, tail::Tail};
use upshot_queue::{Connector, RedisOptions};
use upshot_servers::{RedisCluster, RedisOptions as Local};

const PREFIX: &str = "own";

/// The documented line of the ACL with what a cluster needs besides.
fn user() -> String {
    let text = include_str!("../../docs/redis-acl.md");
    let line = text.lines().find_map(|line| line.strip_prefix("user ")).unwrap();
    let besides = text.split("On a cluster it needs `").nth(1).unwrap().split('`').next().unwrap();
    format!("{} {besides}", line.replace("upshot:*", &format!("{PREFIX}:*")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_may_only_its_own_keys_keeps_the_audit_log_on_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local { ephemeral: true, users: vec![user()], ..Local::default() };
    let mut cluster = RedisCluster::start(folder.path(), local).await.unwrap();
    let hosts: Vec<String> =
        cluster.nodes().iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let url = format!("redis+cluster://upshot:password@{}", hosts.join(","));
    let connector = Connector::new(RedisOptions::new(url, PREFIX)).unwrap();
    let kept = Kept { time: Duration::from_secs(3600), acts: 1_000, refusals: 1_000 };
    let acts = Acts::with_connection(connector.connect().unwrap(), connector.prefix(), kept);
    let begun = acts.intend(Intent::default()).await.unwrap();
    acts.conclude(&begun, Conclusion { status: 200, ..Conclusion::default() }).await.unwrap();
    let refused = Conclusion { status: 401, ..Conclusion::default() };
    assert!(acts.refused(Intent::default(), refused).await.unwrap());
    let page = acts.list(&Filter::default(), None, 10).await.unwrap();
    // Entries of the same millisecond have no order between the streams.
    let results: BTreeSet<Ended> = page.acts.iter().map(|act| act.result).collect();
    assert_eq!((page.acts.len(), results), (2, BTreeSet::from([Ended::Refused, Ended::Done])));
    let mut tail = Tail::new(&connector).await.unwrap();
    let entries = tail.read(10, Duration::from_millis(20)).await.unwrap();
    assert_eq!((entries.len(), tail.copied(&entries).await.unwrap()), (3, 0));
    assert_eq!(acts.figures().await.unwrap().uncopied, 0);
    cluster.stop().await.unwrap();
}
