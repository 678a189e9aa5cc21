//! Makes one step of an operation.

use std::time::{Duration, Instant};

use redis::Value;

use crate::{
    client::{
        change::Order,
        handle::Client,
        operations::{
            Operation,
            walk::{Met, Part, Place},
        },
        operator::{Acting, Operator},
    },
    error::Error,
    job::{Change, Remark, id::JobId},
    policy::{
        operation::{Act, Facts, Fate, OperationId, Phase, Plan, Tally, When, jobs_of_step},
        pace::Pace,
    },
    redis::clock::{delay_ms, utc_ms},
    scripts::{self, Call},
};

/// Entries that a step meets at most, some eight calls.
const EXAMINED: usize = 1_024;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advanced {
    /// It counted or changed jobs.
    By {
        /// What it does to jobs.
        act: Act,
        /// Jobs that were changed.
        changed: u64,
        /// Jobs that could not be changed.
        refused: u64,
        /// The state after the step.
        phase: Phase,
        /// How long the calls took.
        took: Duration,
    },
    /// The pace allows the next step after this time.
    Wait(
        /// How long.
        Duration,
    ),
    /// The operation does not count or run, or another process made the step.
    Idle(
        /// The state that it was seen in; `None` where it is unknown.
        Option<Phase>,
    ),
}

/// A process that walks the operations of a queue: one process at a time does, by a lease in the
/// queue's slot. The lease saves work and decides nothing: two processes that walk an operation at
/// the same time make each step once.
#[derive(Debug)]
pub struct Walker {
    operator: Operator,
    process: String,
    renewals: u64,
    /// The lease of another process, and since when it is unchanged.
    seen: Option<(String, Instant)>,
}

/// How long the lease lasts without a renewal.
const LEASE: Duration = Duration::from_secs(3);

/// A step as it was read: which jobs it changes, and where the walk continues.
#[derive(Debug, Default)]
struct Step {
    chosen: Vec<Chosen>,
    next: Option<Place>,
    examined: u64,
    tally: Tally,
}

/// A job that a step changes.
#[derive(Debug)]
struct Chosen {
    id: JobId,
    /// Why it is not changed.
    refusal: Option<String>,
    place: Place,
    /// Entries that the walk met up to this one.
    examined: u64,
}

impl Walker {
    /// A walker of a queue. `process` names the process without blanks.
    pub fn new(operator: Operator, process: String) -> Self {
        Self { operator, process, renewals: 0, seen: None }
    }

    /// The operator.
    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// The operations to walk: none while another process walks them.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn take(&mut self) -> Result<Vec<OperationId>, Error> {
        let client = self.operator.client.clone();
        let ids = client.operating().await?;
        if ids.is_empty() {
            return Ok(ids);
        }
        let mut get = redis::cmd("GET");
        get.arg(client.keys.operator());
        let lease: Option<String> = get.query_async(&mut client.conn.clone()).await?;
        if let Some(lease) = lease.filter(|lease| !lease.starts_with(&format!("{} ", self.process))) {
            // After the clock was set back, the lease of a process that is gone would not expire.
            let since = match &self.seen {
                Some((seen, since)) if *seen == lease => *since,
                _ => Instant::now(),
            };
            self.seen = Some((lease, since));
            if since.elapsed() < 2 * LEASE {
                return Ok(Vec::new());
            }
        }
        self.renew().await?;
        Ok(ids)
    }

    /// Renews the lease, before each step. Returns whether it still is this walker's: with another's the
    /// rest of the round is that one's.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn keep(&mut self) -> Result<bool, Error> {
        let client = self.operator.client.clone();
        let mut get = redis::cmd("GET");
        get.arg(client.keys.operator());
        let lease: Option<String> = get.query_async(&mut client.conn.clone()).await?;
        if lease.is_some_and(|lease| !lease.starts_with(&format!("{} ", self.process))) {
            return Ok(false);
        }
        self.renew().await?;
        Ok(true)
    }

    async fn renew(&mut self) -> Result<(), Error> {
        let client = &self.operator.client;
        self.renewals += 1;
        let mut set = redis::cmd("SET");
        set.arg(client.keys.operator()).arg(format!("{} {}", self.process, self.renewals));
        set.arg("PX").arg(delay_ms(LEASE));
        let () = set.query_async(&mut client.conn.clone()).await?;
        Ok(())
    }

    /// Rests after calls that took so long, so that Redis stays free for others.
    pub async fn rest(&self, took: Duration) {
        Pace::RELEASE.rest(took).await;
    }
}

impl Operator {
    /// Makes one step of an operation that counts or runs.
    ///
    /// # Errors
    /// When Redis failed. The step is made or not; the next call continues.
    pub async fn advance(&self, id: &OperationId) -> Result<Advanced, Error> {
        let Some(operation) = self.client.operation(id).await? else { return Ok(Advanced::Idle(None)) };
        if !operation.phase.is_active() {
            return Ok(Advanced::Idle(Some(operation.phase)));
        }
        let began = Instant::now();
        let place = match operation.cursor.as_str() {
            "" => Ok(None),
            text => serde_json::from_str::<Place>(text).map(Some),
        };
        let (Some(plan), Ok(place)) = (&operation.plan, place) else {
            let why = "another version of the program wrote it, and this one cannot read it: create it again";
            self.fail_operation(id, why).await?;
            return Ok(Advanced::Idle(Some(Phase::Failed)));
        };
        let is_counting = operation.phase == Phase::Counting;
        if !is_counting && operation.next > 0 {
            let wait = operation.next.saturating_sub(self.client.now_ms().await?);
            if wait > 0 {
                return Ok(Advanced::Wait(Duration::from_millis(wait.unsigned_abs())));
            }
        }
        let most = if is_counting { usize::MAX } else { jobs_of_step(plan.pace()) };
        let step = self.client.read_step(&operation, plan, place, most).await?;
        if is_counting {
            self.store_count(&operation, plan.act, step, began).await
        } else {
            self.make(&operation, plan, &step, began).await
        }
    }

    /// Stores what a step of a dry run counted.
    async fn store_count(
        &self,
        operation: &Operation,
        act: Act,
        step: Step,
        began: Instant,
    ) -> Result<Advanced, Error> {
        let mut tally = step.tally;
        self.client.name_causes(&mut tally).await?;
        // Texts and numbers always serialise.
        let stored = serde_json::to_string(&tally).unwrap_or_default();
        let mut call = Call::new(&scripts::OPERATION, &self.client.keys);
        call.arg("count").arg(operation.id.as_str()).arg(operation.seq).arg(cursor(step.next.as_ref()));
        call.arg(step.examined).arg(stored).arg(tally.would);
        let (is_stored, state): (u8, String) = call.run(&mut self.client.conn.clone()).await?;
        let phase = state.parse().ok();
        Ok(match phase {
            Some(phase) if is_stored == 1 => {
                Advanced::By { act, changed: 0, refused: 0, phase, took: began.elapsed() }
            }
            phase => Advanced::Idle(phase),
        })
    }

    /// Changes the jobs of a step.
    async fn make(
        &self,
        operation: &Operation,
        plan: &Plan,
        step: &Step,
        began: Instant,
    ) -> Result<Advanced, Error> {
        let pace = plan.pace();
        let now = match plan.act {
            Act::Reschedule { to: When::At(_) } => self.client.now_ms().await?,
            _ => 0,
        };
        let note = Note::of(operation, plan);
        let mut call = Call::new(&scripts::CHANGE, &self.client.keys);
        call.arg(step.chosen.len());
        let mut jobs = 0;
        for chosen in &step.chosen {
            let delay = pace.saturating_mul(jobs);
            if let Some(reason) = &chosen.refusal {
                call.arg(chosen.id.as_str()).arg("refuse").arg(reason.as_str()).arg("").arg("");
                continue;
            }
            let Order { verb, first, did, note, by, .. } = note.order(plan.act, &chosen.id, delay, now);
            let change = Change {
                at: utc_ms(),
                did: did.to_owned(),
                note,
                by,
                worker: None,
                attempt: None,
                began: None,
            };
            let line = if did.is_empty() { String::new() } else { change.line() };
            jobs += 1;
            call.arg(chosen.id.as_str()).arg(verb).arg(first).arg("").arg(line);
        }
        call.arg(operation.id.as_str()).arg(operation.seq);
        call.arg(plan.only().map_or("", |state| state.as_str()));
        call.arg(if plan.is_of_before() { operation.created.to_string() } else { String::new() });
        call.arg(delay_ms(pace.saturating_mul(jobs)));
        call.arg(cursor(step.next.as_ref())).arg(step.examined);
        for chosen in &step.chosen {
            call.arg(cursor(Some(&chosen.place))).arg(chosen.examined);
        }
        let said: Vec<Value> = call.run(&mut self.client.conn.clone()).await?;
        let said: Vec<String> = said
            .into_iter()
            .map(redis::from_redis_value)
            .collect::<Result<_, _>>()
            .map_err(redis::RedisError::from)?;
        if let [mark, state] = said.as_slice()
            && mark == "!"
        {
            return Ok(Advanced::Idle(state.parse().ok()));
        }
        let is_refusal = |said: &&String| said.is_empty() || said.starts_with("is ");
        let refused = said.iter().filter(is_refusal).count() as u64;
        let is_over = said.len() == step.chosen.len() && step.next.is_none();
        let phase = if is_over { Phase::Done } else { Phase::Running };
        Ok(Advanced::By {
            act: plan.act,
            changed: said.len() as u64 - refused,
            refused,
            phase,
            took: began.elapsed(),
        })
    }
}

impl Client {
    /// Reads a step: walks on until `most` jobs are chosen, many entries were met, or the walk ends.
    async fn read_step(
        &self,
        operation: &Operation,
        plan: &Plan,
        from: Option<Place>,
        most: usize,
    ) -> Result<Step, Error> {
        let selection = &plan.selection;
        let route = match &selection.route {
            Some(name) => {
                let routes = self.routes().await?;
                // A route without a number has no jobs.
                let number = routes.into_iter().find(|(_, route)| route == name).map(|(number, _)| number);
                if number.is_none() {
                    return Ok(Step {
                        tally: operation.tally.clone().unwrap_or_default(),
                        ..Step::default()
                    });
                }
                number
            }
            None => None,
        };
        let is_counting = operation.phase == Phase::Counting;
        let mut step = Step {
            examined: operation.examined,
            tally: operation.tally.clone().filter(|_| is_counting).unwrap_or_default(),
            ..Step::default()
        };
        let mut from = from;
        let mut left = EXAMINED;
        loop {
            let tenant = selection.tenant.as_deref();
            let Part { met, next } =
                self.walk(&selection.source, tenant, from.as_ref(), operation.created).await?;
            let ids: Vec<JobId> = met.iter().map(|met| met.id.clone()).collect();
            let facts = self.survey(&ids).await?;
            left = left.saturating_sub(met.len().max(1));
            for (met, facts) in met.into_iter().zip(facts) {
                let Met { id, at, is_left, place } = met;
                let facts: Option<&Facts> = facts.as_ref().filter(|_| !is_left);
                let fate = plan.fate(facts, at, route, operation.created);
                step.examined += 1;
                step.tally.count(&fate, facts);
                let place = facts.map_or(place.clone(), |facts| place.enqueued(facts.job.enqueued_at));
                // The script keeps the reason of a refusal.
                if fate == Fate::Pass || is_counting {
                    step.next = Some(place);
                    continue;
                }
                let refusal = match fate {
                    Fate::Refuse(reason) => Some(reason),
                    Fate::Change | Fate::Pass => None,
                };
                step.chosen.push(Chosen { id, refusal, place: place.clone(), examined: step.examined });
                step.next = Some(place);
                if step.chosen.len() >= most {
                    return Ok(step);
                }
            }
            step.next = next.clone();
            if next.is_none() || left == 0 {
                return Ok(step);
            }
            from = next;
        }
    }

    /// Adds what the jobs of causes share, for people.
    async fn name_causes(&self, tally: &mut Tally) -> Result<(), Error> {
        let groups = tally.unnamed();
        if groups.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for group in &groups {
            pipe.cmd("HMGET").arg(self.keys.group(group)).arg("class").arg("kind").arg("normal");
        }
        let found: Vec<(Option<String>, Option<String>, Option<String>)> =
            pipe.query_async(&mut self.conn.clone()).await?;
        for (group, (class, kind, message)) in groups.iter().zip(found) {
            if let Some(cause) = tally.causes.get_mut(group) {
                cause.class = class.unwrap_or_default();
                cause.kind = crate::job::flow::decode(&kind.unwrap_or_default());
                cause.message = message.unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Redis' clock, UTC ms.
    async fn now_ms(&self) -> Result<i64, Error> {
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut self.conn.clone()).await?;
        Ok(seconds * 1000 + micros / 1000)
    }
}

/// What the history of each job says of an operation.
struct Note {
    /// What groups of failures know of the act.
    acting: Acting,
    text: String,
    reason: Option<String>,
    by: String,
}

impl Note {
    fn of(operation: &Operation, plan: &Plan) -> Self {
        Self {
            acting: Acting { act: operation.id.to_string(), ..Acting::new(operation.actor()) },
            text: format!("operation {}", operation.id),
            reason: plan.reason.clone(),
            by: operation.actor().to_owned(),
        }
    }

    /// The change of one job.
    fn order<'a>(&self, act: Act, id: &'a JobId, delay: Duration, now: i64) -> Order<'a> {
        let (verb, did, first, what) = match act {
            Act::Retry => ("retry", "retried", self.acting.retry(delay_ms(delay)), None),
            Act::Unpark => ("retry", "retried", self.acting.retry(0), None),
            Act::Cancel => ("cancel", "cancelled", String::new(), None),
            Act::Purge => ("forget", "", "0".to_owned(), None),
            Act::Reschedule { to } => {
                let ms = match to {
                    When::After(ms) => ms,
                    When::At(at) => at.saturating_sub(now).max(0).unsigned_abs(),
                };
                let wait = Duration::from_millis(ms);
                ("reschedule", "rescheduled", ms.to_string(), Some(format!("to run in {wait:?}")))
            }
            Act::Prioritise { priority } => {
                ("prioritise", "prioritised", priority.class().to_string(), Some(priority.to_string()))
            }
            Act::Waive => {
                let text = self.reason.clone().unwrap_or_default();
                let remark = Remark { at: utc_ms(), text, by: self.by.clone() };
                ("waive", "waived", remark.stored(), None)
            }
        };
        let parts = [what.as_deref(), self.reason.as_deref(), Some(self.text.as_str())];
        let note = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        Order { first, note: Some(note), by: Some(self.by.clone()), ..Order::new(id, verb, did) }
    }
}

fn cursor(place: Option<&Place>) -> String {
    // Texts and numbers always serialise.
    place.map(|place| serde_json::to_string(place).unwrap_or_default()).unwrap_or_default()
}
