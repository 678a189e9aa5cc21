//! Audits the books all the time, and says what they do not explain.
//!
//! What balances at one moment is compared every few seconds. Each job and each index is looked at in
//! a slow pass. The metric `upshot_unexplained` has what both found; it is 0 unless keys of Redis were
//! changed manually or lost, or there is a bug.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future;
use metrics::{describe_gauge, gauge};
use upshot_queue::{Audit, Client, Drift, QueueName};

/// How often what balances at one moment is compared.
const LOOK: Duration = Duration::from_secs(5);
/// The time between two passes over all jobs.
const PASS: Duration = Duration::from_secs(600);
/// A pass rests so many times as long as its last call took, which leaves Redis to others.
const REST: u32 = 20;

/// What the last looks found, by queue: expectations that the books do not explain.
#[derive(Debug, Default)]
pub struct Unexplained(Mutex<BTreeMap<QueueName, u64>>);

impl Unexplained {
    /// Those of a queue; 0 before the first look.
    pub fn of(&self, queue: &QueueName) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(queue).copied().unwrap_or(0)
    }

    fn set(&self, queue: &QueueName, found: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(queue.clone(), found);
    }
}

/// Audits queues for ever, and notes what it finds.
pub async fn audit(queues: impl IntoIterator<Item = Client>, found: Arc<Unexplained>) {
    describe_gauge!("upshot_unexplained", "Expectations that the books of a queue do not explain.");
    describe_gauge!(
        "upshot_unexplained_age_seconds",
        "How long there has been one that they do not explain."
    );
    future::join_all(queues.into_iter().map(|queue| Of::audit(queue, found.clone()))).await;
}

/// The expectations of which the books, and what they are compared with, differ.
pub fn differing(drifts: &[Drift]) -> u64 {
    drifts.iter().map(|drift| drift.books.abs_diff(drift.found)).sum()
}

/// The expectations that an audit does not explain. One may be counted more than once: as a
/// difference, and by its job.
pub fn unexplained(audit: &Audit) -> u64 {
    let differing = differing(&audit.drifts).max(differing(&audit.recounts));
    audit.unexplained_count.max(differing).max(audit.fallen.len() as u64)
}

/// The audit of one queue.
struct Of {
    queue: Client,
    /// What the last pass found.
    passed: AtomicU64,
    found: Arc<Unexplained>,
}

impl Of {
    async fn audit(queue: Client, found: Arc<Unexplained>) {
        let of = Self { queue, passed: AtomicU64::new(0), found };
        future::join(of.look(), of.pass()).await;
    }

    async fn look(&self) -> Infallible {
        let name = self.queue.name().to_string();
        let mut since = None;
        loop {
            match self.queue.balance().await {
                Ok(balance) => {
                    let drifts = balance.drifts();
                    let found = differing(&drifts).max(self.passed.load(Ordering::Relaxed));
                    if found > 0 && since.is_none() {
                        tracing::error!(queue = %name, found, ?drifts, "the books do not explain every expectation: `upshot audit` names them");
                    }
                    since = (found > 0).then(|| since.unwrap_or_else(Instant::now));
                    let age = since.map_or(0.0, |since| since.elapsed().as_secs_f64());
                    self.found.set(self.queue.name(), found);
                    gauge!("upshot_unexplained", "queue" => name.clone()).set(found as f64);
                    gauge!("upshot_unexplained_age_seconds", "queue" => name.clone()).set(age);
                }
                Err(error) => tracing::debug!(queue = %name, %error, "not audited"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn pass(&self) -> Infallible {
        loop {
            match self.queue.audit(async |took| tokio::time::sleep(took * REST).await).await {
                Ok(audit) => self.passed.store(unexplained(&audit), Ordering::Relaxed),
                Err(error) => tracing::debug!(queue = %self.queue.name(), %error, "not audited"),
            }
            tokio::time::sleep(PASS).await;
        }
    }
}
