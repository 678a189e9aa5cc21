//! The outbox has every transition, in order, at least once for each group.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use upshot_queue::{
    Failure, JobId, Outbox, OutboxReader, OutboxTail, RetryPolicy, State, Wait, WorkerOptions,
};
use upshot_servers::Proxy;

use crate::handles::Queue;

use crate::fixture::{Fixture, Worker, name, options};

const NOW: Duration = Duration::ZERO;

#[tokio::test]
async fn every_transition_is_there_in_order() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(3).await;
    let wait = Wait { base: NOW, floor: NOW, ..Wait::default() };
    let options = WorkerOptions { retry: RetryPolicy { wait, ..RetryPolicy::default() }, ..options() };
    let worker = Worker::start(&fixture.connector, options, |job, _| async move {
        match (&job.args[..], job.attempts) {
            (b"1", 1) => Err(Failure::transient("once")),
            (b"2", _) => Err(Failure::permanent("for good")),
            _ => Ok(json!(null)),
        }
    });
    for (id, state) in ids.iter().zip([State::Succeeded, State::Succeeded, State::Dead]) {
        fixture.until_state(id, state).await;
    }
    worker.stop().await;
    let mut reader = OutboxReader::join(&fixture.connector, name(), "audit", "one").await.unwrap();
    let mut lives: BTreeMap<JobId, Vec<String>> = BTreeMap::new();
    let mut last = 0;
    loop {
        let entries = reader.read(2, NOW).await.unwrap();
        if entries.is_empty() {
            break;
        }
        for transition in entries.iter().flat_map(|entry| &entry.transitions) {
            assert!(transition.at >= last);
            last = transition.at;
            assert_eq!(transition.by.is_empty(), transition.what == "enqueued");
            lives.entry(transition.id.clone()).or_default().push(transition.what.clone());
        }
        reader.acknowledge(&entries).await.unwrap();
    }
    assert_eq!(lives[&ids[0]], ["enqueued", "claimed", "succeeded"]);
    assert_eq!(lives[&ids[1]], ["enqueued", "claimed", "retried", "promoted", "claimed", "succeeded"]);
    assert_eq!(lives[&ids[2]], ["enqueued", "claimed", "dead"]);
    fixture.finish().await;
}

#[tokio::test]
async fn what_a_reader_did_not_acknowledge_is_read_by_another() {
    let fixture = Fixture::new().await;
    fixture.enqueue(1).await;
    let join = async |member| {
        let reader = OutboxReader::join(&fixture.connector, name(), "relay", member).await.unwrap();
        reader.reclaiming_after(NOW)
    };
    let taken = join("one").await.read(10, NOW).await.unwrap();
    assert_eq!(taken.len(), 1);
    let mut two = join("two").await;
    let again = two.read(10, NOW).await.unwrap();
    assert_eq!(again, taken);
    two.acknowledge(&again).await.unwrap();
    assert!(two.read(10, NOW).await.unwrap().is_empty());
    fixture.finish().await;
}

#[tokio::test]
async fn an_outbox_that_nobody_reads_is_cut_whatever_it_grew_by() {
    let fixture = Fixture::new().await;
    fixture.enqueue(1).await;
    let key = fixture.queue.keys().outbox();
    let mut conn = fixture.connector.connect().unwrap();
    let mut pipe = redis::pipe();
    for _ in 0..25_000 {
        pipe.cmd("XADD").arg(&key).arg("*").arg("by").arg("w").ignore();
    }
    () = pipe.query_async(&mut conn).await.unwrap();
    fixture.queue.worker.trim_outbox().await.unwrap();
    let left: u64 = redis::cmd("XLEN").arg(&key).query_async(&mut conn).await.unwrap();
    assert!((1000..=1100).contains(&left), "{left}");
    fixture.finish().await;
}

#[tokio::test]
async fn only_what_every_group_has_acknowledged_is_dropped() {
    let fixture = Fixture::new().await;
    // Trimming works in nodes of a hundred entries.
    for _ in 0..450 {
        fixture.enqueue(1).await;
    }
    let length = async || {
        let key = fixture.queue.keys().outbox();
        let mut conn = fixture.connector.connect().unwrap();
        redis::cmd("XLEN").arg(key).query_async::<u64>(&mut conn).await.unwrap()
    };
    let mut fast = OutboxReader::join(&fixture.connector, name(), "fast", "one").await.unwrap();
    let mut slow = OutboxReader::join(&fixture.connector, name(), "slow", "one").await.unwrap();
    let entries = fast.read(1000, NOW).await.unwrap();
    fast.acknowledge(&entries).await.unwrap();
    fixture.queue.worker.trim_outbox().await.unwrap();
    assert_eq!(length().await, 450, "the slow group has read nothing");
    let read = slow.read(300, NOW).await.unwrap();
    fixture.queue.worker.trim_outbox().await.unwrap();
    assert_eq!(length().await, 450, "read is not acknowledged");
    slow.acknowledge(&read).await.unwrap();
    fixture.queue.worker.trim_outbox().await.unwrap();
    let left = length().await;
    assert!((150..=260).contains(&left), "{left}");
    assert_eq!(slow.read(1000, NOW).await.unwrap().len(), 150);
    fixture.finish().await;
}

/// A group that reads no more keeps what it needs; that is seen, and can be ended.
#[tokio::test]
async fn who_reads_the_outbox_and_what_is_kept_for_them_is_known() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.queue.outbox().await.unwrap(), Outbox::default());
    assert!(!fixture.queue.operator.drop_outbox_group("gone").await.unwrap());
    fixture.enqueue(1).await;
    let mut gone = OutboxReader::join(&fixture.connector, name(), "gone", "one").await.unwrap();
    let mut reads = OutboxReader::join(&fixture.connector, name(), "reads", "one").await.unwrap();
    let first = gone.read(1, NOW).await.unwrap();
    fixture.enqueue(1).await;
    fixture.enqueue(1).await;
    let seen = async |group: &str| {
        let outbox = fixture.queue.outbox().await.unwrap();
        assert_eq!(outbox.entries, 3);
        let group = outbox.groups.into_iter().find(|each| each.name == group).unwrap();
        (group.members, group.unacknowledged, group.lag.unwrap(), group.needs_since)
    };
    let first_at = first[0].transitions[0].at;
    assert_eq!(seen("gone").await, (1, 1, 2, Some(first_at)));
    assert_eq!(seen("reads").await, (0, 0, 3, Some(first_at)));
    let all = reads.read(10, NOW).await.unwrap();
    reads.acknowledge(&all).await.unwrap();
    assert_eq!(seen("reads").await, (1, 0, 0, None));
    // What was taken is dealt with, the others nobody has taken.
    gone.acknowledge(&first).await.unwrap();
    assert_eq!(seen("gone").await, (1, 0, 2, Some(all[1].transitions[0].at)));
    assert!(fixture.queue.operator.drop_outbox_group("gone").await.unwrap());
    assert!(!fixture.queue.operator.drop_outbox_group("gone").await.unwrap());
    let left: Vec<String> =
        fixture.queue.outbox().await.unwrap().groups.into_iter().map(|group| group.name).collect();
    assert_eq!(left, ["reads"]);
    fixture.finish().await;
}

/// Who joins while it is trimmed, between two of the commands that this takes, has all that
/// was there when it joined.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_joins_while_the_outbox_is_trimmed_reads_what_is_left() {
    let fixture = Fixture::single().await;
    fixture.enqueue(1).await;
    let key = fixture.queue.keys().outbox();
    let mut conn = fixture.connector.connect().unwrap();
    let mut pipe = redis::pipe();
    for _ in 0..5_000 {
        pipe.cmd("XADD").arg(&key).arg("*").arg("by").arg("w").ignore();
    }
    () = pipe.query_async(&mut conn).await.unwrap();
    let proxy = Proxy::start(fixture.port()).await.unwrap();
    let connector = fixture.via(&format!("redis://127.0.0.1:{}/", proxy.port()));
    let trimming = Queue::new(&connector, name()).unwrap();
    // How many the first command dropped: of all answers here the only number.
    let mut first = proxy.hold_reply(|_, reply| reply.starts_with(b":"));
    let trimmed = tokio::spawn(async move { trimming.worker.trim_outbox().await });
    first.reached().await;
    let mut reader = OutboxReader::join(&fixture.connector, name(), "late", "one").await.unwrap();
    let length = async || redis::cmd("XLEN").arg(&key).query_async::<usize>(&mut conn.clone()).await.unwrap();
    let left = length().await;
    assert!((4_000..5_000).contains(&left), "{left}: one command has dropped some, and not all");
    first.release();
    trimmed.await.unwrap().unwrap();
    assert_eq!(length().await, left, "the group has read nothing yet");
    let mut read = 0;
    while read < left {
        let entries = reader.read(1_000, NOW).await.unwrap();
        assert!(!entries.is_empty(), "{read} of {left}");
        read += entries.len();
        reader.acknowledge(&entries).await.unwrap();
    }
    assert_eq!(read, left);
    // Now they are nobody's.
    fixture.queue.worker.trim_outbox().await.unwrap();
    assert!(length().await <= 100);
    fixture.finish().await;
}

#[tokio::test]
async fn a_tail_reads_in_order_and_again_what_is_not_acknowledged() {
    let fixture = Fixture::new().await;
    let join = async || OutboxTail::join(&fixture.connector, name(), "receipts").await.unwrap();
    let lag = async || fixture.queue.outbox().await.unwrap().groups[0].lag;
    for _ in 0..5 {
        fixture.enqueue(1).await;
    }
    let mut first = join().await;
    let read = first.read(3, NOW).await.unwrap();
    assert_eq!((read.len(), lag().await), (3, Some(5)));
    first.acknowledge(&read[..2]).await.unwrap();
    assert_eq!(lag().await, Some(3));
    // It continues from where it read; another starts from where the group is.
    let rest = first.read(10, NOW).await.unwrap();
    assert_eq!(rest.len(), 2);
    let mut second = join().await;
    let again = second.read(10, NOW).await.unwrap();
    assert_eq!(again[0], read[2]);
    assert_eq!(again[1..], rest);
    assert!(second.read(10, NOW).await.unwrap().is_empty(), "it does not read twice");
    second.acknowledge(&again).await.unwrap();
    let outbox = fixture.queue.outbox().await.unwrap();
    assert_eq!((outbox.groups[0].lag, outbox.groups[0].needs_since), (Some(0), None));
    // A dropped group begins again with the oldest entry.
    fixture.queue.operator.drop_outbox_group("receipts").await.unwrap();
    assert!(second.read(10, NOW).await.unwrap().is_empty());
    assert_eq!(second.read(10, NOW).await.unwrap().len(), 5);
    fixture.finish().await;
}
