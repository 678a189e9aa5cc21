//! What no job needs is removed from the store, and nothing else.

use std::{
    fs::{self, File},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use serde_json::json;
use upshot_executor::{Context, Job, Jobs};
use upshot_queue::{Changed, Failure, JobId, NewJob, Park, State, Stop};
use upshot_runtime::store::{Drafts, Store, Sweeper, sweep};
use upshot_shared::{Evidence, Outcome};
use upshot_testkit::{TestRedis, own_redis};

/// A document that is written as a draft and filed in a second step.
#[derive(Debug, Deserialize)]
struct Document {
    /// Whether it is filed, and how the job ends.
    filed: bool,
    end: String,
}

#[derive(Clone)]
struct Office {
    store: Store,
    drafts: Drafts,
    /// Then all jobs go on.
    approved: Arc<AtomicBool>,
}

impl Job for Document {
    const KIND: &'static str = "document.file";
    const STEPS: &'static [&'static str] = &["render", "store"];
    type State = Office;

    async fn run(self, cx: &Context<Office>) -> Result<Outcome, Stop> {
        let office = cx.state();
        let key = office.drafts.key(cx.job(), "pdf");
        cx.step("render", async || office.store.put(&key, "draft".into()).await).await?;
        let again = office.approved.load(Ordering::Acquire);
        if self.filed || again {
            // As it is after a crash in the middle of this step: the draft is still there.
            let file = async || match office.store.get(&key).await {
                Ok(Some(_)) => Ok(()),
                _ => Err(Failure::permanent("the draft is gone")),
            };
            cx.step("store", file).await?;
        }
        match self.end.as_str() {
            _ if again => {}
            "dead" => return Err(Failure::permanent("no such customer").into()),
            "parked" => return Err(Park::new("approved", "nobody has approved it yet")?.into()),
            _ => {}
        }
        Ok(Outcome::achieved("filed", Evidence::new("object", [("key", key)])))
    }
}

/// Writes a file and all that is above it.
fn write(root: &Path, key: &str) {
    let path = root.join(key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "draft").unwrap();
}

fn make_old(path: &Path) {
    let then = SystemTime::now() - sweep::AGE - Duration::from_secs(60);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

/// All files under a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_and_half_written_files_that_no_job_needs_are_swept() {
    let server = own_redis().await;
    let root = tempfile::tempdir().unwrap();
    let redis = TestRedis::on(&server.url(), "test", "documents");
    let (queue, operator, settings) = (redis.queue.clone(), redis.operator(), &redis.settings);
    let store = Store::open(&format!("file://{}", root.path().display()), None).unwrap();
    let drafts = Drafts::new(&settings.redis.prefix);
    let sweeper = || Sweeper::new(store.clone(), &drafts, [queue.clone()], "store");
    assert_eq!(sweeper().round().await.unwrap(), sweep::Swept::default(), "the folder is empty");

    let office = Office { store: store.clone(), drafts: drafts.clone(), approved: Arc::default() };
    let approved = Arc::clone(&office.approved);
    let mut jobs = Jobs::new();
    let state = jobs.state(office);
    jobs.job::<Document>(&state).unwrap();
    let worker = redis.worker(jobs).await;
    let made = async |filed: bool, end: &str, state: State| -> JobId {
        let args = json!({"filed": filed, "end": end}).to_string();
        let job = NewJob::new(JobId::random(), "document.file", args);
        queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
        redis.until(&job.id, state).await.id
    };
    let dead = made(false, "dead", State::Dead).await;
    let parked = made(false, "parked", State::Parked).await;
    let filed = made(true, "dead", State::Dead).await;
    let succeeded = made(false, "succeeded", State::Succeeded).await;
    let cancelled = made(false, "parked", State::Parked).await;
    assert_eq!(operator.cancel(&cancelled).await.unwrap(), Changed::To(State::Cancelled));
    let forgotten = made(false, "dead", State::Dead).await;
    assert_eq!(
        operator.forget(std::slice::from_ref(&forgotten), Duration::ZERO).await.unwrap(),
        [Changed::Forgotten]
    );

    let damaged = made(false, "dead", State::Dead).await;
    let mut raw = redis.connector.connect().unwrap();
    let job = ::redis::cmd("HSET").arg(queue.keys().job(&damaged)).arg("job").arg("x").to_owned();
    job.query_async::<()>(&mut raw).await.unwrap();

    let draft = |id: &JobId| format!("drafts/{}/documents/{id}.pdf", settings.redis.prefix);
    let unknown = JobId::random();
    let others = [
        draft(&JobId::random()).replace("documents", "letters"),
        draft(&unknown).replace(&settings.redis.prefix, "another"),
        format!("drafts/{unknown}.pdf"),
        format!("invoices/{unknown}/INV-1.pdf"),
    ];
    let half = [format!("{}#1", draft(&unknown)), "invoices/INV-2.pdf#7".to_owned()];
    others.iter().chain(&half).for_each(|key| write(root.path(), key));
    files(root.path()).iter().for_each(|path| make_old(path));
    let young = draft(&unknown);
    write(root.path(), &young);

    // Of two at a time each thing is removed by one.
    let (mut one, mut two) = (sweeper(), sweeper());
    let (by_one, by_two) = tokio::join!(one.round(), two.round());
    let (by_one, by_two) = (by_one.unwrap(), by_two.unwrap());
    assert_eq!((by_one.drafts + by_two.drafts, by_one.staging + by_two.staging), (4, 2));
    for _ in 0..3 {
        assert_eq!(one.round().await.unwrap(), sweep::Swept::default());
    }
    let is_there = |key: &str| root.path().join(key).exists();
    for id in [&filed, &succeeded, &cancelled, &forgotten] {
        assert!(!is_there(&draft(id)), "{id}");
    }
    for key in others.iter().chain([&draft(&dead), &draft(&parked), &draft(&damaged), &young]) {
        assert!(is_there(key), "{key}");
    }
    assert!(!half.iter().any(|key| is_there(key)));

    // What can run again has its draft.
    approved.store(true, Ordering::Release);
    operator.retry(&dead).await.unwrap();
    operator.retry(&parked).await.unwrap();
    for id in [&dead, &parked] {
        redis.until(id, State::Succeeded).await;
    }
    files(root.path()).iter().for_each(|path| make_old(path));
    assert_eq!(one.round().await.unwrap().drafts, 3, "those two, and the young one");

    // Without Redis nothing is known to be needless.
    approved.store(false, Ordering::Release);
    let lost = made(false, "dead", State::Dead).await;
    make_old(&root.path().join(draft(&lost)));
    worker.stop().await;
    server.stop().await.unwrap();
    let blind = tokio::time::timeout(Duration::from_secs(5), one.round()).await;
    assert!(!matches!(blind, Ok(Ok(_))), "{blind:?}");
    assert!(is_there(&draft(&lost)));
}
