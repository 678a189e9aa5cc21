//! AMQP over TLS against a real node, and what never travels in plain text.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{path::PathBuf, time::Duration};

use lapin::{BasicProperties, ExchangeKind, options::ExchangeDeclareOptions, types::FieldTable};
use tokio::{net::TcpStream, sync::OnceCell};
use upshot_runtime::{
    amqp::{self, Address, Publisher},
    settings::AmqpSettings,
};
use upshot_servers::{Authority, RabbitOptions, RabbitServer, RabbitTls, Wiretap};

const VHOST: &str = "tls";

/// A node that speaks TLS and demands a certificate of clients, or does not.
struct Node {
    rabbit: RabbitServer,
    authority: Authority,
    dir: tempfile::TempDir,
}

impl Node {
    async fn start(demands_certificate: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path(), "authority").unwrap();
        let files = authority.server(&["localhost"]).unwrap();
        let options = RabbitOptions {
            vhosts: vec![VHOST.to_owned()],
            ephemeral: true,
            tls: Some(RabbitTls { files, demands_certificate }),
            ..RabbitOptions::default()
        };
        let rabbit = RabbitServer::start(&dir.path().join("node"), options).await.unwrap();
        // A node is ready once its plain port answers; the other one follows.
        let listens = async {
            while TcpStream::connect(("127.0.0.1", rabbit.tls_port())).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), listens).await.expect("the TLS listener never came");
        Self { rabbit, authority, dir }
    }

    /// The node's address by this host, with the authorities of a file.
    fn address(&self, host: &str, port: u16, ca_file: Option<PathBuf>) -> AmqpSettings {
        let url = self.rabbit.url_via(port, VHOST).replace("amqp://", "amqps://").replace("127.0.0.1", host);
        AmqpSettings { url: url.into(), ca_file, ..AmqpSettings::default() }
    }

    fn right(&self) -> AmqpSettings {
        self.address("localhost", self.rabbit.tls_port(), Some(self.authority.file.clone()))
    }
}

/// The node that lets anybody in, for the tests that change nothing of it.
async fn node() -> &'static Node {
    static NODE: OnceCell<Node> = OnceCell::const_new();
    NODE.get_or_init(|| Node::start(false)).await
}

/// Declares, publishes and has it confirmed.
async fn works(settings: &AmqpSettings) {
    let connection = amqp::connect(settings, "test", u64::MAX).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare("t".into(), ExchangeKind::Fanout, options, FieldTable::default()).await.unwrap();
    let publisher = Publisher::new(settings, "test", false, Duration::from_secs(30));
    // Larger than a record of TLS and than lapin's buffers.
    let body = vec![b'x'; 8 << 20];
    for body in [&b"order-1042"[..], &body] {
        publisher.publish("t", "", body, BasicProperties::default(), false).await.unwrap();
    }
    publisher.close().await;
    connection.close().await;
}

async fn refusal(address: impl Into<Address>) -> String {
    let said = amqp::connect(address, "test", u64::MAX).await.unwrap_err().to_string();
    assert!(!said.contains("s3cr3t"), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_trusted_only_where_it_is_named() {
    let node = node().await;
    works(&node.right()).await;
    let other = Authority::new(node.dir.path(), "other").unwrap();
    let port = node.rabbit.tls_port();
    for wrong in [
        node.address("localhost", port, None),
        node.address("localhost", port, Some(other.file.clone())),
        // The certificate names localhost.
        node.address("127.0.0.1", port, Some(node.authority.file.clone())),
    ] {
        let said = refusal(&wrong).await;
        assert!(said.contains("certificate") && said.contains("`amqp.ca_file`"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_shown_where_the_node_demands_one() {
    let node = Node::start(true).await;
    let with = |(cert, key)| AmqpSettings { client_cert: Some(cert), client_key: Some(key), ..node.right() };
    works(&with(node.authority.sign("client", &["bridge"]).unwrap())).await;
    let other = Authority::new(node.dir.path(), "other").unwrap();
    for wrong in [node.right(), with(other.sign("stranger", &["bridge"]).unwrap())] {
        let said = refusal(&wrong).await;
        assert!(said.contains("`amqp.client_cert` and `amqp.client_key`"), "{said}");
    }
    let (cert, _) = node.authority.sign("one", &["bridge"]).unwrap();
    let (_, key) = node.authority.sign("another", &["bridge"]).unwrap();
    let said = refusal(&with((cert, key))).await;
    assert!(said.contains("`amqp.client_key` is `") && said.contains("does not go with"), "{said}");
    node.rabbit.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secure_scheme_towards_a_plain_port_fails_and_says_why() {
    let node = node().await;
    let ca = Some(node.authority.file.clone());
    let said = refusal(&node.address("localhost", node.rabbit.port(), ca)).await;
    assert!(said.contains("does not speak TLS on this port") && said.contains("5671"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secure_scheme_begins_with_a_handshake_and_sends_nothing_in_plain_text() {
    for closes in [true, false] {
        // What a node would say to a client that speaks plain text.
        let tap = Wiretap::start(b"", move |_| (!closes).then(|| b"AMQP\x00\x00\x09\x01".to_vec()));
        let tap = tap.await.unwrap();
        let url = format!("amqps://me:s3cr3t@localhost:{}/v?connection_timeout=2000", tap.port());
        refusal(Address::of_url(url)).await;
        let heard = tap.heard().await;
        assert_eq!(heard[..2], [0x16, 0x03], "no ClientHello: {heard:?}");
        for secret in [&b"AMQP"[..], b"s3cr3t"] {
            assert!(!heard.windows(secret.len()).any(|window| window == secret), "{heard:?}");
        }
    }
}

/// The threads that the client library has for connections.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let named = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
    };
    tasks.map(named).filter(|name| name.starts_with("lapin-io-loop")).count()
}

#[cfg(target_os = "linux")]
#[test]
fn an_attempt_that_is_given_up_leaves_no_thread() {
    // In a process of its own: other tests connect meanwhile.
    if std::env::var_os("UPSHOT_TEST_ALONE").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "an_attempt_that_is_given_up_leaves_no_thread", "--nocapture"])
            .env("UPSHOT_TEST_ALONE", "1")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        for scheme in ["amqp", "amqps"] {
            // It accepts and never answers, as a frozen node does.
            let silent = Wiretap::start(b"", |_| Some(Vec::new())).await.unwrap();
            let url = format!("{scheme}://localhost:{}/v", silent.port());
            let mut attempts = tokio::task::JoinSet::new();
            for _ in 0..20 {
                let address = Address::of_url(&url);
                attempts.spawn(async move { amqp::connect(address, "test", u64::MAX).await.map(drop) });
            }
            // The thread starts once the socket is there, behind TLS where that is asked for.
            silent.heard().await;
            while scheme == "amqp" && threads() < 20 {
                tokio::task::yield_now().await;
            }
            attempts.shutdown().await;
            let gone = async {
                while threads() > 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), gone).await.expect("threads are left");
        }
    });
}
