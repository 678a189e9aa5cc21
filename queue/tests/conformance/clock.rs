//! Redis' clock set back, or ahead. A test's clock stands in for it: scripts read no other.

use std::time::Duration;

use redis::AsyncCommands;
use upshot_queue::{
    Connection, Crashes, FailureClass, JobId, Limit, LimitKey, NewJob, Shares, State, Trimmed, Wait,
    protocol::{Claim, Disposition, EndedAttempt},
};

use crate::handles::Queue;

use crate::{
    by_hand::{self, bury, park, succeed},
    fixture::Fixture,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const LEASE: Duration = Duration::from_secs(60);

/// A queue whose clock the test sets.
struct Timed {
    fixture: Fixture,
    queue: Queue,
    conn: Connection,
    us: i64,
    number: u64,
}

impl Timed {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let queue = fixture.queue.clone().with_test_clock();
        let conn = fixture.connector.connect().unwrap();
        let mut timed = Self { fixture, queue, conn, us: 1_800_000_000_000_000, number: 0 };
        timed.ahead(Duration::ZERO).await;
        timed
    }

    async fn ahead(&mut self, by: Duration) {
        self.us += by.as_micros() as i64;
        let () = self.conn.set(self.queue.keys().clock(), self.us).await.unwrap();
    }

    async fn back(&mut self, by: Duration) {
        self.us -= by.as_micros() as i64;
        self.ahead(Duration::ZERO).await;
    }

    fn job() -> NewJob {
        NewJob::new(JobId::random(), "test", "1")
    }

    async fn enqueue(&self, jobs: &[NewJob]) {
        self.queue.enqueue(jobs).await.unwrap();
    }

    /// Claims up to so many jobs; their ids.
    async fn claim(&mut self, worker: &str, want: usize) -> Vec<(JobId, u64)> {
        self.number += 1;
        let claim = Claim {
            worker,
            want,
            lease: LEASE,
            crashes: &Crashes::new(5, Wait::NONE),
            crashes_by_kind: &[],
            kinds: Some(&["1|test".to_owned()]),
            request_id: self.number,
            shares: Shares::default(),
            quantum: 160,
        };
        let claimed = self.queue.worker.claim(&claim).await.unwrap();
        claimed.jobs(&self.queue, worker).map(|job| job.map(|job| (job.id, job.token)).unwrap()).collect()
    }

    async fn end(&self, worker: &str, jobs: &[(JobId, u64)], end: &Disposition) {
        let ended = |(id, token): &(JobId, u64)| EndedAttempt {
            expectation: None,
            id: id.clone(),
            token: *token,
            flow: String::new(),
            args: 1,
            clock: None,
            disposition: end.clone(),
        };
        let batch: Vec<EndedAttempt> = jobs.iter().map(ended).collect();
        assert!(self.queue.worker.settle(worker, &batch).await.unwrap().into_iter().all(|written| written));
    }

    async fn count(&self, state: State) -> u64 {
        self.queue.counts().await.unwrap().of(state)
    }

    fn finish(self) {
        self.fixture.finish_damaged();
    }
}

#[tokio::test]
async fn a_lease_lasts_for_its_length_at_most() {
    let mut timed = Timed::new().await;
    timed.enqueue(&[Timed::job(), Timed::job()]).await;
    assert_eq!(timed.queue.worker.mind_clock().await.unwrap().set_back, Duration::ZERO);
    let lost = timed.claim("gone", 1).await;
    let kept = timed.claim("lives", 1).await;
    timed.back(HOUR).await;
    let clock = timed.queue.worker.mind_clock().await.unwrap();
    assert_eq!((clock.set_back, clock.anew), (HOUR, 2));
    // Whoever lives loses nothing.
    assert!(timed.claim("other", 9).await.is_empty());
    timed.ahead(LEASE / 2).await;
    let leases = kept.iter().map(|(id, token)| (id, *token));
    assert!(timed.queue.worker.renew("lives", LEASE, leases).await.unwrap().lost.is_empty());
    timed.ahead(LEASE / 2 + SECOND).await;
    let taken = timed.claim("other", 9).await;
    assert_eq!(taken, [(lost[0].0.clone(), 2)], "and no sooner, and nothing else");
    assert_eq!(
        timed.queue.worker.mind_clock().await.unwrap().set_back,
        Duration::ZERO,
        "it is counted anew once"
    );
    timed.finish();
}

#[tokio::test]
async fn a_delay_lasts_for_what_is_left_of_it() {
    let mut timed = Timed::new().await;
    timed.queue.worker.mind_clock().await.unwrap();
    let soon = NewJob { delay: SECOND * 10, ..Timed::job() };
    timed.enqueue(&[Timed::job(), soon.clone()]).await;
    let failed = timed.claim("one", 1).await;
    let (normal, line) = ("away".to_owned(), String::new());
    let again = Disposition::Retry { delay: SECOND * 20, class: FailureClass::Transient, normal, line };
    timed.end("one", &failed, &again).await;
    timed.queue.worker.mind_clock().await.unwrap();
    timed.back(HOUR * 5).await;
    assert_eq!(timed.queue.worker.mind_clock().await.unwrap().anew, 2);
    timed.ahead(SECOND * 11).await;
    assert_eq!(timed.claim("one", 9).await, [(soon.id, 1)]);
    timed.ahead(SECOND * 10).await;
    assert_eq!(timed.claim("one", 9).await, [(failed[0].0.clone(), 2)]);
    timed.finish();
}

#[tokio::test]
async fn a_rate_goes_on_at_its_pace() {
    let mut timed = Timed::new().await;
    timed.queue.worker.mind_clock().await.unwrap();
    let key = LimitKey::Key("smtp".to_owned());
    timed.queue.operator.set_limit(&key, Limit::rate(1.0, 1)).await.unwrap();
    let limited = |_| NewJob { limit_keys: vec!["smtp".to_owned()], ..Timed::job() };
    let jobs: Vec<NewJob> = (0..4).map(limited).collect();
    timed.enqueue(&jobs).await;
    assert_eq!(timed.claim("one", 9).await.len(), 1);
    assert_eq!(timed.claim("one", 9).await.len(), 0, "the lane waits");
    timed.back(DAY).await;
    assert_eq!(timed.queue.worker.mind_clock().await.unwrap().anew, 2, "the lease, and the next token");
    let mut started = 0;
    for _ in 0..8 {
        timed.ahead(SECOND).await;
        let now = timed.claim("one", 9).await.len();
        assert!(now <= 1, "{now} in a second");
        started += now;
    }
    assert_eq!(started, 3, "the next ones");
    timed.finish();
}

#[tokio::test]
async fn nobody_waits_for_a_count_of_another_time() {
    let mut timed = Timed::new().await;
    timed.queue.worker.mind_clock().await.unwrap();
    let key = LimitKey::Key("smtp".to_owned());
    timed.queue.operator.set_limit(&key, Limit::concurrency(5)).await.unwrap();
    // Whoever counted is gone.
    let until = timed.us / 1000 + 10_000;
    let counting = timed.queue.keys().counting();
    let () = timed.conn.hset(counting, "key:smtp", until).await.unwrap();
    let job = NewJob { limit_keys: vec!["smtp".to_owned()], ..Timed::job() };
    timed.enqueue(&[job]).await;
    assert!(timed.claim("one", 1).await.is_empty());
    timed.back(HOUR).await;
    timed.queue.worker.mind_clock().await.unwrap();
    timed.ahead(SECOND * 11).await;
    assert_eq!(timed.claim("one", 1).await.len(), 1);
    timed.finish();
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_erases_no_history() {
    for (end, state) in
        [(succeed(), State::Succeeded), (bury(), State::Dead), (by_hand::cancel(), State::Cancelled)]
    {
        let mut timed = Timed::new().await;
        let jobs: Vec<NewJob> = (0..100).map(|_| Timed::job()).collect();
        timed.enqueue(&jobs).await;
        let claimed = timed.claim("one", 100).await;
        timed.end("one", &claimed, &end).await;
        let keep = DAY * 30;
        // As the sweeper does, while all is well.
        let trimmed = timed.queue.worker.trim(state, keep).await.unwrap();
        assert_eq!((trimmed.forgotten, trimmed.held), (0, false));
        timed.ahead(DAY * 3650).await;
        let mut forgotten = Vec::new();
        for _ in 0..3 {
            let (mut all, mut held) = (0, false);
            for _ in 0..9 {
                let trimmed = timed.queue.worker.trim(state, keep).await.unwrap();
                all += trimmed.forgotten;
                held |= trimmed.held;
            }
            assert!(held, "{state}: it is said");
            forgotten.push(all);
            timed.ahead(HOUR + SECOND).await;
        }
        assert_eq!(forgotten, [25, 19, 14], "{state}: a quarter of what is kept, an hour");
        // Set right, it forgets nothing more.
        timed.back(DAY * 3650).await;
        timed.queue.worker.mind_clock().await.unwrap();
        assert_eq!(timed.queue.worker.trim(state, keep).await.unwrap().forgotten, 0);
        assert_eq!(timed.count(state).await, 42);
        // Whoever shortens the retention means it.
        timed.ahead(DAY).await;
        let trimmed = timed.queue.worker.trim(state, HOUR).await.unwrap();
        assert_eq!((trimmed.forgotten, trimmed.held), (42, false), "{state}");
        timed.finish();
    }
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_forgets_a_quarter_of_the_signals_an_hour() {
    let mut timed = Timed::new().await;
    let keep = DAY * 30;
    for n in 0..100 {
        let confirmed = format!("order-{n} confirmed").parse().unwrap();
        timed.queue.signal(&confirmed, &serde_json::json!(n)).await.unwrap();
    }
    assert_eq!(timed.queue.worker.trim_signals(keep).await.unwrap(), Trimmed::default());
    timed.ahead(DAY * 3650).await;
    for part in [25, 19] {
        let trimmed = timed.queue.worker.trim_signals(keep).await.unwrap();
        assert_eq!((trimmed.forgotten, trimmed.held), (part, true));
        assert_eq!(timed.queue.worker.trim_signals(keep).await.unwrap().forgotten, 0);
        timed.ahead(HOUR + SECOND).await;
    }
    // A shorter retention is meant.
    let trimmed = timed.queue.worker.trim_signals(HOUR).await.unwrap();
    assert_eq!((trimmed.forgotten, trimmed.held), (56, false));
    assert_eq!(timed.queue.counts().await.unwrap().signals.bytes, 0);
    timed.finish();
}

/// What ended by a clock that was ahead does not hold up what ended since.
#[tokio::test]
async fn what_ended_in_the_future_ended_just_now() {
    for (end, state) in [(succeed(), State::Succeeded), (bury(), State::Dead)] {
        let mut timed = Timed::new().await;
        timed.enqueue(&[Timed::job(), Timed::job()]).await;
        timed.ahead(DAY * 365).await;
        timed.queue.worker.mind_clock().await.unwrap();
        let early = timed.claim("one", 1).await;
        timed.end("one", &early, &end).await;
        timed.back(DAY * 365).await;
        timed.queue.worker.mind_clock().await.unwrap();
        let late = timed.claim("one", 1).await;
        timed.end("one", &late, &end).await;
        assert_eq!(timed.queue.worker.trim(state, DAY).await.unwrap().forgotten, 0);
        timed.ahead(HOUR * 2).await;
        let mut forgotten = 0;
        for _ in 0..4 {
            forgotten += timed.queue.worker.trim(state, HOUR).await.unwrap().forgotten;
        }
        assert_eq!(forgotten, 2, "{state}");
        timed.finish();
    }
}

#[tokio::test]
async fn kinds_take_turns_also_while_the_clock_is_behind() {
    let mut timed = Timed::new().await;
    timed.enqueue(&[Timed::job()]).await;
    let jobs = timed.claim("one", 1).await;
    timed.end("one", &jobs, &park("kind a@1")).await;
    let unknown = timed.queue.keys().unknown();
    timed.back(HOUR).await;
    timed.enqueue(&[Timed::job()]).await;
    let jobs = timed.claim("two", 1).await;
    timed.end("two", &jobs, &park("kind b@1")).await;
    let turns: Vec<String> = timed.conn.zrange(unknown, 0, -1).await.unwrap();
    assert_eq!(turns, ["a@1", "b@1"]);
    timed.finish();
}
