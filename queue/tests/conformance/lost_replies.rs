//! Answers that are lost, whole or in part: the script was run, and its caller does not
//! know. The call fails, and who repeats it finds the work done, once.

use std::{
    collections::HashMap,
    fmt::Display,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;
use upshot_queue::{
    Advanced, Changed, Created, Deadline, EnqueueResult, Failure, FailureClass, GroupFilter, Job, JobId,
    Late, Limit, LimitKey, LimitUse, NewJob, Phase, Plan, Priority, Progress, Reconciled, Released,
    RetryPolicy, Scope, Scrubber, State, Steer, Steered, Trimmed, Unique, Wait, WorkerOptions,
    connect::Backoff,
    operation::{Act, Selection, Source},
    protocol::{Claim, Disposition, EndedAttempt, Renewed, Write},
    script_name,
};
use upshot_servers::Proxy;

use crate::handles::Queue;

use crate::{
    by_hand::{self, bury, cancel, claim, ended, line, park, retry, succeed},
    fixture::{Fixture, PATIENCE, Worker, name, options},
};

const HOUR: Duration = Duration::from_secs(3600);

/// How much of an answer arrives.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Nothing,
    OneByte,
    Half,
    AllButOne,
}

impl Kept {
    const ALL: [Self; 4] = [Self::Nothing, Self::OneByte, Self::Half, Self::AllButOne];

    fn of(self, length: usize) -> usize {
        match self {
            Self::Nothing => 0,
            Self::OneByte => 1,
            Self::Half => length / 2,
            Self::AllButOne => length - 1,
        }
    }
}

/// A queue behind a proxy that cuts the answers of scripts.
struct Cut {
    fixture: Fixture,
    proxy: Proxy,
    queue: Queue,
    kept: Kept,
}

impl Cut {
    async fn new(kept: Kept) -> Self {
        let fixture = Fixture::single().await;
        let proxy = Proxy::start(fixture.port()).await.unwrap();
        let connector = fixture.via(&format!("redis://127.0.0.1:{}/", proxy.port()));
        let queue = Queue::new(&connector, name()).unwrap();
        Self { fixture, proxy, queue, kept }
    }

    /// Cuts the first answer of the script that is like this, and no other; how many were cut.
    fn arm(&self, script: &'static str, like: fn(&[u8]) -> bool) -> Arc<AtomicUsize> {
        let (cuts, kept) = (Arc::new(AtomicUsize::new(0)), self.kept);
        let counted = Arc::clone(&cuts);
        self.proxy.cut_replies(move |request, reply| {
            // One that Redis did not know was not run.
            let is_answer = called(request).contains(&script) && !reply.starts_with(b"-NOSCRIPT");
            let is_first = is_answer && like(reply) && counted.load(Ordering::SeqCst) == 0;
            is_first.then(|| {
                counted.fetch_add(1, Ordering::SeqCst);
                kept.of(reply.len())
            })
        });
        cuts
    }

    /// Calls while the answer of the script is cut, and once more; what the second call
    /// says. The first has to fail: nobody may take a part of an answer for the whole.
    async fn twice<T, E: Display>(
        &self,
        script: &'static str,
        call: impl AsyncFn(&Queue) -> Result<T, E>,
    ) -> T {
        let cuts = self.arm(script, |_| true);
        let first = call(&self.queue).await;
        assert_eq!(cuts.load(Ordering::SeqCst), 1, "{script} did not answer");
        assert!(first.is_err(), "{script}: the answer was cut ({:?}), and the call succeeds", self.kept);
        call(&self.queue).await.unwrap_or_else(|error| panic!("{script}, repeated: {error}"))
    }

    async fn job(&self, id: &JobId) -> Job {
        self.fixture.queue.job(id).await.unwrap().unwrap()
    }

    async fn states(&self, ids: &[JobId]) -> Vec<State> {
        self.fixture.queue.jobs(ids).await.unwrap().iter().map(|job| job.state).collect()
    }

    async fn transitions<const N: usize>(&self, names: [&str; N]) -> [u64; N] {
        let counts = self.fixture.queue.counts().await.unwrap();
        names.map(|name| counts.transitions(name))
    }

    /// Leases jobs to worker `one`, past the proxy.
    async fn claim(&self, number: u64) -> Vec<Job> {
        by_hand::lease(&self.fixture.queue, "one", number).await
    }

    /// Ends them, past the proxy.
    async fn settle(&self, jobs: &[Job], end: &Disposition) {
        by_hand::settle(&self.fixture.queue, "one", jobs, end).await;
    }

    /// Jobs that ended in some way, past the proxy.
    async fn ended(&self, n: usize, end: &Disposition) -> Vec<JobId> {
        self.fixture.enqueue(n).await;
        let jobs = self.claim(1).await;
        assert_eq!(jobs.len(), n);
        self.settle(&jobs, end).await;
        jobs.into_iter().map(|job| job.id).collect()
    }
}

/// The scripts that a request runs, by their digests.
fn called(request: &[u8]) -> Vec<&'static str> {
    const CALL: &[u8] = b"EVALSHA\r\n$40\r\n";
    let ends = (CALL.len()..request.len()).filter(|end| request[..*end].ends_with(CALL));
    ends.filter_map(|at| script_name(std::str::from_utf8(request.get(at..at + 40)?).ok()?)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enqueue() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let mut jobs = [(); 4].map(|()| NewJob::new(JobId::random(), "test", "x"));
        jobs[1].delay = Duration::from_secs(3600);
        jobs[2].deadline = Some(Deadline { within: Duration::from_secs(3600), then: Late::Expires });
        jobs[3].unique = Some(Unique {
            key: "k".into(),
            scope: Scope::Queue,
            lifetime: HOUR,
            noted: HOUR,
            replaces_dead: false,
        });
        jobs[3].replaces_dead = true;
        let verdicts = cut.twice("enqueue.lua", async |queue| queue.enqueue(&jobs).await).await;
        let states = [State::Ready, State::Scheduled, State::Ready, State::Ready];
        let found = |(job, state): (&NewJob, State)| EnqueueResult::Duplicate { id: job.id.clone(), state };
        assert_eq!(verdicts, jobs.iter().zip(states).map(found).collect::<Vec<_>>());
        assert_eq!(cut.transitions(["enqueued", "duplicates"]).await, [4, 4]);
        let counts = cut.fixture.queue.counts().await.unwrap();
        assert_eq!((counts.of(State::Ready), counts.of(State::Scheduled)), (3, 1));
        let told = cut.fixture.queue.latest_transitions(10).await.unwrap();
        assert_eq!(told.iter().map(|entry| entry.transitions.len()).sum::<usize>(), 4, "{told:?}");
        let leased = cut.claim(1).await;
        assert_eq!(leased.len(), 3, "each is in its lane once");
        cut.settle(&leased, &succeed()).await;
        cut.fixture.finish().await;
    }
}

/// A dead job gives way once, and not the one that took its place.
#[tokio::test(flavor = "multi_thread")]
async fn an_enqueue_that_replaces_a_dead_job() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let id = cut.ended(1, &bury()).await.remove(0);
        let next = NewJob { replaces_dead: true, ..NewJob::new(id.clone(), "test", "next") };
        let again = std::slice::from_ref(&next);
        let verdicts = cut.twice("enqueue.lua", async |queue| queue.enqueue(again).await).await;
        assert_eq!(verdicts, [EnqueueResult::Duplicate { id: id.clone(), state: State::Ready }]);
        assert_eq!(cut.transitions(["enqueued", "forgotten", "duplicates"]).await, [2, 1, 1]);
        assert_eq!(&cut.job(&id).await.args[..], b"next");
        cut.fixture.finish_after_forgetting(1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let ids = cut.fixture.enqueue(3).await;
        let mut due = NewJob::new(JobId::random(), "test", "due");
        due.delay = Duration::from_millis(1);
        cut.fixture.queue.enqueue(std::slice::from_ref(&due)).await.unwrap();
        let since = cut.job(&due.id).await.since;
        cut.fixture.until_after(since + 1).await;
        let claimed = cut.twice("claim.lua", async |queue| queue.worker.claim(&claim("one", 1)).await).await;
        let jobs: Vec<Job> = by_hand::jobs(&cut.queue, "one", claimed);
        let leased: Vec<(&JobId, u64, u64)> =
            jobs.iter().map(|job| (&job.id, job.token, job.attempts)).collect();
        let all = ids.iter().chain([&due.id]).map(|id| (id, 1, 1));
        assert_eq!(leased, all.collect::<Vec<_>>(), "the same jobs under the same tokens");
        assert_eq!(cut.transitions(["claimed", "promoted", "crashed"]).await, [4, 1, 0]);
        cut.settle(&jobs, &succeed()).await;
        cut.fixture.finish().await;
    }
}

/// Jobs that were parked for a kind are leased like ready ones: once.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_jobs_that_were_parked_for_their_kind() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let ids = cut.fixture.enqueue(3).await;
        let none = Claim { kinds: Some(&[]), ..claim("other", 1) };
        let parked = cut.fixture.queue.worker.claim(&none).await.unwrap();
        assert_eq!((parked.len(), parked.unknown), (0, 3));
        let known = ["1|test".to_owned()];
        let knows = Claim { kinds: Some(&known), ..claim("one", 1) };
        let claimed = cut.twice("claim.lua", async |queue| queue.worker.claim(&knows).await).await;
        let jobs: Vec<Job> = by_hand::jobs(&cut.queue, "one", claimed);
        let leased: Vec<(&JobId, u64, u64)> =
            jobs.iter().map(|job| (&job.id, job.token, job.attempts)).collect();
        let mut all: Vec<_> = ids.iter().map(|id| (id, 1, 1)).collect();
        all.sort();
        let mut sorted = leased.clone();
        sorted.sort();
        assert_eq!(sorted, all, "the same jobs under the same tokens");
        assert_eq!(cut.transitions(["claimed", "parked", "unparked"]).await, [3, 3, 0]);
        cut.settle(&jobs, &succeed()).await;
        cut.fixture.finish().await;
    }
}

/// A claim that is repeated parks nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_parks_what_the_worker_does_not_run() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let ids = cut.fixture.enqueue(2).await;
        let none = Claim { kinds: Some(&[]), ..claim("one", 1) };
        let claimed = cut.twice("claim.lua", async |queue| queue.worker.claim(&none).await).await;
        assert!(claimed.is_empty());
        assert_eq!(cut.states(&ids).await, [State::Parked, State::Parked]);
        assert_eq!(cut.transitions(["claimed", "parked"]).await, [0, 2]);
        cut.fixture.finish().await;
    }
}

/// A signal is kept once, and lets a job continue once.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let id = cut.ended(1, &park("wait a")).await.remove(0);
        let condition = "a".parse().unwrap();
        let said = cut.twice("signal.lua", async |queue| queue.signal(&condition, &json!(1)).await).await;
        assert_eq!((said.kept, said.released.released), (upshot_queue::Kept::Known, 0));
        assert_eq!(cut.transitions(["signalled"]).await, [1]);
        let signals = cut.fixture.queue.counts().await.unwrap().signals;
        assert_eq!((signals.stored, signals.contradictions), (1, 0));
        assert_eq!(cut.job(&id).await.answers["wait a"].payload, Some(json!(1)));
        let withdrawn =
            cut.twice("withdraw.lua", async |queue| queue.operator.withdraw_signal(&condition).await).await;
        assert!(!withdrawn && cut.fixture.queue.counts().await.unwrap().signals.bytes == 0);
        cut.fixture.finish().await;
    }
}

/// An event that repairs a job repairs it once, and is the same then.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let id = cut.ended(1, &bury()).await.remove(0);
        let event = NewJob::new(id.clone(), "test", "mended");
        let same = |one: &[u8], other: &[u8]| one == other;
        let answers = cut.twice("change.lua", async |queue| queue.reconcile(&[&event], same).await).await;
        assert_eq!(answers, [Reconciled::Same]);
        assert_eq!(cut.transitions(["repaired"]).await, [1]);
        let job = cut.job(&id).await;
        assert_eq!((&job.args[..], job.earlier_args.len(), job.state), (&b"mended"[..], 1, State::Ready));
        cut.fixture.finish().await;
    }
}

/// What a lost lease led to is told by whichever call is answered, and happens once.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_takes_over() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let ids = cut.fixture.enqueue(2).await;
        let brief = Claim { lease: Duration::from_millis(1), ..claim("gone", 1) };
        let gone = cut.fixture.queue.worker.claim(&brief).await.unwrap();
        cut.fixture.until_after(gone.now + 1).await;
        let claimed = cut.twice("claim.lua", async |queue| queue.worker.claim(&claim("one", 1)).await).await;
        let jobs: Vec<Job> = by_hand::jobs(&cut.queue, "one", claimed);
        assert_eq!(jobs.iter().map(|job| job.token).collect::<Vec<_>>(), [2, 2]);
        for id in &ids {
            let job = cut.job(id).await;
            assert_eq!((job.attempts, job.failures.get(&FailureClass::Crashed)), (2, Some(&1)));
            assert_eq!(job.history.len(), 1);
        }
        assert_eq!(cut.transitions(["claimed", "crashed"]).await, [4, 2]);
        cut.settle(&jobs, &succeed()).await;
        cut.fixture.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion() {
    let wait = Duration::from_secs(3600);
    let ends = [
        (Disposition::Succeed("{\"sent\":true}".to_owned()), State::Succeeded, "succeeded"),
        (retry(wait), State::Scheduled, "retried"),
        (bury(), State::Dead, "dead"),
        (Disposition::Snooze { delay: wait, line: line("snoozed") }, State::Scheduled, "snoozed"),
        (Disposition::Release { line: line("released") }, State::Ready, "released"),
        (cancel(), State::Cancelled, "cancelled"),
        (park("a key"), State::Parked, "parked"),
    ];
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let key = LimitKey::Tenant("a".into());
        cut.fixture.queue.operator.set_limit(&key, Limit::concurrency(10)).await.unwrap();
        let job = |_| NewJob { tenant: Some("a".into()), ..NewJob::new(JobId::random(), "test", "x") };
        let new: Vec<NewJob> = (0..ends.len()).map(job).collect();
        cut.fixture.queue.enqueue(&new).await.unwrap();
        let jobs = cut.claim(1).await;
        let batch: Vec<EndedAttempt> =
            jobs.iter().zip(&ends).map(|(job, (end, ..))| ended(job, end.clone())).collect();
        let written = cut.twice("complete.lua", async |queue| queue.worker.settle("one", &batch).await).await;
        assert_eq!(written, [false; 7], "all were written by the first call");
        for (job, (_, state, what)) in jobs.iter().zip(&ends) {
            let stored = cut.job(&job.id).await;
            assert_eq!(stored.state, *state, "{what}");
            assert!(stored.history.len() + stored.changes.len() <= 1, "{what} is noted once: {stored:?}");
            assert_eq!(cut.transitions([what]).await, [1], "{what}");
        }
        assert_eq!(cut.transitions(["refused"]).await, [7]);
        let used = cut.fixture.queue.limit_use(&key).await.unwrap();
        assert_eq!(
            used,
            LimitUse { running: Some(0), ..LimitUse::default() },
            "each gave back its place once"
        );
        assert_eq!(cut.fixture.queue.dead_groups(&GroupFilter::default(), 9).await.unwrap()[0].count, 1);
        cut.fixture.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let id = cut.fixture.enqueue(1).await.remove(0);
        let jobs = cut.claim(1).await;
        for write in [
            Write::Step("render", "1", ""),
            Write::Progress("{\"percent\":50}", "50 render"),
            Write::Log("\"half way\""),
        ] {
            let stored =
                cut.twice("write.lua", async |queue| queue.worker.write("one", &id, 1, write).await).await;
            assert!(stored, "{write:?}");
        }
        // Who has a step's answer lost may come with another result; the first one stays.
        let other = Write::Step("render", "2", "");
        assert!(cut.twice("write.lua", async |queue| queue.worker.write("one", &id, 1, other).await).await);
        let job = cut.job(&id).await;
        assert_eq!((job.steps.len(), job.step("render")), (1, Some(&json!(1))));
        assert_eq!(job.progress.map(|progress| progress.percent), Some(50));
        // These are added to what is there: a worker does not repeat them.
        assert_eq!((job.marks.len(), job.log.len()), (2, 2));
        cut.settle(&jobs, &succeed()).await;
        cut.fixture.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let ids = cut.fixture.enqueue(3).await;
        let jobs = cut.claim(1).await;
        assert_eq!(cut.fixture.queue.operator.cancel(&ids[1]).await.unwrap(), Changed::Stopping);
        cut.settle(&jobs[2..], &succeed()).await;
        let hour = Duration::from_secs(3600);
        let renewed = cut
            .twice("renew.lua", async |queue| {
                queue.worker.renew("one", hour, ids.iter().map(|id| (id, 1))).await
            })
            .await;
        let named = |id: &JobId| vec![id.to_string()];
        assert_eq!(renewed, Renewed { lost: named(&ids[2]), cancelled: named(&ids[1]) });
        // One's own end is no refused write, however often it is asked about.
        assert_eq!(cut.transitions(["refused"]).await, [0]);
        let leases: Vec<(String, f64)> = redis::cmd("ZRANGE")
            .arg(cut.fixture.queue.keys().running())
            .arg(0)
            .arg(-1)
            .arg("WITHSCORES")
            .query_async(&mut cut.fixture.connector.connect().unwrap())
            .await
            .unwrap();
        assert_eq!(leases.len(), 1, "{leases:?}");
        assert!(leases[0].1 as i64 >= jobs[0].since + 3_600_000, "{leases:?}");
        cut.settle(&jobs[..1], &succeed()).await;
        cut.settle(&jobs[1..2], &cancel()).await;
        cut.fixture.finish().await;
    }
}

/// The process that walks an operation loses each reply, as if it died after each write; the next one
/// continues where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_an_operation() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let dead = cut.ended(5, &bury()).await;
        cut.fixture.until_after(cut.job(&dead[0]).await.since).await;
        let source = Source::State { state: State::Dead, group: None, condition: None };
        let selection = Selection { source, kind: None, tenant: None, route: None, from: None, until: None };
        let (reason, by) = (None, "ada".to_owned());
        let plan = Plan { act: Act::Retry, selection, reason, by, pace: 0, same_cause: 0 };
        let created = cut.fixture.queue.operator.create_operation(&plan, true).await.unwrap();
        let Created::Done(id) = created else { panic!("{created:?}") };
        let again = cut.twice("operation.lua", async |queue| queue.operator.advance(&id).await).await;
        assert_eq!(again, Advanced::Idle(Some(Phase::Counted)));
        let start =
            async |queue: &Queue| queue.operator.steer_operation(&id, Steer::Start, "bob", Some(5)).await;
        assert_eq!(cut.twice("operation.lua", start).await, Steered::Refused(Phase::Running));
        let again = cut.twice("change.lua", async |queue| queue.operator.advance(&id).await).await;
        assert_eq!(again, Advanced::Idle(Some(Phase::Done)));
        let done = cut.fixture.queue.operation(&id).await.unwrap().unwrap();
        assert_eq!((done.tally.unwrap().would, done.changed, done.refused), (5, 5, 0));
        for id in &dead {
            let job = cut.job(id).await;
            assert_eq!((job.state, job.changes.len()), (State::Ready, 1), "{job:?}");
        }
        cut.fixture.finish().await;
    }
}

/// What people do; each is found to be done by the second call.
#[tokio::test(flavor = "multi_thread")]
async fn a_change() {
    let hour = Duration::from_secs(3600);
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let dead = cut.ended(4, &bury()).await;
        let waiting = cut.fixture.enqueue(3).await;

        let again = cut.twice("change.lua", async |queue| queue.operator.cancel(&waiting[0]).await).await;
        assert_eq!(again, Changed::Refused(State::Cancelled));
        let again =
            cut.twice("change.lua", async |queue| queue.operator.reschedule(&waiting[1], hour).await).await;
        assert_eq!(again, Changed::To(State::Scheduled));
        let urgent = Priority::High;
        let again =
            cut.twice("change.lua", async |queue| queue.operator.prioritise(&waiting[2], urgent).await).await;
        assert_eq!(again, Changed::To(State::Ready));

        let again = cut.twice("change.lua", async |queue| queue.operator.retry(&dead[0]).await).await;
        assert_eq!(again, Changed::Refused(State::Ready));
        let other = "other".into();
        let again =
            cut.twice("change.lua", async |queue| queue.operator.retry_with(&dead[1], &other).await).await;
        assert_eq!(again, Changed::Refused(State::Ready));
        let paced = &dead[2..3];
        let again =
            cut.twice("change.lua", async |queue| queue.operator.retry_paced(paced, hour).await).await;
        assert_eq!(again, [Changed::Refused(State::Ready)]);
        let ended = &dead[3..];
        let again =
            cut.twice("change.lua", async |queue| queue.operator.forget(ended, Duration::ZERO).await).await;
        assert_eq!(again, [Changed::Unknown]);

        let edited = cut.job(&dead[1]).await;
        assert_eq!((&edited.args[..], edited.earlier_args.len()), (&b"other"[..], 1));
        for (id, changes) in [(&waiting[0], 1), (&waiting[1], 2), (&waiting[2], 1), (&dead[0], 1)] {
            assert_eq!(cut.job(id).await.changes.len(), changes, "{id}");
        }
        let names = ["cancelled", "prioritised", "revived", "forgotten"];
        assert_eq!(cut.transitions(names).await, [1, 1, 3, 1]);
        assert!(cut.fixture.queue.dead_groups(&GroupFilter::default(), 9).await.unwrap().is_empty());

        // What runs is told to stop, and what is parked goes on.
        let jobs = cut.claim(2).await;
        assert_eq!(jobs.len(), 4);
        let again = cut.twice("change.lua", async |queue| queue.operator.cancel(&jobs[0].id).await).await;
        assert_eq!(again, Changed::Stopping);
        let noted = cut.job(&jobs[0].id).await;
        assert_eq!(noted.changes.iter().filter(|change| change.did == "cancelled").count(), 1, "{noted:?}");
        cut.settle(&jobs[..1], &cancel()).await;
        cut.settle(&jobs[1..2], &park("a key")).await;
        let again = cut.twice("change.lua", async |queue| queue.operator.retry(&jobs[1].id).await).await;
        assert_eq!(again, Changed::Refused(State::Ready));
        assert_eq!(cut.transitions(["unparked"]).await, [1]);
        assert!(cut.fixture.queue.conditions().await.unwrap().is_empty());
        cut.settle(&jobs[2..], &succeed()).await;
        cut.fixture.finish_after_forgetting(1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_or_a_pause() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let tenant = LimitKey::Tenant("a".into());
        let set = async |limit| {
            cut.twice("limit.lua", async |queue| queue.operator.set_limit(&tenant, limit).await).await;
        };
        set(Limit::concurrency(0)).await;
        let job = |_| NewJob { tenant: Some("a".into()), ..NewJob::new(JobId::random(), "test", "x") };
        let new: Vec<NewJob> = (0..4).map(job).collect();
        cut.fixture.queue.enqueue(&new).await.unwrap();
        assert!(cut.claim(1).await.is_empty());
        let held = LimitUse { running: Some(0), tokens: None, waiting_lanes: 1 };
        assert_eq!(cut.fixture.queue.limit_use(&tenant).await.unwrap(), held);
        // The lane is let in once, for the room that there is.
        set(Limit::concurrency(3)).await;
        let jobs = cut.claim(2).await;
        assert_eq!(jobs.len(), 3);
        set(Limit::default()).await;
        assert!(cut.fixture.queue.limits().await.unwrap().limits.is_empty());
        cut.settle(&jobs, &succeed()).await;

        cut.twice("limit.lua", async |queue| queue.operator.pause().await).await;
        assert!(cut.claim(3).await.is_empty());
        cut.twice("limit.lua", async |queue| queue.operator.resume().await).await;
        cut.twice("limit.lua", async |queue| queue.operator.pause_kind("test").await).await;
        assert!(cut.claim(4).await.is_empty());
        assert_eq!(cut.fixture.queue.counts().await.unwrap().of(State::Parked), 1);
        let released = cut.twice("limit.lua", async |queue| queue.operator.resume_kind("test").await).await;
        assert_eq!(released, Released { released: 1, left: 0 });
        let rest = cut.claim(5).await;
        assert_eq!(rest.len(), 1);
        cut.settle(&rest, &succeed()).await;
        cut.fixture.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_of_what_ran_before_a_limit() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let tenant = LimitKey::Tenant("a".into());
        let job = |_| NewJob { tenant: Some("a".into()), ..NewJob::new(JobId::random(), "test", "x") };
        let new: Vec<NewJob> = (0..3).map(job).collect();
        cut.fixture.queue.enqueue(&new).await.unwrap();
        let jobs = cut.claim(1).await;
        let limit = Limit::concurrency(3);
        cut.twice("recount.lua", async |queue| queue.operator.set_limit(&tenant, limit).await).await;
        assert_eq!(cut.fixture.queue.limit_use(&tenant).await.unwrap().running, Some(3));
        cut.settle(&jobs[..1], &succeed()).await;
        assert_eq!(cut.fixture.queue.limit_use(&tenant).await.unwrap().running, Some(2));
        cut.settle(&jobs[1..], &succeed()).await;
        assert_eq!(cut.fixture.queue.limit_use(&tenant).await.unwrap().running, Some(0));
        cut.fixture.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpark() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let ids = cut.ended(3, &park("a key")).await;
        let released = cut.twice("unpark.lua", async |queue| queue.operator.unpark("a key").await).await;
        assert_eq!(released, 0, "the first call let all go");
        assert_eq!(cut.transitions(["unparked"]).await, [3]);
        assert!(cut.fixture.queue.conditions().await.unwrap().is_empty());
        assert_eq!(cut.states(&ids).await, [State::Ready; 3]);
        let jobs = cut.claim(2).await;
        assert_eq!(jobs.len(), 3, "each is in its lane once");
        cut.settle(&jobs, &succeed()).await;
        cut.fixture.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trim() {
    let ends = [(succeed(), State::Succeeded), (bury(), State::Dead), (cancel(), State::Cancelled)];
    for (end, state) in &ends {
        for kept in Kept::ALL {
            let cut = Cut::new(kept).await;
            let ids = cut.ended(3, end).await;
            let waiting = cut.fixture.enqueue(1).await;
            let trimmed =
                cut.twice("trim.lua", async |queue| queue.worker.trim(*state, Duration::ZERO).await).await;
            assert_eq!(trimmed, Trimmed::default(), "the first call forgot all");
            assert_eq!(cut.transitions(["forgotten"]).await, [3]);
            assert!(cut.states(&ids).await.is_empty());
            assert_eq!(cut.states(&waiting).await, [State::Ready]);
            assert_eq!(cut.fixture.queue.counts().await.unwrap().of(*state), 0);
            cut.fixture.finish_after_forgetting(3).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trim_of_the_outbox() {
    for kept in Kept::ALL {
        let cut = Cut::new(kept).await;
        let mut admin = cut.fixture.connector.connect().unwrap();
        let outbox = cut.fixture.queue.keys().outbox();
        let mut pipe = redis::pipe();
        for _ in 0..3_000 {
            pipe.cmd("XADD").arg(&outbox).arg("*").arg("by").arg("w").ignore();
        }
        () = pipe.query_async(&mut admin).await.unwrap();
        cut.fixture.enqueue(1).await;
        cut.twice("trim_outbox.lua", async |queue| queue.worker.trim_outbox().await).await;
        let left = cut.fixture.queue.latest_transitions(10_000).await.unwrap();
        assert!((1_000..=1_100).contains(&left.len()), "{} are left", left.len());
        assert_eq!(left[0].transitions.len(), 1, "the newest is among them");
        cut.fixture.finish().await;
    }
}

/// Whether an answer of the scrubber's says that something was mended: it begins with how
/// much of what, five numbers or two.
fn reports(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let numbers = text.split("\r\n").skip(1).take_while(|line| line.starts_with(':')).take(5);
    numbers.into_iter().any(|number| number != ":0")
}

/// Damage that the scrubber mends, of which the answer is lost: mended once, and the pass
/// goes on. Its own sum lacks what was in that answer; the queue's count has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_the_scrubber() {
    // An index's entry without a job, a job that its lane lost, a list's id without a job.
    for (damage, script) in [("index", "scrub.lua"), ("lane", "scrub.lua"), ("list", "scrub_lane.lua")] {
        for kept in Kept::ALL {
            let cut = Cut::new(kept).await;
            let ids = cut.fixture.enqueue(3).await;
            let enqueued_at = cut.job(&ids[2]).await.enqueued_at;
            cut.fixture.until_after(enqueued_at).await;
            let keys = cut.fixture.queue.keys().clone();
            let mut admin = cut.fixture.connector.connect().unwrap();
            let ghost = JobId::random();
            let mut pipe = redis::pipe();
            match damage {
                "index" => pipe.cmd("ZADD").arg(keys.scheduled()).arg(9e15).arg(ghost.as_str()),
                "lane" => {
                    pipe.cmd("LREM").arg(keys.lane("2:")).arg(1).arg(ids[0].as_str());
                    pipe.cmd("HINCRBY").arg(keys.control()).arg("ready:2").arg(-1)
                }
                _ => {
                    pipe.cmd("RPUSH").arg(keys.lane("2:")).arg(ghost.as_str());
                    pipe.cmd("HINCRBY").arg(keys.control()).arg("ready:2").arg(1)
                }
            };
            pipe.exec_async(&mut admin).await.unwrap();

            cut.arm(script, reports);
            let (mut scrubber, mut failed) = (Scrubber::default(), 0);
            let found = loop {
                match scrubber.step(&cut.queue.worker).await {
                    Ok(Some(found)) => break found,
                    Ok(None) => {}
                    Err(_) => failed += 1,
                }
            };
            assert_eq!((failed, found.total()), (1, 0), "{damage}, {kept:?}: {found:?}");
            assert_eq!(cut.transitions(["mended"]).await, [1], "{damage}, {kept:?}");
            assert_eq!(Scrubber::pass(&cut.fixture.queue.worker).await.unwrap().total(), 0, "{damage}");
            let jobs = cut.claim(1).await;
            assert_eq!(jobs.len(), 3, "{damage}: each is in its lane once");
            cut.settle(&jobs, &succeed()).await;
            cut.fixture.finish().await;
        }
    }
}

/// Everything that a worker asks goes through connections that are cut again and again in
/// the middle of an answer, whatever that is.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_answers_are_cut_at_random_does_each_job_once() {
    const JOBS: usize = 400;
    /// Every one of so many fails the first time.
    const FAILS: usize = 10;
    let fixture = Fixture::single().await;
    let proxy = Proxy::start(fixture.port()).await.unwrap();
    let connector = fixture.via(&format!("redis://127.0.0.1:{}/", proxy.port()));
    let seed: u64 = rand::random();
    // Shown when the test fails.
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let cuts = Arc::new(Mutex::new(HashMap::<&str, usize>::new()));
    let counted = Arc::clone(&cuts);
    proxy.cut_replies(move |request, reply| {
        rng.random_bool(0.06).then(|| {
            *counted
                .lock()
                .unwrap()
                .entry(called(request).last().copied().unwrap_or("other"))
                .or_default() += 1;
            rng.random_range(0..reply.len())
        })
    });

    let producer = Queue::new(&connector, name()).unwrap();
    let jobs: Vec<NewJob> = (0..JOBS).map(|i| NewJob::new(JobId::random(), "test", format!("{i}"))).collect();
    let mut backoff = Backoff::default();
    while producer.enqueue(&jobs).await.is_err() {
        backoff.wait().await;
    }

    let runs = Arc::new(Mutex::new(HashMap::<JobId, u64>::new()));
    let ran = Arc::clone(&runs);
    let wait = Wait { base: Duration::ZERO, floor: Duration::ZERO, ..Wait::default() };
    // No lease is lost by a connection that is there again after some tries.
    let options =
        WorkerOptions { lease: PATIENCE, retry: RetryPolicy { wait, ..RetryPolicy::default() }, ..options() };
    let worker = Worker::start(&connector, options, move |job, lease| {
        let run = {
            let mut runs = ran.lock().unwrap();
            let run = runs.entry(job.id.clone()).or_default();
            *run += 1;
            *run
        };
        async move {
            let n: usize = std::str::from_utf8(&job.args).unwrap().parse().unwrap();
            let half = Progress { percent: 50, step: Some("render".to_owned()), message: None };
            lease.progress(&half).await.unwrap();
            if lease.step("render").is_none() {
                lease.complete_step("render", &json!(run)).await.unwrap();
            }
            if n.is_multiple_of(FAILS) && run == 1 {
                return Err(Failure::transient("once"));
            }
            Ok(json!(run))
        }
    });
    fixture.until_count(State::Succeeded, JOBS as u64).await;
    worker.stop().await;

    let ids: Vec<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
    let stored = fixture.queue.jobs(&ids).await.unwrap();
    assert_eq!(stored.len(), JOBS);
    for (n, job) in stored.iter().enumerate() {
        let attempts = if n.is_multiple_of(FAILS) { 2 } else { 1 };
        assert_eq!((job.state, job.attempts, job.token), (State::Succeeded, attempts, attempts), "{job:?}");
        assert_eq!(job.outcome, Some(json!(attempts)));
        // No lease was lost, so each attempt is one run and there is none besides.
        assert_eq!(runs.lock().unwrap().get(&job.id), Some(&attempts), "{job:?}");
        assert_eq!((job.steps.len(), job.step("render")), (1, Some(&json!(1))), "{job:?}");
        assert_eq!(job.history.len() as u64, attempts - 1, "{job:?}");
    }
    let counts = fixture.queue.counts().await.unwrap();
    let failed = JOBS.div_ceil(FAILS) as u64;
    let once = ["enqueued", "claimed", "succeeded", "retried", "crashed", "released", "dead"];
    let all = JOBS as u64;
    assert_eq!(
        once.map(|name| counts.transitions(name)),
        [all, all + failed, all, failed, 0, 0, 0],
        "{counts:?}"
    );
    let cuts = cuts.lock().unwrap().clone();
    assert!(
        ["claim.lua", "complete.lua", "write.lua"].iter().all(|script| cuts.contains_key(script)),
        "{cuts:?}"
    );
    fixture.finish().await;
}
