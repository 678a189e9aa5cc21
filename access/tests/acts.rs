//! The audit log, on a real Redis.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeSet, time::Duration};

use redis::AsyncCommands;
use serde_json::{Value, json};
use upshot_access::{
    Identity, Right,
    acts::{
        Act, Acts, Conclusion, Ended, Intent, Kept, Origin,
        list::{Filter, Page},
        tail::Tail,
    },
    keys::Keys,
};
use upshot_queue::Connection;
use upshot_testkit::TestRedis;

const DAY: Duration = Duration::from_secs(24 * 3600);
const WIDE: Kept = Kept { time: DAY, acts: 100_000, refusals: 100_000 };
const SHORT: Duration = Duration::from_millis(20);

struct Stage {
    redis: TestRedis,
    acts: Acts,
    keys: Keys,
    conn: Connection,
}

impl Stage {
    async fn new() -> Self {
        Self::keeping(WIDE).await
    }

    async fn keeping(kept: Kept) -> Self {
        let redis = TestRedis::new("orders").await;
        let (keys, conn) = (Keys::new(redis.connector.prefix()), redis.connector.connect().unwrap());
        let acts = Acts::with_connection(conn.clone(), redis.connector.prefix(), kept);
        Self { redis, acts, keys, conn }
    }

    async fn act(&self, n: u32, status: u16) {
        let begun = self.acts.intend(intent(n)).await.unwrap();
        let conclusion = Conclusion { status, after: Some(json!({"n": n})), ..Conclusion::default() };
        self.acts.conclude(&begun, conclusion.clone()).await.unwrap();
        // A call that is repeated changes nothing.
        self.acts.conclude(&begun, Conclusion { status: 500, ..conclusion }).await.unwrap();
    }

    /// All acts, page by page.
    async fn listed(&self, filter: &Filter, limit: usize) -> Vec<Act> {
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let page: Page = self.acts.list(filter, from, limit).await.unwrap();
            assert!(page.acts.len() <= limit, "{page:?}");
            found.extend(page.acts);
            from = page.next;
            if from.is_none() {
                return found;
            }
        }
    }

    async fn len(&self, key: String) -> usize {
        self.conn.clone().xlen(key).await.unwrap()
    }

    async fn finish(self) {
        self.redis.finish().await;
    }
}

fn intent(n: u32) -> Intent {
    let name = format!("shop-{}", n % 3);
    Intent {
        principal: Some(Identity::Token { id: format!("{n:012x}"), name }),
        origin: Origin { address: Some("192.0.2.1".to_owned()), ..Origin::default() },
        right: Some(if n.is_multiple_of(2) { Right::Retry } else { Right::Cancel }),
        operation: if n.is_multiple_of(2) { "retry_job" } else { "cancel_job" }.to_owned(),
        target: [("id".to_owned(), format!("job-{n}"))].into(),
        request_id: format!("request-{n}"),
        ..Intent::default()
    }
}

fn from(address: &str) -> Intent {
    Intent {
        origin: Origin { address: Some(address.to_owned()), ..Origin::default() },
        operation: "put_limit".to_owned(),
        right: Some(Right::Configure),
        ..Intent::default()
    }
}

fn refusal() -> Conclusion {
    Conclusion { status: 403, problem: Some("right-missing".to_owned()), ..Conclusion::default() }
}

#[tokio::test]
async fn an_act_is_on_record_before_its_result() {
    let stage = Stage::new().await;
    let begun = stage.acts.intend(intent(1)).await.unwrap();
    let [pending] = &stage.listed(&Filter::default(), 10).await[..] else { panic!("one act") };
    assert_eq!((pending.result, pending.status, pending.ended_at), (Ended::Pending, None, None));
    assert_eq!(pending.target["id"], "job-1");
    let conclusion = Conclusion { status: 202, before: Some(json!("dead")), ..Conclusion::default() };
    stage.acts.conclude(&begun, conclusion).await.unwrap();
    let [done] = &stage.listed(&Filter::default(), 10).await[..] else { panic!("one act") };
    assert_eq!((done.id.clone(), done.at), (pending.id.clone(), pending.at));
    assert_eq!((done.result, done.status, &done.before), (Ended::Done, Some(202), &Some(json!("dead"))));
    assert!(
        done.ended_at >= Some(done.at) && done.target == pending.target && done.right == Some(Right::Cancel)
    );
    stage.finish().await;
}

#[tokio::test]
async fn an_intent_whose_process_died_becomes_unknown() {
    let stage = Stage::new().await;
    // What a process wrote two minutes ago, before it was killed.
    let (seconds, _): (i64, i64) = redis::cmd("TIME").query_async(&mut stage.conn.clone()).await.unwrap();
    let id = format!("{}-0", (seconds - 120) * 1000);
    let act = json!({"result": "pending", "operation": "purge", "target": {"queue": "orders"}}).to_string();
    let mut conn = stage.conn.clone();
    let _: String = conn.xadd(stage.keys.acts(), &id, &[("n", "1"), ("act", &act)]).await.unwrap();
    let () = conn.zadd(stage.keys.open(), &id, (seconds - 120) * 1000).await.unwrap();
    stage.act(2, 200).await;
    let unknown = Filter { result: Some(Ended::Unknown), ..Filter::default() };
    let [act] = &stage.listed(&unknown, 10).await[..] else { panic!("one act") };
    assert_eq!((act.operation.as_str(), act.at, act.ended_at), ("purge", (seconds - 120) * 1000, None));
    assert_eq!(stage.listed(&Filter::default(), 10).await.len(), 2);
    stage.finish().await;
}

#[tokio::test]
async fn a_list_meets_every_act_once_the_newest_first() {
    let stage = Stage::new().await;
    for n in 0..250 {
        stage.act(n, if n % 5 == 0 { 409 } else { 200 }).await;
        if n % 10 == 0 {
            stage.acts.refused(from(&format!("198.51.100.{n}")), refusal()).await.unwrap();
        }
    }
    let all = stage.listed(&Filter::default(), 7).await;
    assert_eq!(all.len(), 275);
    assert_eq!(all.iter().map(|act| &act.id).collect::<BTreeSet<_>>().len(), 275);
    assert!(all.windows(2).all(|two| two[0].ended_at >= two[1].ended_at));
    for limit in [1, 100, 500] {
        assert_eq!(stage.listed(&Filter::default(), limit).await, all, "limit {limit}");
    }
    let text = |text: &str| Some(text.to_owned());
    let none = Filter::default;
    for (filter, expected) in [
        (Filter { principal: text("shop-1"), ..none() }, 83),
        (Filter { principal: text("token shop-1 (000000000001)"), ..none() }, 1),
        (Filter { principal: text(""), ..none() }, 0),
        (Filter { right: Some(Right::Retry), ..none() }, 125),
        (Filter { operation: text("cancel_job"), ..none() }, 125),
        (Filter { target: text("job-17"), ..none() }, 1),
        (Filter { result: Some(Ended::Failed), ..none() }, 50),
        (Filter { result: Some(Ended::Refused), ..none() }, 25),
        (Filter { result: Some(Ended::Pending), ..none() }, 0),
        (Filter { from: all[100].ended_at, to: all[100].ended_at, ..none() }, {
            all.iter().filter(|act| act.ended_at == all[100].ended_at).count()
        }),
        (Filter { to: Some(all[274].at - 1), ..none() }, 0),
        (Filter { from: Some(all[0].at + 10_000), ..none() }, 0),
    ] {
        assert_eq!(stage.listed(&filter, 20).await.len(), expected, "{filter:?}");
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_page_examines_a_bounded_number_of_entries() {
    let stage = Stage::new().await;
    let act = json!({"result": "done", "operation": "note_outcome"}).to_string();
    let mut pipe = redis::pipe();
    for _ in 0..4_500 {
        pipe.xadd(stage.keys.acts(), "*", &[("act", act.as_str())]).ignore();
    }
    let () = pipe.query_async(&mut stage.conn.clone()).await.unwrap();
    let filter = Filter { operation: Some("purge".to_owned()), ..Filter::default() };
    let (mut from, mut examined, mut pages) = (None, 0, 0);
    loop {
        let page = stage.acts.list(&filter, from, 50).await.unwrap();
        pages += 1;
        assert!(page.acts.is_empty());
        let Some(searched) = page.searched else { break };
        examined += searched.entries;
        from = page.next;
    }
    assert_eq!((examined, pages), (4_000, 3));
    stage.finish().await;
}

#[tokio::test]
async fn entries_are_bounded_and_refusals_displace_no_act() {
    let kept = Kept { time: DAY, acts: 200, refusals: 100 };
    let stage = Stage::keeping(kept).await;
    stage.act(1, 200).await;
    for n in 0..500 {
        let written = stage.acts.refused(from("192.0.2.7"), refusal()).await.unwrap();
        assert_eq!(written, n < 10, "one address has ten entries a minute");
    }
    assert_eq!(stage.acts.write_suppressed().await.unwrap(), 490);
    assert_eq!(stage.acts.write_suppressed().await.unwrap(), 0);
    let acts = stage.listed(&Filter::default(), 50).await;
    assert_eq!(acts.len(), 12);
    // Entries of one millisecond in two streams have no order.
    let counted: Vec<_> = acts.iter().filter(|act| act.result == Ended::Suppressed).collect();
    let suppressed = counted[0].suppressed.as_ref().unwrap();
    assert_eq!((counted.len(), suppressed.refusals), (1, 490));
    assert_eq!(suppressed.addresses["192.0.2.7"], 490);
    assert_eq!(acts.iter().filter(|act| act.target.get("id").is_some_and(|id| id == "job-1")).count(), 1);
    for n in 0..400 {
        stage.act(n, 200).await;
    }
    // Redis trims whole nodes of 100 entries.
    assert!(stage.len(stage.keys.acts()).await <= 300);
    stage.finish().await;
}

#[tokio::test]
async fn entries_go_by_age() {
    let stage = Stage::keeping(Kept { time: Duration::from_secs(60), ..WIDE }).await;
    let act = json!({"result": "pending"}).to_string();
    let mut pipe = redis::pipe();
    for n in 0..1_000 {
        pipe.xadd(stage.keys.acts(), format!("{}-0", 1_000 + n), &[("act", act.as_str())]).ignore();
        pipe.zadd(stage.keys.open(), format!("{}-0", 1_000 + n), 1_000 + n).ignore();
    }
    let () = pipe.query_async(&mut stage.conn.clone()).await.unwrap();
    stage.act(1, 200).await;
    assert!(stage.len(stage.keys.acts()).await <= 102);
    assert_eq!(stage.conn.clone().zcard::<_, usize>(stage.keys.open()).await.unwrap(), 0);
    stage.finish().await;
}

#[tokio::test]
async fn an_operator_acts_while_redis_is_at_its_memory_limit() {
    let server = upshot_testkit::own_redis().await;
    let redis = TestRedis::on(&server.url(), "full", "orders");
    let mut conn = redis.connector.connect().unwrap();
    let acts = Acts::with_connection(conn.clone(), redis.connector.prefix(), WIDE);
    let set = ["SET", "maxmemory", "1"];
    let () = redis::cmd("CONFIG").arg(&set).query_async(&mut conn).await.unwrap();
    let begun = acts.intend(intent(1)).await.unwrap();
    acts.conclude(&begun, Conclusion { status: 200, ..Conclusion::default() }).await.unwrap();
    assert_eq!(acts.list(&Filter::default(), None, 5).await.unwrap().acts.len(), 1);
}

#[tokio::test]
async fn entries_are_copied_in_order_and_come_again_until_that_is_noted() {
    let stage = Stage::new().await;
    for n in 0..5 {
        stage.act(n, 200).await;
    }
    stage.acts.refused(from("192.0.2.9"), refusal()).await.unwrap();
    let connector = &stage.redis.connector;
    let mut tail = Tail::new(connector).await.unwrap();
    let first = tail.read(100, SHORT).await.unwrap();
    assert_eq!(first.len(), 11);
    assert_eq!(stage.acts.figures().await.unwrap().uncopied, 11);
    // A process that was killed before it noted anything.
    let mut tail = Tail::new(connector).await.unwrap();
    let again = tail.read(100, SHORT).await.unwrap();
    assert_eq!(again, first);
    let kinds: Vec<Ended> = again.iter().filter_map(|entry| Some(entry.act.as_ref()?.result)).collect();
    assert_eq!(kinds[..4], [Ended::Pending, Ended::Done, Ended::Pending, Ended::Done]);
    assert_eq!(again.iter().map(|entry| &entry.id).collect::<BTreeSet<_>>().len(), 11);
    assert_eq!(tail.copied(&again[..4]).await.unwrap(), 0);
    let mut tail = Tail::new(connector).await.unwrap();
    let rest = tail.read(100, SHORT).await.unwrap();
    assert_eq!(rest, first[4..]);
    assert_eq!(tail.copied(&rest).await.unwrap(), 0);
    assert_eq!(tail.read(100, SHORT).await.unwrap(), []);
    let figures = stage.acts.figures().await.unwrap();
    assert_eq!((figures.written, figures.uncopied, figures.lost), (11, 0, 0));
    stage.finish().await;
}

#[tokio::test]
async fn entries_that_were_trimmed_before_they_were_copied_are_counted() {
    let stage = Stage::keeping(Kept { acts: 100, ..WIDE }).await;
    for n in 0..300 {
        stage.act(n, 200).await;
    }
    let there = stage.len(stage.keys.acts()).await;
    let mut tail = Tail::new(&stage.redis.connector).await.unwrap();
    let mut lost = 0;
    loop {
        let entries = tail.read(50, SHORT).await.unwrap();
        if entries.is_empty() {
            break;
        }
        lost += tail.copied(&entries).await.unwrap();
    }
    assert_eq!(lost as usize, 600 - there);
    let figures = stage.acts.figures().await.unwrap();
    assert_eq!((figures.written, figures.uncopied, figures.lost), (600, 0, lost));
    stage.finish().await;
}

#[tokio::test]
async fn an_entry_of_another_program_stops_nothing() {
    let stage = Stage::new().await;
    let mut conn = stage.conn.clone();
    for (name, value) in [("act", "{"), ("n", "x"), ("other", "thing")] {
        let _: String = conn.xadd(stage.keys.acts(), "*", &[(name, value)]).await.unwrap();
    }
    stage.act(1, 200).await;
    assert_eq!(stage.listed(&Filter::default(), 10).await.len(), 1);
    let mut tail = Tail::new(&stage.redis.connector).await.unwrap();
    let entries = tail.read(10, SHORT).await.unwrap();
    assert_eq!(entries.iter().filter(|entry| entry.act.is_some()).count(), 2);
    assert_eq!(tail.copied(&entries).await.unwrap(), 0);
    assert_eq!(tail.read(10, SHORT).await.unwrap(), []);
    stage.finish().await;
}

#[tokio::test]
async fn large_requests_are_cut_and_say_so() {
    let stage = Stage::new().await;
    let long: String = "\u{1b}".repeat(4_000);
    let large = Intent {
        asked: Some(Value::from(long.clone())),
        reason: Some(long.clone()),
        parameters: [("subject".to_owned(), long.clone())].into(),
        ..intent(1)
    };
    let begun = stage.acts.intend(large).await.unwrap();
    let before = Some(Value::from(long));
    stage.acts.conclude(&begun, Conclusion { status: 200, before, ..Conclusion::default() }).await.unwrap();
    let [act] = &stage.listed(&Filter::default(), 10).await[..] else { panic!("one act") };
    assert!(act.truncated.contains(&"asked".to_owned()) && act.before.is_none(), "{act:?}");
    assert!(serde_json::to_string(act).unwrap().len() < 4_200);
    assert_eq!(act.target["id"], "job-1");
    stage.finish().await;
}
