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
            fixture.queue.set_limit(&LimitKey::Key(key.into()), Limit::concurrency(1)).await.unwrap();
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

    async fn finish(mut self) {
        for key in ["a", "b"] {
            self.fixture.queue.set_limit(&LimitKey::Key(key.into()), Limit::default()).await.unwrap();
        }
        self.end(|_| true).await;
        self.fixture.finish().await;
    }
}

#[tokio::test]
async fn a_job_that_needs_two_busy_keys_gets_both() {
    let (mut busy, both) = Busy::new().await;
    let mut rounds = 0;
    while !busy.running.iter().any(|job| job.id == both) {
        assert!(rounds < 20, "others have had the places of both keys {rounds} times");
        busy.next(["a", "b"][rounds % 2]).await;
        rounds += 1;
    }
    // Nothing is kept any longer.
    busy.next("a").await;
    assert_eq!(busy.running.len(), 2);
    busy.finish().await;
}

#[tokio::test]
async fn a_place_is_kept_for_nobody_who_is_gone() {
    let (mut busy, both) = Busy::new().await;
    busy.until_kept().await;
    busy.fixture.queue.cancel(&both).await.unwrap();
    busy.claim().await;
    assert_eq!(busy.running.len(), 2, "the kept place is free again");
    busy.finish().await;
}

#[tokio::test]
async fn no_place_is_kept_while_the_other_key_is_closed() {
    let (mut busy, _) = Busy::new().await;
    busy.until_kept().await;
    let other = if busy.running[0].limit_keys == ["a"] { "a" } else { "b" };
    busy.fixture.queue.set_limit(&LimitKey::Key(other.into()), Limit::concurrency(0)).await.unwrap();
    for _ in 0..8 {
        busy.claim().await;
        assert_eq!(busy.running.len(), 2, "the kept place is free while {other} is closed");
        busy.next(if other == "a" { "b" } else { "a" }).await;
    }
    busy.finish().await;
}

/// It runs in the kept place, and the lane for which that was kept comes to its turn later.
#[tokio::test]
async fn a_more_urgent_job_takes_a_place_that_is_kept() {
    let (mut busy, both) = Busy::new().await;
    busy.until_kept().await;
    let free = if busy.running[0].limit_keys == ["a"] { "b" } else { "a" };
    for priority in [Priority::Normal, Priority::High] {
        let mut job = limited(1, "urgent", &[free]);
        job[0].priority = priority;
        busy.fixture.queue.enqueue(&job).await.unwrap();
        busy.claim().await;
        let runs = busy.running.iter().any(|each| each.id == job[0].id);
        assert_eq!(runs, priority == Priority::High, "{priority} beside a lane of normal priority");
    }
    // One that comes while it runs waits for the place, and is not held up by what is kept.
    let mut behind = limited(1, "urgent", &[free]);
    behind[0].priority = Priority::High;
    busy.fixture.queue.enqueue(&behind).await.unwrap();
    busy.claim().await;
    assert!(busy.running.iter().all(|each| each.id != behind[0].id));
    busy.next(free).await;
    assert!(busy.running.iter().any(|each| each.id == behind[0].id));
    let mut rounds = 0;
    while !busy.running.iter().any(|job| job.id == both) {
        assert!(rounds < 20, "others have had the places of both keys {rounds} times");
        busy.next(["a", "b"][rounds % 2]).await;
        rounds += 1;
    }
    busy.finish().await;
}

/// More lanes need the key than are looked through in the call that sets it.
#[tokio::test]
async fn whatever_is_kept_is_given_up_when_the_key_it_waits_for_is_closed() {
    const LANES: usize = 200;
    let fixture = Fixture::new().await;
    let key = LimitKey::Key("shared".into());
    fixture.queue.set_limit(&key, Limit::concurrency(1)).await.unwrap();
    let lane = |i: usize| (format!("tenant-{i:03}"), format!("key:own-{i:03}"));
    for i in 0..LANES {
        let own = format!("own-{i:03}");
        fixture.queue.set_limit(&LimitKey::Key(own.clone()), Limit::concurrency(1)).await.unwrap();
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
    fixture.queue.set_limit(&key, Limit::concurrency(0)).await.unwrap();
    let mut kept = redis::cmd("HLEN");
    let kept: usize = kept.arg(keys.promised()).query_async(&mut admin).await.unwrap();
    assert_eq!(kept, 0);
    by_hand::settle(&fixture.queue, "one", &running, &by_hand::succeed()).await;
    fixture.queue.set_limit(&key, Limit::default()).await.unwrap();
    for i in 0..LANES {
        let own = LimitKey::Key(format!("own-{i:03}"));
        fixture.queue.set_limit(&own, Limit::default()).await.unwrap();
    }
    fixture.finish().await;
}

/// The limit of the other key is cleared just when the lane is to look for a place there.
#[tokio::test]
async fn a_lane_that_needs_one_key_only_by_now_waits_for_it_like_others() {
    let (mut busy, both) = Busy::new().await;
    busy.until_kept().await;
    let other = if busy.running[0].limit_keys == ["a"] { "a" } else { "b" };
    let free = if other == "a" { "b" } else { "a" };
    let mut urgent = limited(1, "urgent", &[free]);
    urgent[0].priority = Priority::High;
    busy.fixture.queue.enqueue(&urgent).await.unwrap();
    busy.claim().await;
    assert!(busy.running.iter().any(|each| each.id == urgent[0].id));
    // Its turn comes, and before anybody asks for work it needs one key only.
    busy.end(|job| job.limit_keys == [other]).await;
    busy.fixture.queue.set_limit(&LimitKey::Key(other.into()), Limit::default()).await.unwrap();
    // As it is where whoever cleared it died before the lane gave up what is kept for it.
    let mut promise = redis::cmd("HSET");
    promise.arg(busy.fixture.queue.keys().promised()).arg(format!("key:{free}")).arg("2:both|b|a");
    promise.exec_async(&mut busy.fixture.connector.connect().unwrap()).await.unwrap();
    busy.claim().await;
    let mut rounds = 0;
    while !busy.running.iter().any(|job| job.id == both) {
        assert!(rounds < 20, "it waits for the place that is kept for it");
        busy.next(free).await;
        rounds += 1;
    }
    busy.finish().await;
}

/// Both need the key of which a place is kept, and another one each.
#[tokio::test]
async fn a_more_urgent_lane_that_needs_two_keys_is_kept_the_place_instead() {
    let (mut busy, _) = Busy::new().await;
    busy.until_kept().await;
    let free = if busy.running[0].limit_keys == ["a"] { "b" } else { "a" };
    busy.fixture.queue.set_limit(&LimitKey::Key("c".into()), Limit::concurrency(1)).await.unwrap();
    for key in [free, "c"] {
        let mut jobs = limited(60, &format!("urgent-{key}"), &[key]);
        jobs.iter_mut().for_each(|job| job.priority = Priority::High);
        busy.fixture.queue.enqueue(&jobs).await.unwrap();
    }
    busy.claim().await;
    let mut urgent = limited(1, "urgent-both", &[free, "c"]);
    urgent[0].priority = Priority::High;
    busy.fixture.queue.enqueue(&urgent).await.unwrap();
    let mut rounds = 0;
    while !busy.running.iter().any(|job| job.id == urgent[0].id) {
        assert!(rounds < 20, "others have had the places of both keys {rounds} times");
        busy.next([free, "c"][rounds % 2]).await;
        rounds += 1;
    }
    busy.fixture.queue.set_limit(&LimitKey::Key("c".into()), Limit::default()).await.unwrap();
    busy.finish().await;
}

/// It was planned for a job that is not there, and another lane was told that it is taken.
#[tokio::test]
async fn a_kept_place_that_was_not_used_is_there_for_the_next_urgent_lane() {
    let (mut busy, _) = Busy::new().await;
    busy.until_kept().await;
    let free = if busy.running[0].limit_keys == ["a"] { "b" } else { "a" };
    let [mut gone, mut next] = ["gone", "next"].map(|tenant| limited(1, tenant, &[free]));
    gone[0].priority = Priority::High;
    next[0].priority = Priority::High;
    busy.fixture.queue.enqueue(&[gone[0].clone(), next[0].clone()]).await.unwrap();
    busy.fixture.queue.cancel(&gone[0].id).await.unwrap();
    busy.claim().await;
    assert!(busy.running.iter().any(|each| each.id == next[0].id));
    busy.finish().await;
}

/// Two places are free at once, of which one is kept.
#[tokio::test]
async fn urgent_lanes_are_let_in_for_the_free_place_and_for_the_kept_one() {
    let fixture = Fixture::new().await;
    let mut busy = Busy { fixture, number: 0, running: Vec::new() };
    let queue = busy.fixture.queue.clone();
    queue.set_limit(&LimitKey::Key("a".into()), Limit::concurrency(2)).await.unwrap();
    queue.set_limit(&LimitKey::Key("b".into()), Limit::concurrency(1)).await.unwrap();
    queue.enqueue(&limited(1, "of-b", &["b"])).await.unwrap();
    busy.claim().await;
    queue.enqueue(&limited(1, "both", &["a", "b"])).await.unwrap();
    busy.claim().await;
    // As it is after it was sent on a few times.
    let mut promise = redis::cmd("HSET");
    promise.arg(queue.keys().promised()).arg("key:a").arg("2:both|a|b");
    promise.exec_async(&mut busy.fixture.connector.connect().unwrap()).await.unwrap();
    for tenant in 0..4 {
        let mut job = limited(1, &format!("urgent-{tenant}"), &["a"]);
        job[0].priority = Priority::High;
        queue.enqueue(&job).await.unwrap();
    }
    for round in 0..2 {
        busy.claim().await;
        let urgent = busy.running.iter().filter(|job| job.limit_keys == ["a"]).count();
        assert_eq!(urgent, 2, "in round {round}");
        busy.end(|job| job.limit_keys == ["a"]).await;
    }
    busy.finish().await;
}
