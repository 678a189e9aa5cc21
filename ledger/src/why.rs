//! Says what holds a job now, and when it will probably start and finish.
//!
//! | module | its one thing |
//! |---|---|
//! | [`decide`] | what holds a job, from what is read of it |
//! | [`estimate`] | when it will start and finish, as a range |
//! | [`words`] | the sentences |
//!
//! Everything here is pure: the same facts give the same answer.

mod decide;
mod estimate;
mod words;

use upshot_queue::{Account, FailureClass, JobId, LimitKey, OnSilence, State};

pub use decide::holds;
pub use estimate::{Estimate, Figures, estimate};

/// What can hold a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Its event is accepted, and the job is not in its queue yet.
    NotEnqueued,
    /// It waits for its time.
    Scheduled,
    /// An attempt failed, and it waits before the next one.
    BackingOff,
    /// As many jobs run as a limit allows.
    Limit,
    /// A rate has no token.
    Rate,
    /// Its queue is paused.
    QueuePaused,
    /// Its kind is paused.
    KindPaused,
    /// Its handler waits for a signal.
    ParkedSignal,
    /// Its work is done, and its proof is to come.
    Awaiting,
    /// A worker without its kind and version met it.
    ParkedVersion,
    /// The builds that met it cannot read its arguments.
    ParkedArguments,
    /// No worker runs its kind and version.
    NoWorkerForKind,
    /// The queue has no worker.
    NoWorker,
    /// Other jobs are before it.
    Behind,
    /// It runs.
    Running,
    /// Its worker is gone, and another one will reclaim it.
    LeaseLost,
    /// It has ended.
    Ended,
}

/// What holds a job, with what there is to know about that. Times are UTC ms.
#[derive(Clone, Debug, PartialEq)]
pub enum Hold {
    /// See [`Reason::NotEnqueued`].
    NotEnqueued {
        /// When the event was accepted.
        accepted_at: i64,
        /// Events that wait for a bridge; `None` while RabbitMQ does not answer.
        events: Option<u64>,
        /// Bridges that take them.
        bridges: Option<u64>,
    },
    /// See [`Reason::Scheduled`].
    Scheduled {
        /// Until when.
        until: Option<i64>,
    },
    /// See [`Reason::BackingOff`].
    BackingOff {
        /// The class of the failure.
        class: FailureClass,
        /// Its message, shortened.
        message: String,
        /// Until when.
        until: Option<i64>,
        /// The attempt that failed.
        attempt: u64,
        /// Failures of this class so far.
        failures: u32,
        /// Failures of this class that the job survives.
        budget: Option<u32>,
    },
    /// See [`Reason::Limit`].
    Limit {
        /// The key.
        key: LimitKey,
        /// Running jobs that count for it.
        running: u64,
        /// How many may run at once.
        most: Option<u32>,
        /// Some of the running ones.
        holders: Vec<JobId>,
        /// Its place.
        ahead: Ahead,
    },
    /// See [`Reason::Rate`].
    Rate {
        /// The key.
        key: LimitKey,
        /// When it has the next token.
        next_token: i64,
        /// Its place.
        ahead: Ahead,
    },
    /// See [`Reason::QueuePaused`].
    QueuePaused,
    /// See [`Reason::KindPaused`].
    KindPaused {
        /// Whether the pause has ended, and the parked jobs follow.
        ends: bool,
    },
    /// See [`Reason::Awaiting`].
    Awaiting {
        /// The key of the confirmation.
        key: String,
        /// Until when silence means nothing.
        until: Option<i64>,
        /// What silence means then.
        on_silence: OnSilence,
    },
    /// See [`Reason::ParkedSignal`].
    ParkedSignal {
        /// The condition, as lists show it.
        condition: String,
        /// What the handler said.
        why: String,
        /// Until when it waits.
        until: Option<i64>,
    },
    /// See [`Reason::ParkedVersion`].
    ParkedVersion {
        /// Workers of the queue.
        workers: u64,
    },
    /// See [`Reason::ParkedArguments`].
    ParkedArguments {
        /// What the worker said.
        why: String,
        /// The builds that cannot read them.
        builds: Vec<String>,
    },
    /// See [`Reason::NoWorkerForKind`].
    NoWorkerForKind {
        /// Workers of the queue.
        workers: u64,
    },
    /// See [`Reason::NoWorker`].
    NoWorker,
    /// See [`Reason::Behind`].
    Behind {
        /// Its place.
        ahead: Ahead,
    },
    /// See [`Reason::Running`].
    Running {
        /// The worker.
        worker: String,
        /// The step that it reported last.
        step: Option<String>,
        /// The progress that it reported last.
        percent: Option<u8>,
        /// When it reported that.
        last_progress_at: Option<i64>,
        /// When the job was asked to stop.
        cancel_asked_at: Option<i64>,
    },
    /// See [`Reason::LeaseLost`].
    LeaseLost {
        /// The worker that is gone.
        worker: String,
        /// When its lease expired.
        expired_at: Option<i64>,
        /// Workers that can reclaim it.
        workers: u64,
    },
    /// See [`Reason::Ended`].
    Ended {
        /// How.
        state: State,
        /// The account of its expectation, if it has one.
        verdict: Option<Account>,
    },
}

/// The place of a job that waits for its turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Jobs of its tenant, limit keys and priority that are before it, at least.
    pub at_least: u64,
    /// The same at most.
    pub at_most: u64,
    /// Ready jobs of its priority, itself included.
    pub in_class: u64,
    /// Ready jobs of more urgent priorities.
    pub more_urgent: u64,
    /// Lanes (tenants with their limit keys) of its priority that take turns.
    pub lanes: u64,
    /// Jobs that run.
    pub running: u64,
    /// Jobs that the workers of its kind run at once.
    pub slots: u64,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 17] = [
        Self::NotEnqueued,
        Self::Scheduled,
        Self::BackingOff,
        Self::Limit,
        Self::Rate,
        Self::QueuePaused,
        Self::KindPaused,
        Self::ParkedSignal,
        Self::Awaiting,
        Self::ParkedVersion,
        Self::ParkedArguments,
        Self::NoWorkerForKind,
        Self::NoWorker,
        Self::Behind,
        Self::Running,
        Self::LeaseLost,
        Self::Ended,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotEnqueued => "not_enqueued",
            Self::Scheduled => "scheduled",
            Self::BackingOff => "backing_off",
            Self::Limit => "limit",
            Self::Rate => "rate",
            Self::QueuePaused => "queue_paused",
            Self::KindPaused => "kind_paused",
            Self::ParkedSignal => "parked_signal",
            Self::Awaiting => "awaiting",
            Self::ParkedVersion => "parked_version",
            Self::ParkedArguments => "parked_arguments",
            Self::NoWorkerForKind => "no_worker_for_kind",
            Self::NoWorker => "no_worker",
            Self::Behind => "behind",
            Self::Running => "running",
            Self::LeaseLost => "lease_lost",
            Self::Ended => "ended",
        }
    }
}

impl Hold {
    /// Which one.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::NotEnqueued { .. } => Reason::NotEnqueued,
            Self::Scheduled { .. } => Reason::Scheduled,
            Self::BackingOff { .. } => Reason::BackingOff,
            Self::Limit { .. } => Reason::Limit,
            Self::Rate { .. } => Reason::Rate,
            Self::QueuePaused => Reason::QueuePaused,
            Self::KindPaused { .. } => Reason::KindPaused,
            Self::ParkedSignal { .. } => Reason::ParkedSignal,
            Self::Awaiting { .. } => Reason::Awaiting,
            Self::ParkedVersion { .. } => Reason::ParkedVersion,
            Self::ParkedArguments { .. } => Reason::ParkedArguments,
            Self::NoWorkerForKind { .. } => Reason::NoWorkerForKind,
            Self::NoWorker => Reason::NoWorker,
            Self::Behind { .. } => Reason::Behind,
            Self::Running { .. } => Reason::Running,
            Self::LeaseLost { .. } => Reason::LeaseLost,
            Self::Ended { .. } => Reason::Ended,
        }
    }
}
