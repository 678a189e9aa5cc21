//! A store whose settings are wrong says so, and keeps its jobs.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "store/server.rs"]
mod server;
#[path = "store/sweep.rs"]
mod sweep;
#[path = "support/tls.rs"]
mod tls;

use std::{ffi::OsString, fs, path::Path, time::Duration};

use server::Server;
use tokio_util::sync::CancellationToken;
use upshot_executor::{Context, Job, Jobs};
use upshot_queue::{JobId, NewJob, Park, State, Stop};
use upshot_runtime::{
    Health,
    store::{Settled, Store, sha256_of},
};
use upshot_servers::Authority;
use upshot_shared::{Evidence, Outcome};
use upshot_testkit::{TestRedis, within};

fn variables(endpoint: &str) -> Vec<(OsString, OsString)> {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "me"),
        ("AWS_SECRET_ACCESS_KEY", "s3cr3t"),
        ("AWS_REGION", "eu-central-1"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into()
}

fn open(server: &Server) -> Store {
    let endpoint = format!("http://localhost:{}", server.port);
    Store::open_with("s3://bucket/prefix", None, variables(&endpoint)).unwrap()
}

fn parked(stop: &Stop) -> &Park {
    match stop {
        Stop::Parked(park) => park,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_kept_on_s3() {
    let server = Server::start(None).await;
    let store = open(&server);
    store.probe().await.unwrap();
    store.put("drafts/a", "content".into()).await.unwrap();
    assert_eq!(store.get("drafts/a").await.unwrap().unwrap(), "content");
    let sha256 = sha256_of(b"content");
    for _ in 0..2 {
        assert_eq!(store.settle("drafts/a", "final/a", &sha256).await.unwrap(), Settled::Done);
    }
    assert_eq!(store.settle("drafts/b", "final/b", &sha256).await.unwrap(), Settled::Gone);
    assert_eq!(server.keys(), ["prefix/final/a"]);
    assert!(store.get("drafts/a").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_s3_refuses_is_said_with_cause_and_remedy_and_parks() {
    let server = Server::start(None).await;
    let store = open(&server);
    for ((status, code), remedy) in [
        ((404, "NoSuchBucket"), "store.url"),
        ((403, "InvalidAccessKeyId"), "AWS_ACCESS_KEY_ID"),
        ((403, "SignatureDoesNotMatch"), "AWS_SECRET_ACCESS_KEY"),
        ((403, "AccessDenied"), "list the bucket"),
        ((401, "NotSignedUp"), "read, write and delete"),
        ((400, "AuthorizationHeaderMalformed"), "AWS_REGION"),
    ] {
        server.refuse(Some((status, code)));
        for stop in [
            store.put("a", "content".into()).await.unwrap_err(),
            store.get("a").await.unwrap_err(),
            store.settle("a", "b", "0").await.unwrap_err(),
            store.probe().await.unwrap_err(),
        ] {
            let why = &parked(&stop).why;
            assert!(why.contains(code) && why.contains(remedy) && !why.contains("s3cr3t"), "{why}");
            assert_eq!(why.matches(code).count(), 1, "said more than once: {why}");
        }
    }
    // A file that is not there is no wrong setting.
    server.refuse(None);
    assert!(store.get("a").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "authority").unwrap();
    let server = Server::start(Some(tls::acceptor(&authority))).await;
    let endpoint = format!("https://localhost:{}", server.port);
    let open = |ca_file: Option<&Path>| Store::open_with("s3://bucket/p", ca_file, variables(&endpoint));
    open(Some(&authority.file)).unwrap().probe().await.unwrap();
    let stop = open(None).unwrap().get("a").await.unwrap_err();
    let why = &parked(&stop).why;
    assert!(why.contains("certificate") && why.contains("store.ca_file"), "{why}");
    let missing = dir.path().join("missing.pem");
    let why = open(Some(&missing)).unwrap_err().to_string();
    assert!(why.contains("store.ca_file") && why.contains("missing.pem"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_said_with_cause_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("file://{}", dir.path().display()), None).unwrap();
    fs::write(dir.path().join("invoices"), "a file where a folder belongs").unwrap();
    let stop = store.put("invoices/a", "content".into()).await.unwrap_err();
    assert!(parked(&stop).why.contains("a part of the path of `store.url` is a file"), "{stop}");
}

/// Files something.
#[derive(serde::Deserialize)]
struct File {}

impl Job for File {
    const KIND: &'static str = "document.file";
    type State = Store;

    async fn run(self, cx: &Context<Store>) -> Result<Outcome, Stop> {
        cx.state().put("a", "content".into()).await?;
        Ok(Outcome::achieved("filed", Evidence::new("object", [("key", "a".to_owned())])))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_is_not_ready_and_its_jobs_wait_until_the_store_is_mended() {
    let redis = TestRedis::new("documents").await;
    let server = Server::start(None).await;
    let store = open(&server);
    let job = NewJob::new(JobId::random(), File::KIND, "{}");
    redis.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    server.refuse(Some((404, "NoSuchBucket")));
    let (health, stop) = (Health::default(), CancellationToken::new());
    let mut jobs = Jobs::new();
    let state = jobs.state(store.clone());
    jobs.job::<File>(&state).unwrap();
    let worker = redis.worker(jobs).await;
    let watch = store.watch(vec![redis.queue.clone()], health.clone(), Duration::from_millis(100));
    let watching = tokio::spawn(watch.run(stop.clone()));
    let waiting = redis.until(&job.id, State::Parked).await;
    let parked = waiting.parked.unwrap();
    assert!(parked.condition.contains("store") && parked.why.contains("NoSuchBucket"), "{parked:?}");
    assert_eq!(waiting.attempts, 0, "an attempt that changes nothing does not count");
    let why = async {
        loop {
            if let Some(why) = health.why_missing("store") {
                return why;
            }
            tokio::task::yield_now().await;
        }
    };
    let why = within("the executor is not ready", why).await;
    assert!(why.contains("NoSuchBucket") && why.contains("store.url"), "{why}");
    server.refuse(None);
    let done = redis.until(&job.id, State::Succeeded).await;
    assert_eq!(done.attempts, 1);
    health.wait_for(&["store"]).await;
    stop.cancel();
    watching.await.unwrap();
    worker.stop().await;
    redis.finish().await;
}
