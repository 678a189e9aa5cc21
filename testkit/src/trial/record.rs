//! What the attempts of a trial write, in place of Redis.

use std::sync::{Mutex, OnceLock, PoisonError};

use futures::{FutureExt, future::BoxFuture};
use upshot_executor::{Host, host::EnqueueError};
use upshot_queue::{
    Begun, Job, MAX_PAYLOAD, NewJob, Progress, QueueName, Step,
    worker::{Detached, Writes, protocol::Write},
};

use crate::{
    faults::{Crash, Fault},
    run::Enqueued,
};

/// What was written, and what is to happen at which write.
#[derive(Default)]
pub(super) struct Record {
    pub(super) written: Mutex<Written>,
    pub(super) lease: OnceLock<Detached>,
}

/// What one attempt wrote, and what it found.
#[derive(Default)]
pub(super) struct Written {
    pub(super) now: i64,
    pub(super) writes: usize,
    pub(super) fault: Option<(usize, Fault)>,
    pub(super) lost: bool,
    pub(super) steps: Vec<Step>,
    pub(super) begun: Vec<Begun>,
    pub(super) ran: Vec<String>,
    pub(super) progress: Vec<Progress>,
    pub(super) log: Vec<String>,
    pub(super) enqueued: Vec<Enqueued>,
}

impl Record {
    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a write, stores it with `store`, and lets the fault of its number happen. False
    /// where the lease is lost.
    fn write(&self, store: impl FnOnce(&mut Written)) -> bool {
        let fault = {
            let mut written = self.lock();
            written.writes += 1;
            let due = written.fault.filter(|(at, _)| *at == written.writes).map(|(_, fault)| fault);
            if !matches!(due, Some(Fault::LoseLease | Fault::CrashBefore)) && !written.lost {
                store(&mut written);
            }
            written.lost |= due == Some(Fault::LoseLease);
            if written.lost && due.is_none() {
                return false;
            }
            due
        };
        let lease = self.lease.get();
        match (fault, lease) {
            // Nothing behind the write happens. It runs no hook: a crash is no bug of the test.
            (Some(Fault::Crash | Fault::CrashBefore), _) => std::panic::resume_unwind(Box::new(Crash)),
            (Some(Fault::LoseLease), Some(lease)) => {
                lease.lose();
                false
            }
            (Some(Fault::Stop), Some(lease)) => {
                lease.stop();
                true
            }
            (Some(Fault::Cancel), Some(lease)) => {
                lease.cancel();
                true
            }
            _ => true,
        }
    }
}

impl Writes for Record {
    fn write(&self, _: &Job, write: Write<'_>) -> bool {
        self.write(|written| match write {
            Write::Begin(name, digest) => {
                written.begun.retain(|begun| begun.name != name);
                let args = Some(digest.to_owned());
                written.begun.push(Begun { name: name.to_owned(), at: written.now, args });
            }
            Write::Refused(name) => written.begun.retain(|begun| begun.name != name),
            Write::Progress(json, _) => {
                written.progress.push(serde_json::from_str(json).expect("progress is JSON"));
            }
            Write::Log(json) => {
                let line: serde_json::Value = serde_json::from_str(json).expect("a log line is JSON");
                written.log.push(line.as_str().map_or_else(|| line.to_string(), ToOwned::to_owned));
            }
            Write::Step(name, result, digest) => {
                let result = serde_json::from_str(result).expect("a step's result is JSON");
                let args = Some(digest.to_owned()).filter(|digest| !digest.is_empty());
                written.ran.push(name.to_owned());
                written.begun.retain(|begun| begun.name != name);
                written.steps.push(Step { name: name.to_owned(), at: written.now, args, result });
            }
        })
    }
}

impl Host for Record {
    fn now(&self) -> i64 {
        self.lock().now
    }

    fn enqueue<'a>(&'a self, queue: &'a QueueName, job: NewJob) -> BoxFuture<'a, Result<(), EnqueueError>> {
        async move {
            job.check(MAX_PAYLOAD).map_err(EnqueueError::Rejected)?;
            self.write(|written| {
                if !written.enqueued.iter().any(|found| found.job.id == job.id) {
                    written.enqueued.push(Enqueued { queue: queue.clone(), job });
                }
            });
            Ok(())
        }
        .boxed()
    }
}
