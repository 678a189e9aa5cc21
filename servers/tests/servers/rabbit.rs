//! RabbitMQ: data, vhosts, faults.

use std::time::{Duration, Instant};

use futures::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use upshot_servers::{RabbitOptions, RabbitServer, signal};

const QUEUE: &str = "upshot.test";
/// RabbitMQ before ra 2.11 (Debian's 3.10) writes the name of a new quorum queue
/// half a second late, and nothing tells when: <https://github.com/rabbitmq/ra/pull/443>.
const UNTIL_ON_DISK: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "loopback, and this crate knows nothing of Upshot")]
async fn channel(server: &RabbitServer, vhost: &str) -> (Connection, Channel) {
    let connection = Connection::connect(&server.url(vhost), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

async fn publish_persistent(server: &RabbitServer, vhost: &str) {
    let (_connection, channel) = channel(server, vhost).await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), options, arguments).await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm = channel.basic_publish("".into(), QUEUE.into(), options, b"order-1042", properties);
    assert!(confirm.await.unwrap().await.unwrap().is_ack());
}

async fn consume_one(server: &RabbitServer, vhost: &str) -> Vec<u8> {
    let (_connection, channel) = channel(server, vhost).await;
    let consumer = channel.basic_consume(
        QUEUE.into(),
        "test".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let delivery = consumer.await.unwrap().next().await.unwrap().unwrap();
    delivery.ack(BasicAckOptions::default()).await.unwrap();
    delivery.data
}

#[tokio::test]
async fn a_second_start_finds_the_messages() {
    let dir = tempfile::tempdir().unwrap();
    let options = RabbitOptions { vhosts: vec!["upshot".into(), "a/b".into()], ..RabbitOptions::default() };
    let fresh = Instant::now();
    let server = RabbitServer::start(dir.path(), options.clone()).await.unwrap();
    let fresh = fresh.elapsed();
    publish_persistent(&server, "a/b").await;
    let (port, pids) = (server.port(), [server.pid(), server.epmd_pid().unwrap()]);
    let stop = Instant::now();
    server.stop().await.unwrap();
    let stop = stop.elapsed();
    assert!(pids.into_iter().all(|pid| !signal::exists(pid)));

    let second = Instant::now();
    let server = RabbitServer::start(dir.path(), options).await.unwrap();
    println!("start fresh {fresh:?}, stop {stop:?}, start again {:?}", second.elapsed());
    assert_eq!(server.port(), port);
    assert_eq!(consume_one(&server, "a/b").await, b"order-1042");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn it_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("rabbit");
    let options =
        RabbitOptions { vhosts: vec!["upshot".into()], ephemeral: true, ..RabbitOptions::default() };
    let mut server = RabbitServer::start(&folder, options).await.unwrap();
    publish_persistent(&server, "upshot").await;
    tokio::time::sleep(UNTIL_ON_DISK).await;
    let (port, pid, epmd) = (server.port(), server.pid(), server.epmd_pid().unwrap());
    server.kill().await.unwrap();
    assert!(!signal::exists(pid));
    server.restart().await.unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(consume_one(&server, "upshot").await, b"order-1042");
    let pid = server.pid();
    server.stop().await.unwrap();
    assert!(!signal::exists(pid) && !signal::exists(epmd));
    assert!(!folder.exists(), "an ephemeral folder goes with its server");
}

#[tokio::test]
async fn forty_vhosts_are_there_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let vhosts: Vec<String> = (0..40).map(|number| format!("test-{number}")).collect();
    let options = RabbitOptions { vhosts: vhosts.clone(), ephemeral: true, ..RabbitOptions::default() };
    let started = Instant::now();
    let server = RabbitServer::start(&dir.path().join("rabbit"), options).await.unwrap();
    println!("start with 40 vhosts {:?}", started.elapsed());
    for vhost in [&vhosts[0], &vhosts[39]] {
        channel(&server, vhost).await;
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_missing_program_says_what_to_install() {
    let dir = tempfile::tempdir().unwrap();
    let program = Some("/nonexistent/rabbitmq-server".into());
    let options = RabbitOptions { program, ..RabbitOptions::default() };
    let text = RabbitServer::start(dir.path(), options).await.unwrap_err().to_string();
    assert!(text.contains("RabbitMQ is not installed"), "{text}");
    assert!(text.contains("sudo apt-get install rabbitmq-server"), "{text}");
}
