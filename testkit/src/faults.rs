//! What happens to an attempt at its n-th write.
//!
//! A write is whatever would go to Redis: progress, a log line, a completed step, a job that the
//! handler enqueues.

/// One fault, at the n-th write of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies: the write is stored, and nothing behind it happens.
    Crash,
    /// The process dies before the write is stored: an effect in front of it has happened.
    CrashBefore,
    /// Another worker has the job: this write and all later ones are refused.
    LoseLease,
    /// The worker begins to stop.
    Stop,
    /// An operator cancels the job.
    Cancel,
}

/// The payload of the panic that stands for a crash.
pub(crate) struct Crash;
