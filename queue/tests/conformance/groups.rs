//! Failures by cause: who is in a group, when it failed, whose jobs it hit, and what was done about it.

use std::{collections::BTreeSet, time::Duration};

use redis::AsyncCommands;
use upshot_queue::{
    Connection, Deadline, FailureClass, Filter, Group, GroupFilter, GroupHistory, JobId, Late, NewJob,
    Operator, Scrubber, State,
    protocol::{Claim, Disposition},
};

use crate::{
    by_hand::{self, succeed},
    fixture::Fixture,
    handles::Queue,
};

const T: i64 = 1_800_000_000_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const AT_ONCE: Duration = Duration::from_millis(1);

fn said(message: &str) -> String {
    serde_json::json!({"at": 1, "attempt": 1, "class": "transient", "message": message}).to_string()
}

fn retry(message: &str) -> Disposition {
    Disposition::Retry {
        delay: AT_ONCE,
        class: FailureClass::Transient,
        normal: message.to_owned(),
        line: said(message),
    }
}

fn bury(message: &str) -> Disposition {
    Disposition::Bury { class: FailureClass::Transient, normal: message.to_owned(), line: said(message) }
}

/// A queue whose clock the test moves.
struct Timed {
    fixture: Fixture,
    queue: Queue,
    conn: Connection,
    now: i64,
    number: u64,
}

impl Timed {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let queue = fixture.queue.clone().with_test_clock();
        let conn = fixture.connector.connect().unwrap();
        let mut timed = Self { fixture, queue, conn, now: T, number: 0 };
        timed.ahead(0).await;
        timed
    }

    async fn ahead(&mut self, ms: i64) {
        self.now += ms;
        let () = self.conn.set(self.queue.keys().clock(), self.now * 1_000).await.unwrap();
    }

    async fn enqueue(&self, tenant: Option<&str>) -> JobId {
        let id = JobId::random();
        let job = NewJob { tenant: tenant.map(str::to_owned), ..NewJob::new(id.clone(), "mail", "1") };
        self.queue.enqueue(&[job]).await.unwrap();
        id
    }

    /// Runs every job that is ready to this end.
    async fn run(&mut self, end: &Disposition) -> usize {
        self.number += 1;
        let jobs = by_hand::lease(&self.queue, "w", self.number).await;
        by_hand::settle(&self.queue, "w", &jobs, end).await;
        jobs.len()
    }

    async fn groups(&self, past: bool) -> Vec<Group> {
        self.queue.dead_groups(&GroupFilter { past, ..GroupFilter::default() }, 100).await.unwrap()
    }

    async fn only(&self) -> (Group, GroupHistory) {
        let [group] = <[Group; 1]>::try_from(self.groups(false).await).unwrap();
        self.queue.dead_group(&group.fingerprint).await.unwrap().unwrap()
    }

    async fn list(&self, filter: &Filter) -> Vec<JobId> {
        self.queue.list(filter, None, 100).await.unwrap().jobs.into_iter().map(|job| job.id).collect()
    }
}

#[tokio::test]
async fn a_job_counts_for_its_cause_from_its_failure_to_its_end() {
    let mut timed = Timed::new().await;
    let id = timed.enqueue(None).await;
    timed.run(&retry("away")).await;
    let (group, _) = timed.only().await;
    assert_eq!((group.dead, group.retrying, group.count), (0, 1, 1));
    assert_eq!((group.sample.as_ref(), group.last_message.as_deref()), (Some(&id), Some("away")));
    // It waits, is ready, and runs: the cause stays.
    timed.ahead(10).await;
    timed.number += 1;
    let jobs = by_hand::lease(&timed.queue, "w", timed.number).await;
    assert_eq!((jobs[0].state, timed.only().await.0.retrying), (State::Running, 1));
    assert_eq!(jobs[0].group.as_ref(), Some(&group.fingerprint));
    by_hand::settle(&timed.queue, "w", &jobs, &by_hand::park("later")).await;
    assert_eq!(timed.only().await.0.retrying, 1);
    timed.queue.operator.retry(&id).await.unwrap();
    // Another cause takes it over; the first one has no jobs.
    timed.run(&retry("disk full")).await;
    let (other, _) = timed.only().await;
    assert_eq!((other.message.as_str(), other.retrying), ("disk full", 1));
    let past = timed.groups(true).await;
    assert_eq!((past.len(), &past[0].fingerprint, past[0].count), (1, &group.fingerprint, 1));
    assert_eq!((past[0].sample.as_ref(), past[0].last_message.as_ref()), (None, None));
    // Dead of the same cause, it is in the group once.
    timed.ahead(10).await;
    timed.run(&bury("disk full")).await;
    let (other, _) = timed.only().await;
    assert_eq!((other.dead, other.retrying, other.count), (1, 0, 2));
    timed.queue.operator.retry(&id).await.unwrap();
    assert_eq!(timed.groups(false).await, []);
    timed.run(&succeed()).await;
    let job = timed.queue.job(&id).await.unwrap().unwrap();
    assert_eq!((job.state, job.group), (State::Succeeded, None));
    timed.fixture.finish().await;
}

/// What a worker that was killed leaves is a failure like any other.
#[tokio::test]
async fn a_job_whose_worker_crashed_runs_again_as_crashed() {
    let mut timed = Timed::new().await;
    timed.enqueue(None).await;
    timed.number += 1;
    let claim = Claim { lease: Duration::from_secs(10), ..by_hand::claim("gone", timed.number) };
    assert_eq!(timed.queue.worker.claim(&claim).await.unwrap().len(), 1);
    timed.ahead(11_000).await;
    timed.number += 1;
    let jobs = by_hand::lease(&timed.queue, "w", timed.number).await;
    let (group, _) = timed.only().await;
    assert_eq!((group.class, group.retrying, group.dead), (FailureClass::Crashed, 1, 0));
    by_hand::settle(&timed.queue, "w", &jobs, &succeed()).await;
    assert_eq!(timed.groups(false).await, []);
    timed.fixture.finish().await;
}

#[tokio::test]
async fn a_group_tells_what_operators_did_and_what_became_of_it() {
    let mut timed = Timed::new().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(timed.enqueue(Some("acme")).await);
    }
    timed.run(&bury("no customer")).await;
    let client = (*timed.queue).clone();
    let operator = |by: &str| Operator::new(client.clone()).acting(by);
    let ada = operator("ada");
    ada.retry(&ids[0]).await.unwrap();
    ada.retry_paced(&ids[1..3], Duration::ZERO).await.unwrap();
    let (_, history) = timed.only().await;
    let act = &history.acts[0];
    assert_eq!((act.by.as_deref(), act.at, act.retried, act.not_ended()), (Some("ada"), T, 3, 3));
    // One succeeds, one dies so again, one of another cause.
    timed.number += 1;
    let mut jobs = by_hand::lease(&timed.queue, "w", timed.number).await;
    jobs.sort_by_key(|job| ids.iter().position(|id| *id == job.id));
    for (job, end) in jobs.into_iter().zip([succeed(), bury("no customer"), bury("disk full")]) {
        by_hand::settle(&timed.queue, "w", &[job], &end).await;
    }
    let of = |groups: Vec<Group>| groups.into_iter().find(|group| group.message == "no customer").unwrap();
    let fingerprint = of(timed.groups(false).await).fingerprint;
    let read = async || timed.queue.dead_group(&fingerprint).await.unwrap().unwrap();
    let (group, history) = read().await;
    let act = &history.acts[0];
    assert_eq!((act.retried, act.succeeded, act.again, act.other, act.not_ended()), (3, 1, 1, 1, 0));
    assert_eq!((group.dead, group.count), (2, 5));
    // Another operator: an act of its own, and the job's history names the operator.
    let bert = operator("bert");
    bert.retry(&ids[3]).await.unwrap();
    bert.cancel(&ids[3]).await.unwrap();
    let (_, history) = read().await;
    let told: Vec<_> = history.acts.iter().map(|act| (act.by.as_deref().unwrap(), act.cancelled)).collect();
    assert!(told.contains(&("bert", 1)) && told.contains(&("ada", 0)), "{told:?}");
    let job = timed.queue.job(&ids[3]).await.unwrap().unwrap();
    assert!(job.changes.iter().any(|change| change.did == "retried" && change.by.as_deref() == Some("bert")));
    // The newest 20 acts are kept.
    for n in 0..25 {
        timed.ahead(1).await;
        operator(&format!("o-{n}")).retry(&ids[1]).await.unwrap();
        timed.run(&bury("no customer")).await;
    }
    let (_, history) = timed.queue.dead_group(&fingerprint).await.unwrap().unwrap();
    assert_eq!((history.acts.len(), history.acts[0].by.as_deref()), (20, Some("o-24")));
    assert!(history.acts.iter().all(|act| (act.retried, act.again) == (1, 1)), "{:?}", history.acts);
    timed.fixture.finish().await;
}

/// A job that died before it ever ran succeeds in its first attempt.
#[tokio::test]
async fn an_act_hears_of_a_job_that_never_ran_before() {
    let mut timed = Timed::new().await;
    let deadline = Deadline { within: Duration::from_secs(1), then: Late::Expires };
    let job = NewJob { deadline: Some(deadline), ..NewJob::new(JobId::random(), "mail", "1") };
    timed.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    timed.ahead(2_000).await;
    assert_eq!(timed.run(&succeed()).await, 0);
    let (group, _) = timed.only().await;
    assert_eq!((group.class, group.dead), (FailureClass::Expired, 1));
    timed.queue.operator.retry(&job.id).await.unwrap();
    assert_eq!(timed.run(&succeed()).await, 1);
    let (_, history) = timed.queue.dead_group(&group.fingerprint).await.unwrap().unwrap();
    assert_eq!((history.acts[0].retried, history.acts[0].succeeded), (1, 1));
    timed.fixture.finish().await;
}

#[tokio::test]
async fn a_group_without_jobs_is_known_for_a_while_and_may_come_back() {
    let mut timed = Timed::new().await;
    let id = timed.enqueue(None).await;
    timed.run(&bury("no customer")).await;
    timed.queue.operator.retry(&id).await.unwrap();
    timed.run(&succeed()).await;
    timed.ahead(29 * DAY).await;
    timed.queue.worker.trim(State::Dead, Duration::from_secs(60)).await.unwrap();
    assert_eq!(timed.groups(true).await.len(), 1);
    timed.enqueue(None).await;
    timed.run(&bury("no customer")).await;
    let (group, history) = timed.only().await;
    assert_eq!((group.first_seen, group.again_since, group.count), (T, Some(timed.now), 2));
    assert_eq!((history.acts[0].retried, history.acts[0].succeeded), (1, 1));
    assert_eq!(history.hours, [(timed.now / HOUR * HOUR, 1)], "what is older than 7 days is gone");
    assert_eq!(timed.groups(true).await, []);
    // Forgotten with all that is known of it.
    let jobs = timed.list(&Filter { state: Some(State::Dead), ..Filter::default() }).await;
    timed.queue.operator.forget(&jobs, Duration::ZERO).await.unwrap();
    timed.ahead(31 * DAY).await;
    timed.queue.worker.trim(State::Dead, Duration::from_secs(60)).await.unwrap();
    assert_eq!(timed.groups(true).await, []);
    assert!(timed.queue.dead_group(&group.fingerprint).await.unwrap().is_none());
    let left: Vec<String> = redis::cmd("KEYS")
        .arg(format!("{}:group*", timed.queue.keys().control()))
        .query_async(&mut timed.conn)
        .await
        .unwrap();
    assert_eq!(left, [] as [&str; 0]);
    timed.fixture.finish_after_forgetting(1).await;
}

/// The least busy tenant gives way, and its failures count for the others: all add up.
#[tokio::test]
async fn a_busy_tenant_is_named_however_late_it_comes() {
    let mut timed = Timed::new().await;
    for n in 0..70 {
        timed.enqueue(Some(&format!("t-{n}"))).await;
    }
    while timed.run(&bury("no customer")).await > 0 {}
    for _ in 0..5 {
        timed.enqueue(Some("busy")).await;
    }
    timed.run(&bury("no customer")).await;
    let (group, history) = timed.only().await;
    assert_eq!((history.tenants[0].0.as_deref(), history.tenants[0].1), (Some("busy"), 5));
    assert_eq!((history.tenants.len(), history.tenants_seen), (20, 64));
    let named: u64 = history.tenants.iter().map(|(_, n)| n).sum();
    assert_eq!((group.count, named + history.other_tenants), (75, 75));
    timed.fixture.finish().await;
}

/// A job without tenant counts as one of no tenant, in hours as well.
#[tokio::test]
async fn failures_are_counted_by_hour() {
    let mut timed = Timed::new().await;
    let begin = timed.now / HOUR * HOUR;
    for n in [1, 3, 2] {
        for _ in 0..n {
            timed.enqueue(None).await;
        }
        timed.run(&bury("no customer")).await;
        timed.ahead(HOUR).await;
    }
    let (_, history) = timed.only().await;
    assert_eq!(history.hours, [(begin, 1), (begin + HOUR, 3), (begin + 2 * HOUR, 2)]);
    assert_eq!((history.tenants, history.tenants_seen), (vec![(None, 6)], 1));
    timed.fixture.finish().await;
}

#[tokio::test]
async fn the_oldest_group_without_jobs_gives_way_to_a_new_one() {
    let mut timed = Timed::new().await;
    let id = timed.enqueue(None).await;
    timed.run(&bury("first")).await;
    let first = timed.only().await.0.fingerprint;
    timed.queue.operator.retry(&id).await.unwrap();
    timed.run(&succeed()).await;
    // As many as are kept at most.
    let mut fill = redis::pipe();
    for n in 0..9_999 {
        fill.cmd("ZADD")
            .arg(timed.queue.keys().past_groups())
            .arg(timed.now + 1)
            .arg(format!("{n:016x}"))
            .ignore();
    }
    let () = fill.query_async(&mut timed.conn).await.unwrap();
    timed.enqueue(None).await;
    timed.run(&bury("second")).await;
    assert!(timed.queue.dead_group(&first).await.unwrap().is_none());
    assert_eq!(timed.only().await.0.message, "second");
    timed.fixture.finish().await;
}

#[tokio::test]
async fn lists_take_a_group_and_a_time() {
    let mut timed = Timed::new().await;
    let mut dead = Vec::new();
    for _ in 0..3 {
        dead.insert(0, timed.enqueue(None).await);
        timed.run(&bury("no customer")).await;
        timed.ahead(1_000).await;
    }
    let (waits, runs) = (timed.enqueue(None).await, timed.enqueue(None).await);
    let again = Disposition::Retry {
        delay: Duration::from_secs(60),
        class: FailureClass::Transient,
        normal: "no customer".to_owned(),
        line: said("no customer"),
    };
    timed.run(&again).await;
    timed.queue.operator.reschedule(&runs, Duration::ZERO).await.unwrap();
    timed.number += 1;
    let running = by_hand::lease(&timed.queue, "w", timed.number).await;
    assert_eq!(running[0].id, runs);
    // Others that are in no group.
    timed.enqueue(None).await;
    let (group, _) = timed.only().await;
    assert_eq!((group.dead, group.retrying), (3, 2));
    let of_group = Filter { group: Some(group.fingerprint.clone()), ..Filter::default() };
    let all = timed.list(&of_group).await;
    assert_eq!(all[2..], dead);
    assert_eq!(all[..2].iter().collect::<BTreeSet<_>>(), [&waits, &runs].into());
    for (state, expected) in
        [(State::Dead, dead.clone()), (State::Running, vec![runs.clone()]), (State::Scheduled, vec![waits])]
    {
        let filter = Filter { state: Some(state), ..of_group.clone() };
        assert_eq!(timed.list(&filter).await, expected, "{state}");
    }
    assert_eq!(timed.list(&Filter { state: Some(State::Succeeded), ..of_group.clone() }).await, []);
    // Page by page the same, with and without a time.
    for (since, until, expected) in [
        (None, None, &dead[..]),
        (Some(T + 1_000), None, &dead[..2]),
        (None, Some(T + 2_000), &dead[1..]),
        (Some(T + 1_000), Some(T + 2_000), &dead[1..2]),
        (Some(T + 3_000), None, &dead[..0]),
    ] {
        for group in [None, of_group.group.clone()] {
            let filter = Filter { state: Some(State::Dead), group, since, until, ..Filter::default() };
            let (mut listed, mut from) = (Vec::new(), None);
            loop {
                let page = timed.queue.list(&filter, from, 1).await.unwrap();
                listed.extend(page.jobs.into_iter().map(|job| job.id));
                // As it goes through the address of a next page.
                from = page.next.map(|next| next.to_string().parse().unwrap());
                if from.is_none() {
                    break;
                }
            }
            assert_eq!(listed, expected, "{since:?} to {until:?}");
        }
    }
    by_hand::settle(&timed.queue, "w", &running, &succeed()).await;
    let succeeded = Filter { state: Some(State::Succeeded), ..Filter::default() };
    let times = [
        (Some(timed.now), Some(timed.now + 1), 1),
        (Some(timed.now + 1), None, 0),
        (None, Some(timed.now), 0),
    ];
    for (since, until, n) in times {
        assert_eq!(
            timed.list(&Filter { since, until, ..succeeded.clone() }).await.len(),
            n,
            "{since:?} {until:?}"
        );
    }
    timed.fixture.finish().await;
}

#[tokio::test]
async fn groups_are_found_by_kind_and_time() {
    let mut timed = Timed::new().await;
    for message in ["one", "two", "three"] {
        timed.enqueue(None).await;
        timed.run(&bury(message)).await;
        timed.ahead(1_000).await;
    }
    let found = async |filter: GroupFilter| {
        let groups = timed.queue.dead_groups(&filter, 100).await.unwrap();
        groups.into_iter().map(|group| group.message).collect::<Vec<_>>()
    };
    let none = GroupFilter::default();
    assert_eq!(found(none.clone()).await, ["three", "two", "one"]);
    assert_eq!(found(GroupFilter { since: Some(T + 1_000), ..none.clone() }).await, ["three", "two"]);
    assert_eq!(found(GroupFilter { until: Some(T + 1_000), ..none.clone() }).await, ["one"]);
    assert_eq!(found(GroupFilter { kind: Some("mail".to_owned()), ..none.clone() }).await.len(), 3);
    assert_eq!(found(GroupFilter { kind: Some("other".to_owned()), ..none }).await.len(), 0);
    timed.fixture.finish().await;
}

#[tokio::test]
async fn the_scrubber_puts_a_job_back_into_its_group() {
    let mut timed = Timed::new().await;
    let id = timed.enqueue(None).await;
    timed.run(&retry("away")).await;
    let fingerprint = timed.only().await.0.fingerprint;
    let keys = timed.queue.keys().clone();
    let () = timed.conn.del(keys.retrying(&fingerprint)).await.unwrap();
    let () = timed.conn.zadd(keys.members(&fingerprint), id.as_str(), 1).await.unwrap();
    let found = Scrubber::pass(&timed.queue.worker).await.unwrap();
    assert_eq!((found.missing, found.doubled, found.total()), (1, 1, 2), "{found:?}");
    let (group, _) = timed.only().await;
    assert_eq!((group.dead, group.retrying), (0, 1));
    // A worker of an earlier version ended the job and knew nothing of its group.
    timed.ahead(10).await;
    timed.run(&succeed()).await;
    let () = timed.conn.hset(keys.job(&id), "group", &fingerprint).await.unwrap();
    assert_eq!(Scrubber::pass(&timed.queue.worker).await.unwrap().doubled, 1);
    assert_eq!(timed.queue.job(&id).await.unwrap().unwrap().group, None);
    assert_eq!(Scrubber::pass(&timed.queue.worker).await.unwrap().total(), 0);
    timed.fixture.finish_damaged();
}

/// Who is erased leaves no words behind.
#[tokio::test]
async fn an_erased_job_takes_its_words_and_its_group_with_it() {
    let mut timed = Timed::new().await;
    let job = NewJob { subject: Some("ada".to_owned()), ..NewJob::new(JobId::random(), "mail", "1") };
    timed.queue.enqueue(&[job]).await.unwrap();
    timed.run(&bury("no customer ada")).await;
    let fingerprint = timed.only().await.0.fingerprint;
    timed.queue.operator.erase("ada").await.unwrap();
    assert!(timed.queue.dead_group(&fingerprint).await.unwrap().is_none());
    assert_eq!(timed.groups(true).await, []);
    timed.fixture.finish_after_forgetting(1).await;
}
