//! Lanes that need room under two keys get it under both, and hold up nobody for long.

use upshot_queue::{Job, JobId, Limit, LimitKey, Priority};

use crate::{
    by_hand,
    fixture::Fixture,
    limits::{claim, limited},
};

/// Two keys for one job each, both of which are always taken: whenever one ends another
/// lane has the place before the other key is free.
struct Busy {
    fixture: Fixture,
    number: u64,
    running: Vec<Job>,
}

impl Busy {
    /// Both keys have jobs of their own, and behind these comes one that needs both.
    async fn new() -> (Self, JobId) {
        let fixture = Fixture::new().await;
        for key in ["a", "b"] {
            fixture
                .queue
                .operator
                .set_limit(&LimitKey::Key(key.into()), Limit::concurrency(1))
                .await
                .unwrap();
            fixture.queue.enqueue(&limited(60, &format!("of-{key}"), &[key])).await.unwrap();
        }
        let mut busy = Self { fixture, number: 0, running: Vec::new() };
        busy.claim().await;
        assert_eq!(busy.running.len(), 2);
        // In the other order of names than that in which places are kept.
        let both = limited(1, "both", &["b", "a"]);
        busy.fixture.queue.enqueue(&both).await.unwrap();
        busy.claim().await;
        (busy, both[0].id.clone())
    }

    async fn claim(&mut self) {
        loop {
            self.number += 1;
            let claimed = claim(&self.fixture, self.number).await;
            let more = claimed.more;
            self.running.extend(by_hand::jobs(&self.fixture.queue, "one", claimed));
            if !more {
                return;
            }
        }
    }

    async fn end(&mut self, which: impl Fn(&Job) -> bool) {
        let (over, running): (Vec<Job>, _) = std::mem::take(&mut self.running).into_iter().partition(which);
        self.running = running;
        by_hand::settle(&self.fixture.queue, "one", &over, &by_hand::succeed()).await;
    }

    /// Ends the job that runs under a key, if there is one, and starts what can start.
    async fn next(&mut self, key: &str) {
        self.end(|job| job.limit_keys.iter().any(|each| each == key)).await;
        self.claim().await;
    }

    /// Until one key has nobody running: its place is kept.
    async fn until_kept(&mut self) {
        for key in ["a", "b"].into_iter().cycle().take(20) {
            self.next(key).await;
            if self.running.len() < 2 {
                return;
            }
        }
        panic!("no place was kept in 20 rounds");
    }

    /// The key whose place is kept, and the other one.
    fn kept_and_other(&self) -> (&'static str, &'static str) {
        if self.running[0].limit_keys == ["a"] { ("b", "a") } else { ("a", "b") }
    }

    fn runs(&self, id: &JobId) -> bool {
        self.running.iter().any(|job| job.id == *id)
    }

    /// Ends what runs under one key and the next, until a job runs.
    async fn until_runs(&mut self, id: &JobId, keys: &[&str]) {
        let mut rounds = 0;
        while !self.runs(id) {
            assert!(rounds < 20, "others have had the places {rounds} times");
            self.next(keys[rounds % keys.len()]).await;
            rounds += 1;
        }
    }

    async fn enqueue_urgent(&self, n: usize, tenant: &str, keys: &[&str]) -> Vec<JobId> {
        let mut jobs = limited(n, tenant, keys);
        jobs.iter_mut().for_each(|job| job.priority = Priority::High);
        self.fixture.queue.enqueue(&jobs).await.unwrap();
        jobs.into_iter().map(|job| job.id).collect()
    }

    /// As it is after a lane was sent on a few times.
    async fn keep(&self, key: &str, lane: &str) {
        let mut promise = redis::cmd("HSET");
        promise.arg(self.fixture.queue.keys().promised()).arg(format!("key:{key}")).arg(lane);
        promise.exec_async(&mut self.fixture.connector.connect().unwrap()).await.unwrap();
    }

    async fn finish(mut self) {
        for key in ["a", "b"] {
            self.fixture
                .queue
                .operator
                .set_limit(&LimitKey::Key(key.into()), Limit::default())
                .await
                .unwrap();
        }
        self.end(|_| true).await;
        self.fixture.finish().await;
    }
}

#[tokio::test]
async fn a_job_that_needs_two_busy_keys_gets_both() {
    let (mut busy, both) = Busy::new().await;
    busy.until_runs(&both, &["a", "b"]).await;
    // Nothing is kept any longer.
    busy.next("a").await;
    assert_eq!(busy.running.len(), 2);
    busy.finish().await;
}

#[tokio::test]
async fn a_place_is_kept_for_nobody_who_is_gone() {
    let (mut busy, both) = Busy::new().await;
    busy.until_kept().await;
    busy.fixture.queue.operator.cancel(&both).await.unwrap();
    busy.claim().await;
    assert_eq!(busy.running.len(), 2, "the kept place is free again");
    busy.finish().await;
}

#[tokio::test]
async fn no_place_is_kept_while_the_other_key_is_closed() {
    let (mut busy, _) = Busy::new().await;
    busy.until_kept().await;
    let (kept, other) = busy.kept_and_other();
    busy.fixture.queue.operator.set_limit(&LimitKey::Key(other.into()), Limit::concurrency(0)).await.unwrap();
    for _ in 0..8 {
        busy.claim().await;
        assert_eq!(busy.running.len(), 2, "the kept place is free while {other} is closed");
        busy.next(kept).await;
    }
    busy.finish().await;
}

/// It runs in the kept place, and the lane for which that was kept comes to its turn later.
#[tokio::test]
async fn a_more_urgent_job_takes_a_place_that_is_kept() {
    let (mut busy, both) = Busy::new().await;
    busy.until_kept().await;
    let (kept, _) = busy.kept_and_other();
    let equal = limited(1, "equal", &[kept]);
    busy.fixture.queue.enqueue(&equal).await.unwrap();
    busy.claim().await;
    assert!(!busy.runs(&equal[0].id));
    let first = busy.enqueue_urgent(1, "urgent", &[kept]).await;
    busy.claim().await;
    assert!(busy.runs(&first[0]));
    // One that comes while it runs waits for the place, and is not held up by what is kept.
    let second = busy.enqueue_urgent(1, "urgent", &[kept]).await;
    busy.claim().await;
    assert!(!busy.runs(&second[0]));
    busy.next(kept).await;
    assert!(busy.runs(&second[0]));
    busy.until_runs(&both, &["a", "b"]).await;
    busy.finish().await;
}

/// More lanes need the key than are looked through in the call that sets it.
#[tokio::test]
async fn whatever_is_kept_is_given_up_when_the_key_it_waits_for_is_closed() {
    const LANES: usize = 200;
    let fixture = Fixture::new().await;
    let key = LimitKey::Key("shared".into());
    fixture.queue.operator.set_limit(&key, Limit::concurrency(1)).await.unwrap();
    let lane = |i: usize| (format!("tenant-{i:03}"), format!("key:own-{i:03}"));
    for i in 0..LANES {
        let own = format!("own-{i:03}");
        fixture.queue.operator.set_limit(&LimitKey::Key(own.clone()), Limit::concurrency(1)).await.unwrap();
        fixture.queue.enqueue(&limited(1, &lane(i).0, &[&own, "shared"])).await.unwrap();
    }
    let mut number = 0;
    let mut running = Vec::new();
    let waiting = async || fixture.queue.limit_use(&key).await.unwrap().waiting_lanes;
    while waiting().await < LANES as u64 - 1 {
        number += 1;
        assert!(number < 50, "{} lanes wait", waiting().await);
        running.extend(by_hand::jobs(&fixture.queue, "one", claim(&fixture, number).await));
    }
    // As it is after each was sent on a few times.
    let (keys, mut admin) = (fixture.queue.keys(), fixture.connector.connect().unwrap());
    let mut promise = redis::cmd("HSET");
    promise.arg(keys.promised());
    for i in 0..LANES {
        let (tenant, own) = lane(i);
        promise.arg(&own).arg(format!("2:{tenant}|{}|shared", own.trim_start_matches("key:")));
    }
    promise.exec_async(&mut admin).await.unwrap();
    fixture.queue.operator.set_limit(&key, Limit::concurrency(0)).await.unwrap();
    let mut kept = redis::cmd("HLEN");
    let kept: usize = kept.arg(keys.promised()).query_async(&mut admin).await.unwrap();
    assert_eq!(kept, 0);
    by_hand::settle(&fixture.queue, "one", &running, &by_hand::succeed()).await;
    fixture.queue.operator.set_limit(&key, Limit::default()).await.unwrap();
    for i in 0..LANES {
        let own = LimitKey::Key(format!("own-{i:03}"));
        fixture.queue.operator.set_limit(&own, Limit::default()).await.unwrap();
    }
    fixture.finish().await;
}

/// The limit of the other key is cleared just when the lane is to look for a place there.
#[tokio::test]
async fn a_lane_that_needs_one_key_only_by_now_waits_for_it_like_others() {
    let (mut busy, both) = Busy::new().await;
    busy.until_kept().await;
    let (kept, other) = busy.kept_and_other();
    let urgent = busy.enqueue_urgent(1, "urgent", &[kept]).await;
    busy.claim().await;
    assert!(busy.runs(&urgent[0]));
    // Its turn comes, and before anybody asks for work it needs one key only.
    busy.end(|job| job.limit_keys == [other]).await;
    busy.fixture.queue.operator.set_limit(&LimitKey::Key(other.into()), Limit::default()).await.unwrap();
    // Whoever cleared it died before the lane gave up what is kept for it.
    busy.keep(kept, "2:both|b|a").await;
    busy.claim().await;
    busy.until_runs(&both, &[kept]).await;
    busy.finish().await;
}

/// Both need the key of which a place is kept, and another one each.
#[tokio::test]
async fn a_more_urgent_lane_that_needs_two_keys_is_kept_the_place_instead() {
    let (mut busy, _) = Busy::new().await;
    busy.until_kept().await;
    let (kept, _) = busy.kept_and_other();
    let third = LimitKey::Key("c".into());
    busy.fixture.queue.operator.set_limit(&third, Limit::concurrency(1)).await.unwrap();
    for key in [kept, "c"] {
        busy.enqueue_urgent(60, &format!("urgent-{key}"), &[key]).await;
    }
    busy.claim().await;
    let urgent = busy.enqueue_urgent(1, "urgent-both", &[kept, "c"]).await;
    busy.until_runs(&urgent[0], &[kept, "c"]).await;
    busy.fixture.queue.operator.set_limit(&third, Limit::default()).await.unwrap();
    busy.finish().await;
}

/// It was planned for a job that is not there, and another lane was told that it is taken.
#[tokio::test]
async fn a_kept_place_that_was_not_used_is_there_for_the_next_urgent_lane() {
    let (mut busy, _) = Busy::new().await;
    busy.until_kept().await;
    let (kept, _) = busy.kept_and_other();
    let gone = busy.enqueue_urgent(1, "gone", &[kept]).await;
    let next = busy.enqueue_urgent(1, "next", &[kept]).await;
    busy.fixture.queue.operator.cancel(&gone[0]).await.unwrap();
    busy.claim().await;
    assert!(busy.runs(&next[0]));
    busy.finish().await;
}

/// Two places are free at once, of which one is kept.
#[tokio::test]
async fn urgent_lanes_are_let_in_for_the_free_place_and_for_the_kept_one() {
    let fixture = Fixture::new().await;
    for (key, places) in [("a", 2), ("b", 1)] {
        fixture
            .queue
            .operator
            .set_limit(&LimitKey::Key(key.into()), Limit::concurrency(places))
            .await
            .unwrap();
    }
    let mut busy = Busy { fixture, number: 0, running: Vec::new() };
    for (tenant, keys) in [("of-b", &["b"][..]), ("both", &["a", "b"])] {
        busy.fixture.queue.enqueue(&limited(1, tenant, keys)).await.unwrap();
        busy.claim().await;
    }
    busy.keep("a", "2:both|a|b").await;
    for tenant in 0..4 {
        busy.enqueue_urgent(1, &format!("urgent-{tenant}"), &["a"]).await;
    }
    for round in 0..2 {
        busy.claim().await;
        let urgent = busy.running.iter().filter(|job| job.limit_keys == ["a"]).count();
        assert_eq!(urgent, 2, "in round {round}");
        busy.end(|job| job.limit_keys == ["a"]).await;
    }
    busy.finish().await;
}
