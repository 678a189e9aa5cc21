//! An API of a test's own, on a free port.

use std::{collections::BTreeMap, path::Path, time::Duration};

use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::{Client, Response, StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use upshot_api::Api;
use upshot_queue::{Connector, Expect, JobId, NewJob, QueueName, Scope};
use upshot_runtime::{
    Health, Settings,
    settings::{AuthMode, QueueSettings},
};
use upshot_shared::{
    Event, Intake, Route,
    intake::{LABEL_ID, LABEL_SOURCE, LABEL_TYPE},
    route::UniqueRule,
};

pub use upshot_testkit::PATIENCE;
use upshot_testkit::{TestRabbit, shared_redis};

/// An address at which nobody listens.
pub const NOBODY: &str = "127.0.0.1:1";

/// Two queues, for two routes of one event and one with an idempotency key, besides the default one.
pub const QUEUES: [&str; 2] = ["emails", "invoices"];

/// A running API and what stands behind it.
pub struct Fixture {
    pub connector: Connector,
    pub base: String,
    pub client: Client,
    settings: Settings,
    store: TempDir,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Fixture {
    /// An API on the shared Redis, without RabbitMQ.
    pub async fn new() -> Self {
        Self::on(&shared_redis().await.url(), &format!("amqp://{NOBODY}")).await
    }

    /// An API on the shared Redis with other settings, without RabbitMQ.
    pub async fn with_settings(change: impl FnOnce(&mut Settings)) -> Self {
        Self::with(&shared_redis().await.url(), &format!("amqp://{NOBODY}"), change).await
    }

    /// An API on the shared Redis and a virtual host of the shared RabbitMQ.
    pub async fn with_rabbit() -> Self {
        let (_, amqp) = TestRabbit::get().await.vhost();
        Self::on(&shared_redis().await.url(), &amqp).await
    }

    /// An API on the shared Redis, with a listener of its own for probes and metrics.
    pub async fn with_probes(listener: TcpListener) -> Self {
        let redis = shared_redis().await.url();
        Self::start(&redis, &format!("amqp://{NOBODY}"), Some(listener), |_| {}).await
    }

    /// An API that asks for credentials, on the shared Redis and a virtual host of the shared RabbitMQ.
    pub async fn guarded() -> Self {
        Self::guarded_on(&shared_redis().await.url()).await
    }

    /// The same on this Redis.
    pub async fn guarded_on(redis: &str) -> Self {
        let (_, amqp) = TestRabbit::get().await.vhost();
        Self::with(redis, &amqp, |settings| settings.api.auth = AuthMode::Required).await
    }

    /// An API on these servers.
    pub async fn on(redis: &str, amqp: &str) -> Self {
        Self::with(redis, amqp, |_| {}).await
    }

    /// The same with other settings.
    pub async fn with(redis: &str, amqp: &str, change: impl FnOnce(&mut Settings)) -> Self {
        Self::start(redis, amqp, None, change).await
    }

    async fn start(
        redis: &str,
        amqp: &str,
        probes: Option<TcpListener>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let store = tempfile::tempdir().unwrap();
        let mut settings = settings(redis, amqp, store.path());
        if let Some(probes) = &probes {
            settings.probes.listen = probes.local_addr().unwrap().to_string();
        }
        change(&mut settings);
        let connector = Connector::new(settings.redis.options()).unwrap();
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let api = Api::new(&settings, Health::default(), metrics).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let serving = tokio::spawn(api.serve_with_probes(listener, probes, stop.clone()));
        Self { connector, base, client: Client::new(), settings, store, stop, serving }
    }

    /// The address of its RabbitMQ.
    pub fn amqp(&self) -> &str {
        self.settings.amqp.url.expose()
    }

    pub fn queue(&self, name: &str) -> upshot_queue::Client {
        upshot_queue::Client::new(&self.connector, name.parse().unwrap()).unwrap()
    }

    /// Where stored files are.
    pub fn store(&self) -> &Path {
        self.store.path()
    }

    /// Enqueues a job as the bridge does.
    pub async fn enqueue(&self, queue: &str, job: NewJob) -> JobId {
        let id = job.id.clone();
        self.queue(queue).enqueue(&[job]).await.unwrap();
        id
    }

    /// Enqueues the jobs of an event as the bridge does.
    pub async fn enqueue_event(&self, event: &Value) -> Vec<JobId> {
        let event = Event::decode_structured(&Bytes::from(event.to_string())).unwrap();
        let jobs = Intake::new(self.settings.intake()).unwrap().jobs(&event).unwrap();
        let mut ids = Vec::new();
        for (queue, job) in jobs {
            ids.push(self.enqueue(queue.as_str(), job).await);
        }
        ids
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    /// The JSON of an answer with this status.
    pub async fn json(&self, path: &str, status: u16) -> Value {
        body(self.get(path).await, status).await
    }

    /// Asks for a change with this JSON body; none for `null`.
    pub async fn send(&self, method: &str, path: &str, body: &Value) -> Response {
        let request = self.client.request(method.parse().unwrap(), self.url(path));
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        request.send().await.unwrap()
    }

    /// The JSON of the answer to a change, with this status.
    pub async fn change(&self, path: &str, said: Value, status: u16) -> Value {
        body(self.send("POST", path, &said).await, status).await
    }

    /// Posts a structured event.
    pub async fn post(&self, event: impl Into<reqwest::Body>) -> Response {
        let request = self.client.post(self.url("/v1/events"));
        request.header(header::CONTENT_TYPE, "application/cloudevents+json").body(event).send().await.unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) }
    }

    /// Tells the API to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Every test ends with this: the API ends in good order, streams and all.
    pub async fn finish(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.serving).await;
        ended.expect("the API did not stop").unwrap();
    }
}

/// The body of an answer with this status; of an error it must be a problem.
pub async fn body(response: Response, status: u16) -> Value {
    let (found, url) = (response.status(), response.url().to_string());
    let headers = response.headers().clone();
    let text = response.text().await.unwrap();
    assert_eq!(found, StatusCode::from_u16(status).unwrap(), "{url}: {text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    if status >= 400 {
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(headers["x-request-id"].to_str().ok(), body["request_id"].as_str());
        let code = body["code"].as_str().unwrap();
        assert_eq!(body["type"], format!("/problems/{code}"), "{body}");
        assert_eq!(body["status"], status);
    }
    body
}

/// An event that is in order, with this id.
pub fn event(id: &str) -> Value {
    let text = include_str!("../../../contracts/events/examples/order.completed.v1.json");
    let mut event: Value = serde_json::from_str(text).unwrap();
    event["id"] = json!(id);
    event
}

/// Of these events one a month is enough.
pub fn report(id: &str, month: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/shops/berlin", "type": "report.due.v1", "tenant": "acme",
        "data": {"month": month},
    })
}

/// A job as it comes from an event, expected within an hour.
pub fn job(id: &str, kind: &str) -> NewJob {
    NewJob {
        tenant: Some("acme".to_owned()),
        subject: Some(format!("order-{id}")),
        expect: Some(Expect::new("r", Duration::from_secs(3600))),
        labels: BTreeMap::from(
            [(LABEL_ID, id), (LABEL_SOURCE, "/shops/berlin"), (LABEL_TYPE, "order.completed.v1")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        ),
        ..NewJob::new(JobId::derive(&[id, kind]), kind, r#"{"secret":"of a customer"}"#)
    }
}

fn settings(redis: &str, amqp: &str, store: &Path) -> Settings {
    let mut settings = Settings::default();
    settings.redis.url = redis.into();
    settings.redis.prefix = format!("t{}", JobId::random());
    settings.amqp.url = amqp.into();
    settings.store.url = format!("file://{}", store.display()).into();
    settings.bridge.max_event_bytes.0 = 8 << 10;
    for queue in QUEUES {
        let queue: QueueName = queue.parse().unwrap();
        settings.queues.insert(queue, QueueSettings::default());
    }
    let contract = include_str!("../../../contracts/events/order.completed.v1.schema.json");
    settings.contracts.built_in = vec![("order.completed.v1", contract)];
    let hidden = json!({"order.completed.v1": ["/customer/name", "/customer/email", "/customer/address"]});
    settings.redact.paths = serde_json::from_value(hidden).unwrap();
    let minute = Duration::from_secs(60);
    let invoices: QueueName = "invoices".parse().unwrap();
    settings.routes.push(Route::new("order.completed.v1", "invoice.issue", invoices, 15 * minute));
    for (job, queue) in [("order.confirm", "emails"), ("order.reserve", "invoices")] {
        settings.routes.push(Route::new("order.confirmed.v1", job, queue.parse().unwrap(), minute));
    }
    settings.routes.push(Route {
        unique: Some(UniqueRule {
            key: "monthly:{tenant}:{/month}".parse().unwrap(),
            scope: Scope::default(),
            lifetime: Duration::from_secs(3600),
            replaces_dead: false,
        }),
        ..Route::new("report.due.v1", "report.make", "emails".parse().unwrap(), minute)
    });
    settings
}
