//! Rows about messages in quarantine, on a real Redis.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use lapin::BasicProperties;
use proptest::prelude::*;
use redis::{AsyncCommands, FromRedisValue};
use upshot_ledger::{
    keys::Keys,
    quarantine::{Bounds, Error, Facts, Figures, Filter, MessageId, Quarantine},
};
use upshot_queue::Connection;
use upshot_shared::Reason;
use upshot_testkit::TestRedis;

const DAY: Duration = Duration::from_secs(24 * 3600);
const WIDE: Bounds = Bounds { keep: DAY, keep_bytes: 1 << 20 };

struct Stage {
    redis: TestRedis,
    rows: Quarantine,
    keys: Keys,
    conn: Connection,
}

impl Stage {
    async fn new() -> Self {
        Self::with("orders").await
    }

    async fn with(queue: &str) -> Self {
        let redis = TestRedis::new(queue).await;
        let rows = Quarantine::new(&redis.connector).unwrap();
        let (keys, conn) = (Keys::new(redis.connector.prefix()), redis.connector.connect().unwrap());
        Self { redis, rows, keys, conn }
    }

    async fn record(&self, n: u32, reason: Reason, bounds: Bounds) -> (u64, bool) {
        let recorded = self.rows.record(&id(n), reason, &facts(n), bounds).await.unwrap();
        (recorded.times, recorded.is_new)
    }

    async fn figures(&self) -> Figures {
        let figures = self.rows.figures().await.unwrap();
        assert!(figures.is_balanced(), "{figures:?}");
        figures
    }

    /// The details of all rows, page by page.
    async fn listed(&self, filter: &Filter, limit: usize) -> Vec<String> {
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let page = self.rows.list(filter, from, limit).await.unwrap();
            assert!(page.rows.len() <= limit, "{page:?}");
            found.extend(page.rows.into_iter().map(|row| row.facts.detail));
            from = page.next;
            if from.is_none() {
                return found;
            }
        }
    }
}

fn id(n: u32) -> MessageId {
    MessageId::of("k", &BasicProperties::default(), &n.to_be_bytes())
}

fn facts(n: u32) -> Facts {
    let kind = Some(format!("type-{}", n % 2));
    let source = Some(format!("/source-{}", n % 3));
    Facts { detail: n.to_string(), size: 7, kind, source, ..Facts::default() }
}

#[tokio::test]
async fn a_message_is_counted_once_and_has_one_row() {
    let stage = Stage::new().await;
    for (n, reason) in (0..).zip(Reason::ALL) {
        assert_eq!(stage.record(n, reason, WIDE).await, (1, true));
        assert_eq!(stage.record(n, reason, WIDE).await, (2, false));
    }
    let figures = stage.figures().await;
    for reason in Reason::ALL {
        let balance = figures.by_reason()[reason.as_str()];
        assert_eq!((balance.listed, balance.received), (1, 1), "{reason}");
    }
    let all = Reason::ALL.len() as u64;
    assert_eq!((figures.rows, figures.copies), (all, 2 * all));
    let row = stage.rows.row(&id(3)).await.unwrap().unwrap();
    assert_eq!((row.times, row.reason.as_str(), row.facts), (2, Reason::ALL[3].as_str(), facts(3)));
    assert!(row.first_seen <= row.last_seen && row.first_seen > 1_600_000_000_000, "{}", row.first_seen);
    assert!(stage.rows.row(&id(99)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_message_that_is_judged_otherwise_changes_its_account() {
    let stage = Stage::new().await;
    stage.record(1, Reason::UnknownType, WIDE).await;
    assert_eq!(stage.record(1, Reason::ContractViolation, WIDE).await, (2, false));
    let figures = stage.figures().await;
    let balances = figures.by_reason();
    assert_eq!((balances["unknown_type"].listed, balances["unknown_type"].received), (0, 1));
    assert_eq!((balances["contract_violation"].listed, balances["contract_violation"].received), (1, 0));
}

#[tokio::test]
async fn rows_are_bounded_by_bytes_and_the_counts_stay() {
    let stage = Stage::new().await;
    let bounds = Bounds { keep_bytes: 64 << 10, ..WIDE };
    for n in 0..500 {
        stage.record(n, Reason::UnknownType, bounds).await;
    }
    let figures = stage.figures().await;
    assert!(figures.bytes <= 64 << 10 && figures.rows < 300, "{figures:?}");
    assert_eq!(figures.copies, figures.rows);
    assert_eq!(figures.by_reason()["unknown_type"].received, 500);
    // The figure stands for what Redis needs.
    let mut needed = 0;
    for key in [stage.keys.quarantine(), stage.keys.rows()] {
        let mut usage = redis::cmd("MEMORY");
        usage.arg("USAGE").arg(key).arg("SAMPLES").arg(0);
        needed += usage.query_async::<u64>(&mut stage.conn.clone()).await.unwrap();
    }
    assert!(needed < figures.bytes * 5 / 4, "{needed} bytes for {}", figures.bytes);
    // The newest ones are there. A forgotten one that comes again is not counted again.
    assert_eq!(stage.listed(&Filter::default(), 3).await[..2], ["499", "498"]);
    assert_eq!(stage.record(0, Reason::UnknownType, bounds).await, (1, false));
    assert_eq!(stage.figures().await.by_reason()["unknown_type"].received, 500);
}

#[tokio::test]
async fn rows_are_bounded_by_age() {
    let stage = Stage::new().await;
    for n in 0..100 {
        stage.record(n, Reason::Oversize, WIDE).await;
    }
    assert_eq!(stage.rows.trim(WIDE).await.unwrap(), 0);
    let none = Bounds { keep: Duration::ZERO, ..WIDE };
    let (mut forgotten, mut calls) = (0, 0);
    while forgotten < 100 {
        forgotten += stage.rows.trim(none).await.unwrap();
        calls += 1;
    }
    assert!(calls > 1, "a call is bounded");
    let figures = stage.figures().await;
    assert_eq!((figures.rows, figures.bytes, figures.copies, figures.oldest), (0, 0, 0, None));
    assert_eq!(figures.by_reason()["oversize"].received, 100);
}

#[tokio::test]
async fn a_list_meets_every_row_once_the_newest_first() {
    let stage = Stage::new().await;
    for n in 0..450 {
        stage.record(n, if n % 5 == 0 { Reason::Oversize } else { Reason::UnknownType }, WIDE).await;
    }
    let all: Vec<String> = (0..450).rev().map(|n| n.to_string()).collect();
    for limit in [7, 200, 500] {
        assert_eq!(stage.listed(&Filter::default(), limit).await, all, "limit {limit}");
    }
    let of =
        |is: fn(u32) -> bool| (0..450).filter(|n| is(*n)).map(|n| n.to_string()).collect::<BTreeSet<_>>();
    let text = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (Filter { reason: text("oversize"), ..Filter::default() }, of(|n| n % 5 == 0)),
        (Filter { kind: text("type-1"), ..Filter::default() }, of(|n| n % 2 == 1)),
        (Filter { source: text("/source-2"), kind: text("type-0"), ..Filter::default() }, of(|n| n % 6 == 2)),
        (Filter { reason: text("unreadable"), ..Filter::default() }, of(|_| false)),
    ] {
        assert_eq!(stage.listed(&filter, 20).await.into_iter().collect::<BTreeSet<_>>(), expected);
    }
    let rows = stage.rows.list(&Filter::default(), None, 500).await.unwrap().rows;
    let middle = rows[200].first_seen;
    for filter in [
        Filter { since: Some(middle), ..Filter::default() },
        Filter { until: Some(middle), ..Filter::default() },
    ] {
        let expected = rows.iter().filter(|row| {
            filter.since.is_none_or(|since| row.first_seen >= since)
                && filter.until.is_none_or(|until| row.first_seen < until)
        });
        let expected: Vec<String> = expected.map(|row| row.facts.detail.clone()).collect();
        assert_eq!(stage.listed(&filter, 50).await, expected);
    }
}

#[tokio::test]
async fn the_rows_about_a_subject_are_erased_and_the_counts_stay() {
    let stage = Stage::new().await;
    for n in 0..450 {
        let subject = Some(format!("order-{}", n % 9));
        let about = Facts { subject, ..facts(n) };
        stage.rows.record(&id(n), Reason::Oversize, &about, WIDE).await.unwrap();
    }
    assert_eq!(stage.rows.erase_subject("order-4", WIDE).await.unwrap(), 50);
    assert_eq!(stage.rows.erase_subject("order-4", WIDE).await.unwrap(), 0);
    let left = Filter { subject: Some("order-4".to_owned()), ..Filter::default() };
    assert!(stage.listed(&left, 10).await.is_empty());
    let figures = stage.figures().await;
    assert_eq!((figures.rows, figures.copies, figures.by_reason()["oversize"].received), (400, 400, 450));
}

#[tokio::test]
async fn a_page_examines_a_bounded_number_of_rows_and_says_how_far() {
    let stage = Stage::new().await;
    // As the script writes them, at once.
    let mut fill = redis::pipe();
    for n in 0..4_500_u32 {
        let row = format!("1 5 oversize {}", serde_json::to_string(&facts(n)).unwrap());
        fill.zadd(stage.keys.quarantine(), id(n).as_str(), (n + 1) * 1_000).ignore();
        fill.hset(stage.keys.rows(), id(n).as_str(), row).ignore();
    }
    fill.exec_async(&mut stage.conn.clone()).await.unwrap();
    let nothing = Filter { kind: Some("no-such".to_owned()), ..Filter::default() };
    let first = stage.rows.list(&nothing, None, 10).await.unwrap();
    let searched = first.searched.unwrap();
    assert_eq!((first.rows.len(), searched.rows, searched.back_to), (0, 4_000, 501));
    let second = stage.rows.list(&nothing, first.next, 10).await.unwrap();
    assert!(second.next.is_none() && second.searched.is_none() && second.rows.is_empty());
}

#[tokio::test]
async fn a_damaged_row_stops_no_other_and_heals_when_its_message_comes_again() {
    let stage = Stage::new().await;
    let mut conn = stage.conn.clone();
    for n in 0..3 {
        stage.record(n, Reason::Oversize, WIDE).await;
    }
    let _: () = conn.hset(stage.keys.rows(), id(1).as_str(), "not a row").await.unwrap();
    let _: () = conn.hset(stage.keys.book(), "received>quarantined|unknown_type", "x").await.unwrap();
    let page = stage.rows.list(&Filter::default(), None, 10).await.unwrap();
    let reasons: Vec<&str> = page.rows.iter().map(|row| row.reason.as_str()).collect();
    assert_eq!(reasons, ["oversize", "damaged", "oversize"]);
    let damaged = Filter { reason: Some("damaged".to_owned()), ..Filter::default() };
    assert_eq!(stage.rows.list(&damaged, None, 10).await.unwrap().rows[0].id, id(1));
    assert_eq!(stage.record(3, Reason::UnknownType, WIDE).await, (1, true));
    // Its reason is not known any more, so it moves between accounts.
    assert_eq!(stage.record(1, Reason::Oversize, WIDE).await, (1, false));
    assert_eq!(stage.rows.row(&id(1)).await.unwrap().unwrap().reason, "oversize");
    assert_eq!(stage.figures().await.rows, 4);
    // A damaged row is forgotten like others.
    let _: () = conn.hdel(stage.keys.rows(), id(2).as_str()).await.unwrap();
    while stage.rows.trim(Bounds { keep: Duration::ZERO, ..WIDE }).await.unwrap() > 0 {}
    assert_eq!(stage.figures().await.rows, 0);
}

#[tokio::test]
async fn a_key_of_another_type_or_layout_is_named_and_nothing_is_written() {
    let stage = Stage::new().await;
    let mut conn = stage.conn.clone();
    let keys = [stage.keys.book(), stage.keys.quarantine(), stage.keys.rows(), stage.keys.notes()];
    for key in keys {
        let _: () = conn.set(&key, "x").await.unwrap();
        let error = stage.rows.record(&id(1), Reason::Oversize, &facts(1), WIDE).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains(&format!("`{key}` is not a ")) && said.contains("Rename"), "{said}");
        assert!(!error.is_passing());
        assert!(matches!(stage.rows.figures().await, Err(Error::Damaged { .. })));
        let _: () = conn.del(&key).await.unwrap();
        assert_eq!(stage.figures().await.book.len(), 0);
    }
    let _: () = conn.hset(stage.keys.control(), "schema", 2).await.unwrap();
    let error = stage.rows.trim(WIDE).await.unwrap_err();
    assert!(matches!(&error, Error::Layout { found } if found == "2"), "{error}");
}

#[tokio::test]
async fn a_queue_of_the_same_name_has_other_keys() {
    let stage = Stage::with("ledger").await;
    let job = upshot_queue::NewJob::new(upshot_queue::JobId::random(), "k", "{}");
    stage.redis.queue.enqueue(&[job]).await.unwrap();
    stage.record(1, Reason::Oversize, WIDE).await;
    let of_queue = upshot_queue::keys::Keys::new(stage.redis.connector.prefix(), stage.redis.queue.name());
    let found: Vec<redis::Value> = redis::pipe()
        .hlen(of_queue.control())
        .hlen(stage.keys.control())
        .query_async(&mut stage.conn.clone())
        .await
        .unwrap();
    let fields: Vec<u64> = found.into_iter().map(|value| u64::from_redis_value(value).unwrap()).collect();
    assert_eq!(fields[1], 3, "{fields:?}");
    assert_eq!(stage.figures().await.rows, 1);
    stage.redis.finish().await;
}

/// A step of the life of a list.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A message comes.
    Comes(u32, Reason),
    /// All rows are too old.
    Ages,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let comes = (0..40_u32, prop::sample::select(Reason::ALL.to_vec()));
    let step = prop_oneof![20 => comes.prop_map(|(n, reason)| Step::Comes(n, reason)), 1 => Just(Step::Ages)];
    prop::collection::vec(step, 1..120)
}

/// Takes the steps, and compares the list with what came.
async fn play(steps: &[Step], keep_bytes: usize) {
    let stage = Stage::new().await;
    let bounds = Bounds { keep_bytes, ..WIDE };
    // Each message that ever came, and its first reason.
    let mut first: BTreeMap<u32, Reason> = BTreeMap::new();
    // Each message that came, and its last reason.
    let mut last: BTreeMap<String, Reason> = BTreeMap::new();
    for step in steps {
        match *step {
            Step::Comes(n, reason) => {
                let (_, is_new) = stage.record(n, reason, bounds).await;
                assert_eq!(is_new, !first.contains_key(&n), "{step:?}");
                first.entry(n).or_insert(reason);
                last.insert(n.to_string(), reason);
            }
            Step::Ages => {
                while stage.rows.trim(Bounds { keep: Duration::ZERO, ..bounds }).await.unwrap() > 0 {}
                assert_eq!(stage.figures().await.rows, 0);
            }
        }
        let figures = stage.figures().await;
        assert!(figures.bytes <= keep_bytes as u64, "{step:?}: {figures:?}");
    }
    let (figures, balances) = (stage.figures().await, stage.figures().await);
    let balances = balances.by_reason();
    let rows = stage.rows.list(&Filter::default(), None, 100).await.unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.times).sum::<u64>(), figures.copies);
    for reason in Reason::ALL {
        let balance = balances.get(reason.as_str()).copied().unwrap_or_default();
        let received = first.values().filter(|each| **each == reason).count() as u64;
        let listed = rows.iter().filter(|row| row.reason == reason.as_str()).count() as i64;
        assert_eq!((balance.received, balance.listed), (received, listed), "{reason}");
    }
    for row in rows {
        assert_eq!(row.reason, last[&row.facts.detail].as_str());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_comes_the_book_balances_and_counts_each_message_once(steps in steps(), keep_bytes in 400_usize..16_000) {
        runtime().block_on(play(&steps, keep_bytes));
    }
}

/// One for all cases, because the server of the tests is bound to it.
fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> =
        std::sync::LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());
    &RUNTIME
}
