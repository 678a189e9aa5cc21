//! Outcomes that await their proof: a signal ends the job, early or late, once or twice, or silence does.

use std::time::Duration;

use serde_json::{Value, json};
use upshot_queue::{
    Account, Changed, Condition, Expect, FailureClass, GroupFilter, Job, JobId, Kept, NewJob, OnSilence,
    Remark, Scrubber, State, Watched, protocol::Disposition,
};

use crate::{by_hand, fixture::Fixture};

const LONG: Duration = Duration::from_secs(3600);
const NO_TIME: Duration = Duration::from_millis(1);

fn key() -> Condition {
    Condition::of_tenant("acme", "mail 17 delivered").unwrap()
}

fn awaits(within: Duration, on_silence: OnSilence) -> Disposition {
    Disposition::Await {
        outcome: json!({"summary": "mailed", "evidence": [{"kind": "mail", "reply": "250 ok"}]}).to_string(),
        condition: key().stored(),
        within,
        on_silence,
        why: "the work is done; its proof has not come".to_owned(),
        line: by_hand::line("awaiting"),
    }
}

fn bounce() -> Value {
    json!({"id": "b-1", "outcome": "missed", "reason": "mailbox 17 unknown"})
}

impl Fixture {
    /// A job whose handler is done, and what it awaits.
    async fn awaiting(&self, due: Duration, end: &Disposition) -> JobId {
        let job = NewJob {
            tenant: Some("acme".to_owned()),
            expect: Some(Expect::new("orders", due)),
            ..NewJob::new(JobId::random(), "mail", "")
        };
        self.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
        self.run_to(end).await;
        job.id
    }

    /// Runs the ready jobs to an end.
    async fn run_to(&self, end: &Disposition) {
        let number = 1 + self.queue.counts().await.unwrap().transitions("claimed");
        let jobs = by_hand::lease(&self.queue, "w", number).await;
        assert_eq!(jobs.len(), 1);
        by_hand::settle(&self.queue, "w", &jobs, end).await;
    }

    async fn said(&self, payload: Value) -> Kept {
        self.queue.confirm(&key(), &payload).await.unwrap().kept
    }

    async fn read(&self, id: &JobId) -> Job {
        let balance = self.queue.balance().await.unwrap();
        assert_eq!(balance.drifts(), []);
        self.queue.job(id).await.unwrap().unwrap()
    }

    /// Maintains the queue until silence has ended the job.
    async fn silence(&self, id: &JobId) -> Job {
        loop {
            by_hand::lease(&self.queue, "idle", 1).await;
            let job = self.read(id).await;
            if job.awaiting().is_none() {
                return job;
            }
        }
    }

    async fn books(&self) -> Vec<(String, u64)> {
        let books = self.queue.books().await.unwrap();
        let moved = |((_, from, to), n): (&(u32, Account, Account), &u64)| {
            (format!("{}{}", from.letter(), to.letter()), *n)
        };
        books.moves.iter().map(moved).collect()
    }

    async fn audited(self) {
        let audit = self.queue.audit(async |_| ()).await.unwrap();
        assert!(audit.is_clean(), "{audit:?}");
        let found = Scrubber::pass(&self.queue.worker).await.unwrap();
        assert_eq!(found.total(), 0, "{found:?}");
        self.finish().await;
    }
}

fn account(job: &Job) -> Account {
    job.expectation.unwrap().account
}

fn did(job: &Job) -> Vec<&str> {
    job.changes.iter().map(|change| change.did.as_str()).collect()
}

fn proof(job: &Job) -> Value {
    job.outcome.as_ref().unwrap()["evidence"].as_array().unwrap().last().unwrap().clone()
}

fn moved(of: &[(&str, u64)]) -> Vec<(String, u64)> {
    of.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

#[tokio::test]
async fn a_confirmation_ends_a_job_that_awaits_it_with_proof() {
    let fixture = Fixture::new().await;
    let id = fixture.awaiting(LONG, &awaits(LONG, OnSilence::Missed)).await;
    let job = fixture.read(&id).await;
    assert_eq!((job.state, account(&job), job.attempts), (State::Parked, Account::Awaiting, 1));
    let awaiting = job.awaiting().unwrap();
    assert_eq!((awaiting.key().as_str(), awaiting.on_silence), ("mail 17 delivered", OnSilence::Missed));
    assert_eq!(job.outcome.as_ref().unwrap()["summary"], "mailed");
    let listed = fixture.queue.outcome_ids(1, Account::Awaiting, true, None, 10).await.unwrap();
    assert_eq!(listed, [(id.clone(), job.expected_by().unwrap())]);
    // Nothing runs while it waits.
    assert!(by_hand::lease(&fixture.queue, "idle", 1).await.is_empty());

    assert_eq!(fixture.said(json!({"id": "c-1", "evidence": {"receipt": "r-17"}})).await, Kept::Stored);
    let job = fixture.read(&id).await;
    assert_eq!((job.state, account(&job)), (State::Succeeded, Account::AchievedInTime));
    assert_eq!((did(&job), job.attempts), (vec!["awaiting", "confirmed"], 1));
    let proof = proof(&job);
    assert_eq!((&proof["kind"], &proof["key"]), (&json!("confirmation"), &json!("mail 17 delivered")));
    assert_eq!((&proof["id"], &proof["receipt"]), (&json!("c-1"), &json!("r-17")));
    assert_eq!(fixture.books().await, moved(&[("ro", 1), ("ow", 1), ("wt", 1)]));

    // The same again, and another confirmation that says the same, change nothing.
    assert_eq!(fixture.said(json!({"id": "c-1", "evidence": {"receipt": "r-17"}})).await, Kept::Known);
    assert_eq!(fixture.said(json!({"id": "c-2"})).await, Kept::Known);
    // The same id with another body, and another verdict, contradict.
    for payload in [json!({"id": "c-1"}), bounce()] {
        let kept = fixture.said(payload.clone()).await;
        assert!(matches!(kept, Kept::Contradicts { .. }), "{payload}: {kept:?}");
    }
    let job = fixture.read(&id).await;
    assert_eq!((job.state, did(&job).len()), (State::Succeeded, 4), "{:?}", did(&job));
    assert_eq!(did(&job)[2..], ["contradicted", "contradicted"]);
    let signals = fixture.queue.counts().await.unwrap().signals;
    assert_eq!((signals.stored, signals.contradictions), (1, 2));
    fixture.audited().await;
}

#[tokio::test]
async fn an_early_confirmation_ends_the_job_at_once() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.said(json!(null)).await, Kept::Stored);
    let id = fixture.awaiting(LONG, &awaits(LONG, OnSilence::Missed)).await;
    let job = fixture.read(&id).await;
    assert_eq!((job.state, account(&job)), (State::Succeeded, Account::AchievedInTime));
    assert_eq!(did(&job), ["awaiting", "confirmed"]);
    assert_eq!(fixture.books().await, moved(&[("ro", 1), ("ow", 1), ("wt", 1)]));
    fixture.audited().await;
}

#[tokio::test]
async fn a_confirmation_may_say_that_the_work_did_not_come_out_right() {
    let fixture = Fixture::new().await;
    let id = fixture.awaiting(LONG, &awaits(LONG, OnSilence::Achieved)).await;
    assert_eq!(fixture.said(bounce()).await, Kept::Stored);
    let job = fixture.read(&id).await;
    assert_eq!((job.state, account(&job)), (State::Dead, Account::Missed));
    let failed = job.history.last().unwrap();
    assert_eq!((failed.class, failed.message.as_str()), (FailureClass::Refuted, "mailbox 17 unknown"));
    let group = fixture.queue.dead_groups(&GroupFilter::default(), 10).await.unwrap().remove(0);
    assert_eq!((group.class, group.dead), (FailureClass::Refuted, 1));
    assert!(group.message.contains("mailbox <*> unknown"), "{group:?}");

    // Retried, the handler runs again, and what refuted it is forgotten.
    let retried = fixture.queue.operator.retry(&id).await.unwrap();
    assert_eq!(retried, Changed::To(State::Ready));
    let job = fixture.read(&id).await;
    assert_eq!((account(&job), job.outcome.is_none(), job.awaits.is_none()), (Account::Reopened, true, true));
    assert_eq!(fixture.queue.kept_signal(&key()).await.unwrap(), None);
    fixture.run_to(&awaits(LONG, OnSilence::Missed)).await;
    let job = fixture.read(&id).await;
    assert_eq!((job.state, account(&job)), (State::Parked, Account::Reopened));
    assert_eq!(fixture.said(json!({"id": "c-2"})).await, Kept::Stored);
    assert_eq!(account(&fixture.read(&id).await), Account::AchievedInTime);
    fixture.audited().await;
}

#[tokio::test]
async fn silence_counts_as_missed_until_the_proof_comes_after_all() {
    let fixture = Fixture::new().await;
    let id = fixture.awaiting(Duration::ZERO, &awaits(NO_TIME, OnSilence::Missed)).await;
    let job = fixture.silence(&id).await;
    assert_eq!((job.state, account(&job)), (State::Dead, Account::Missed));
    let failed = job.history.last().unwrap();
    assert_eq!(failed.class, FailureClass::Unconfirmed);
    assert_eq!(failed.message, "no confirmation `mail 17 delivered` came within 1ms");
    assert_eq!(fixture.books().await, moved(&[("ro", 1), ("ow", 1), ("wm", 1)]));

    assert_eq!(fixture.said(json!({"id": "c-1"})).await, Kept::Stored);
    let job = fixture.read(&id).await;
    assert_eq!((job.state, account(&job)), (State::Succeeded, Account::AchievedLate));
    assert_eq!(
        (proof(&job)["kind"].as_str(), proof(&job)["id"].as_str()),
        (Some("confirmation"), Some("c-1"))
    );
    assert_eq!(
        (job.history.len(), did(&job).last().copied()),
        (1, Some("confirmed")),
        "the history shows both"
    );
    assert_eq!(fixture.books().await, moved(&[("ro", 1), ("ow", 1), ("wm", 1), ("nl", 1), ("mn", 1)]));
    assert!(fixture.queue.dead_groups(&GroupFilter::default(), 10).await.unwrap().is_empty());
    fixture.audited().await;
}

#[tokio::test]
async fn silence_may_count_as_achieved_and_a_later_refutation_contradicts_it() {
    let fixture = Fixture::new().await;
    let id = fixture.awaiting(LONG, &awaits(NO_TIME, OnSilence::Achieved)).await;
    let job = fixture.silence(&id).await;
    assert_eq!((job.state, account(&job)), (State::Succeeded, Account::AchievedInTime));
    assert_eq!(proof(&job)["kind"], "silence");
    assert!(matches!(fixture.said(bounce()).await, Kept::Contradicts { .. }));
    let job = fixture.read(&id).await;
    assert_eq!((job.state, did(&job).last().copied()), (State::Succeeded, Some("contradicted")));
    assert_eq!(fixture.queue.counts().await.unwrap().signals.contradictions, 1);
    fixture.audited().await;
}

#[tokio::test]
async fn silence_may_run_the_handler_again() {
    let fixture = Fixture::new().await;
    let id = fixture.awaiting(LONG, &awaits(NO_TIME, OnSilence::Retry)).await;
    let job = loop {
        let number = 1 + fixture.queue.counts().await.unwrap().transitions("claimed");
        if let Some(job) = by_hand::lease(&fixture.queue, "w", number).await.pop() {
            break job;
        }
    };
    assert_eq!((account(&job), job.attempts, &job.outcome), (Account::Open, 2, &None));
    let answer = &job.answers[&key().stored()];
    assert_eq!(answer.payload, None, "the handler sees that no confirmation came");
    by_hand::settle(&fixture.queue, "w", &[job], &by_hand::succeed()).await;
    assert_eq!(account(&fixture.read(&id).await), Account::AchievedInTime);
    assert_eq!(fixture.books().await, moved(&[("ro", 1), ("ow", 1), ("ot", 1), ("wo", 1)]));
    fixture.audited().await;
}

#[tokio::test]
async fn an_awaiting_job_becomes_overdue_and_is_achieved_late() {
    let fixture = Fixture::new().await;
    let id = fixture.awaiting(Duration::ZERO, &awaits(LONG, OnSilence::Missed)).await;
    loop {
        let Watched::Here { overdue, .. } = fixture.queue.watch("one", LONG, None).await.unwrap() else {
            panic!("another process watches");
        };
        if overdue == 1 {
            break;
        }
    }
    let job = fixture.read(&id).await;
    assert_eq!((job.state, account(&job)), (State::Parked, Account::Overdue));
    assert!(job.awaiting().is_some());
    fixture.said(json!({"id": "c-1"})).await;
    assert_eq!(account(&fixture.read(&id).await), Account::AchievedLate);
    assert_eq!(fixture.books().await, moved(&[("ro", 1), ("ow", 1), ("vl", 1), ("wv", 1)]));
    fixture.audited().await;
}

#[tokio::test]
async fn operators_cancel_waive_and_retry_an_awaiting_job() {
    let fixture = Fixture::new().await;
    let [cancelled, waived, again] = {
        let end = awaits(LONG, OnSilence::Missed);
        [
            fixture.awaiting(LONG, &end).await,
            fixture.awaiting(LONG, &end).await,
            fixture.awaiting(LONG, &end).await,
        ]
    };
    let operator = &fixture.queue.operator;
    assert_eq!(operator.cancel(&cancelled).await.unwrap(), Changed::To(State::Cancelled));
    let reason = Remark::new("settled by phone", "ada").unwrap();
    assert_eq!(operator.waive(&waived, &reason).await.unwrap(), Changed::Waived);
    assert_eq!(operator.retry(&again).await.unwrap(), Changed::To(State::Ready));
    assert_eq!(account(&fixture.read(&again).await), Account::Open);
    fixture.run_to(&by_hand::succeed()).await;

    // The confirmation finds only the job that still awaits it, whose verdict stays the operator's.
    fixture.said(json!({"id": "c-1"})).await;
    let accounts = [&cancelled, &waived, &again].map(|id| fixture.read(id));
    let jobs = futures::future::join_all(accounts).await;
    let ended: Vec<_> = jobs.iter().map(|job| (job.state, account(job))).collect();
    assert_eq!(
        ended,
        [
            (State::Cancelled, Account::Cancelled),
            (State::Succeeded, Account::Waived),
            (State::Succeeded, Account::AchievedInTime),
        ]
    );
    fixture.audited().await;
}

#[tokio::test]
async fn one_confirmation_ends_more_jobs_than_a_call_takes() {
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for number in 1..=20 {
        fixture.enqueue(16).await;
        let jobs = by_hand::lease(&fixture.queue, "one", number).await;
        by_hand::settle(&fixture.queue, "one", &jobs, &awaits(LONG, OnSilence::Missed)).await;
        ids.extend(jobs.into_iter().map(|job| job.id));
    }
    let sent = fixture.queue.confirm(&key(), &json!({"id": "c-1"})).await.unwrap();
    assert_eq!((sent.released.released, sent.released.left), (128, 192));
    assert_eq!(fixture.queue.operator.unpark(&key().stored()).await.unwrap(), 192);
    assert_eq!(fixture.queue.counts().await.unwrap().of(State::Succeeded), 320);
    fixture.audited().await;
}

#[tokio::test]
async fn a_part_of_the_work_is_a_verdict_of_its_own() {
    let fixture = Fixture::new().await;
    let outcome = json!({"summary": "2 of 3 sent"}).to_string();
    let id = fixture.awaiting(LONG, &Disposition::Partly(outcome)).await;
    let job = fixture.read(&id).await;
    assert_eq!((job.state, account(&job), job.attempts), (State::Succeeded, Account::Partial, 1));
    assert_eq!(job.outcome.unwrap()["summary"], "2 of 3 sent");
    let listed = fixture.queue.outcome_ids(1, Account::Partial, false, None, 10).await.unwrap();
    assert_eq!(listed, [(id.clone(), job.since)]);
    // Of the forgotten job the row keeps the verdict.
    assert_eq!(
        fixture.queue.operator.forget(std::slice::from_ref(&id), Duration::ZERO).await.unwrap(),
        [Changed::Forgotten]
    );
    let rows = fixture.queue.exception_rows(&listed).await.unwrap();
    let row = rows[0].as_ref().unwrap();
    assert_eq!((row.account, row.what.as_deref()), (Account::Partial, Some("2 of 3 sent")));
    let audit = fixture.queue.audit(async |_| ()).await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    fixture.finish_after_forgetting(1).await;
}
