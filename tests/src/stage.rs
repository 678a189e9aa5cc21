//! A test's own installation.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use futures::StreamExt;
use lapin::{
    BasicProperties,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions},
    types::FieldTable,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use upshot_queue::{Client, Connection, Connector, Job, JobId, RedisOptions, State};
use upshot_runtime::amqp::{self, Address, EVENTS, Publisher, QUARANTINE};
use upshot_servers::{MailOptions, MailServer, RedisServer, Service};
use upshot_shared::{
    Route,
    event::{Identity, STRUCTURED},
};

use upshot_testkit::{TestRabbit, shared_redis};

pub use upshot_testkit::PATIENCE;

use crate::Process;

/// A test's own vhost, key prefix, folder and mail server.
#[derive(Debug)]
pub struct Stage {
    /// RabbitMQ, this test's vhost.
    pub amqp: String,
    /// The vhost's name.
    pub vhost: String,
    /// Redis.
    pub redis: String,
    /// Redis for the user of each service, if it has such users.
    services: Option<&'static RedisServer>,
    /// The mail catcher.
    pub mail: MailServer,
    /// The queue of invoices.
    pub queue: Client,
    connector: Connector,
    prefix: String,
    publisher: Publisher,
    folder: TempDir,
    finished: AtomicBool,
}

impl Stage {
    /// Sets the stage; nothing of Upshot runs yet, but exchange and queues exist.
    pub async fn new() -> Self {
        let redis = shared_redis().await;
        Self::with(&redis.url(), Some(redis)).await
    }

    /// The same on a Redis of the test's own, to which it may do anything.
    pub async fn on(redis: &str) -> Self {
        Self::with(redis, None).await
    }

    async fn with(redis: &str, services: Option<&'static RedisServer>) -> Self {
        let redis = redis.to_owned();
        let (vhost, amqp) = TestRabbit::get().await.vhost();
        let prefix = format!("e2e-{vhost}");
        let connector = Connector::new(RedisOptions::new(&redis, &prefix)).unwrap();
        let queue = Client::new(&connector, "invoices".parse().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = MailOptions { ephemeral: true, ..MailOptions::default() };
        // Its folder goes with the server, which may be in the middle of that when ours goes.
        let mails = tempfile::tempdir().unwrap().keep();
        let mail = MailServer::start_with(&mails, options).await.unwrap();
        let publisher = Publisher::new(Address::of_url(&amqp), "test", true, PATIENCE);
        publisher.check().await.unwrap();
        let finished = AtomicBool::new(false);
        Self { amqp, vhost, redis, services, mail, queue, connector, prefix, publisher, folder, finished }
    }

    /// Where invoices are stored.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// A folder of templates with which no invoice can be rendered.
    pub fn broken_templates(&self) -> String {
        let folder = self.folder.path().join("templates");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("invoice.typ"), "#panic(\"broken\")").unwrap();
        folder.display().to_string()
    }

    /// The variables of a service on this stage.
    pub fn variables(&self) -> Vec<(String, String)> {
        let folder = self.folder.path().display();
        [
            ("UPSHOT_AMQP_URL", self.amqp.clone()),
            ("UPSHOT_REDIS_URL", self.redis.clone()),
            ("UPSHOT_REDIS__PREFIX", self.prefix.clone()),
            ("UPSHOT_DATA_DIR", folder.to_string()),
            ("UPSHOT_SMTP__URL", self.mail.url()),
            ("UPSHOT_QUEUES__INVOICES__LEASE", "1s".to_owned()),
            ("UPSHOT_QUEUES__INVOICES__BACKOFF__FIRST", "100ms".to_owned()),
            ("UPSHOT_SMTP__CONFIRM_REFUSAL", "0s".to_owned()),
            ("UPSHOT_STORE__LOOK", "200ms".to_owned()),
            ("UPSHOT_LOG__FORMAT", "json".to_owned()),
            ("UPSHOT_LOG__FILTER", "info,upshot_queue=debug,lapin=off".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The addresses for the user of a service, which may do only what the service needs.
    pub async fn addresses(&self, service: Service) -> Vec<(String, String)> {
        let amqp = match service {
            // It has no user there.
            Service::Executor => String::new(),
            service => TestRabbit::get().await.url_of(service, &self.vhost),
        };
        let redis = self.services.map_or_else(|| self.redis.clone(), |redis| redis.url_of(service));
        vec![("UPSHOT_AMQP_URL".to_owned(), amqp), ("UPSHOT_REDIS_URL".to_owned(), redis)]
    }

    /// Starts a service as its own user of RabbitMQ and Redis, with variables of its own on top.
    pub async fn start(&self, service: &str, more: &[(&str, String)]) -> Process {
        let mut variables = self.variables();
        let user = match service {
            "bridge" => Some(Service::Bridge),
            "executor" => Some(Service::Executor),
            "api" => Some(Service::Api),
            _ => None,
        };
        if let Some(user) = user {
            variables.extend(self.addresses(user).await);
        }
        variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let process = Process::start(&[service], &variables).await;
        match service {
            "bridge" => process.logged(&["consuming"]).await,
            "executor" => process.logged(&["working"]).await,
            _ => process.logged(&["listens"]).await,
        };
        process
    }

    /// Starts the API and says where it is.
    pub async fn start_api(&self) -> (Process, String) {
        self.start_api_with(&[]).await
    }

    /// The same with variables of its own on top.
    pub async fn start_api_with(&self, more: &[(&str, String)]) -> (Process, String) {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let variables = [more, &[("UPSHOT_API__LISTEN", free.to_string())]].concat();
        (self.start("api", &variables).await, format!("http://{free}"))
    }

    /// The prefix of the keys in Redis.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A connection to Redis.
    pub fn redis_connection(&self) -> Connection {
        self.connector.connect().unwrap()
    }

    /// Publishes an event in structured mode.
    pub async fn publish(&self, event: &Value) {
        let kind = event.get("type").and_then(Value::as_str).unwrap_or("unknown");
        let properties = BasicProperties::default().with_content_type(STRUCTURED.into());
        self.publish_raw(kind, event.to_string().as_bytes(), properties).await;
    }

    /// Publishes anything.
    pub async fn publish_raw(&self, key: &str, body: &[u8], properties: BasicProperties) {
        self.publisher.publish(EVENTS, key, body, properties, true).await.unwrap();
    }

    /// The job that an order becomes.
    pub fn job_of(&self, event: &Value) -> JobId {
        let text = |name| event.get(name).and_then(Value::as_str).unwrap();
        let queue = "invoices".parse().unwrap();
        Route::new("order.completed.v1", "invoice.issue", queue, PATIENCE)
            .job_id(text("source"), Identity::Id(text("id")))
    }

    /// Waits until a job is as wanted: reads it, and again after each change.
    pub async fn until(&self, id: &JobId, wanted: impl Fn(&Job) -> bool) -> Job {
        upshot_testkit::until(&self.connector, &self.queue, id, wanted).await
    }

    /// Waits for a job to be there.
    pub async fn enqueued(&self, id: &JobId) -> Job {
        self.until(id, |_| true).await
    }

    /// Waits for a job to succeed.
    pub async fn succeeded(&self, id: &JobId) -> Job {
        self.until(id, |job| job.state.is_final()).await;
        let job = self.until(id, |_| true).await;
        assert_eq!(job.state, State::Succeeded, "{job:?}");
        job
    }

    /// Takes this many messages out of quarantine.
    pub async fn quarantined(&self, count: usize) -> Vec<Delivery> {
        let connection =
            amqp::connect(Address::of_url(&self.amqp), "test-quarantine", u64::MAX).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let options = BasicConsumeOptions::default();
        let consumer = channel
            .basic_consume(QUARANTINE.into(), "".into(), options, FieldTable::default())
            .await
            .unwrap();
        let deliveries = tokio::time::timeout(PATIENCE, consumer.take(count).collect::<Vec<_>>()).await;
        let deliveries: Vec<Delivery> =
            deliveries.expect("fewer messages in quarantine").into_iter().map(Result::unwrap).collect();
        if let Some(last) = deliveries.last() {
            last.acker.ack(BasicAckOptions { multiple: true }).await.unwrap();
        }
        connection.close().await;
        deliveries
    }

    /// Messages that wait in a queue of RabbitMQ, and those not yet acknowledged
    /// are not among them: call it after the services have stopped.
    pub async fn waiting_in(&self, queue: &str) -> u32 {
        let connection = amqp::connect(Address::of_url(&self.amqp), "test-count", u64::MAX).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let options = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
        let count = declared.message_count();
        connection.close().await;
        count
    }

    /// Every test ends with this, after its services have stopped: nothing may
    /// be left in the bridge's queue or running.
    pub async fn finish(self) {
        self.finished.store(true, Ordering::Relaxed);
        assert_eq!(self.waiting_in(amqp::INTAKE).await, 0, "the test leaves events in the bridge's queue");
        assert_eq!(self.waiting_in(amqp::CONFIRMATIONS).await, 0, "the test leaves confirmations");
        assert_eq!(self.waiting_in(QUARANTINE).await, 0, "the test leaves messages in quarantine");
        let counts = self.queue.counts().await.unwrap();
        assert_eq!(counts.of(State::Running), 0, "the test leaves jobs running: {counts:?}");
        assert_eq!(
            counts.transitions("enqueued"),
            counts.states.iter().sum::<u64>(),
            "jobs were lost: {counts:?}"
        );
        if self.services.is_some() {
            assert_eq!(self.denied().await, Vec::<String>::new(), "a service's user lacks a right in Redis");
        }
        self.publisher.close().await;
        std::fs::remove_dir_all(self.folder.path()).expect("the folder of the test goes with it");
    }
}

impl Stage {
    /// What Redis denied to the users of services, except for questions that may be denied.
    async fn denied(&self) -> Vec<String> {
        let mut conn = self.redis_connection();
        let log: Vec<BTreeMap<String, redis::Value>> =
            redis::cmd("ACL").arg("LOG").query_async(&mut conn).await.unwrap();
        let text = |entry: &BTreeMap<String, redis::Value>, name: &str| {
            let value = entry.get(name).map(redis::from_redis_value_ref::<String>);
            value.and_then(Result::ok).unwrap_or_default()
        };
        let optional = ["client|setinfo", "config|get", "info"];
        log.iter()
            .filter(|entry| text(entry, "reason") != "auth")
            .map(|entry| ["username", "reason", "object"].map(|name| text(entry, name)))
            .filter(|[_, _, object]| !optional.contains(&object.as_str()))
            .map(|entry| entry.join(" "))
            .collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let finished = self.finished.load(Ordering::Relaxed) || std::thread::panicking();
        assert!(finished, "a test must end with `finish()`");
    }
}
