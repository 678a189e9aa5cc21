//! One run: each operation is done to the queue and to the model, and both are compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    time::Duration,
};

use upshot_queue::{
    Account, Condition, Crashes, Deadline, Expect, Expectation, Failure, JobId, Kept, Kinds, LimitKey,
    NewJob, Released, Remark, Shares, Signalled, State, Unique, Wait, Watched,
    protocol::{Claim, Disposition, EndedAttempt, Maintained, Write},
};

use crate::handles::Queue;

use crate::{
    claim::{Answer, knows},
    end,
    job::{compare, encode, stored},
    legal::Walk,
    model::{Came, Model, REFUTED},
    operation::{
        CONDITIONS, CRASHES, Draft, Ending, KINDS, LARGE, LEASE_MS, LIMIT_KEYS, Lease, MESSAGES, Operation,
        Plan, TENANTS, WORKERS, Who, Writing,
    },
    server::{Listener, Server},
};

/// Does the whole plan; why the queue is not as the model, when it is not.
pub async fn run(server: &Server, plan: &Plan) -> Result<(), String> {
    let mut run = Run::new(server, plan).await;
    let mut done = Ok(());
    for (i, operation) in plan.operations.iter().enumerate() {
        done = run.step(operation).await.map_err(|why| format!("after operation {i}, {operation:?}: {why}"));
        if done.is_err() {
            break;
        }
    }
    if done.is_ok() {
        done = end::check(server, &run.queue, &run.model).await.map_err(|why| format!("at the end: {why}"));
    }
    server.remove(&run.queue).await;
    done
}

/// A worker: its name changes when it crashes.
#[derive(Clone, Copy, Default)]
struct Worker {
    life: u64,
    /// The number of its last claim.
    number: u64,
}

pub struct Run {
    server: Server,
    queue: Queue,
    model: Model,
    /// Of all jobs that the plan knows.
    ids: Vec<JobId>,
    shares: Shares,
    workers: [Worker; WORKERS],
    /// The kinds that each runs, by name; `None` for all.
    runs: [Option<BTreeSet<String>>; WORKERS],
    listener: Listener,
    /// Where the jobs were after the operation before, by what the outbox told of them.
    walk: Walk,
    /// The numbers of the routes.
    routes: BTreeMap<String, u32>,
    /// Each worker sleeps since a claim of its own found less than it wanted, until this (ms; 0:
    /// until it is woken).
    sleeping: [Option<u64>; WORKERS],
    /// The same of the claim of this step, and whose it was.
    found_less: Option<(usize, u64)>,
}

/// The job of a number; the same in every run, so that its place among others is.
pub fn id(job: usize) -> JobId {
    JobId::derive(&["model", &job.to_string()])
}

#[expect(clippy::needless_pass_by_value, reason = "both are answers that nobody needs any more")]
fn equal<T: PartialEq + Debug>(model: T, queue: T) -> Result<(), String> {
    if model == queue { Ok(()) } else { Err(format!("the model answers {model:?}, the queue {queue:?}")) }
}

fn said(error: impl std::fmt::Display) -> String {
    format!("the queue failed: {error}")
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Idempotency keys live by Redis' own clock: longer than any run.
const LIFETIME: Duration = Duration::from_secs(3600);
/// How long some claims have jobs wait that lost their worker; others let them run at once.
const CRASH_WAIT: Duration = Duration::from_millis(700);
/// When runs begin, in µs.
const START: u64 = 1_800_000_000_000_000;

impl Run {
    async fn new(server: &Server, plan: &Plan) -> Self {
        let queue = server.queue();
        let none = Shares { high: 0.0, normal: 0.0, low: 0.0 };
        let shares = if plan.shares { Shares::default() } else { none };
        let ids = plan.jobs().into_iter().map(id).collect();
        let model = Model { us: START, ..Model::default() };
        server.set_clock(&queue, model.us).await;
        let listener = server.listen(&queue).await;
        let workers = [Worker::default(); WORKERS];
        let runs = plan
            .runs
            .clone()
            .map(|runs| runs.map(|runs| runs.into_iter().map(|kind| KINDS[kind].to_owned()).collect()));
        let (walk, sleeping, found_less) = (Walk::default(), [None; WORKERS], None);
        Self {
            server: server.clone(),
            queue,
            model,
            ids,
            shares,
            workers,
            runs,
            listener,
            walk,
            routes: BTreeMap::new(),
            sleeping,
            found_less,
        }
    }

    async fn step(&mut self, operation: &Operation) -> Result<(), String> {
        let before = self.sleepers_miss();
        self.apply(operation).await?;
        self.compare().await?;
        // What comes with time is not said: sleepers were told when to look.
        let advanced = matches!(operation, Operation::Advance(_));
        let misses = if advanced { [const { None }; WORKERS] } else { self.sleepers_miss() };
        let woken = self.listener.woken().await;
        for (worker, sleeping) in self.sleeping.iter_mut().enumerate() {
            if woken {
                *sleeping = None;
            } else if let (Some(_), None, Some(id)) = (&sleeping, &before[worker], &misses[worker]) {
                return Err(format!("worker {worker} can run {id} now, and sleeps, and was not woken"));
            }
        }
        if let Some((worker, until)) = self.found_less.take() {
            self.sleeping[worker] = Some(until);
        }
        let now = self.model.now();
        for sleeping in &mut self.sleeping {
            *sleeping = sleeping.filter(|until| !(1..=now).contains(until));
        }
        Ok(())
    }

    /// A job that each worker could run, should it sleep.
    fn sleepers_miss(&self) -> [Option<JobId>; WORKERS] {
        let can_run = |worker: usize| {
            let runs = self.runs[worker].as_ref();
            self.model.ids(|job| self.model.can_run(job, &[], runs)).pop()
        };
        std::array::from_fn(can_run)
    }

    async fn apply(&mut self, operation: &Operation) -> Result<(), String> {
        let (queue, model) = (self.queue.clone(), &mut self.model);
        match operation {
            Operation::Enqueue(drafts) => {
                let jobs: Vec<NewJob> = drafts.iter().map(new_job).collect();
                equal(model.enqueue(&jobs), queue.enqueue(&jobs).await.map_err(said)?)
            }
            Operation::Claim { worker, want, again } => self.claim(*worker, *want, *again).await,
            Operation::Settle(who, leases) => {
                let name = self.name(*who);
                let batch: Vec<EndedAttempt> =
                    leases.iter().map(|(lease, ending)| self.ended(&name, *lease, *ending)).collect();
                equal(
                    self.model.settle(&name, &batch),
                    queue.worker.settle(&name, &batch).await.map_err(said)?,
                )
            }
            Operation::Renew(who, leases) => {
                let name = self.name(*who);
                let leases: Vec<(JobId, u64)> =
                    leases.iter().map(|lease| self.lease(&name, *lease)).collect();
                let until = self.model.now() + LEASE_MS;
                let each = leases.iter().map(|(id, token)| (id, *token));
                let renewed = queue.worker.renew(&name, ms(LEASE_MS), each).await.map_err(said)?;
                equal(self.model.renew(&name, until, &leases), renewed)
            }
            Operation::Write(who, lease, writing) => {
                let name = self.name(*who);
                let (id, token) = self.lease(&name, *lease);
                let (first, second) = match writing {
                    Writing::Progress(percent) => {
                        (format!("{{\"percent\":{percent}}}"), format!("{percent} "))
                    }
                    Writing::Step(step, result) => (format!("step {step}"), result.to_string()),
                    Writing::Begin(step) | Writing::Refused(step) => (format!("step {step}"), String::new()),
                    Writing::Log(line) => (format!("\"line {line}\""), String::new()),
                };
                let write = match writing {
                    Writing::Progress(_) => Write::Progress(&first, &second),
                    Writing::Step(..) => Write::Step(&first, &second, ""),
                    Writing::Begin(_) => Write::Begin(&first, ""),
                    Writing::Refused(_) => Write::Refused(&first),
                    Writing::Log(_) => Write::Log(&first),
                };
                let written = queue.worker.write(&name, &id, token, write).await.map_err(said)?;
                equal(self.model.write(&name, &id, token, write), written)
            }
            Operation::Crash(worker) => {
                let worker = &mut self.workers[*worker];
                *worker = Worker { life: worker.life + 1, number: 0 };
                Ok(())
            }
            Operation::Advance(by) => {
                model.us += by.as_micros() as u64;
                self.server.set_clock(&queue, model.us).await;
                Ok(())
            }
            Operation::Cancel(job) => {
                equal(model.cancel(&id(*job)), queue.operator.cancel(&id(*job)).await.map_err(said)?)
            }
            Operation::Watch => {
                let mut overdue = 0;
                loop {
                    match queue.watch("w", ms(LEASE_MS), None).await.map_err(said)? {
                        Watched::Here { overdue: n, more } => {
                            overdue += n;
                            if !more {
                                break;
                            }
                        }
                        Watched::Elsewhere(lease) => return Err(format!("{lease} watches")),
                    }
                }
                equal(model.watch(), overdue)
            }
            Operation::Waive(job) => {
                let reason = Remark::new("settled by phone", "ada").map_err(said)?;
                equal(model.waive(&id(*job)), queue.operator.waive(&id(*job), &reason).await.map_err(said)?)
            }
            Operation::Reschedule(job, delay) => {
                let changed = queue.operator.reschedule(&id(*job), ms(*delay)).await.map_err(said)?;
                equal(model.reschedule(&id(*job), *delay), changed)
            }
            Operation::Prioritise(job, priority) => {
                let changed = queue.operator.prioritise(&id(*job), *priority).await.map_err(said)?;
                equal(model.prioritise(&id(*job), *priority), changed)
            }
            Operation::Retry(job) => equal(
                model.retry(&id(*job), None, false, 0),
                queue.operator.retry(&id(*job)).await.map_err(said)?,
            ),
            Operation::Edit(job, args) => {
                // Half of them agree to repeat what the job has completed.
                let repeats = args % 2 == 0;
                let known = model.jobs.get(&id(*job)).filter(|_| repeats);
                let steps: Vec<String> =
                    known.iter().flat_map(|job| job.steps.keys().chain(job.begun.keys()).cloned()).collect();
                // Few different ones, so that they are the same again now and then.
                let args = [args % 4, b'\n'];
                let changed = queue
                    .operator
                    .retry_repeating(&id(*job), &args.to_vec().into(), &steps)
                    .await
                    .map_err(said)?;
                equal(model.retry(&id(*job), Some(&args), repeats, 0), changed)
            }
            Operation::RetryPaced(jobs, pace) => {
                let ids: Vec<JobId> = jobs.iter().map(|job| id(*job)).collect();
                let changed = queue.operator.retry_paced(&ids, ms(*pace)).await.map_err(said)?;
                let retry = |(i, id)| model.retry(id, None, false, i as u64 * pace);
                equal(ids.iter().enumerate().map(retry).collect(), changed)
            }
            Operation::Forget(jobs, age) => {
                let ids: Vec<JobId> = jobs.iter().map(|job| id(*job)).collect();
                let changed = queue.operator.forget(&ids, ms(*age)).await.map_err(said)?;
                equal(ids.iter().map(|id| model.forget(id, *age)).collect(), changed)
            }
            Operation::Trim(of, retention) => {
                let (mut forgotten, mut more) = (0, true);
                while more {
                    let trimmed = queue.worker.trim(*of, ms(*retention)).await.map_err(said)?;
                    forgotten += trimmed.forgotten;
                    more = trimmed.more;
                }
                equal(model.trim(*of, *retention), forgotten)
            }
            Operation::SetLimit(key, limit) => {
                model.set_limit(key, *limit);
                queue.operator.set_limit(key, *limit).await.map_err(said)
            }
            Operation::Pause => {
                model.paused = true;
                queue.operator.pause().await.map_err(said)
            }
            Operation::Resume => {
                model.paused = false;
                queue.operator.resume().await.map_err(said)
            }
            Operation::PauseKind(kind) => {
                model.paused_kinds.insert(KINDS[*kind].to_owned());
                queue.operator.pause_kind(KINDS[*kind]).await.map_err(said)
            }
            Operation::ResumeKind(kind) => {
                model.paused_kinds.remove(KINDS[*kind]);
                let condition = format!("resume {}", encode(KINDS[*kind]));
                let begun = queue.operator.resume_kind(KINDS[*kind]).await.map_err(said)?;
                let rest =
                    if begun.left > 0 { queue.operator.unpark(&condition).await.map_err(said)? } else { 0 };
                equal(model.unpark(&condition), begun.released + rest)
            }
            Operation::Reconcile(job, tenant, args) => {
                let tenant = tenant.map(|tenant| TENANTS[tenant].to_owned());
                let job = NewJob { tenant, ..NewJob::new(id(*job), KINDS[0], vec![*args, b'\n']) };
                let answers = queue.reconcile(&[&job], |one, other| one == other).await.map_err(said)?;
                equal(vec![model.reconcile(&job.id, job.tenant.as_deref(), &job.args)], answers)
            }
            Operation::Signal(_) | Operation::Confirm(..) => {
                let (payload, name, missed) = match operation {
                    Operation::Confirm(id, missed) => {
                        let mut payload = serde_json::json!({"id": id.map(|id| id.to_string())});
                        if *missed {
                            payload["outcome"] = "missed".into();
                            payload["reason"] = REFUTED.into();
                        }
                        (payload, *id, *missed)
                    }
                    Operation::Signal(payload) => (payload.to_string().into(), None, false),
                    _ => return Ok(()),
                };
                let condition: Condition = CONDITIONS[1].parse().map_err(said)?;
                let confirms = matches!(operation, Operation::Confirm(..));
                let sent = if confirms {
                    queue.confirm(&condition, &payload).await
                } else {
                    queue.signal(&condition, &payload).await
                };
                let Signalled { kept, released: Released { released, left } } = sent.map_err(said)?;
                let rest =
                    if left > 0 { queue.operator.unpark(CONDITIONS[1]).await.map_err(said)? } else { 0 };
                let kept = match kept {
                    Kept::Stored => "stored",
                    Kept::Known => "known",
                    Kept::Contradicts { .. } => "contradicts",
                };
                let came = Came { payload: payload.to_string(), name, missed, confirms };
                equal(model.signal(CONDITIONS[1], &came), (kept, released + rest))
            }
            Operation::Unpark(condition) => {
                let of_kind = || {
                    let n = condition - CONDITIONS.len();
                    let kind = encode(KINDS[n % KINDS.len()]);
                    if n < KINDS.len() { format!("resume {kind}") } else { format!("kind {kind}@1") }
                };
                let condition =
                    CONDITIONS.get(*condition).map_or_else(of_kind, |condition| (*condition).to_owned());
                equal(model.unpark(&condition), queue.operator.unpark(&condition).await.map_err(said)?)
            }
        }
    }

    fn name(&self, who: Who) -> String {
        let life = self.workers[who.worker].life;
        format!("w{}-{}", who.worker, if who.former { life.saturating_sub(1) } else { life })
    }

    /// The id and token that somebody means.
    fn lease(&self, name: &str, lease: Lease) -> (JobId, u64) {
        match lease {
            Lease::Held(pick) => {
                let held =
                    self.model.ids(|job| job.state == State::Running && job.worker.as_deref() == Some(name));
                let pick = held.get(pick % held.len().max(1)).cloned().unwrap_or_else(|| id(pick));
                let token = self.model.jobs.get(&pick).map_or(1, |job| job.token);
                (pick, token)
            }
            Lease::Of { job, back } => {
                let token = self.model.jobs.get(&id(job)).map_or(1, |job| job.token);
                (id(job), token.saturating_sub(back))
            }
        }
    }

    fn ended(&self, name: &str, lease: Lease, ending: Ending) -> EndedAttempt {
        let (id, token) = self.lease(name, lease);
        let flow = self.model.jobs.get(&id).map(crate::job::ModelJob::flow).unwrap_or_default();
        let failed = |class, message: &str| {
            let failure = Failure::new(class, message);
            serde_json::json!({"at": 1, "attempt": token, "class": failure.class, "message": failure.message})
                .to_string()
        };
        let did = |did: &str| serde_json::json!({"at": 1, "did": did}).to_string();
        let end = match ending {
            Ending::Succeed => Disposition::Succeed("{\"ok\":true}".to_owned()),
            Ending::Retry(delay, class) => {
                let normal = "again".to_owned();
                Disposition::Retry { delay: ms(delay), class, normal, line: failed(class, "again") }
            }
            Ending::Bury(class, message) => Disposition::Bury {
                class,
                normal: MESSAGES[message].to_owned(),
                line: failed(class, MESSAGES[message]),
            },
            Ending::Snooze(delay) => Disposition::Snooze { delay: ms(delay), line: did("snoozed") },
            Ending::Release(told) => {
                Disposition::Release { line: if told { did("released") } else { String::new() } }
            }
            Ending::Cancel => Disposition::Cancel { line: did("cancelled") },
            Ending::Park(condition, within) => Disposition::Park {
                within: within.map(ms),
                condition: CONDITIONS[condition].to_owned(),
                why: "nobody is there".to_owned(),
                line: did("parked"),
            },
            Ending::Partly => Disposition::Partly("{\"ok\":true}".to_owned()),
            Ending::Await(within, on_silence) => Disposition::Await {
                outcome: "{\"ok\":true}".to_owned(),
                condition: CONDITIONS[1].to_owned(),
                within: ms(within),
                on_silence,
                why: "no proof has come".to_owned(),
                line: did("awaiting"),
            },
        };
        let of = |job: &crate::job::ModelJob| {
            let route = *self.routes.get(job.route())?;
            Some(Expectation { route, due: job.expected? as i64, account: Account::Open })
        };
        let expectation = self.model.jobs.get(&id).and_then(of);
        EndedAttempt { id, token, flow, expectation, args: 0, clock: None, disposition: end }
    }

    async fn claim(&mut self, worker: usize, want: usize, again: bool) -> Result<(), String> {
        let name = self.name(Who { worker, former: false });
        if !again {
            self.workers[worker].number += 1;
        }
        // Two are under way at most: the last one, or the one before.
        let before = u64::from(again && want.is_multiple_of(2));
        let number = self.workers[worker].number.saturating_sub(before).max(1);
        // Whose turn it is does not matter here.
        let ahead = 1 + number as usize % 5;
        let wait = if number.is_multiple_of(3) { CRASH_WAIT } else { Duration::ZERO };
        let known = self.runs[worker].clone().map(|kinds| kinds.into_iter().map(|kind| (kind, 1)).collect());
        let kinds = known.map(|known| Kinds { known, build: String::new() }.stored());
        let claim = Claim {
            worker: &name,
            want,
            lease: ms(LEASE_MS),
            crashes: &Crashes::new(CRASHES, Wait { base: wait, cap: wait, floor: wait }),
            crashes_by_kind: &[],
            kinds: kinds.as_deref(),
            request_id: number,
            shares: self.shares,
            quantum: ahead,
        };
        let claimed = self.queue.worker.claim(&claim).await.map_err(said)?;
        equal(self.model.now(), claimed.now.unsigned_abs())?;
        let Maintained { reclaimed, dead } = claimed.maintained.clone().map_err(said)?;
        equal(self.model.sweep(wait.as_millis() as u64), (reclaimed, dead))?;
        let (more, next_at, unknown) = (claimed.more, claimed.next_at.unsigned_abs(), claimed.unknown);
        let jobs: Result<Vec<_>, _> = claimed.jobs(&self.queue, &name).collect();
        let jobs = jobs.map_err(said)?;
        let leased: Vec<(JobId, u64)> = jobs.iter().map(|job| (job.id.clone(), job.token)).collect();
        let parked = self.parked_meanwhile(worker).await?;
        self.model.promised = self.promised().await?;
        self.found_less = (leased.len() < want && !more).then_some((worker, next_at));
        let runs = self.runs[worker].clone();
        self.model.follow(&Answer {
            worker: &name,
            number,
            want,
            until: self.model.now() + LEASE_MS,
            shares: self.shares == Shares::default(),
            leased,
            runs: runs.as_ref(),
            unknown,
            parked,
            more,
            next_at,
        })?;
        for job in &jobs {
            // What the worker was told, but for what only the stored job knows.
            let model = &self.model.jobs[&job.id];
            equal((model.token - model.released, &model.args[..]), (job.attempts, &job.args[..]))?;
            equal(model.steps.len(), job.steps.len())?;
        }
        Ok(())
    }

    /// Which jobs a claim parked because their kind is paused or the worker does not run them,
    /// which is up to it.
    async fn parked_meanwhile(&self, worker: usize) -> Result<Vec<JobId>, String> {
        let runs = self.runs[worker].as_ref();
        let may = self.model.ids(|job| {
            let is_paused = self.model.paused_kinds.contains(&job.new.kind);
            job.state == State::Ready && (is_paused || !knows(runs, job))
        });
        if may.is_empty() {
            return Ok(Vec::new());
        }
        let jobs = self.queue.jobs(&may).await.map_err(said)?;
        Ok(jobs.into_iter().filter(|job| job.state == State::Parked).map(|job| job.id).collect())
    }

    /// For which lane the queue keeps the next place under a key, which is up to it.
    async fn promised(&self) -> Result<BTreeMap<LimitKey, String>, String> {
        let mut conn = self.server.conn.clone();
        let kept: BTreeMap<String, String> = redis::cmd("HGETALL")
            .arg(self.queue.keys().promised())
            .query_async(&mut conn)
            .await
            .map_err(said)?;
        let known = |(key, lane): (String, String)| {
            let limited = self.model.limits.keys().find(|each| stored(each) == key).cloned();
            Ok((limited.ok_or_else(|| format!("a place is kept under {key}, which limits nothing"))?, lane))
        };
        kept.into_iter().map(known).collect()
    }

    /// No lane waits for the key under which a place is kept for it.
    async fn nobody_waits_for_itself(&self) -> Result<(), String> {
        let mut conn = self.server.conn.clone();
        for (key, lane) in &self.model.promised {
            let mut cmd = redis::cmd("HGET");
            cmd.arg(self.queue.keys().held()).arg(lane);
            let waits_for: Option<String> = cmd.query_async(&mut conn).await.map_err(said)?;
            if waits_for == Some(stored(key)) {
                return Err(format!("{lane} waits for the place under {key} that is kept for it"));
            }
        }
        Ok(())
    }

    /// Compares every job, and the counts; judges what happened.
    async fn compare(&mut self) -> Result<(), String> {
        self.model.promised = self.promised().await?;
        self.model.may_promise()?;
        self.nobody_waits_for_itself().await?;
        let stored = self.queue.jobs(&self.ids).await.map_err(said)?;
        self.walk.follow(&self.queue).await?;
        self.walk.arrive(stored.iter().map(|job| (&job.id, job.state)))?;
        if let Some((id, from, to)) = self.model.illegal.first() {
            return Err(format!("in the model {id} goes from {from} to {to}, which is not legal"));
        }
        let mut stored = stored.iter().peekable();
        for id in &self.ids {
            let job = stored.next_if(|job| job.id == *id);
            compare(id, self.model.jobs.get(id), job)?;
        }
        let counts = self.queue.counts().await.map_err(said)?;
        for state in State::ALL {
            let n = self.model.ids(|job| job.state == state).len() as u64;
            equal((state, n), (state, counts.of(state)))?;
        }
        equal(self.model.paused, counts.paused)?;
        self.routes = self.model.ledger.compare(&self.queue).await?;
        let moves: Vec<(String, u64)> =
            self.model.moves.iter().map(|(what, n)| ((*what).to_owned(), *n)).collect();
        let mut transitions = counts.transitions;
        transitions.sort();
        equal(moves, transitions)
    }
}

fn new_job(draft: &Draft) -> NewJob {
    let padding = " ".repeat(if draft.large { LARGE } else { 0 });
    let mut job = NewJob::new(id(draft.job), KINDS[draft.kind], format!("{}\n{padding}", draft.kind));
    job.priority = draft.priority;
    job.tenant = draft.tenant.map(|tenant| TENANTS[tenant].to_owned());
    job.limit_keys = draft.limit_keys.iter().map(|key| LIMIT_KEYS[*key].to_owned()).collect();
    job.subject = draft.subject.map(|subject| format!("order-{subject}"));
    job.delay = ms(draft.delay_ms);
    job.deadline = draft.deadline.map(|(within, then)| Deadline { within: ms(within), then });
    // Of one key dead jobs give way to those that name it.
    let unique = |(key, scope)| Unique {
        key: format!("key|{key}"),
        scope,
        lifetime: LIFETIME,
        noted: LIFETIME,
        replaces_dead: key == 2,
    };
    job.unique = draft.unique.map(unique);
    // By kind, so that an id may come again on another route.
    let within = [0, 400, 5_000, 30_000][draft.job % 4];
    job.expect = (draft.kind > 0).then(|| Expect::new(format!("route {}", draft.kind), ms(within)));
    job.replaces_dead = draft.replaces_dead;
    job
}
