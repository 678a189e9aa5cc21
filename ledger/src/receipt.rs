//! Makes receipts from moves of expectations.
//!
//! A receipt is made after its move, so the job may have moved on. The move decides what the receipt
//! tells; the job only adds facts that belong to the time of the move.

use upshot_queue::{Account, FailureClass, Job, JobId, Move, QueueName, State, job::Change, outbox::Entry};
use upshot_shared::{
    Outcome, Receipt, Verdict,
    intake::{LABEL_ID, LABEL_SOURCE, LABEL_TYPE},
    receipt::{self, Cause, Data, Decision, Reason, Time},
};

/// The name of a route whose number has no name: its queue was damaged.
pub const UNKNOWN_ROUTE: &str = "unknown";

/// A receipt to make: one job of one move.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The entry of the outbox.
    pub entry: &'a Entry,
    /// Its move.
    pub moved: &'a Move,
    /// The position among all receipts of the entry.
    pub n: usize,
    /// What it tells.
    pub verdict: Verdict,
    /// The job.
    pub job: &'a JobId,
}

/// The receipts that an entry asks for, in order. Moves of jobs without a route tell nothing.
pub fn told(entry: &Entry) -> impl Iterator<Item = Told<'_>> {
    let moves = entry.moves.iter().filter(|moved| moved.route != upshot_queue::NO_ROUTE);
    let each = moves.filter_map(|moved| Some((moved, Verdict::of(moved.from, moved.to)?)));
    let jobs = each.flat_map(|(moved, verdict)| moved.jobs.iter().map(move |job| (moved, verdict, job)));
    jobs.enumerate().map(move |(n, (moved, verdict, job))| Told { entry, moved, n, verdict, job })
}

/// Makes receipts of a queue.
#[derive(Clone, Debug)]
pub struct Maker {
    queue: QueueName,
    source: String,
}

impl Maker {
    /// A maker for a queue of the installation that `prefix` names.
    pub fn new(prefix: &str, queue: QueueName) -> Self {
        Self { source: receipt::source(prefix, queue.as_str()), queue }
    }

    /// The receipt. Without a name of its route it names [`UNKNOWN_ROUTE`]; without a job (forgotten
    /// or damaged) it has what the move says.
    ///
    /// Its id follows from the entry, the job and the account, so that a receipt that is made again
    /// has the same id.
    pub fn receipt(&self, told: &Told<'_>, route: Option<&str>, job: Option<&Job>) -> Receipt {
        let Told { entry, moved, n, verdict, job: id } = *told;
        let at = entry.at();
        let known = Data {
            route: route.unwrap_or(UNKNOWN_ROUTE).to_owned(),
            queue: self.queue.to_string(),
            job: id.to_string(),
            job_path: format!("/v1/jobs/{id}"),
            status: status(moved.to),
            in_time: in_time(moved.to),
            decided_at: verdict.decides().then_some(Time(at)),
            ..Data::default()
        };
        let data = match job {
            Some(job) => of_job(known, job, verdict, at),
            None => known,
        };
        let id = format!("{}:{id}:{verdict}", entry.id);
        let sequence = receipt::sequence(&entry.id, n);
        let receipt = Receipt::new(verdict, id, self.source.clone(), sequence, at, data);
        let of = |of: fn(&Job) -> Option<&str>| job.and_then(of);
        receipt.with_attributes(
            of(|job| job.subject.as_deref()),
            of(|job| job.tenant.as_deref()),
            of(|job| job.trace.as_deref()),
        )
    }
}

/// The status that the receipt shows of an account.
fn status(account: Account) -> &'static str {
    match account {
        Account::Waiving => Account::Waived.as_str(),
        other => other.as_str(),
    }
}

fn in_time(account: Account) -> Option<bool> {
    match account {
        Account::AchievedInTime => Some(true),
        Account::AchievedLate | Account::Missed | Account::Overdue => Some(false),
        _ => None,
    }
}

fn of_job(known: Data, job: &Job, verdict: Verdict, at: i64) -> Data {
    let label = |name: &str| job.labels.get(name).cloned();
    let event =
        || Some(Cause { source: label(LABEL_SOURCE)?, id: label(LABEL_ID)?, kind: label(LABEL_TYPE)? });
    let data = Data {
        event: event(),
        tenant: job.tenant.clone(),
        kind: Some(job.kind.clone()),
        expected_by: job.expected_by().map(Time),
        accepted_at: Some(Time(job.enqueued_at)),
        attempts: Some(job.attempts),
        ..known
    };
    match verdict {
        Verdict::Achieved | Verdict::Partial => achieved(data, job),
        Verdict::Missed => Data { reason: missed(job, at), ..data },
        Verdict::Overdue => Data { reason: failed_before(job, at), ..data },
        Verdict::Cancelled => Data { decision: decision(job, &["cancelled"], at), ..data },
        Verdict::Waived => Data { decision: decision(job, &["waived"], at), ..data },
        Verdict::Reopened => Data { decision: decision(job, &["retried", "repaired"], at), ..data },
    }
}

/// What the handler returned. A value that is not an outcome with evidence is shown as text.
fn achieved(data: Data, job: &Job) -> Data {
    let Some(returned) = job.outcome.as_ref().filter(|_| job.state == State::Succeeded) else { return data };
    match serde_json::from_value::<Outcome>(returned.clone()) {
        Ok(outcome) => {
            let (evidence, parts) = (outcome.evidence().to_vec(), outcome.parts().to_vec());
            Data { summary: Some(outcome.summary), evidence, parts, ..data }
        }
        Err(_) => Data { summary: Some(returned.to_string()), ..data },
    }
}

/// The failure with which the job died: the one nearest to the time of the move, because later
/// attempts may have failed since.
fn missed(job: &Job, at: i64) -> Option<Reason> {
    let failed = job.history.iter().rev().min_by_key(|failed| failed.at.abs_diff(at))?;
    let group = job.group.clone().filter(|_| job.state == State::Dead);
    Some(reason(failed.class, &failed.message, group))
}

/// The latest failure before a time.
fn failed_before(job: &Job, at: i64) -> Option<Reason> {
    let failed = job.history.iter().rev().find(|failed| failed.at <= at)?;
    Some(reason(failed.class, &failed.message, None))
}

fn reason(class: FailureClass, message: &str, group: Option<String>) -> Reason {
    Reason { class: class.as_str().to_owned(), message: message.to_owned(), group }
}

/// The decision of an operator nearest to a time. The line of the history has the clock of another
/// machine.
fn decision(job: &Job, did: &[&str], at: i64) -> Option<Decision> {
    let of = |change: &&Change| did.contains(&change.did.as_str());
    let change = job.changes.iter().rev().filter(of).min_by_key(|change| change.at.abs_diff(at))?;
    let has_words = change.note.is_some() || change.by.is_some();
    has_words.then(|| Decision { reason: change.note.clone(), by: change.by.clone() })
}

#[cfg(test)]
mod tests;
