//! Tenants and classes that always have work get what they are to get.
//!
//! The model says nothing about whose turn it is; here it is counted.

use std::{collections::BTreeMap, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use upshot_queue::{
    Crashes, Job, JobId, Limit, LimitKey, NewJob, Priority, Shares, Wait,
    protocol::{Claim, Disposition, EndedAttempt},
};

use crate::handles::Queue;

use crate::server::Server;

/// A worker that ends at once what it gets.
struct Worker {
    queue: Queue,
    shares: Shares,
    ahead: usize,
    number: u64,
}

impl Worker {
    async fn new(server: &Server) -> Self {
        let queue = server.queue();
        server.set_clock(&queue, 1_800_000_000_000_000).await;
        Self { queue, shares: Shares { high: 0.0, normal: 0.0, low: 0.0 }, ahead: 1, number: 0 }
    }

    async fn enqueue(&self, n: usize, job: impl Fn(NewJob) -> NewJob) {
        let jobs: Vec<NewJob> = (0..n).map(|_| job(NewJob::new(JobId::random(), "test", ""))).collect();
        self.queue.enqueue(&jobs).await.unwrap();
    }

    async fn claim(&mut self, want: usize) -> Vec<Job> {
        self.number += 1;
        let lease = Duration::from_secs(60);
        let claim = Claim {
            worker: "w",
            want,
            lease,
            crashes: &Crashes::new(2, Wait::NONE),
            crashes_by_kind: &[],
            kinds: None,
            request_id: self.number,
            shares: self.shares,
            quantum: self.ahead,
        };
        let claimed = self.queue.worker.claim(&claim).await.unwrap();
        claimed.jobs(&self.queue, "w").map(Result::unwrap).collect()
    }

    async fn end(&self, jobs: &[Job]) {
        let flow = |job: &Job| {
            let tenant = job.tenant.clone().unwrap_or_default();
            job.limit_keys.iter().fold(tenant, |flow, key| format!("{flow}|{key}"))
        };
        let ended = |job: &Job| EndedAttempt {
            expectation: job.expectation,
            id: job.id.clone(),
            token: job.token,
            flow: flow(job),
            args: job.args.len(),
            clock: None,
            disposition: Disposition::Succeed("null".to_owned()),
        };
        let batch: Vec<EndedAttempt> = jobs.iter().map(ended).collect();
        assert!(self.queue.worker.settle("w", &batch).await.unwrap().into_iter().all(|written| written));
    }
}

struct Tenant {
    weight: f64,
    /// How many lanes its jobs wait in.
    lanes: usize,
    served: f64,
}

/// While all have work, what they were served by weight differs by no more than
/// a turn of each, however many lanes one has.
#[tokio::test]
async fn tenants_share_by_weight_at_any_moment() {
    share_by_weight(16, 1).await;
    share_by_weight(100, 1).await;
}

/// Of large claims a lane may be given some jobs ahead of its turn, and no more.
#[tokio::test]
async fn tenants_share_by_weight_in_large_claims() {
    share_by_weight(100, 25).await;
    share_by_weight(100, 100).await;
}

/// In claims of up to `most` jobs, and no further apart than by turns and `ahead`.
async fn share_by_weight(most: usize, ahead: usize) {
    let server = Server::connect().await;
    let jobs_a_lane = most * 12;
    // A turn is a job of each lane; what is more than one comes on top.
    let lead = if ahead > 1 { ahead as f64 } else { 0.0 };
    for seed in 0..30 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut worker = Worker { ahead, ..Worker::new(&server).await };
        let mut tenants = BTreeMap::new();
        for i in 0..rng.random_range(2..6) {
            let name = format!("tenant{i}");
            let weight = [0.5, 1.0, 2.0, 5.0][rng.random_range(0..4)];
            let lanes = rng.random_range(1..4);
            if weight != 1.0 {
                worker
                    .queue
                    .operator
                    .set_limit(&LimitKey::Tenant(name.clone()), Limit::weight(weight))
                    .await
                    .unwrap();
            }
            for lane in 0..lanes {
                let keys: Vec<String> = (0..lane).map(|key| format!("key{key}")).collect();
                let job = |job| NewJob { tenant: Some(name.clone()), limit_keys: keys.clone(), ..job };
                worker.enqueue(jobs_a_lane, job).await;
            }
            tenants.insert(name, Tenant { weight, lanes, served: 0.0 });
        }
        // No lane can be empty after that many.
        let mut left = jobs_a_lane - most;
        while left > 0 {
            let jobs = worker.claim(rng.random_range(1..=left.min(most))).await;
            left -= jobs.len();
            for job in &jobs {
                tenants.get_mut(job.tenant.as_deref().unwrap()).unwrap().served += 1.0;
            }
            worker.end(&jobs).await;
            for (one, a) in &tenants {
                for (other, b) in &tenants {
                    let apart = (a.served / a.weight - b.served / b.weight).abs();
                    let bound = a.lanes as f64 / a.weight + b.lanes as f64 / b.weight + lead;
                    assert!(
                        apart <= bound + 1e-6,
                        "seed {seed}: {one} and {other} are {apart} apart, not {bound}"
                    );
                }
            }
        }
        server.remove(&worker.queue).await;
    }
}

/// Lanes that are held by a limit and let in again keep the shares.
#[tokio::test]
async fn tenants_share_the_room_under_one_limit() {
    let server = Server::connect().await;
    let mut worker = Worker::new(&server).await;
    worker.queue.operator.set_limit(&LimitKey::Key("smtp".to_owned()), Limit::concurrency(1)).await.unwrap();
    worker.queue.operator.set_limit(&LimitKey::Tenant("big".to_owned()), Limit::weight(3.0)).await.unwrap();
    for tenant in ["big", "small", "other"] {
        let (tenant, keys) = (Some(tenant.to_owned()), vec!["smtp".to_owned()]);
        worker.enqueue(200, |job| NewJob { tenant: tenant.clone(), limit_keys: keys.clone(), ..job }).await;
    }
    let mut served: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..100 {
        let jobs = worker.claim(4).await;
        assert_eq!(jobs.len(), 1);
        *served.entry(jobs[0].tenant.clone().unwrap()).or_default() += 1;
        worker.end(&jobs).await;
    }
    let of = |tenant: &str| served.get(tenant).copied().unwrap_or_default();
    let (big, small, other) = (of("big"), of("small"), of("other"));
    assert!((58..=62).contains(&big) && small.abs_diff(other) <= 2, "{served:?}");
    server.remove(&worker.queue).await;
}

/// A class keeps its share also where all wait for the same limit.
#[tokio::test]
async fn classes_share_the_room_under_one_limit() {
    let server = Server::connect().await;
    let mut worker = Worker::new(&server).await;
    worker.shares = Shares { high: 0.0, normal: 0.0, low: 0.25 };
    worker.queue.operator.set_limit(&LimitKey::Key("smtp".to_owned()), Limit::concurrency(1)).await.unwrap();
    for priority in [Priority::Critical, Priority::Low] {
        let keys = vec!["smtp".to_owned()];
        worker.enqueue(200, |job| NewJob { priority, limit_keys: keys.clone(), ..job }).await;
    }
    let mut low = 0;
    for _ in 0..100 {
        let jobs = worker.claim(1).await;
        assert_eq!(jobs.len(), 1);
        low += usize::from(jobs[0].priority == Priority::Low);
        worker.end(&jobs).await;
    }
    assert!((20..=30).contains(&low), "{low} of 100 were of the lower class");
    server.remove(&worker.queue).await;
}

/// Also where a limit holds all lanes but one: a tenant does not get more turns by
/// having more lanes.
#[tokio::test]
async fn a_tenant_with_several_lanes_is_one_tenant_under_a_limit() {
    let server = Server::connect().await;
    let mut worker = Worker::new(&server).await;
    worker.queue.operator.set_limit(&LimitKey::Key("smtp".to_owned()), Limit::concurrency(1)).await.unwrap();
    for (tenant, also) in [("many", None), ("many", Some("a")), ("many", Some("b")), ("one", None)] {
        let keys: Vec<String> = ["smtp"].into_iter().chain(also).map(ToOwned::to_owned).collect();
        let tenant = Some(tenant.to_owned());
        worker.enqueue(150, |job| NewJob { tenant: tenant.clone(), limit_keys: keys.clone(), ..job }).await;
    }
    let mut one = 0;
    for _ in 0..100 {
        let jobs = worker.claim(4).await;
        assert_eq!(jobs.len(), 1);
        one += usize::from(jobs[0].tenant.as_deref() == Some("one"));
        worker.end(&jobs).await;
    }
    assert!((45..=55).contains(&one), "{one} of 100 were of the tenant with one lane");
    server.remove(&worker.queue).await;
}

/// A job that needs a token and a place gets both where others use up either: what is kept
/// for it is the place, as there is but one token and that comes by time.
#[tokio::test]
async fn a_place_is_kept_for_a_job_that_waits_for_a_token() {
    let server = Server::connect().await;
    let mut worker = Worker::new(&server).await;
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    worker.queue.operator.set_limit(&LimitKey::Key("mail".to_owned()), Limit::rate(10.0, 1)).await.unwrap();
    worker.queue.operator.set_limit(&LimitKey::Key("slow".to_owned()), Limit::concurrency(1)).await.unwrap();
    for key in ["mail", "slow"] {
        worker.enqueue(60, |job| NewJob { limit_keys: keys(&[key]), ..job }).await;
    }
    worker.enqueue(1, |job| NewJob { limit_keys: keys(&["slow", "mail"]), ..job }).await;
    let mut clock = 1_800_000_000_000_000;
    let mut slow: Vec<Job> = Vec::new();
    // Each round a token comes while the place is taken, and the place is free when the token
    // is gone.
    for round in 0.. {
        assert!(round < 20, "others have had the token or the place {round} times");
        for part in 0..2 {
            let jobs = worker.claim(8).await;
            if jobs.iter().any(|job| job.limit_keys.len() == 2) {
                assert!(round > 0, "it had to wait");
                worker.end(&jobs).await;
                worker.end(&slow).await;
                server.remove(&worker.queue).await;
                return;
            }
            let (mails, others): (Vec<Job>, Vec<Job>) =
                jobs.into_iter().partition(|job| job.limit_keys == ["mail"]);
            assert_eq!(mails.len(), 1 - part, "the token is kept for nobody");
            worker.end(&mails).await;
            worker.end(&std::mem::replace(&mut slow, others)).await;
        }
        clock += 100_000;
        server.set_clock(&worker.queue, clock).await;
    }
}
