//! Short lists of operations that were once done wrong.
//!
//! Each is what was left of a random run; the model judges it as it judges those.

use std::time::Duration;

use upshot_queue::{Crashes, JobId, Late, Limit, LimitKey, NewJob, Priority, Shares, Wait, protocol};

use crate::{
    operation::{
        Draft, Ending, Lease,
        Operation::{self, Advance, Cancel, Claim, Enqueue, Forget, PauseKind, SetLimit, Settle},
        Plan, WORKERS, Who,
    },
    run::run,
    server::Server,
};

async fn holds(operations: impl Into<Vec<Operation>>) {
    holds_with(Default::default(), operations).await;
}

/// The same with workers that run only some kinds.
async fn holds_with(runs: [Option<Vec<usize>>; WORKERS], operations: impl Into<Vec<Operation>>) {
    let plan = Plan { shares: false, runs, operations: operations.into() };
    if let Err(why) = run(&Server::connect().await, &plan).await {
        panic!("{why}");
    }
}

fn draft(job: usize) -> Draft {
    Draft {
        job,
        kind: 0,
        priority: Priority::Normal,
        tenant: None,
        limit_keys: Vec::new(),
        subject: None,
        delay_ms: 0,
        deadline: None,
        unique: None,
        replaces_dead: false,
        large: false,
    }
}

fn limited(job: usize, tenant: usize, priority: Priority) -> Draft {
    Draft { tenant: Some(tenant), limit_keys: vec![0], priority, ..draft(job) }
}

fn claim(want: usize) -> Operation {
    Claim { worker: 0, want, again: false }
}

fn settle(ending: Ending) -> Operation {
    Settle(Who { worker: 0, former: false }, vec![(Lease::Held(0), ending)])
}

fn one_at_a_time() -> Operation {
    SetLimit(LimitKey::Key("smtp".to_owned()), Limit::concurrency(1))
}

#[tokio::test]
async fn a_dead_job_is_forgotten_before_it_is_replaced() {
    let dead = Ending::Bury(upshot_queue::FailureClass::Permanent, 0);
    let replaces = Draft { replaces_dead: true, ..draft(0) };
    holds([Enqueue(vec![draft(0)]), claim(1), settle(dead), Enqueue(vec![replaces])]).await;
}

#[tokio::test]
async fn an_old_deadline_does_not_end_a_job_that_may_run_late() {
    let deadline = |then| Draft { deadline: Some((20_000, then)), ..draft(0) };
    let (first, second) = (deadline(Late::Expires), deadline(Late::Runs));
    let later = Advance(Duration::from_secs(21));
    let ended = [Enqueue(vec![first]), claim(1), settle(Ending::Succeed), Forget(vec![0], 0)];
    holds([&ended[..], &[Enqueue(vec![second]), later, claim(1)]].concat()).await;
}

#[tokio::test]
async fn a_job_found_by_its_idempotency_key_counts_it() {
    let unique = |job| Draft { unique: Some((0, upshot_queue::Scope::Queue)), ..draft(job) };
    holds([Enqueue(vec![unique(0)]), Enqueue(vec![unique(1)])]).await;
}

/// Of this key dead jobs give way, to other jobs.
#[tokio::test]
async fn a_duplicate_is_one_until_the_job_that_it_repeats_has_died() {
    let unique = |job| Enqueue(vec![Draft { unique: Some((2, upshot_queue::Scope::Queue)), ..draft(job) }]);
    let dead = settle(Ending::Bury(upshot_queue::FailureClass::Permanent, 0));
    let before = [unique(0), unique(1), unique(1), claim(1), dead];
    holds(
        [&before[..], &[unique(0), unique(2), unique(1), unique(0), Forget(vec![0], 0), unique(0)]].concat(),
    )
    .await;
}

#[tokio::test]
async fn a_cancelled_job_no_longer_waits_for_what_it_was_parked_for() {
    holds([Enqueue(vec![draft(0)]), claim(1), settle(Ending::Park(0, None)), Cancel(0)]).await;
}

#[tokio::test]
async fn a_key_that_is_named_twice_takes_its_room_once() {
    let twice = |job, tenant| Draft { limit_keys: vec![0, 0], ..limited(job, tenant, Priority::Normal) };
    let limit = SetLimit(LimitKey::Key("smtp".to_owned()), Limit::concurrency(2));
    holds([limit, Enqueue(vec![twice(0, 0), twice(1, 1)]), claim(2), claim(1)]).await;
}

/// Of the lanes behind a running job one is let in when that ends. It has no job
/// any more when its turn comes, and its class no other.
#[tokio::test]
async fn room_is_passed_on_by_a_lane_that_was_emptied() {
    let first = Enqueue(vec![limited(0, 0, Priority::Critical)]);
    let waiting = Enqueue(vec![limited(1, 1, Priority::High), limited(2, 2, Priority::Low)]);
    let ended = settle(Ending::Succeed);
    holds([one_at_a_time(), first, claim(1), waiting, claim(1), ended, Cancel(1), claim(1)]).await;
}

/// Two lanes are let in, each with one job, of a kind that is paused by then, and
/// the third has to follow.
#[tokio::test]
async fn room_is_passed_on_by_a_lane_whose_jobs_are_parked() {
    let two = SetLimit(LimitKey::Key("smtp".to_owned()), Limit::concurrency(2));
    let other = |job, tenant, priority| Draft { kind: 1, ..limited(job, tenant, priority) };
    let first = Enqueue(vec![other(0, 0, Priority::Critical), other(1, 0, Priority::Critical)]);
    let waiting = Enqueue(vec![
        limited(2, 0, Priority::High),
        limited(3, 1, Priority::Normal),
        other(4, 2, Priority::Low),
    ]);
    let ended = || settle(Ending::Succeed);
    holds([two, first, claim(2), waiting, claim(1), PauseKind(0), ended(), ended(), claim(4)]).await;
}

/// Of the jobs that a claim takes out of a lane under a limit none runs.
#[tokio::test]
async fn a_claim_leases_nothing_where_all_are_parked() {
    let waiting = Enqueue(vec![limited(0, 0, Priority::Normal)]);
    holds([one_at_a_time(), PauseKind(0), waiting, claim(2)]).await;
}

/// The lane that is let in has not been served yet when the run ends and the
/// scrubber looks.
#[tokio::test]
async fn a_lane_behind_one_that_was_let_in_is_not_stuck() {
    let first = Enqueue(vec![limited(0, 0, Priority::Normal)]);
    let waiting = Enqueue(vec![limited(1, 1, Priority::Normal), limited(2, 2, Priority::Normal)]);
    holds([one_at_a_time(), first, claim(1), waiting, claim(1), settle(Ending::Succeed)]).await;
}

/// The turns of classes run by clocks of their own: the low one has had few.
#[tokio::test]
async fn under_one_limit_the_more_urgent_class_goes_first_whatever_its_turn() {
    let served = |job| limited(job, 0, Priority::Critical);
    let mut operations = vec![Enqueue((10..20).map(served).collect()), claim(8), claim(8), one_at_a_time()];
    operations.extend((0..9).map(|_| settle(Ending::Succeed)));
    operations.push(Enqueue(vec![limited(1, 1, Priority::Low), limited(2, 0, Priority::Critical)]));
    operations.extend([claim(1), settle(Ending::Succeed), claim(1)]);
    holds(operations).await;
}

/// A claim whose answer was lost is answered with what is still held of it, and
/// says that there may be more: nobody looked.
#[tokio::test]
async fn a_repeated_claim_does_not_put_the_worker_to_sleep() {
    let again = Claim { worker: 0, want: 2, again: true };
    let jobs = Enqueue(vec![draft(0), draft(1), draft(2)]);
    holds([jobs, claim(2), settle(Ending::Succeed), again]).await;
}

/// Running jobs are counted for a limit after it is set. Somebody else clears it
/// in between; what is counted then would hold the room of the next limit.
#[tokio::test]
async fn a_limit_that_is_cleared_while_it_is_set_leaves_nothing() {
    let server = Server::connect().await;
    let queue = server.queue();
    server.set_clock(&queue, 1_800_000_000_000_000).await;
    let key = LimitKey::Key("smtp".to_owned());
    let job = NewJob { limit_keys: vec!["smtp".to_owned()], ..NewJob::new(JobId::random(), "test", "") };
    queue.enqueue(&[job]).await.unwrap();
    let (lease, shares) = (Duration::from_secs(60), Shares::default());
    let claim = protocol::Claim {
        worker: "w",
        want: 1,
        lease,
        crashes: &Crashes::new(2, Wait::NONE),
        crashes_by_kind: &[],
        kinds: None,
        request_id: 1,
        shares,
        quantum: 1,
    };
    assert_eq!(queue.worker.claim(&claim).await.unwrap().len(), 1);
    // On one connection each sends its first call before it has an answer.
    let (set, cleared) = tokio::join!(
        queue.operator.set_limit(&key, Limit::concurrency(1)),
        queue.operator.set_limit(&key, Limit::default())
    );
    set.unwrap();
    cleared.unwrap();
    let mut cmd = redis::cmd("HLEN");
    let counted: u64 = cmd.arg(queue.keys().holding()).query_async(&mut server.conn.clone()).await.unwrap();
    assert_eq!(counted, 0);
    server.remove(&queue).await;
}

/// Its id stands in the list twice, and claims come past one place and then the other.
#[tokio::test]
async fn a_job_that_left_its_lane_twice_is_passed_over_twice() {
    let again = [Cancel(0), Forget(vec![0], 0), Enqueue(vec![draft(0), draft(3)]), Cancel(0)];
    let start = [&[Enqueue(vec![draft(0), draft(1), draft(2)])], &again[..]].concat();
    for claims in 0..4 {
        holds([&start[..], &vec![claim(1); claims]].concat()).await;
    }
}

/// A worker that parks the first job of a lane under a limit uses no slot for it, and a worker
/// that runs the kind takes the job within the limit.
#[tokio::test]
async fn a_job_that_is_parked_for_its_kind_is_taken_within_its_limits() {
    let other = |job, tenant| Draft { kind: 1, ..limited(job, tenant, Priority::Normal) };
    let runs = [Some(vec![0]), Some(vec![1]), None];
    let by = |worker, want| Claim { worker, want, again: false };
    let jobs = Enqueue(vec![other(0, 0), limited(1, 0, Priority::Normal), other(2, 1), other(3, 0)]);
    let ended = Settle(Who { worker: 0, former: false }, vec![(Lease::Held(0), Ending::Succeed)]);
    holds_with(runs, [one_at_a_time(), jobs, by(0, 8), by(1, 8), ended, by(1, 8), by(2, 8)]).await;
}

/// A claim that is full with a large job of a lower class, by its share, says that there is more.
#[tokio::test]
async fn a_claim_that_has_no_room_for_a_job_that_is_parked_for_its_kind_says_so() {
    let urgent = Draft { kind: 1, priority: Priority::High, ..draft(0) };
    let large = Draft { large: true, ..draft(1) };
    let by = |worker, want| Claim { worker, want, again: false };
    let runs = [Some(vec![0]), None, None];
    let operations = vec![Enqueue(vec![urgent]), by(0, 1), Enqueue(vec![large]), by(1, 20), by(1, 20)];
    let plan = Plan { shares: true, runs, operations };
    if let Err(why) = run(&Server::connect().await, &plan).await {
        panic!("{why}");
    }
}

/// A worker that sleeps on a limit is woken when there is room for a job that is parked for its
/// kind: no lane waits for that.
#[tokio::test]
async fn room_for_a_job_that_is_parked_for_its_kind_wakes_a_worker_that_runs_it() {
    let other = |job| Draft { kind: 1, ..limited(job, 0, Priority::Normal) };
    let runs = [Some(vec![0]), Some(vec![1]), None];
    let by = |worker, want| Claim { worker, want, again: false };
    let jobs = Enqueue(vec![limited(0, 0, Priority::Normal)]);
    let ended = Settle(Who { worker: 0, former: false }, vec![(Lease::Held(0), Ending::Succeed)]);
    let unknown =
        [Enqueue(vec![other(1)]), SetLimit(LimitKey::Key("smtp".to_owned()), Limit::concurrency(2))];
    let parked = [by(0, 2), one_at_a_time(), by(1, 2), ended];
    holds_with(runs, [&[jobs, by(0, 1)][..], &unknown, &parked].concat()).await;
}
