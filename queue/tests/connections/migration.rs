//! A slot of a cluster moves from node to node while the queue in it is used.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{RedisResult, Value, aio::MultiplexedConnection};
use tokio::sync::Notify;
use upshot_queue::{
    Crashes, Deadline, FailureClass, Filter, JobId, Late, NewJob, Priority, Scrubber, Shares, State, Wait,
    protocol::{Claim, Claimed, Disposition, EndedAttempt},
};
use upshot_servers::RedisCluster;

use crate::handles::Queue;

use crate::fixture::{PATIENCE, connector, folder, job, queue, until_ok};

/// A node of the cluster, asked without following redirections.
#[derive(Clone)]
struct Node {
    conn: MultiplexedConnection,
    id: String,
    port: u16,
}

impl Node {
    async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let mut cmd = redis::cmd(words[0]);
        for word in &words[1..] {
            cmd.arg(*word);
        }
        cmd.query_async(&mut self.conn.clone()).await
    }

    /// Calls a script that writes, as all scripts of the queue are called; of a node that a slot
    /// moves to, as one is called that was redirected to it. Returns the code of the refusal.
    async fn script(&self, queue: &Queue, redirected: bool) -> Option<String> {
        let (control, none) = (queue.keys().control(), queue.keys().none());
        let script = "return redis.call('HSET', KEYS[1], 'ran', '1')";
        let mut pipe = redis::pipe();
        if redirected {
            pipe.cmd("ASKING").ignore();
        }
        pipe.cmd("EVAL").arg(script).arg(2).arg(control).arg(&none);
        let answer: RedisResult<Value> = pipe.query_async(&mut self.conn.clone()).await;
        answer.err().map(|error| error.code().expect("a refusal").to_owned())
    }
}

/// The nodes of a cluster, and the slot of a queue.
struct Slot {
    nodes: Vec<Node>,
    number: String,
}

impl Slot {
    async fn of(cluster: &mut RedisCluster, queue: &Queue) -> Self {
        let mut nodes = Vec::new();
        for node in cluster.nodes() {
            let client = redis::Client::open(node.url()).unwrap();
            let mut conn = client.get_multiplexed_async_connection().await.unwrap();
            let mut cmd = redis::cmd("CLUSTER");
            let id = cmd.arg("MYID").query_async(&mut conn).await.unwrap();
            nodes.push(Node { conn, id, port: node.port() });
        }
        let number: u64 = nodes[0].ask(&["CLUSTER", "KEYSLOT", queue.keys().control()]).await.unwrap();
        Self { nodes, number: number.to_string() }
    }

    /// The node that has keys of the slot, and another one.
    async fn ends(&self) -> (Node, Node) {
        let mut has = Vec::new();
        for node in &self.nodes {
            let keys: u64 = node.ask(&["CLUSTER", "COUNTKEYSINSLOT", &self.number]).await.unwrap();
            has.push(keys > 0);
        }
        let source = has.iter().position(|has| *has).expect("keys in the slot");
        (self.nodes[source].clone(), self.nodes[(source + 1) % self.nodes.len()].clone())
    }

    /// Says that the slot moves.
    async fn begin(&self, source: &Node, target: &Node) {
        let set = ["CLUSTER", "SETSLOT", &self.number];
        let () = target.ask(&[&set[..], &["IMPORTING", &source.id]].concat()).await.unwrap();
        let () = source.ask(&[&set[..], &["MIGRATING", &target.id]].concat()).await.unwrap();
    }

    /// Moves some keys more; false when there are none.
    async fn move_some(&self, source: &Node, target: &Node, count: &str) -> bool {
        let keys: Vec<String> = source.ask(&["CLUSTER", "GETKEYSINSLOT", &self.number, count]).await.unwrap();
        let port = target.port.to_string();
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        migrate.extend(keys.iter().map(String::as_str));
        if !keys.is_empty() {
            let () = source.ask(&migrate).await.unwrap();
        }
        !keys.is_empty()
    }

    /// Says that the slot has moved, as `redis-cli --cluster reshard` does: first to the node
    /// that has it now.
    async fn end(&self, source: &Node, target: &Node) {
        let others = self.nodes.iter().filter(|node| node.id != source.id && node.id != target.id);
        for node in [target, source].into_iter().chain(others) {
            let () = node.ask(&["CLUSTER", "SETSLOT", &self.number, "NODE", &target.id]).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_node_runs_a_script_while_the_slot_moves() {
    let (dir, local) = folder();
    let mut cluster = RedisCluster::start(&dir, local).await.unwrap();
    let queue = queue(&connector(cluster.url()), "work");
    let jobs: Vec<NewJob> = (0..20).map(|_| job()).collect();
    until_ok("an enqueue", || queue.enqueue(&jobs)).await;
    let slot = Slot::of(&mut cluster, &queue).await;
    let (source, target) = slot.ends().await;
    assert_eq!(source.script(&queue, false).await, None, "before");
    slot.begin(&source, &target).await;
    let mut said = HashSet::new();
    loop {
        // Whether the control key has left already or not.
        let refusal = source.script(&queue, false).await.expect("the source runs no script");
        assert!(["TRYAGAIN", "ASK"].contains(&refusal.as_str()), "{refusal}");
        said.insert(refusal);
        assert_eq!(target.script(&queue, false).await.as_deref(), Some("MOVED"), "the target, unasked");
        assert_eq!(target.script(&queue, true).await.as_deref(), Some("TRYAGAIN"), "the target");
        if !slot.move_some(&source, &target, "1").await {
            break;
        }
    }
    assert_eq!(said.len(), 2, "{said:?}");
    slot.end(&source, &target).await;
    assert_eq!(target.script(&queue, false).await, None, "afterwards");
    assert_eq!(queue.counts().await.unwrap().of(State::Ready), 20);
    cluster.stop().await.unwrap();
}

/// What uses the queue meanwhile, and how much of it was done.
#[derive(Clone)]
struct Load {
    queue: Queue,
    done: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    called: Arc<Notify>,
}

impl Load {
    fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    /// Notes a call that was answered or refused.
    fn called<T>(&self, answer: T) -> T {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.called.notify_waiters();
        answer
    }

    /// Waits for some calls more.
    async fn calls(&self, more: u64) {
        let upto = self.calls.load(Ordering::Relaxed) + more;
        loop {
            let called = self.called.notified();
            if self.calls.load(Ordering::Relaxed) >= upto {
                return;
            }
            called.await;
        }
    }

    /// Enqueues, and changes some of it, until the slot has moved. Returns the ids.
    async fn enqueue(self) -> Vec<JobId> {
        let mut ids = Vec::new();
        while !self.is_done() {
            let jobs: Vec<NewJob> = (0..12).map(any_job).collect();
            until_ok("an enqueue", || async { self.called(self.queue.enqueue(&jobs).await) }).await;
            let [cancelled, urgent, later] = [0, 1, 2].map(|i| jobs[i].id.clone());
            until_ok("a cancel", || async { self.called(self.queue.operator.cancel(&cancelled).await) })
                .await;
            until_ok("a priority", || async {
                self.called(self.queue.operator.prioritise(&urgent, Priority::High).await)
            })
            .await;
            until_ok("a delay", || async {
                self.called(self.queue.operator.reschedule(&later, Duration::from_millis(5)).await)
            })
            .await;
            ids.extend(jobs.into_iter().map(|job| job.id));
        }
        ids
    }

    async fn claim(&self, worker: &str, number: u64) -> Claimed {
        let claim = Claim {
            worker,
            want: 16,
            lease: Duration::from_secs(60),
            crashes: &Crashes::new(2, Wait::NONE),
            crashes_by_kind: &[],
            kinds: None,
            request_id: number,
            shares: Shares::default(),
            quantum: 4,
        };
        until_ok("a claim", || async { self.called(self.queue.worker.claim(&claim).await) }).await
    }

    /// Claims and ends attempts until the slot has moved and nothing is left.
    async fn work(self, worker: String) {
        for number in 1.. {
            let claimed = self.claim(&worker, number).await;
            let batch: Vec<EndedAttempt> = claimed
                .jobs(&self.queue, &worker)
                .map(|job| {
                    let job = job.unwrap();
                    let end = any_end(job.token);
                    EndedAttempt {
                        expectation: job.expectation,
                        token: job.token,
                        flow: job.flow(),
                        args: job.args.len(),
                        id: job.id,
                        clock: None,
                        disposition: end,
                    }
                })
                .collect();
            if !batch.is_empty() {
                until_ok("an end", || async { self.called(self.queue.worker.settle(&worker, &batch).await) })
                    .await;
            } else if self.is_done() {
                until_ok("an unpark", || self.queue.operator.unpark(CONDITION)).await;
                let counts = until_ok("a count", || self.queue.counts()).await;
                let waiting = [State::Scheduled, State::Ready, State::Running, State::Parked];
                if waiting.into_iter().all(|state| counts.of(state) == 0) {
                    return;
                }
            }
        }
    }
}

const CONDITION: &str = "wait confirmation";

fn any_job(i: usize) -> NewJob {
    let mut job = job();
    job.tenant = (!i.is_multiple_of(4)).then(|| format!("tenant-{}", i % 4));
    job.limit_keys = if i.is_multiple_of(3) { vec!["smtp".to_owned()] } else { Vec::new() };
    job.deadline =
        (i % 5 == 3).then_some(Deadline { within: Duration::from_secs(3600), then: Late::Expires });
    job.delay = Duration::from_millis(if i % 6 == 5 { 3 } else { 0 });
    job
}

/// Most attempts succeed; the first ones of some jobs end otherwise.
fn any_end(token: u64) -> Disposition {
    let line = r#"{"at":1,"attempt":1,"class":"transient","message":"away"}"#.to_owned();
    match rand::random_range(0..10) {
        0 if token == 1 => {
            let (delay, normal) = (Duration::from_millis(2), "away".to_owned());
            Disposition::Retry { delay, class: FailureClass::Transient, normal, line }
        }
        1 if token == 1 => Disposition::Release { line: String::new() },
        2 if token == 1 => Disposition::Park {
            condition: CONDITION.to_owned(),
            within: None,
            why: "not confirmed".to_owned(),
            line,
        },
        3 => Disposition::Bury { class: FailureClass::Permanent, normal: "no".to_owned(), line },
        _ => Disposition::Succeed("{}".to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_moves_under_load_and_every_job_stays_whole() {
    let (dir, local) = folder();
    let mut cluster = RedisCluster::start(&dir, local).await.unwrap();
    let connector = connector(cluster.url());
    let queue = queue(&connector, "work");
    until_ok("an enqueue", || async { queue.enqueue(&[job()]).await }).await;
    let slot = Slot::of(&mut cluster, &queue).await;
    let load =
        Load { queue: queue.clone(), done: Arc::default(), calls: Arc::default(), called: Arc::default() };
    let enqueuing: Vec<_> = (0..2).map(|_| tokio::spawn(load.clone().enqueue())).collect();
    let working: Vec<_> = (0..3).map(|i| tokio::spawn(load.clone().work(format!("w-{i}")))).collect();
    let moving = async {
        for _ in 0..4 {
            load.calls(200).await;
            let (source, target) = slot.ends().await;
            slot.begin(&source, &target).await;
            let mut part = 0;
            while slot.move_some(&source, &target, "40").await {
                part += 1;
                // Calls come while a part of the keys has moved.
                if part <= 8 {
                    load.calls(3).await;
                }
            }
            load.calls(3).await;
            slot.end(&source, &target).await;
        }
        load.done.store(true, Ordering::Relaxed);
    };
    tokio::time::timeout(PATIENCE, moving).await.expect("the slot never moved four times");
    let mut ids = HashSet::new();
    for enqueuing in enqueuing {
        ids.extend(enqueuing.await.unwrap());
    }
    for working in working {
        tokio::time::timeout(PATIENCE, working).await.expect("jobs are left").unwrap();
    }
    let total = ids.len() as u64 + 1;
    let counts = queue.counts().await.unwrap();
    assert_eq!(counts.transitions("enqueued"), total);
    assert_eq!(counts.states.iter().sum::<u64>(), total, "{counts:?}");
    // Each job is listed once.
    let (mut listed, mut cursor) = (HashMap::new(), None);
    loop {
        let page = queue.list(&Filter::default(), cursor, 200).await.unwrap();
        for job in page.jobs {
            assert_eq!(listed.insert(job.id.clone(), job.state), None, "{} is listed twice", job.id);
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(listed.len() as u64, total);
    assert!(ids.iter().all(|id| listed.contains_key(id)));
    // What the outbox tells is what was counted.
    let mut told: HashMap<String, u64> = HashMap::new();
    for entry in queue.latest_transitions(usize::MAX >> 1).await.unwrap() {
        for transition in entry.transitions {
            *told.entry(transition.what).or_default() += 1;
        }
    }
    for what in ["enqueued", "claimed", "succeeded", "dead", "cancelled", "retried", "released", "parked"] {
        assert_eq!(told.get(what).copied().unwrap_or(0), counts.transitions(what), "{what}");
    }
    let found = Scrubber::pass(&queue.worker).await.unwrap();
    assert_eq!(found.total(), 0, "{found:?}");
    cluster.stop().await.unwrap();
}
