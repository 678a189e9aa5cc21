//! An operator's changes to jobs: cancel, reschedule, re-prioritise, retry, purge.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    client::operator::{Acting, Operator},
    error::Error,
    job::{Change, Rejection, id::JobId, state::State},
    policy::priority::Priority,
    redis::clock::{delay_ms, utc_ms},
    scripts::{self, Call, MAX_BATCH},
};

/// The result of a change to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Done; the job is in this state.
    To(State),
    /// The job runs, and its handler was told to stop. It ends as cancelled unless it succeeds
    /// first.
    Stopping,
    /// The job was purged.
    Forgotten,
    /// Its expectation is settled; the job continues where it has not ended.
    Waived,
    /// The job has no expectation that could be settled. Nothing was changed.
    Unexpected,
    /// The job is in this state, which does not allow the change. Nothing was changed.
    Refused(State),
    /// The job is dead and gave way to a successor with its idempotency key
    /// ([`crate::Job::successor`]), which was not cancelled. Retry the successor if it is dead. If
    /// the successor was forgotten, the work may be done; enqueue it again if not. Nothing was
    /// changed.
    Replaced,
    /// Other arguments would repeat a completed step that was not named. Nothing was changed.
    Stepped,
    /// The job is unknown.
    Unknown,
}

/// One change of one job.
pub(super) struct Order<'a> {
    pub(super) id: &'a JobId,
    pub(super) verb: &'static str,
    pub(super) first: String,
    pub(super) second: Vec<u8>,
    pub(super) did: &'static str,
    pub(super) note: Option<String>,
    pub(super) by: Option<String>,
}

impl<'a> Order<'a> {
    pub(super) fn new(id: &'a JobId, verb: &'static str, did: &'static str) -> Self {
        Self { id, verb, first: String::new(), second: Vec::new(), did, note: None, by: None }
    }
}

impl Operator {
    /// Cancels a job. A waiting job is cancelled at once. The handler of a running job is told
    /// within a second, on any machine.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn cancel(&self, id: &JobId) -> Result<Changed, Error> {
        self.change_one(Order::new(id, "cancel", "cancelled")).await
    }

    /// Makes a waiting job run after `delay` from now; at once for zero.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn reschedule(&self, id: &JobId, delay: Duration) -> Result<Changed, Error> {
        let note = Some(format!("to run in {delay:?}"));
        let first = delay_ms(delay).to_string();
        self.change_one(Order { first, note, ..Order::new(id, "reschedule", "rescheduled") }).await
    }

    /// Gives a waiting job another priority.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn prioritise(&self, id: &JobId, priority: Priority) -> Result<Changed, Error> {
        let (first, note) = (priority.class().to_string(), Some(priority.to_string()));
        self.change_one(Order { first, note, ..Order::new(id, "prioritise", "prioritised") }).await
    }

    /// Makes a dead job ready again, with its completed steps, its history, and fresh budgets for
    /// failures. Releases a parked job at once, whatever it waits for.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn retry(&self, id: &JobId) -> Result<Changed, Error> {
        self.change_one(Order { first: "0".to_owned(), ..Order::new(id, "retry", "retried") }).await
    }

    /// The same with other arguments; the job keeps the previous ones. A job with a completed step
    /// is not changed: see [`Self::retry_repeating`].
    ///
    /// # Errors
    /// When the arguments are too large, or Redis failed.
    pub async fn retry_with(&self, id: &JobId, args: &Bytes) -> Result<Changed, Error> {
        self.retry_repeating::<&str>(id, args, &[]).await
    }

    /// The same for a job with completed steps. Their results came from the earlier arguments, so
    /// they are set aside ([`crate::Job::dropped`]), and the steps run again. The caller must name
    /// each of these steps, to show that it knows what happens twice; it may name others. The same
    /// bytes are not other arguments: the steps stay completed.
    ///
    /// # Errors
    /// When the arguments are too large, or Redis failed.
    pub async fn retry_repeating<S: AsRef<str>>(
        &self,
        id: &JobId,
        args: &Bytes,
        steps: &[S],
    ) -> Result<Changed, Error> {
        let (bytes, limit) = (args.len(), self.client.max_payload);
        if bytes > limit {
            return Err(Rejection::Payload { bytes, limit }.into());
        }
        let named = steps.iter().map(|name| format!("{}:{}", name.as_ref().len(), name.as_ref()));
        let mut second = named.collect::<String>().into_bytes();
        second.push(b'=');
        second.extend_from_slice(args);
        self.change_one(Order { first: "0".to_owned(), second, ..Order::new(id, "retry", "edited") }).await
    }

    /// Makes dead jobs run again, one each `pace`, in the given order. Their due times keep the
    /// pace, so no process has to count.
    ///
    /// # Errors
    /// When Redis failed. Earlier parts of a list of more than 128 may be retried already; the same
    /// call again continues from there.
    pub async fn retry_paced(&self, ids: &[JobId], pace: Duration) -> Result<Vec<Changed>, Error> {
        let order = |(i, id)| {
            let delay = pace.saturating_mul(u32::try_from(i).unwrap_or(u32::MAX));
            Order { first: delay_ms(delay).to_string(), ..Order::new(id, "retry", "retried") }
        };
        self.change(ids.iter().enumerate().map(order).collect()).await
    }

    /// Forgets jobs that ended at least `age` ago.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn forget(&self, ids: &[JobId], age: Duration) -> Result<Vec<Changed>, Error> {
        let first = delay_ms(age).to_string();
        let order = |id| Order { first: first.clone(), ..Order::new(id, "forget", "") };
        self.change(ids.iter().map(order).collect()).await
    }

    pub(super) async fn change_one(&self, order: Order<'_>) -> Result<Changed, Error> {
        Ok(self.change(vec![order]).await?.pop().unwrap_or(Changed::Unknown))
    }

    async fn change(&self, orders: Vec<Order<'_>>) -> Result<Vec<Changed>, Error> {
        let mut all = Vec::with_capacity(orders.len());
        let at = utc_ms();
        let acting = self.act.clone().unwrap_or_else(|| Acting::new(""));
        let name = acting.by.as_str();
        let mut orders = orders.as_slice();
        while !orders.is_empty() {
            let batch = orders.get(..MAX_BATCH).unwrap_or(orders);
            let mut call = Call::new(&scripts::CHANGE, &self.client.keys);
            call.arg(batch.len());
            for Order { id, verb, first, second, did, note, by } in batch {
                let change = Change {
                    at,
                    did: (*did).to_owned(),
                    note: note.clone(),
                    by: by.clone().or_else(|| (!name.is_empty()).then(|| name.to_owned())),
                    worker: None,
                    attempt: None,
                    began: None,
                };
                let line = if did.is_empty() { String::new() } else { change.line() };
                call.arg(id.as_str()).arg(*verb);
                match *verb {
                    "retry" => call.arg(acting.retry(first)),
                    _ => call.arg(first.as_str()),
                };
                call.arg(second.as_slice()).arg(line);
            }
            let said: Vec<String> = call.run(&mut self.client.conn.clone()).await?;
            all.extend(said.iter().map(|said| changed(said)));
            // Jobs after large ones are left to the next call.
            orders = orders.get(said.len().max(1)..).unwrap_or_default();
        }
        Ok(all)
    }
}

/// The script's reply about one job.
fn changed(said: &str) -> Changed {
    match said {
        "" => Changed::Unknown,
        "cancelling" => Changed::Stopping,
        "forgotten" => Changed::Forgotten,
        "waived" => Changed::Waived,
        _ => match said.strip_prefix("is ") {
            Some("replaced") => Changed::Replaced,
            Some("stepped") => Changed::Stepped,
            Some("unexpected") => Changed::Unexpected,
            Some(state) => Changed::Refused(state.parse().unwrap_or(State::Ready)),
            None => Changed::To(said.parse().unwrap_or(State::Ready)),
        },
    }
}
