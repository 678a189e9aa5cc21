//! TLS: a private authority, certificates of clients, and what errors say.

use std::time::Duration;

use upshot_queue::{Connector, EnqueueResult, RedisOptions};
use upshot_servers::{Authority, RedisCluster, RedisSentinels, RedisServer, Wiretap};

use crate::fixture::{enqueue, folder, job, key, options, queue, works, write_replicated};

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_trusted_only_where_it_is_named() {
    let files = tempfile::tempdir().unwrap();
    let authority = Authority::new(files.path(), "authority").unwrap();
    let (dir, mut local) = folder();
    local.tls = Some(authority.server(&["localhost"]).unwrap());
    let redis = RedisServer::start_with(&dir, local).await.unwrap();
    let url = redis.tls_url();

    let trusted = RedisOptions { ca_file: Some(authority.file.clone()), ..options(&url) };
    works(&Connector::new(trusted.clone()).unwrap()).await;

    let other = Authority::new(files.path(), "other").unwrap();
    let by_address = url.replace("localhost", "127.0.0.1");
    for wrong in [
        options(&url),
        RedisOptions { ca_file: Some(other.file.clone()), ..options(&url) },
        RedisOptions { url: by_address, ..trusted.clone() },
    ] {
        let connector = Connector::new(wrong).unwrap();
        let refused = connector.ping(&mut connector.connect().unwrap()).await.unwrap_err().to_string();
        assert!(refused.contains("certificate") && refused.contains("`redis.ca_file`"), "{refused}");
        let deaf = connector.listen().await.map(drop).unwrap_err().to_string();
        assert!(deaf.contains("`redis.ca_file`"), "{deaf}");
    }

    let (cert, key) = authority.sign("client", &["worker"]).unwrap();
    let named = |cert, key| {
        let prefix = options(&url).prefix;
        RedisOptions { client_cert: Some(cert), client_key: Some(key), prefix, ..trusted.clone() }
    };
    works(&Connector::new(named(cert, key)).unwrap()).await;
    let (cert, key) = other.sign("stranger", &["worker"]).unwrap();
    let stranger = Connector::new(named(cert, key)).unwrap();
    stranger.ping(&mut stranger.connect().unwrap()).await.unwrap_err();
    redis.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_of_a_cluster_is_reached_by_tls() {
    let files = tempfile::tempdir().unwrap();
    let authority = Authority::new(files.path(), "authority").unwrap();
    let (dir, mut local) = folder();
    // Nodes tell each other's addresses, not their names.
    local.tls = Some(authority.server(&["localhost", "127.0.0.1"]).unwrap());
    let mut cluster = RedisCluster::start(&dir, local).await.unwrap();
    let url = cluster.nodes()[0].tls_url().replace("rediss", "rediss+cluster");
    let trusting = RedisOptions { ca_file: Some(authority.file.clone()), ..options(&url) };
    works(&Connector::new(trusting).unwrap()).await;
    let doubting = Connector::new(options(&url)).unwrap();
    let refused = doubting.ping(&mut doubting.connect().unwrap()).await.unwrap_err().to_string();
    assert!(refused.contains("`redis.ca_file`"), "{refused}");
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_and_their_servers_are_reached_by_tls_each_with_a_login_of_its_own() {
    let files = tempfile::tempdir().unwrap();
    let authority = Authority::new(files.path(), "authority").unwrap();
    let (dir, mut local) = folder();
    // Sentinels tell the servers' addresses, not their names.
    local.tls = Some(authority.server(&["127.0.0.1"]).unwrap());
    local.password = Some("of-the-servers".to_owned());
    local.sentinel_password = Some("of-the-sentinels".to_owned());
    // As docs/redis-acl.md says.
    local.sentinel_users = vec!["watcher on >w4tch -@all +sentinel|master".to_owned()];
    let mut redis = RedisSentinels::start(&dir, local).await.unwrap();
    let url = redis.tls_url().replace("://", "://:of-the-servers@");
    let right = RedisOptions {
        ca_file: Some(authority.file.clone()),
        sentinel_user: Some("watcher".to_owned()),
        sentinel_password: Some("w4tch".to_owned()),
        ..options(&url)
    };
    let connector = Connector::new(right.clone()).unwrap();
    works(&connector).await;
    let default_user = RedisOptions {
        sentinel_user: None,
        sentinel_password: Some("of-the-sentinels".to_owned()),
        prefix: options(&url).prefix,
        ..right.clone()
    };
    works(&Connector::new(default_user).unwrap()).await;

    let none = RedisOptions { sentinel_user: None, sentinel_password: None, ..right.clone() };
    let wrong = RedisOptions { sentinel_password: Some("of-the-servers".to_owned()), ..right.clone() };
    let unlocked = RedisOptions { url: redis.tls_url(), ..right.clone() };
    let doubting = RedisOptions { ca_file: None, ..right };
    let mut refusals = Vec::new();
    for options in [none, wrong, unlocked, doubting] {
        let connector = Connector::new(options).unwrap();
        refusals.push(connector.ping(&mut connector.connect().unwrap()).await.unwrap_err().to_string());
    }
    println!("{refusals:#?}");

    let queue = queue(&connector, "work");
    let conn = connector.connect().unwrap();
    let job = job();
    enqueue(&queue, &job).await;
    assert_eq!(write_replicated(&connector, &conn, &key(&connector, "work"), 1).await.unwrap(), 1);
    redis.servers()[0].kill().await.unwrap();
    assert!(matches!(enqueue(&queue, &job).await, EnqueueResult::Duplicate { .. }));
    redis.stop().await.unwrap();
}

/// Every form of the address that asks for TLS, towards this port.
fn secure_urls(port: u16) -> [String; 3] {
    [
        format!("rediss://me:s3cr3t@localhost:{port}"),
        format!("rediss+cluster://me:s3cr3t@localhost:{port}"),
        format!("rediss+sentinel://me:s3cr3t@localhost:{port}/master"),
    ]
}

fn within_seconds(url: &str) -> RedisOptions {
    RedisOptions { response_timeout: Duration::from_secs(2), ..options(url) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secure_scheme_begins_with_a_handshake_and_sends_nothing_in_plain_text() {
    for closes in [true, false] {
        // It answers as a Redis that takes anything, as a downgrade would need.
        let tap = Wiretap::start(b"", move |_| (!closes).then(|| b"+OK\r\n".repeat(8))).await.unwrap();
        for url in secure_urls(tap.port()) {
            let connector = Connector::new(RedisOptions {
                sentinel_password: url.contains("sentinel").then(|| "s3cr3t".to_owned()),
                ..within_seconds(&url)
            })
            .unwrap();
            connector.ping(&mut connector.connect().unwrap()).await.unwrap_err();
            connector.listen().await.map(drop).unwrap_err();
        }
        let heard = tap.heard().await;
        assert_eq!(heard[..2], [0x16, 0x03], "no ClientHello: {heard:?}");
        for secret in [&b"s3cr3t"[..], b"AUTH", b"HELLO", b"PING"] {
            let told = heard.windows(secret.len()).any(|window| window.eq_ignore_ascii_case(secret));
            assert!(!told, "{} in plain text", String::from_utf8_lossy(secret));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secure_scheme_towards_a_plain_port_fails() {
    let (dir, local) = folder();
    let redis = RedisServer::start_with(&dir, local).await.unwrap();
    for url in secure_urls(redis.port()) {
        let connector = Connector::new(within_seconds(&url)).unwrap();
        let said = connector.ping(&mut connector.connect().unwrap()).await.unwrap_err().to_string();
        assert!(!said.contains("s3cr3t"), "{said}");
        // Redis answers a ClientHello only if it holds a line feed by chance, and waits otherwise.
        let known = ["does not speak TLS on this port", "timed out", "in time"];
        assert!(known.iter().any(|words| said.contains(words)), "{url}: {said}");
    }
    redis.stop().await.unwrap();
}

#[test]
fn certificates_that_cannot_be_used_are_refused_at_once() {
    let files = tempfile::tempdir().unwrap();
    let authority = Authority::new(files.path(), "authority").unwrap();
    let text = files.path().join("text");
    std::fs::write(&text, "not a certificate").unwrap();
    let with = |url: &str, ca_file, client_cert| {
        let options = RedisOptions { ca_file, client_cert, ..options(url) };
        Connector::new(options).unwrap_err().to_string()
    };
    let missing = with("rediss://h", Some(files.path().join("none")), None);
    assert!(missing.contains("`ca_file`") && missing.contains("cannot be read"), "{missing}");
    let garbled = with("rediss://h", Some(text), None);
    assert!(garbled.contains("`ca_file`") && garbled.contains("PEM"), "{garbled}");
    let plain = with("redis://h", Some(authority.file.clone()), None);
    assert!(plain.contains("start the URL with rediss"), "{plain}");
    let half = with("rediss://h", None, Some(authority.file));
    assert!(half.contains("`client_key`"), "{half}");
}
