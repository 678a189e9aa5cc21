//! The books: every expectation is in exactly one account, and the watchdog moves what is due.

use std::{collections::HashMap, time::Duration};

use redis::AsyncCommands;
use upshot_queue::{
    Account, Changed, Condition, Expect, FailureClass, Filter, Job, JobId, NewJob, OutboxReader, Remark,
    State, Watched, outbox::Move, protocol::Disposition,
};

use crate::{
    by_hand,
    fixture::{Fixture, name},
};

const LEASE: Duration = Duration::from_secs(60);
const DAY_MS: i64 = 24 * 3600 * 1000;

fn expected(route: &str, within: Duration) -> NewJob {
    NewJob {
        expect: Some(Expect::new(route, within)),
        subject: Some("order-1".to_owned()),
        ..NewJob::new(JobId::random(), "test", "")
    }
}

fn remark() -> Remark {
    Remark::new("settled by phone", "ada").unwrap()
}

fn bury() -> Disposition {
    let line = r#"{"at":1,"attempt":1,"class":"permanent","message":"no such address"}"#.to_owned();
    Disposition::Bury { class: FailureClass::Permanent, normal: "no such address".to_owned(), line }
}

impl Fixture {
    async fn enqueue_expected(&self, route: &str, within: Duration) -> JobId {
        let job = expected(route, within);
        self.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
        job.id
    }

    async fn account(&self, id: &JobId) -> Account {
        self.queue.job(id).await.unwrap().unwrap().expectation.unwrap().account
    }

    async fn lease_all(&self, number: u64) -> Vec<Job> {
        by_hand::lease(&self.queue, "w", number).await
    }

    /// How often expectations of a route moved.
    async fn moved(&self, route: &str) -> HashMap<String, u64> {
        let balance = self.queue.balance().await.unwrap();
        assert_eq!(balance.drifts(), []);
        let routes = self.queue.routes().await.unwrap();
        let (number, _) = routes.iter().find(|(_, name)| *name == route).unwrap();
        let of = balance.books.moves.iter().filter(|((of, ..), _)| of == number);
        of.map(|((_, from, to), n)| (format!("{}{}", from.letter(), to.letter()), *n)).collect()
    }

    async fn watch(&self) -> u64 {
        match self.queue.watch("one", LEASE, None).await.unwrap() {
            Watched::Here { overdue, more } => {
                assert!(!more);
                overdue
            }
            Watched::Elsewhere(lease) => panic!("{lease} watches"),
        }
    }

    /// Waits until the watchdog has found so many.
    async fn watch_until(&self, overdue: u64) {
        let mut found = 0;
        while found < overdue {
            found += self.watch().await;
        }
        assert_eq!(found, overdue);
    }
}

fn moves(of: &[(&str, u64)]) -> HashMap<String, u64> {
    of.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

#[tokio::test]
async fn an_expectation_opens_with_its_job_and_ends_with_its_outcome() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue_expected("orders", LEASE).await;
    let found = expected("orders", LEASE);
    fixture.queue.enqueue(&[NewJob { id: id.clone(), ..found }]).await.unwrap();
    assert_eq!(fixture.account(&id).await, Account::Open);
    let jobs = fixture.lease_all(1).await;
    assert_eq!(fixture.account(&id).await, Account::Open);
    by_hand::settle(&fixture.queue, "w", &jobs, &by_hand::succeed()).await;
    assert_eq!(fixture.account(&id).await, Account::AchievedInTime);
    assert_eq!(fixture.moved("orders").await, moves(&[("ro", 1), ("rd", 1), ("ot", 1)]));
    fixture.finish().await;
}

#[tokio::test]
async fn the_due_time_counts_from_the_event_and_never_from_the_future() {
    let fixture = Fixture::new().await;
    let of = |from| NewJob {
        expect: Some(Expect { from, ..Expect::new("orders", Duration::from_secs(10)) }),
        ..NewJob::new(JobId::random(), "test", "")
    };
    let jobs = [of(None), of(Some(5_000)), of(Some(i64::MAX)), of(Some(-20_000))];
    fixture.queue.enqueue(&jobs).await.unwrap();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
    let stored = fixture.queue.jobs(&ids).await.unwrap();
    let due: Vec<i64> = stored.iter().map(|job| job.expected_by().unwrap()).collect();
    let now = stored[0].enqueued_at;
    assert_eq!(due, [now + 10_000, 15_000, now + 10_000, 1], "a time before 1970 counts as its beginning");
    fixture.watch_until(2).await;
    fixture.finish().await;
}

#[tokio::test]
async fn what_is_due_becomes_overdue_once_and_can_still_be_achieved() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue_expected("orders", Duration::ZERO).await;
    let later = fixture.enqueue_expected("orders", LEASE).await;
    let mut reader = OutboxReader::join(&fixture.connector, name(), "audit", "one").await.unwrap();
    fixture.watch_until(1).await;
    assert_eq!(fixture.watch().await, 0);
    assert_eq!(
        (fixture.account(&id).await, fixture.account(&later).await),
        (Account::Overdue, Account::Open)
    );
    let jobs = fixture.lease_all(1).await;
    by_hand::settle(&fixture.queue, "w", &jobs, &by_hand::succeed()).await;
    assert_eq!(fixture.account(&id).await, Account::AchievedLate);
    assert_eq!(fixture.moved("orders").await, moves(&[("ro", 2), ("ov", 1), ("vl", 1), ("ot", 1)]));
    let entries = reader.read(10, Duration::ZERO).await.unwrap();
    let told: Vec<Move> = entries.into_iter().flat_map(|entry| entry.moves).collect();
    let of = |from, to, id: &JobId| Move { route: 1, from, to, jobs: vec![id.clone()] };
    let expected = [
        of(Account::Open, Account::Overdue, &id),
        of(Account::Open, Account::AchievedInTime, &later),
        of(Account::Overdue, Account::AchievedLate, &id),
    ];
    assert_eq!(told, expected);
    fixture.finish().await;
}

#[tokio::test]
async fn one_process_watches_and_another_takes_over_a_lease_that_stands_still() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let Watched::Elsewhere(lease) = fixture.queue.watch("two", LEASE, None).await.unwrap() else {
        panic!("two processes watch")
    };
    assert!(lease.starts_with("one "), "{lease}");
    let stale = fixture.queue.watch("two", LEASE, Some(&lease)).await.unwrap();
    assert!(matches!(stale, Watched::Here { .. }), "{stale:?}");
    let of_two = fixture.queue.watch("one", LEASE, Some(&lease)).await.unwrap();
    assert!(matches!(of_two, Watched::Elsewhere(lease) if lease.starts_with("two ")));
    fixture.finish().await;
}

#[tokio::test]
async fn a_dead_job_is_missed_and_a_retry_opens_its_expectation_again() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue_expected("orders", LEASE).await;
    let jobs = fixture.lease_all(1).await;
    by_hand::settle(&fixture.queue, "w", &jobs, &bury()).await;
    assert_eq!(fixture.account(&id).await, Account::Missed, "before its due time");
    fixture.queue.operator.retry(&id).await.unwrap();
    assert_eq!(fixture.account(&id).await, Account::Reopened);
    let jobs = fixture.lease_all(2).await;
    by_hand::settle(&fixture.queue, "w", &jobs, &by_hand::succeed()).await;
    assert_eq!(fixture.account(&id).await, Account::AchievedInTime);
    assert_eq!(fixture.moved("orders").await, moves(&[("ro", 1), ("om", 1), ("mn", 1), ("nt", 1)]));
    fixture.finish().await;
}

#[tokio::test]
async fn the_same_event_opens_the_expectation_of_its_dead_job_again() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue_expected("orders", LEASE).await;
    let jobs = fixture.lease_all(1).await;
    by_hand::settle(&fixture.queue, "w", &jobs, &bury()).await;
    let again = NewJob { id: id.clone(), replaces_dead: true, ..expected("orders", LEASE) };
    fixture.queue.enqueue(&[again]).await.unwrap();
    assert_eq!(fixture.account(&id).await, Account::Reopened);
    assert_eq!(fixture.moved("orders").await, moves(&[("ro", 1), ("om", 1), ("rd", 1), ("mn", 1)]));
    fixture.finish_after_forgetting(1).await;
}

#[tokio::test]
async fn an_operator_settles_what_is_late_while_the_work_goes_on() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue_expected("orders", Duration::ZERO).await;
    fixture.watch_until(1).await;
    let operator = &fixture.queue.operator;
    assert_eq!(operator.waive(&id, &remark()).await.unwrap(), Changed::Waived);
    assert_eq!(operator.waive(&id, &remark()).await.unwrap(), Changed::Waived, "a repeated call");
    assert_eq!(fixture.account(&id).await, Account::Waiving);
    let jobs = fixture.lease_all(1).await;
    by_hand::settle(&fixture.queue, "w", &jobs, &by_hand::succeed()).await;
    let job = fixture.queue.job(&id).await.unwrap().unwrap();
    assert_eq!((job.state, job.expectation.unwrap().account), (State::Succeeded, Account::Waived));
    assert_eq!(job.waived.map(|reason| (reason.text, reason.by)), Some((remark().text, remark().by)));
    assert_eq!(job.changes.iter().filter(|change| change.did == "waived").count(), 1);
    assert_eq!(fixture.moved("orders").await, moves(&[("ro", 1), ("ov", 1), ("vy", 1), ("yx", 1)]));
    // What was achieved needs no settling, and what nobody expects cannot be settled.
    let done = fixture.enqueue_expected("orders", LEASE).await;
    let plain = fixture.enqueue(1).await.remove(0);
    let jobs = fixture.lease_all(2).await;
    assert_eq!(operator.waive(&plain, &remark()).await.unwrap(), Changed::Unexpected);
    by_hand::settle(&fixture.queue, "w", &jobs, &by_hand::succeed()).await;
    assert_eq!(operator.waive(&done, &remark()).await.unwrap(), Changed::Refused(State::Succeeded));
    fixture.finish().await;
}

#[tokio::test]
async fn a_missed_one_is_waived_and_a_retry_opens_it_again() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue_expected("orders", LEASE).await;
    let jobs = fixture.lease_all(1).await;
    by_hand::settle(&fixture.queue, "w", &jobs, &bury()).await;
    fixture.queue.operator.waive(&id, &remark()).await.unwrap();
    assert_eq!(fixture.account(&id).await, Account::Waived);
    fixture.queue.operator.retry(&id).await.unwrap();
    assert_eq!(fixture.account(&id).await, Account::Reopened);
    fixture.queue.operator.cancel(&id).await.unwrap();
    assert_eq!(
        fixture.moved("orders").await,
        moves(&[("ro", 1), ("om", 1), ("mx", 1), ("xn", 1), ("nc", 1)])
    );
    fixture.finish().await;
}

#[tokio::test]
async fn notes_and_owners_stay_with_the_job_and_its_history() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue_expected("orders", LEASE).await;
    let (note, owner) =
        (Remark::new("waits for the bank", "ada").unwrap(), Remark::new("ben", "ada").unwrap());
    fixture.queue.operator.note(&id, &note).await.unwrap();
    assert_eq!(fixture.queue.operator.own(&id, &owner).await.unwrap(), Changed::To(State::Ready));
    let job = fixture.queue.job(&id).await.unwrap().unwrap();
    assert_eq!((job.note, job.owner), (Some(note), Some(owner)));
    let did: Vec<_> = job.changes.iter().map(|change| (change.did.as_str(), change.by.as_deref())).collect();
    assert_eq!(did, [("noted", Some("ada")), ("owned", Some("ada"))]);
    assert!(Remark::new(" ", "ada").is_err() && Remark::new("x".repeat(1025), "ada").is_err());
    // A job that was noted before its first attempt is claimed like any other.
    let jobs = fixture.lease_all(1).await;
    by_hand::settle(&fixture.queue, "w", &jobs, &by_hand::succeed()).await;
    assert_eq!(fixture.account(&id).await, Account::AchievedInTime);
    fixture.finish().await;
}

#[tokio::test]
async fn a_verdict_outlives_its_job() {
    let fixture = Fixture::new().await;
    let mut conn = fixture.connector.connect().unwrap();
    let keys = fixture.queue.keys();
    let (done, dead) =
        (fixture.enqueue_expected("orders", LEASE).await, fixture.enqueue_expected("orders", LEASE).await);
    let jobs = fixture.lease_all(1).await;
    let (first, second): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.id == done);
    let outcome = Disposition::Succeed(r#"{"summary":"sent to \"ada\"","evidence":[]}"#.to_owned());
    by_hand::settle(&fixture.queue, "w", &first, &outcome).await;
    by_hand::settle(&fixture.queue, "w", &second, &bury()).await;
    let ended = fixture.queue.job(&dead).await.unwrap().unwrap().since;
    for state in [State::Succeeded, State::Dead] {
        assert_eq!(fixture.queue.worker.trim(state, Duration::ZERO).await.unwrap().forgotten, 1);
    }
    assert!(fixture.queue.job(&done).await.unwrap().is_none());
    let row = async |of: &str, id: &JobId| -> serde_json::Value {
        let row: String = fixture
            .connector
            .connect()
            .unwrap()
            .hget(keys.verdicts_of(ended / DAY_MS, of), id.as_str())
            .await
            .unwrap();
        serde_json::from_str(&row).unwrap()
    };
    let (kept, exception) = (row("t", &done).await, row("e", &dead).await);
    assert_eq!((&kept[0], &kept[11]), (&"t".into(), &"sent to \"ada\"".into()), "{kept}");
    let has = (&exception[0], &exception[6], &exception[8], &exception[11]);
    assert_eq!(has, (&"m".into(), &"test".into(), &"order-1".into(), &"permanent: no such address".into()));
    let exceptions: u64 = conn.zcard(keys.outcomes(1, Account::Missed)).await.unwrap();
    let subjects: u64 = conn.zcard(keys.subjects()).await.unwrap();
    assert_eq!((exceptions, subjects), (1, 2));
    // Too many bytes: the one that was achieved in time goes first.
    let dropped = fixture.queue.worker.trim_verdicts(LEASE, 500).await.unwrap();
    assert_eq!((dropped.forgotten, row("e", &dead).await), (1, exception));
    // Too old, by a clock that may be trusted: the retention was shortened.
    assert_eq!(fixture.moved("orders").await["tz"], 1);
    let dropped = fixture.queue.worker.trim_verdicts(LEASE, 0).await.unwrap();
    assert_eq!((dropped.forgotten, fixture.moved("orders").await["mz"]), (1, 1));
    let left: u64 =
        conn.exists((keys.verdicts(), keys.subjects(), keys.outcomes(1, Account::Missed))).await.unwrap();
    assert_eq!(left, 0);
    let bytes: i64 = conn.hget(keys.control(), "verdict_bytes").await.unwrap();
    assert_eq!(bytes, 0);
    fixture.finish_after_forgetting(2).await;
}

#[tokio::test]
async fn retention_waits_for_the_receipts() {
    let fixture = Fixture::new().await;
    let mut reader = OutboxReader::join(&fixture.connector, name(), "receipts", "one").await.unwrap();
    fixture.enqueue_expected("orders", LEASE).await;
    let jobs = fixture.lease_all(1).await;
    by_hand::settle(&fixture.queue, "w", &jobs, &by_hand::succeed()).await;
    let trim =
        || async { fixture.queue.worker.trim(State::Succeeded, Duration::ZERO).await.unwrap().forgotten };
    assert_eq!(trim().await, 0, "nothing was read");
    let entries = reader.read(10, Duration::ZERO).await.unwrap();
    assert_eq!(trim().await, 0, "nothing was acknowledged");
    reader.acknowledge(&entries).await.unwrap();
    assert_eq!(trim().await, 1);
    fixture.finish_after_forgetting(1).await;
}

#[tokio::test]
async fn a_damaged_job_stops_no_other() {
    let fixture = Fixture::new().await;
    let jobs: Vec<NewJob> = (0..4).map(|_| expected("orders", Duration::ZERO)).collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    let mut conn = fixture.connector.connect().unwrap();
    let key = |i: usize| fixture.queue.keys().job(&jobs[i].id);
    let _: () = conn.del(key(0)).await.unwrap();
    let _: () = conn.del(key(1)).await.unwrap();
    let _: () = conn.set(key(1), "x").await.unwrap();
    let _: () = conn.hset(key(2), "job", "x").await.unwrap();
    fixture.watch_until(1).await;
    assert_eq!(fixture.account(&jobs[3].id).await, Account::Overdue);
    let drifts = fixture.queue.balance().await.unwrap().drifts();
    assert_eq!(drifts, [], "the jobs are counted, and not read");
    fixture.finish_damaged();
}

#[tokio::test]
async fn the_books_are_kept_by_the_minute() {
    let fixture = Fixture::new().await;
    fixture.enqueue_expected("orders", LEASE).await;
    fixture.watch().await;
    fixture.watch().await;
    let mut conn = fixture.connector.connect().unwrap();
    for stream in [fixture.queue.keys().minutes(), fixture.queue.keys().hours()] {
        let entries: Vec<(String, HashMap<String, String>)> =
            redis::cmd("XRANGE").arg(&stream).arg("-").arg("+").query_async(&mut conn).await.unwrap();
        // A test may run over the end of a minute.
        assert!((1..=2).contains(&entries.len()), "{entries:?}");
        assert_eq!(entries[0].1["books"], "1|r>o=1");
    }
    let page = fixture.queue.list(&Filter::default(), None, 10).await.unwrap();
    assert_eq!(page.jobs.len(), 1);
    fixture.finish().await;
}

#[tokio::test]
async fn an_audit_names_what_the_books_do_not_explain() {
    let fixture = Fixture::new().await;
    let (late, dead) = (
        fixture.enqueue_expected("orders", Duration::ZERO).await,
        fixture.enqueue_expected("orders", LEASE).await,
    );
    fixture.watch_until(1).await;
    let jobs = fixture.lease_all(1).await;
    let (missed, rest): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.id == dead);
    by_hand::settle(&fixture.queue, "w", &missed, &bury()).await;
    by_hand::settle(&fixture.queue, "w", &rest, &by_hand::retry(LEASE)).await;
    let audit = async || fixture.queue.audit(async |_| {}).await.unwrap();
    let clean = audit().await;
    assert!(clean.is_clean() && clean.jobs == 2, "{clean:?}");
    let mut conn = fixture.connector.connect().unwrap();
    let keys = fixture.queue.keys();
    // An index lost an entry: the job is named, and the account does not balance.
    let _: () = conn.zrem(keys.outcomes(1, Account::Overdue), late.as_str()).await.unwrap();
    let found = audit().await;
    assert_eq!(found.unexplained.iter().map(|each| &each.id).collect::<Vec<_>>(), [&late]);
    assert_eq!((found.drifts[0].books, found.drifts[0].found), (1, 0));
    // A job was deleted: its index entry has none, and one job too few has not ended.
    let _: () = conn.del(keys.job(&dead)).await.unwrap();
    let found = audit().await;
    assert!(
        found.unexplained.iter().any(|each| each.id == dead && each.what.contains("neither")),
        "{found:?}"
    );
    // A job whose outcome was achieved in time has no index entry that would miss it.
    let done = fixture.enqueue_expected("orders", LEASE).await;
    let jobs = fixture.lease_all(2).await;
    by_hand::settle(&fixture.queue, "w", &jobs, &by_hand::succeed()).await;
    let in_time = async || {
        let found = audit().await.recounts;
        found
            .into_iter()
            .find(|drift| drift.account == Some(Account::AchievedInTime))
            .map(|drift| drift.found)
    };
    assert_eq!(in_time().await, None);
    let _: () = conn.del(keys.job(&done)).await.unwrap();
    assert_eq!(in_time().await, Some(0));
    // A count is lower than it was at the last snapshot.
    let _: () = conn.hset(keys.books(), "1|r>o", 1).await.unwrap();
    assert_eq!(audit().await.fallen, [(1, Account::Received, Account::Open)]);
    fixture.finish_damaged();
}

#[tokio::test]
async fn a_subject_is_erased_from_jobs_rows_and_signals() {
    let fixture = Fixture::new().await;
    let (row, done) =
        (fixture.enqueue_expected("orders", LEASE).await, fixture.enqueue_expected("orders", LEASE).await);
    let other = NewJob { subject: Some("order-10".to_owned()), ..expected("orders", LEASE) };
    fixture.queue.enqueue(std::slice::from_ref(&other)).await.unwrap();
    let condition = Condition::new(None, "paid order-1").unwrap();
    fixture.queue.signal(&condition, &serde_json::json!({"iban": "DE00"})).await.unwrap();
    let jobs = fixture.lease_all(1).await;
    let (first, rest): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.id == row);
    by_hand::settle(&fixture.queue, "w", &first, &bury()).await;
    fixture.queue.worker.trim(State::Dead, Duration::ZERO).await.unwrap();
    // The second one waits for the signal, and is answered at once.
    let (second, third): (Vec<Job>, Vec<Job>) = rest.into_iter().partition(|job| job.id == done);
    let park = Disposition::Park {
        condition: condition.stored(),
        within: None,
        why: "waits for its payment".to_owned(),
        line: r#"{"at":1,"did":"parked"}"#.to_owned(),
    };
    by_hand::settle(&fixture.queue, "w", &second, &park).await;
    let open = fixture.queue.operator.erase("order-1").await.unwrap();
    assert_eq!((open.jobs, open.rows, open.kept), (0, 1, vec![done.clone()]), "it has not ended");
    let second = fixture.lease_all(2).await;
    let ended: Vec<Job> = second.into_iter().chain(third).collect();
    by_hand::settle(&fixture.queue, "w", &ended, &by_hand::succeed()).await;
    let erased = fixture.queue.operator.erase("order-1").await.unwrap();
    assert_eq!((erased.jobs, erased.rows, erased.signals, erased.kept), (1, 0, 1, vec![]));
    let mut conn = fixture.connector.connect().unwrap();
    let subjects: Vec<String> = conn.zrange(fixture.queue.keys().subjects(), 0, -1).await.unwrap();
    assert_eq!(subjects, [format!("order-10\0{}", other.id)]);
    assert_eq!(fixture.moved("orders").await["mz"] + fixture.moved("orders").await["tz"], 2);
    fixture.finish_after_forgetting(2).await;
}
