//! Lists of outcomes against a real Redis.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{collections::HashSet, time::Duration};

use upshot_ledger::{
    list::{self, Cursor, Filter, Found, Page},
    risk::RunTimesCache,
};
use upshot_queue::{Account, Client, Expect, JobId, NewJob, Watched};
use upshot_testkit::{PATIENCE, TestRedis};

const HOUR: i64 = 3_600_000;
const DAY: Duration = Duration::from_secs(86_400);

fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A job of a route that is due at this time from now, ms.
fn job(route: &str, kind: &str, due: i64) -> NewJob {
    let expect = if due > 0 {
        Expect::new(route, Duration::from_millis(due.unsigned_abs()))
    } else {
        Expect { from: Some(now() + due), ..Expect::new(route, Duration::ZERO) }
    };
    NewJob {
        expect: Some(expect),
        subject: Some("order-1042".to_owned()),
        ..NewJob::new(JobId::random(), kind, "{}")
    }
}

async fn enqueue(queue: &Client, jobs: &[NewJob]) -> Vec<JobId> {
    queue.enqueue(jobs).await.unwrap();
    jobs.iter().map(|job| job.id.clone()).collect()
}

fn of(status: Account) -> Filter {
    Filter { status: Some(status), ..Filter::default() }
}

fn ids(found: &[Found]) -> Vec<JobId> {
    let id = |found: &Found| match found {
        Found::Job(job) => job.id.clone(),
        Found::Row(_, row) => row.id.clone(),
    };
    found.iter().map(id).collect()
}

async fn page(queues: &[&Client], filter: &Filter, from: Option<Cursor>, limit: usize) -> Page {
    let times = RunTimesCache::default();
    list::outcomes(queues, filter, from, limit, now(), &times).await.unwrap()
}

/// All outcomes of a list, page by page.
async fn all(queues: &[&Client], filter: &Filter, limit: usize) -> Vec<Found> {
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page = page(queues, filter, from, limit).await;
        assert!(page.found.len() <= limit);
        found.extend(page.found);
        // A cursor travels as text.
        let Some(next) = page.next else { return found };
        from = Some(next.to_string().parse().unwrap());
    }
}

/// Looks until so many are overdue: the time of a pack is up to 250 ms after that of its ids.
async fn watch_until_overdue(queue: &Client, count: u64) {
    let watching = async {
        let mut found = 0;
        while found < count {
            match queue.watch("test", DAY, None).await.unwrap() {
                Watched::Here { overdue, .. } => found += overdue,
                Watched::Elsewhere(lease) => panic!("{lease} watches"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, watching).await.unwrap();
}

#[tokio::test]
async fn overdue_outcomes_of_all_routes_and_queues_come_oldest_due_first() {
    let (one, other) = (TestRedis::new("invoices").await, TestRedis::new("emails").await);
    let mut expected: Vec<(i64, JobId)> = Vec::new();
    for n in 1..=30_i64 {
        let test = if n % 3 == 0 { &other } else { &one };
        let route = if n % 2 == 0 { "a" } else { "b" };
        let added = enqueue(&test.queue, &[job(route, "k", -n * HOUR)]).await;
        expected.extend(added.into_iter().map(|id| (-n, id)));
    }
    enqueue(&one.queue, &[job("a", "k", HOUR)]).await;
    watch_until_overdue(&one.queue, 20).await;
    watch_until_overdue(&other.queue, 10).await;
    expected.sort();
    let expected: Vec<JobId> = expected.into_iter().map(|(_, id)| id).collect();
    let queues = [&one.queue, &other.queue];
    for limit in [7, 100] {
        assert_eq!(ids(&all(&queues, &of(Account::Overdue), limit).await), expected);
    }
    let route = Filter { route: Some("b".to_owned()), ..of(Account::Overdue) };
    assert_eq!(all(&queues, &route, 4).await.len(), 15);
    let late = Filter { from: Some(now() - 3 * HOUR - HOUR / 2), ..of(Account::Overdue) };
    assert_eq!(ids(&all(&queues, &late, 2).await), expected[27..]);
    let early = Filter { to: Some(now() - 27 * HOUR - HOUR / 2), ..of(Account::Overdue) };
    assert_eq!(ids(&all(&queues, &early, 2).await), expected[..3]);
    // A job that cannot be read hides no other.
    let keys = one.queue.keys();
    // The job that is due first is number 30, of the other queue; then 29, of this one.
    let broken = &expected[1];
    let mut conn = one.connector.connect().unwrap();
    redis::cmd("HSET").arg(keys.job(broken)).arg("job").arg("broken").exec_async(&mut conn).await.unwrap();
    let found = ids(&all(&queues, &of(Account::Overdue), 7).await);
    assert_eq!(found.len(), 29);
    assert!(!found.contains(broken));
}

#[tokio::test]
async fn open_outcomes_come_by_due_time_and_ended_ones_are_passed_over() {
    let test = TestRedis::new("invoices").await;
    let mut expected = Vec::new();
    for n in 1..=5_i64 {
        // One call enqueues several jobs for the same time: they share a pack.
        let jobs: Vec<NewJob> =
            (0..20).map(|i| job("a", if i % 2 == 0 { "k" } else { "l" }, n * HOUR)).collect();
        let added = enqueue(&test.queue, &jobs).await;
        let (cancelled, open) = added.split_at(5);
        for id in cancelled {
            test.operator().cancel(id).await.unwrap();
        }
        expected.push(open.iter().cloned().collect::<HashSet<JobId>>());
    }
    let found = ids(&all(&[&test.queue], &of(Account::Open), 7).await);
    let found: Vec<HashSet<JobId>> = found.chunks(15).map(|ids| ids.iter().cloned().collect()).collect();
    assert_eq!(found, expected);
    let kind = Filter { kind: Some("k".to_owned()), ..of(Account::Open) };
    assert_eq!(all(&[&test.queue], &kind, 7).await.len(), 35, "7 of each 15 are of this kind");
    let within = Filter { to: Some(now() + 2 * HOUR + HOUR / 2), ..of(Account::Open) };
    assert_eq!(all(&[&test.queue], &within, 7).await.len(), 30);
    let cancelled = all(&[&test.queue], &of(Account::Cancelled), 4).await;
    assert_eq!(cancelled.len(), 25);
    // All statuses, one after another.
    assert_eq!(all(&[&test.queue], &Filter::default(), 9).await.len(), 100);
}

#[tokio::test]
async fn forgotten_jobs_stay_in_lists_and_stories() {
    let test = TestRedis::new("invoices").await;
    let added = enqueue(&test.queue, &(0..6).map(|_| job("a", "k", HOUR)).collect::<Vec<_>>()).await;
    for id in &added {
        test.operator().cancel(id).await.unwrap();
    }
    test.operator().forget(&added[..4], Duration::ZERO).await.unwrap();
    let found = all(&[&test.queue], &of(Account::Cancelled), 4).await;
    let rows = found.iter().filter(|found| matches!(found, Found::Row(..))).count();
    assert_eq!((found.len(), rows), (6, 4));
    let known = test.queue.ids_of_subject("order-1042", None, 100).await.unwrap();
    assert_eq!(known.iter().collect::<HashSet<_>>(), added.iter().collect::<HashSet<_>>());
    let rows = test.queue.verdict_rows(&added).await.unwrap();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row.account == Account::Cancelled && row.kind == "k"), "{rows:?}");
    assert_eq!(rows[0].subject.as_deref(), Some("order-1042"));
    // A row that cannot be read hides no other.
    let days = test.queue.verdict_days().await.unwrap();
    let key = test.queue.keys().verdicts_of(days[0].day, "e");
    let mut conn = test.connector.connect().unwrap();
    redis::cmd("HSET").arg(key).arg(added[0].as_str()).arg("[\"c\"").exec_async(&mut conn).await.unwrap();
    assert_eq!(all(&[&test.queue], &of(Account::Cancelled), 4).await.len(), 5);
}

#[tokio::test]
async fn an_open_outcome_that_starts_after_it_is_due_is_at_risk() {
    let test = TestRedis::new("invoices").await;
    let early = NewJob { delay: Duration::from_secs(1_800), ..job("a", "k", HOUR) };
    let late = NewJob { delay: Duration::from_secs(7_200), ..job("a", "k", HOUR) };
    let added = enqueue(&test.queue, &[early, late]).await;
    let filter = Filter { at_risk: true, ..Filter::default() };
    assert_eq!(ids(&all(&[&test.queue], &filter, 5).await), added[1..]);
    let times = RunTimesCache::default();
    let (count, whole) = times.count_at_risk(&test.queue, now()).await.unwrap();
    // It looks only at those that are due within the usual time of a run.
    assert!(count.values().sum::<u64>() <= 1 && whole);
}

#[tokio::test]
async fn a_page_that_filters_looks_at_a_bounded_number_and_says_so() {
    let test = TestRedis::new("invoices").await;
    for _ in 0..20 {
        let jobs: Vec<NewJob> = (0..100).map(|_| job("a", "other", HOUR)).collect();
        enqueue(&test.queue, &jobs).await;
    }
    let wanted = enqueue(&test.queue, &[job("a", "wanted", 2 * HOUR)]).await;
    let filter = Filter { kind: Some("wanted".to_owned()), ..of(Account::Open) };
    let first = page(&[&test.queue], &filter, None, 10).await;
    assert!(first.found.is_empty() && first.next.is_some());
    assert!(first.searched.is_some_and(|looked| (400..700).contains(&looked)), "{:?}", first.searched);
    assert_eq!(ids(&all(&[&test.queue], &filter, 10).await), wanted);
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let test = TestRedis::new("invoices").await;
    let times = RunTimesCache::default();
    for (status, cursor) in [(Account::Open, "v"), (Account::AchievedInTime, "t~s~emails")] {
        let from = Some(cursor.parse().unwrap());
        let said = list::outcomes(&[&test.queue], &of(status), from, 5, now(), &times).await;
        assert!(said.unwrap_err().to_string().contains(cursor));
    }
}
