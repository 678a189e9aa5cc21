//! The life of one job.

use std::collections::BTreeMap;

use serde::Deserialize;
use upshot_queue::{
    Account, Awaiting, FailureClass, Job, JobId, QueueName, State, VerdictRow,
    timeline::{self, What, timeline},
};
use upshot_shared::{
    Outcome,
    intake::{LABEL_ID, LABEL_SOURCE, LABEL_TYPE},
};

use super::{Entry, Known, Sort, words};
use crate::{clocks::told, span::span};

/// Shorter waits are left out, ms.
const SHORT: i64 = 1_000;

/// The entries of a job, or of what is left of one, in the order of cause and effect.
pub(super) fn life(known: &Known, now: i64) -> Vec<Entry> {
    match known {
        Known::Job { job, route, starts } => {
            let mut telling = Telling::new(job, route.as_deref(), now);
            let entries = timeline(job);
            for (n, entry) in entries.iter().enumerate() {
                telling.add(entry, entries.get(n + 1..).unwrap_or_default());
            }
            telling.end(*starts);
            telling.entries
        }
        Known::Row { queue, row, route } => of_row(queue, row, route.as_deref()),
    }
}

struct Telling<'a> {
    job: &'a Job,
    route: Option<&'a str>,
    now: i64,
    entries: Vec<Entry>,
    /// Since when the job waits, and for what.
    waits: Option<(i64, String)>,
    /// When the present attempt began.
    began: Option<i64>,
    /// Since when the job is dead.
    died: Option<i64>,
    /// When the expectation got its first verdict.
    decided: Option<i64>,
    /// The account that the story told last.
    told: Option<Account>,
}

impl<'a> Telling<'a> {
    fn new(job: &'a Job, route: Option<&'a str>, now: i64) -> Self {
        Self {
            job,
            route,
            now,
            entries: Vec::new(),
            waits: None,
            began: None,
            died: None,
            decided: None,
            told: None,
        }
    }

    fn push(&mut self, at: i64, sort: Sort, text: String) -> &mut Entry {
        let entry = blank(self.job.id.clone(), self.job.queue.clone(), self.job.kind.clone(), at, sort, text);
        self.entries.push(entry);
        let last = self.entries.len() - 1;
        &mut self.entries[last]
    }

    fn add(&mut self, entry: &timeline::Entry, following: &[timeline::Entry]) {
        let at = entry.at;
        match &entry.what {
            What::Enqueued => {
                for text in accepted(self.job, self.route) {
                    self.push(at, Sort::Accepted, text);
                }
                self.waits = Some((at, "in the queue".to_owned()));
            }
            What::Claimed { attempt, worker } => {
                self.wait_until(at);
                self.died = None;
                self.began = Some(at);
                let by = worker.as_ref().map_or_else(String::new, |worker| format!(" on worker {worker}"));
                self.push(at, Sort::Attempt, format!("attempt {attempt} began{by}"));
            }
            What::Progress { .. } => {}
            What::Step { name } => {
                self.push(at, Sort::Step, format!("step `{name}` was completed"));
            }
            What::Log { message } => {
                self.push(at, Sort::Log, format!("the handler says: {message}"));
            }
            What::Failed { attempt, class, message } => {
                let after =
                    self.began.map_or_else(String::new, |began| format!(" after {}", span(at - began)));
                let of_proof = matches!(class, FailureClass::Refuted | FailureClass::Unconfirmed);
                if of_proof {
                    self.wait_until(at);
                }
                let text = match attempt {
                    _ if *class == FailureClass::Refuted => {
                        format!("the confirmation says that the work did not come out right: {message}")
                    }
                    _ if *class == FailureClass::Unconfirmed => message.clone(),
                    0 => format!("the job expired before it could run: {message}"),
                    n => format!("attempt {n} failed{after} ({class}): {message}"),
                };
                self.push(at, Sort::Failed, text);
                self.began = None;
                let is_dead = is_last(following);
                self.died = is_dead.then_some(at);
                let why = if is_dead { "dead, for an operator" } else { "for the next attempt" };
                self.waits = Some((at, why.to_owned()));
                if is_dead && self.told != Some(Account::Waived) {
                    self.decide(Account::Missed, at);
                }
            }
            What::Changed { did, note, by } => self.change(at, did, note.as_deref(), by.as_deref()),
            What::Finished { state } => self.finish(at, *state),
        }
    }

    fn change(&mut self, at: i64, did: &str, note: Option<&str>, by: Option<&str>) {
        // A confirmation that comes after its silence counted heals a dead job.
        let runs_again = matches!(did, "retried" | "edited" | "repaired" | "confirmed");
        let reopens = runs_again && self.died.take().is_some();
        if reopens {
            self.wait_until(at);
        }
        if matches!(did, "signalled" | "waited" | "confirmed") {
            self.wait_until(at);
        }
        let text = words::change(did, note, by);
        self.push(at, Sort::Change, text).by = by.map(str::to_owned);
        if reopens {
            self.decide(Account::Reopened, at);
        }
        match did {
            "parked" => self.waits = Some((at, "parked".to_owned())),
            "awaiting" => self.waits = Some((at, "for its proof".to_owned())),
            "snoozed" => self.waits = Some((at, "as the handler asked".to_owned())),
            "rescheduled" => self.waits = self.waits.take().or_else(|| Some((at, "for its time".to_owned()))),
            "released" | "signalled" | "waited" | "retried" | "edited" | "repaired" => {
                self.waits = Some((at, "in the queue".to_owned()));
            }
            "waived" => self.decide(Account::Waived, at),
            _ => {}
        }
        if matches!(did, "released" | "snoozed" | "parked" | "awaiting") {
            self.began = None;
        }
    }

    fn finish(&mut self, at: i64, state: State) {
        if let Some(outcome) = self.outcome() {
            for evidence in outcome.evidence() {
                let facts = words::facts(&evidence.facts);
                let text = format!("{}: {facts}", evidence_name(&evidence.kind));
                self.push(at, Sort::Evidence, text).facts.clone_from(&evidence.facts);
            }
            for part in outcome.parts() {
                let text = match &part.reason {
                    None => format!("part `{}` was achieved", part.name),
                    Some(reason) => format!("part `{}` was missed: {reason}", part.name),
                };
                self.push(at, Sort::Evidence, text);
            }
            self.push(at, Sort::Ended, format!("the work is done: {}", outcome.summary));
            let clock = self.job.clock(at);
            if clock.whole() >= SHORT {
                self.push(at, Sort::Clock, format!("it took {}", told(&clock)));
            }
        } else if state == State::Dead {
            let successor = self.job.successor.as_ref();
            let instead = successor.map_or_else(String::new, |id| format!("; job {id} runs in its place"));
            self.push(at, Sort::Ended, format!("the job is dead: it does not run again by itself{instead}"));
        } else {
            self.push(at, Sort::Ended, format!("the job {state}"));
        }
        let account = self.job.expectation.map(|expectation| expectation.account);
        // Settled while the work went on: its end changes nothing about that.
        let Some(account) = account.filter(|_| self.told != Some(Account::Waived)) else { return };
        // An operator settled it after it was missed.
        let was_missed = account == Account::Waived && state == State::Dead;
        self.decide(if was_missed { Account::Missed } else { account }, at);
    }

    /// Adds that the expectation came into an account; before its first verdict, that it became
    /// overdue.
    fn decide(&mut self, account: Account, at: i64) {
        let Some(expectation) = self.job.expectation else { return };
        let due = expectation.due;
        if self.decided.is_none() {
            self.decided = Some(at);
            if at > due {
                self.verdict(Account::Overdue, due, due);
            }
        }
        // The failure of the last attempt and the end of the job tell the same.
        if self.told != Some(account) {
            self.verdict(account, at, due);
        }
    }

    fn verdict(&mut self, account: Account, at: i64, due: i64) {
        let text = words::verdict(account, at, due);
        self.push(at, Sort::Verdict, text).account = Some(account);
        self.told = Some(account);
    }

    /// Ends a wait.
    fn wait_until(&mut self, until: i64) {
        let Some((at, why)) = self.waits.take() else { return };
        if until - at >= SHORT {
            let text = format!("waited {} ({why})", span(until - at));
            self.push(at, Sort::Wait, text).until = Some(until);
        }
    }

    /// Adds how the job stands, if it has not ended.
    fn end(&mut self, starts: Option<i64>) {
        let (job, now) = (self.job, self.now);
        if job.state.is_final() {
            // The history may have lost the line about it.
            let is_waived = job.expectation.is_some_and(|it| it.account == Account::Waived);
            if is_waived && self.told != Some(Account::Waived) {
                self.decide(Account::Waived, job.since);
            }
            return;
        }
        let since = self.waits.as_ref().map_or(job.since, |(at, _)| *at);
        let waits = span(now.saturating_sub(since));
        if let Some(expectation) = job.expectation
            && self.decided.is_none()
            && expectation.account == Account::Overdue
        {
            self.verdict(Account::Overdue, expectation.due, expectation.due);
        }
        let text = match job.state {
            State::Running => {
                format!(
                    "attempt {} runs, for {} so far",
                    job.attempts,
                    span(now - job.began.unwrap_or(job.since))
                )
            }
            State::Parked if job.awaiting().is_some() => {
                let key = job.awaiting().map(Awaiting::key).unwrap_or_default();
                format!("the work is done; it awaits its proof `{key}`, for {waits} so far")
            }
            State::Parked => {
                let why = job.parked.as_ref().map_or("something", |parked| parked.why.as_str());
                format!("it is parked, for {waits} so far: {why}")
            }
            State::Scheduled => match starts {
                Some(at) => format!("it waits, for {waits} so far; it runs again at {}", words::moment(at)),
                None => format!("it waits, for {waits} so far"),
            },
            _ => format!("it waits for a worker, for {waits} so far"),
        };
        let due = job.expectation.map(|expectation| match expectation.due - now {
            left if left >= 0 => format!("; its outcome is due in {}", span(left)),
            late => format!("; its outcome was due {} ago", span(-late)),
        });
        let last = self.entries.last().map_or(now, |entry| entry.at);
        self.push(now.max(last), Sort::Now, format!("now: {text}{}", due.unwrap_or_default()));
    }

    fn outcome(&self) -> Option<Outcome> {
        let returned = self.job.outcome.as_ref().filter(|_| self.job.state == State::Succeeded)?;
        Outcome::deserialize(returned).ok()
    }
}

/// Whether a failure that these entries follow was the last one: the job then was dead, until an
/// operator or the event let it run again.
fn is_last(following: &[timeline::Entry]) -> bool {
    following
        .iter()
        .find_map(|entry| match &entry.what {
            What::Claimed { .. } => Some(false),
            What::Finished { state } => Some(*state == State::Dead),
            What::Changed { did, .. } => match did.as_str() {
                "retried" | "edited" | "repaired" | "confirmed" => Some(true),
                "parked" | "released" | "snoozed" | "awaiting" => Some(false),
                _ => None,
            },
            _ => None,
        })
        .unwrap_or(false)
}

fn evidence_name(kind: &str) -> &str {
    if kind == "object" { "file" } else { kind }
}

fn blank(job: JobId, queue: QueueName, kind: String, at: i64, sort: Sort, text: String) -> Entry {
    Entry { at, until: None, job, queue, kind, sort, text, account: None, facts: BTreeMap::new(), by: None }
}

/// The first sentences: the event, then the job and by when its outcome is expected.
fn accepted(job: &Job, route: Option<&str>) -> Vec<String> {
    let label = |name: &str| job.labels.get(name).map(String::as_str);
    let event = match (label(LABEL_TYPE), label(LABEL_ID), label(LABEL_SOURCE)) {
        (Some(kind), Some(id), Some(source)) => Some(event(Some(kind), id, source)),
        _ => None,
    };
    let due = job.expected_by().map(|due| (due, "is"));
    let became = became(&job.id, &job.kind, &job.queue, route, due, job.enqueued_at);
    event.into_iter().chain([became]).collect()
}

fn event(kind: Option<&str>, id: &str, source: &str) -> String {
    let kind = kind.map_or_else(String::new, |kind| format!("{kind} "));
    format!("event {kind}{id} of {source} was accepted")
}

fn became(
    id: &JobId,
    kind: &str,
    queue: &QueueName,
    route: Option<&str>,
    due: Option<(i64, &str)>,
    enqueued_at: i64,
) -> String {
    let route = route.map_or_else(String::new, |route| format!(" by route {route}"));
    let due = due.map(|(due, is)| {
        let within = span(due.saturating_sub(enqueued_at));
        format!("; its outcome {is} expected by {} (within {within})", words::moment(due))
    });
    format!("job {id} ({kind}) was enqueued in {queue}{route}{}", due.unwrap_or_default())
}

/// What is left of a forgotten job: its beginning and its verdict.
fn of_row(queue: &QueueName, row: &VerdictRow, route: Option<&str>) -> Vec<Entry> {
    let entry = |at, sort, text| blank(row.id.clone(), queue.clone(), row.kind.clone(), at, sort, text);
    let mut entries = Vec::new();
    if let (Some(id), Some(source)) = (&row.event, &row.source) {
        entries.push(entry(row.enqueued_at, Sort::Accepted, event(None, id, source)));
    }
    let text = became(&row.id, &row.kind, queue, route, Some((row.due, "was")), row.enqueued_at);
    entries.push(entry(row.enqueued_at, Sort::Accepted, text));
    if row.ended_at > row.due && row.account != Account::Waived {
        let mut overdue = entry(row.due, Sort::Verdict, words::verdict(Account::Overdue, row.due, row.due));
        overdue.account = Some(Account::Overdue);
        entries.push(overdue);
    }
    let attempts =
        if row.attempts == 1 { "1 attempt".to_owned() } else { format!("{} attempts", row.attempts) };
    let what = row.what.as_ref().map_or_else(String::new, |what| format!(": {what}"));
    let verdict = words::verdict(row.account, row.ended_at, row.due);
    let text =
        format!("{verdict}, after {attempts}{what} (the job itself was forgotten after its retention)");
    entries.push(Entry { account: Some(row.account), ..entry(row.ended_at, Sort::Verdict, text) });
    entries
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use upshot_queue::{Expect, Expectation, FailureClass, NewJob, failure::FailedAttempt, job::Change};

    use super::*;
    use crate::story::story;

    const T: i64 = 1_773_480_413_000;

    fn job(state: State, account: Account, since: i64) -> Job {
        let new = NewJob {
            expect: Some(Expect::new("orders", std::time::Duration::from_secs(60))),
            labels: [(LABEL_TYPE, "order.completed.v1"), (LABEL_ID, "e-1"), (LABEL_SOURCE, "/shops/berlin")]
                .map(|(name, label)| (name.to_owned(), label.to_owned()))
                .into(),
            subject: Some("order-1042".to_owned()),
            ..NewJob::new("a".repeat(26).parse().unwrap(), "invoice.issue", "{}")
        };
        let mut job = Job::sample(&"invoices".parse().unwrap(), new, T);
        (job.state, job.since) = (state, since);
        job.expectation = Some(Expectation { route: 1, due: T + 60_000, account });
        job
    }

    fn failed(attempt: u64, began: i64, at: i64) -> FailedAttempt {
        FailedAttempt {
            at,
            attempt,
            class: FailureClass::Transient,
            message: "connection refused".to_owned(),
            worker: Some("w".to_owned()),
            began: Some(began),
        }
    }

    fn change(at: i64, did: &str, note: Option<&str>, by: Option<&str>) -> Change {
        Change {
            at,
            did: did.to_owned(),
            note: note.map(str::to_owned),
            by: by.map(str::to_owned),
            worker: None,
            attempt: None,
            began: None,
        }
    }

    fn told(job: Job, now: i64) -> Vec<(i64, Sort, String)> {
        let known = Known::Job { job: Box::new(job), route: Some("orders".to_owned()), starts: None };
        story(&[known], now).into_iter().map(|entry| (entry.at - T, entry.sort, entry.text)).collect()
    }

    #[test]
    fn an_order_that_failed_twice_and_was_retried_tells_its_whole_life() {
        let mut job = job(State::Succeeded, Account::AchievedLate, T + 3_602_000);
        job.history = vec![failed(1, T + 100, T + 600), failed(2, T + 30_600, T + 31_000)];
        job.changes = vec![change(T + 3_600_000, "retried", None, Some("ada"))];
        (job.began, job.attempts) = (Some(T + 3_600_100), 3);
        (job.worker, job.token) = (None, 3);
        job.outcome = Some(json!({"summary": "sent", "evidence": [{"kind": "mail", "reply": "250 ok"}]}));
        let told = told(job, T + 9_000_000);
        let line = |at: i64, sort, text: &str| (at, sort, text.to_owned());
        let became = format!(
            "job {} (invoice.issue) was enqueued in invoices by route orders; its outcome is expected by \
             2026-03-14 09:27:53 UTC (within 1 min)",
            "a".repeat(26)
        );
        let rest = [
            line(0, Sort::Accepted, "event order.completed.v1 e-1 of /shops/berlin was accepted"),
            line(0, Sort::Accepted, &became),
            line(100, Sort::Attempt, "attempt 1 began on worker w"),
            line(600, Sort::Failed, "attempt 1 failed after 500 ms (transient): connection refused"),
            line(600, Sort::Wait, "waited 30 s (for the next attempt)"),
            line(30_600, Sort::Attempt, "attempt 2 began on worker w"),
            line(31_000, Sort::Failed, "attempt 2 failed after 400 ms (transient): connection refused"),
            line(31_000, Sort::Verdict, "MISSED, 29 s before it was due"),
            line(31_000, Sort::Wait, "waited 59 min (dead, for an operator)"),
            line(3_600_000, Sort::Change, "an operator let the job run again (by ada, unverified)"),
            line(3_600_000, Sort::Verdict, "REOPENED: the outcome is open again"),
            line(3_600_100, Sort::Attempt, "attempt 3 began"),
            line(3_602_000, Sort::Evidence, "mail: reply 250 ok"),
            line(3_602_000, Sort::Ended, "the work is done: sent"),
            line(3_602_000, Sort::Clock, "it took 1 h in all: 1 h in the queue"),
            line(3_602_000, Sort::Verdict, "ACHIEVED LATE, 59 min after it was due"),
        ];
        assert_eq!(told, rest, "{told:#?}");
    }

    #[test]
    fn a_parked_job_that_is_overdue_says_what_it_waits_for() {
        let parked = upshot_queue::job::Parked {
            condition: "wait order-1042 confirmed".to_owned(),
            why: "waits for the confirmation".to_owned(),
            until: None,
        };
        let mut job = job(State::Parked, Account::Overdue, T + 200);
        job.changes = vec![change(T + 200, "parked", Some("waits for the confirmation"), None)];
        job.parked = Some(parked);
        let told = told(job, T + 120_200);
        let texts: Vec<&str> = told.iter().map(|(.., text)| text.as_str()).collect();
        assert!(texts[3].contains("parked"), "{texts:?}");
        assert_eq!(texts[texts.len() - 2], "OVERDUE: no outcome by the due time; the work continues");
        assert_eq!(
            texts[texts.len() - 1],
            "now: it is parked, for 2 min so far: waits for the confirmation; its outcome was due 1 min ago"
        );
    }

    #[test]
    fn a_proof_that_comes_after_its_silence_counted_heals_the_job() {
        let mut job = job(State::Succeeded, Account::AchievedLate, T + 90_000);
        (job.began, job.attempts, job.token) = (Some(T + 100), 1, 1);
        let key = "tenant acme|order-1042 paid";
        let silent = FailedAttempt {
            class: FailureClass::Unconfirmed,
            message: "no confirmation `order-1042 paid` came within 50s".to_owned(),
            began: None,
            worker: None,
            ..failed(0, 0, T + 50_200)
        };
        job.history = vec![silent];
        job.changes = vec![
            change(T + 200, "awaiting", Some(key), None),
            change(T + 90_000, "confirmed", Some(key), None),
        ];
        job.outcome = Some(json!({"summary": "asked", "evidence": [{"kind": "confirmation", "id": "p-1"}]}));
        let told = told(job, T + 9_000_000);
        let texts: Vec<&str> = told.iter().skip(2).map(|(.., text)| text.as_str()).collect();
        let rest = [
            "attempt 1 began",
            "the work is done; it awaits its proof `order-1042 paid` of tenant acme",
            "waited 50 s (for its proof)",
            "no confirmation `order-1042 paid` came within 50s",
            "MISSED, 9.8 s before it was due",
            "waited 39 s (dead, for an operator)",
            "the confirmation `order-1042 paid` of tenant acme came",
            "REOPENED: the outcome is open again",
            "confirmation: id p-1",
            "the work is done: asked",
            "it took 1 min 30 s in all: 1 min 29 s running",
            "ACHIEVED LATE, 30 s after it was due",
        ];
        assert_eq!(texts, rest, "{texts:#?}");
    }

    #[test]
    fn a_dead_job_that_an_operator_settles_was_missed_first() {
        let mut job = job(State::Dead, Account::Waived, T + 600);
        job.history = vec![failed(1, T + 100, T + 600)];
        job.changes = vec![change(T + 5_000, "waived", Some("sent by hand"), Some("ada"))];
        let known = Known::Job { job: Box::new(job.clone()), route: None, starts: None };
        let accounts: Vec<Account> =
            story(&[known], T + 9_000).into_iter().filter_map(|entry| entry.account).collect();
        assert_eq!(accounts, [Account::Missed, Account::Waived]);

        // And then it ran again.
        job.changes.push(change(T + 6_000, "retried", None, None));
        (job.state, job.since, job.began) = (State::Dead, T + 7_000, Some(T + 6_100));
        job.history.push(failed(2, T + 6_100, T + 7_000));
        job.expectation = job.expectation.map(|it| Expectation { account: Account::Missed, ..it });
        let known = Known::Job { job: Box::new(job), route: None, starts: None };
        let accounts: Vec<Account> =
            story(&[known], T + 9_000).into_iter().filter_map(|entry| entry.account).collect();
        assert_eq!(accounts, [Account::Missed, Account::Waived, Account::Reopened, Account::Missed]);
    }

    fn accounts() -> impl Strategy<Value = (State, Account)> {
        prop::sample::select(vec![
            (State::Ready, Account::Open),
            (State::Parked, Account::Overdue),
            (State::Scheduled, Account::Reopened),
            (State::Running, Account::Waiving),
            (State::Succeeded, Account::AchievedInTime),
            (State::Succeeded, Account::AchievedLate),
            (State::Dead, Account::Missed),
            (State::Cancelled, Account::Cancelled),
        ])
    }

    proptest! {
        /// Whatever happened: the story is in order, begins with the acceptance and ends as the
        /// job stands.
        #[test]
        fn a_story_is_in_order_and_ends_as_the_job_stands(
            (state, account) in accounts(),
            ends in prop::collection::vec((0..100_000_i64, 0..100_000_i64, 1..5_u64), 0..5),
            did in prop::collection::vec((0..200_000_i64, prop::sample::select(vec![
                "released", "snoozed", "parked", "signalled", "waited", "contradicted", "rescheduled", "awaiting",
                "confirmed", "refuted",
                "prioritised", "retried", "edited", "repaired", "noted", "owned", "new",
            ])), 0..6),
            since in 300_000..400_000_i64,
        ) {
            let mut job = job(state, account, T + since);
            job.history = ends.iter().map(|(began, took, n)| failed(*n, T + began, T + began + took)).collect();
            job.changes = did.iter().map(|(at, did)| change(T + at, did, Some("x"), None)).collect();
            let known = Known::Job { job: Box::new(job), route: None, starts: None };
            let entries = story(&[known], T + 500_000);
            prop_assert!(entries.windows(2).all(|two| two[0].at <= two[1].at));
            prop_assert_eq!(entries[0].sort, Sort::Accepted);
            let last = entries.iter().rev().find_map(|entry| entry.account);
            if state.is_final() {
                prop_assert_eq!(last, Some(account));
            } else {
                prop_assert_eq!(entries.last().map(|entry| entry.sort), Some(Sort::Now));
            }
            for wait in entries.iter().filter(|entry| entry.sort == Sort::Wait) {
                prop_assert!(wait.until.is_some_and(|until| until - wait.at >= SHORT));
            }
        }
    }
}
