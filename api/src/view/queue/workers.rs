//! The view of a queue's workers.

use std::collections::BTreeSet;

use serde::Serialize;
use upshot_queue::{QueueName, Workers};
use upshot_shared::Intake;
use utoipa::ToSchema;

/// The workers of a queue that told of themselves lately.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Workers)]
pub struct WorkersBody {
    /// How many there are. A worker that was killed counts for three leases more.
    count: u64,
    /// Jobs that they run at once.
    slots: u64,
    /// Their builds.
    builds: BTreeSet<String>,
    /// Kinds and versions of routes and of parked jobs that none of them runs.
    #[schema(example = json!(["invoice.issue@2"]))]
    kinds_without_worker: BTreeSet<String>,
}

impl WorkersBody {
    /// The view. `conditions` are those of parked jobs.
    pub fn new<'a>(
        workers: &Workers,
        queue: &QueueName,
        intake: &Intake,
        conditions: impl Iterator<Item = &'a str>,
    ) -> Self {
        let of_routes = intake.all_routes().filter(|route| route.queue == *queue);
        let of_routes = of_routes.map(|route| (route.job.clone(), route.version));
        let parked = conditions.filter_map(|condition| {
            let (kind, version) = condition.strip_prefix("kind ")?.rsplit_once('@')?;
            Some((kind.to_owned(), version.parse().ok()?))
        });
        let without = of_routes.chain(parked).filter(|(kind, version)| !workers.run(kind, *version));
        Self {
            count: workers.count,
            slots: workers.seen.iter().map(|worker| u64::from(worker.slots)).sum(),
            builds: workers.seen.iter().map(|worker| worker.build.clone()).collect(),
            kinds_without_worker: without.map(|(kind, version)| format!("{kind}@{version}")).collect(),
        }
    }
}
