//! What can be done to a queue, and how it is drawn from a seed.
//!
//! Operations name jobs by number and leases by what they find when their turn
//! comes, so that any of them can be left out and the rest still means something.

use std::{collections::BTreeSet, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use upshot_queue::{FailureClass, Late, Limit, LimitKey, OnSilence, Priority, Scope, State};

/// Who does something: one of the workers, or what it was before it crashed.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    pub worker: usize,
    pub former: bool,
}

/// Which lease somebody means.
#[derive(Clone, Copy, Debug)]
pub enum Lease {
    /// One that it holds.
    Held(usize),
    /// That of a job, or one that was given so many leases earlier.
    Of { job: usize, back: u64 },
}

#[derive(Clone, Copy, Debug)]
pub enum Ending {
    Succeed,
    Retry(u64, FailureClass),
    Bury(FailureClass, usize),
    Snooze(u64),
    Release(bool),
    Cancel,
    /// For the condition of this number, and how long (ms).
    Park(usize, Option<u64>),
    /// Done; awaits a signal for the second condition, how long (ms), and what silence means.
    Await(u64, OnSilence),
    Partly,
}

#[derive(Clone, Copy, Debug)]
pub enum Writing {
    Progress(u8),
    Step(usize, u8),
    Begin(usize),
    Refused(usize),
    Log(u8),
}

/// A job to enqueue.
#[derive(Clone, Debug)]
pub struct Draft {
    pub job: usize,
    pub kind: usize,
    pub priority: Priority,
    pub tenant: Option<usize>,
    pub limit_keys: Vec<usize>,
    pub subject: Option<usize>,
    pub delay_ms: u64,
    pub deadline: Option<(u64, Late)>,
    pub unique: Option<(usize, Scope)>,
    pub replaces_dead: bool,
    /// With arguments of [`LARGE`] bytes and a few more.
    pub large: bool,
}

#[derive(Clone, Debug)]
pub enum Operation {
    Enqueue(Vec<Draft>),
    /// `again`: the answer to the last call was lost, and it is repeated.
    Claim {
        worker: usize,
        want: usize,
        again: bool,
    },
    Settle(Who, Vec<(Lease, Ending)>),
    Renew(Who, Vec<Lease>),
    Write(Who, Lease, Writing),
    /// The worker is gone with all that it held, and comes back under another name.
    Crash(usize),
    Advance(Duration),
    Cancel(usize),
    /// The watchdog looks.
    Watch,
    Waive(usize),
    Reschedule(usize, u64),
    Prioritise(usize, Priority),
    Retry(usize),
    Edit(usize, u8),
    RetryPaced(Vec<usize>, u64),
    Forget(Vec<usize>, u64),
    Trim(State, u64),
    SetLimit(LimitKey, Limit),
    Pause,
    Resume,
    PauseKind(usize),
    ResumeKind(usize),
    /// The number of a condition; behind those that handlers name come those of kinds, of paused ones
    /// first.
    Unpark(usize),
    /// A signal with one of a few payloads meets the second of the conditions that handlers name.
    Signal(u8),
    /// A confirmation for the same condition, with one of a few ids or none: whether it says that the
    /// work did not come out right.
    Confirm(Option<u8>, bool),
    /// An event of the job's identity, with a tenant and data of its own, came again.
    Reconcile(usize, Option<usize>, u8),
}

/// Names hold what the stored form has to escape.
pub const KINDS: [&str; 3] = ["mail", "print|2%", "sync"];
pub const TENANTS: [&str; 3] = ["acme", "b|c%7c", "zeta"];
pub const LIMIT_KEYS: [&str; 3] = ["smtp", "db|1", "api"];
pub const CONDITIONS: [&str; 2] = ["args mail@1 not old", "wait confirmation 17"];
pub const MESSAGES: [&str; 2] = ["no such address", "printer on fire"];
pub const WORKERS: usize = 3;
/// A claim takes no more jobs once it has so many bytes; with a test's clock that is less
/// than else.
pub const LARGE: usize = 64 * 1024;
/// How long leases last, in ms.
pub const LEASE_MS: u64 = 60_000;
/// Crashes that a job survives.
pub const CRASHES: u32 = 2;

/// What is drawn for one run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whether the lower classes get a share in any case.
    pub shares: bool,
    /// The kinds that each worker runs; `None` for all.
    pub runs: [Option<Vec<usize>>; WORKERS],
    pub operations: Vec<Operation>,
}

/// What a run prefers: some look at few things closely.
struct Taste {
    jobs: usize,
    limits: bool,
    tenants: usize,
    classes: usize,
    admin: u32,
    large: bool,
}

impl Plan {
    pub fn draw(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let taste = Taste {
            jobs: *[6, 12, 24, 48].choose(&mut rng).unwrap(),
            limits: rng.random_bool(0.6),
            tenants: rng.random_range(0..=TENANTS.len()),
            classes: rng.random_range(1..=4),
            admin: *[0, 1, 3].choose(&mut rng).unwrap(),
            large: rng.random_bool(0.1),
        };
        let shares = rng.random_bool(0.2);
        let all = rng.random_bool(0.5);
        let runs = std::array::from_fn(|_| {
            let picky = !all && rng.random_bool(0.8);
            picky.then(|| (0..KINDS.len()).filter(|_| rng.random_bool(0.5)).collect())
        });
        let length = rng.random_range(10..=60);
        let operations = (0..length).map(|_| Operation::draw(&mut rng, &taste)).collect();
        Self { shares, runs, operations }
    }

    /// The numbers of all jobs that are ever enqueued.
    pub fn jobs(&self) -> BTreeSet<usize> {
        let drafts = |operation: &'_ Operation| match operation {
            Operation::Enqueue(drafts) => drafts.clone(),
            _ => Vec::new(),
        };
        self.operations.iter().flat_map(drafts).map(|draft| draft.job).collect()
    }
}

impl Operation {
    fn draw(rng: &mut StdRng, taste: &Taste) -> Self {
        let limits = if taste.limits { 5 } else { 0 };
        // What is done, how often; what people do depends on the taste.
        let work = [14, 22, 16, 3, 5, 2, 12, limits, 4];
        let admin = [4, 2, 2, 3, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 2].map(|weight| weight * taste.admin);
        let mut pick = rng.random_range(0..work.iter().sum::<u32>() + admin.iter().sum::<u32>());
        let mut which = 0;
        for weight in work.iter().chain(&admin) {
            if pick < *weight {
                break;
            }
            pick -= weight;
            which += 1;
        }
        let job = |rng: &mut StdRng| rng.random_range(0..taste.jobs);
        match which {
            0 => {
                let n = *[1, 1, 1, 2, 3, 5].choose(rng).unwrap();
                Self::Enqueue((0..n).map(|_| Draft::draw(rng, taste)).collect())
            }
            1 => Self::Claim {
                worker: rng.random_range(0..WORKERS),
                want: *[0, 1, 1, 1, 2, 3, 8, 40].choose(rng).unwrap(),
                again: rng.random_bool(0.15),
            },
            2 => {
                let n = *[1, 1, 2, 4].choose(rng).unwrap();
                let who = Who::draw(rng);
                Self::Settle(who, (0..n).map(|_| (Lease::draw(rng, taste), Ending::draw(rng))).collect())
            }
            3 => {
                let n = rng.random_range(1..4);
                Self::Renew(Who::draw(rng), (0..n).map(|_| Lease::draw(rng, taste)).collect())
            }
            4 => Self::Write(Who::draw(rng), Lease::draw(rng, taste), Writing::draw(rng)),
            5 => Self::Crash(rng.random_range(0..WORKERS)),
            6 => Self::Advance(Duration::from_micros(
                *[300, 1_000, 40_000, 400_000, 1_000_000, 5_000_000, 20_000_000, 61_000_000]
                    .choose(rng)
                    .unwrap(),
            )),
            7 => {
                let (key, limit) = limit(rng);
                Self::SetLimit(key, limit)
            }
            8 => Self::Watch,
            9 => Self::Cancel(job(rng)),
            10 => Self::Reschedule(job(rng), delay(rng)),
            11 => Self::Prioritise(job(rng), class(rng, taste)),
            12 => Self::Retry(job(rng)),
            13 => Self::Edit(job(rng), rng.random()),
            14 => {
                let n = rng.random_range(1..5);
                Self::RetryPaced((0..n).map(|_| job(rng)).collect(), *[0, 1_000, 7_000].choose(rng).unwrap())
            }
            15 => {
                let n = rng.random_range(1..4);
                Self::Forget((0..n).map(|_| job(rng)).collect(), *[0, 5_000].choose(rng).unwrap())
            }
            16 => Self::Trim(
                *[State::Succeeded, State::Dead, State::Cancelled].choose(rng).unwrap(),
                *[0, 10_000].choose(rng).unwrap(),
            ),
            17 => Self::Pause,
            18 => Self::Resume,
            19 => Self::PauseKind(rng.random_range(0..KINDS.len())),
            20 => Self::ResumeKind(rng.random_range(0..KINDS.len())),
            21 => Self::Unpark(rng.random_range(0..CONDITIONS.len() + 2 * KINDS.len())),
            22 => Self::Waive(job(rng)),
            23 => Self::Signal(rng.random_range(0..3)),
            25 => Self::Confirm(rng.random::<bool>().then(|| rng.random_range(0..2)), rng.random()),
            _ => {
                let tenant =
                    (taste.tenants > 0 && rng.random_bool(0.8)).then(|| rng.random_range(0..taste.tenants));
                Self::Reconcile(job(rng), tenant, rng.random_range(0..3))
            }
        }
    }

    /// The same with one part less, for those that do several things.
    pub fn smaller(&self) -> Vec<Self> {
        fn without<T: Clone>(parts: &[T], make: impl Fn(Vec<T>) -> Operation) -> Vec<Operation> {
            let but = |i: usize| {
                let rest = parts.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, part)| part.clone());
                make(rest.collect())
            };
            if parts.len() < 2 { Vec::new() } else { (0..parts.len()).map(but).collect() }
        }
        match self {
            Self::Enqueue(drafts) => without(drafts, Self::Enqueue),
            Self::Settle(who, leases) => without(leases, |rest| Self::Settle(*who, rest)),
            Self::Renew(who, leases) => without(leases, |rest| Self::Renew(*who, rest)),
            Self::RetryPaced(jobs, pace) => without(jobs, |rest| Self::RetryPaced(rest, *pace)),
            Self::Forget(jobs, age) => without(jobs, |rest| Self::Forget(rest, *age)),
            Self::Claim { worker, want, again } if *want > 1 => {
                vec![Self::Claim { worker: *worker, want: want - 1, again: *again }]
            }
            _ => Vec::new(),
        }
    }
}

impl Who {
    fn draw(rng: &mut StdRng) -> Self {
        Self { worker: rng.random_range(0..WORKERS), former: rng.random_bool(0.1) }
    }
}

impl Lease {
    fn draw(rng: &mut StdRng, taste: &Taste) -> Self {
        if rng.random_bool(0.85) {
            return Self::Held(rng.random_range(0..8));
        }
        Self::Of { job: rng.random_range(0..taste.jobs), back: rng.random_range(0..2) }
    }
}

impl Ending {
    fn draw(rng: &mut StdRng) -> Self {
        let class = [
            FailureClass::Transient,
            FailureClass::Throttled,
            FailureClass::Permanent,
            FailureClass::Unclear,
            FailureClass::TimedOut,
        ];
        match rng.random_range(0..15) {
            0..=3 => Self::Succeed,
            14 => Self::Partly,
            12 | 13 => {
                Self::Await(*[1, 500, 5_000].choose(rng).unwrap(), *OnSilence::ALL.choose(rng).unwrap())
            }
            4 | 5 => Self::Retry(delay(rng), *class.choose(rng).unwrap()),
            6 | 7 => Self::Bury(*class.choose(rng).unwrap(), rng.random_range(0..MESSAGES.len())),
            8 => Self::Snooze(delay(rng)),
            9 => Self::Release(rng.random()),
            10 => Self::Cancel,
            _ => {
                let condition = rng.random_range(0..CONDITIONS.len());
                Self::Park(condition, (condition == 1 && rng.random()).then(|| delay(rng)))
            }
        }
    }
}

impl Writing {
    fn draw(rng: &mut StdRng) -> Self {
        match rng.random_range(0..5) {
            0 => Self::Progress(rng.random_range(0..=100)),
            1 => Self::Step(rng.random_range(0..2), rng.random()),
            2 => Self::Begin(rng.random_range(0..2)),
            3 => Self::Refused(rng.random_range(0..2)),
            _ => Self::Log(rng.random()),
        }
    }
}

impl Draft {
    fn draw(rng: &mut StdRng, taste: &Taste) -> Self {
        let tenant = (taste.tenants > 0 && rng.random_bool(0.8)).then(|| rng.random_range(0..taste.tenants));
        let keys = if taste.limits { *[0, 0, 1, 1, 2, 3].choose(rng).unwrap() } else { 0 };
        let late = if rng.random() { Late::Expires } else { Late::Runs };
        let scope = *[Scope::Queue, Scope::Kind, Scope::Tenant].choose(rng).unwrap();
        Self {
            job: rng.random_range(0..taste.jobs),
            kind: rng.random_range(0..KINDS.len()),
            priority: class(rng, taste),
            tenant,
            limit_keys: (0..keys).map(|_| rng.random_range(0..LIMIT_KEYS.len())).collect(),
            subject: rng.random_bool(0.3).then(|| rng.random_range(0..3)),
            delay_ms: if rng.random_bool(0.2) { delay(rng) } else { 0 },
            deadline: rng.random_bool(0.25).then(|| (*[0, 900, 20_000, 90_000].choose(rng).unwrap(), late)),
            unique: rng.random_bool(0.2).then(|| (rng.random_range(0..3), scope)),
            replaces_dead: rng.random_bool(0.2),
            large: taste.large && rng.random_bool(0.2),
        }
    }
}

fn delay(rng: &mut StdRng) -> u64 {
    *[0, 1, 500, 1_000, 5_000, 30_000].choose(rng).unwrap()
}

fn class(rng: &mut StdRng, taste: &Taste) -> Priority {
    let classes = [Priority::Normal, Priority::Critical, Priority::Low, Priority::High];
    classes[rng.random_range(0..taste.classes)]
}

fn limit(rng: &mut StdRng) -> (LimitKey, Limit) {
    let key = match rng.random_range(0..7) {
        0 => LimitKey::Queue,
        1 | 2 => LimitKey::Tenant((*TENANTS.choose(rng).unwrap()).to_owned()),
        _ => LimitKey::Key((*LIMIT_KEYS.choose(rng).unwrap()).to_owned()),
    };
    let tenant = matches!(key, LimitKey::Tenant(_));
    if rng.random_bool(0.2) {
        return (key, Limit::default());
    }
    let rate = rng.random_bool(0.4).then(|| *[0.2, 1.0, 2.5].choose(rng).unwrap());
    let limit = Limit {
        concurrency: rng.random_bool(0.6).then(|| *[0, 1, 1, 2, 4].choose(rng).unwrap()),
        rate,
        burst: rate.and_then(|_| *[None, Some(1), Some(3)].choose(rng).unwrap()),
        weight: (tenant && rng.random_bool(0.5)).then(|| *[0.5, 1.0, 3.0].choose(rng).unwrap()),
    };
    (key, limit)
}
