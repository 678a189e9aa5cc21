//! Lists: pages without gaps or repeats; retention.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use upshot_queue::{
    Deadline, Error, Filter, Job, JobId, Late, NewJob, Priority, State, Trimmed,
    protocol::{Claim, Disposition, EndedAttempt},
};

use crate::{
    by_hand,
    fixture::{Fixture, Worker, options},
};

fn trimmed(forgotten: u64) -> Trimmed {
    Trimmed { forgotten, more: false, held: false }
}

async fn walk(fixture: &Fixture, filter: &Filter, limit: usize) -> Vec<JobId> {
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let page = fixture.queue.list(filter, cursor, limit).await.unwrap();
        assert!(page.jobs.len() <= limit);
        ids.extend(page.jobs.into_iter().map(|job| job.id));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return ids,
        }
    }
}

fn subject(subject: &str, tenant: &str) -> NewJob {
    let mut job = NewJob::new(JobId::random(), "test", "1");
    job.subject = Some(subject.to_owned());
    job.tenant = Some(tenant.to_owned());
    job
}

#[tokio::test]
async fn pages_hold_every_job_once() {
    let fixture = Fixture::new().await;
    let jobs: Vec<NewJob> =
        (0..300).map(|i| subject("order-1", if i % 10 == 0 { "acme" } else { "other" })).collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    let all: BTreeSet<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
    for limit in [1, 7, 100, 300, 400] {
        for filter in [Filter::default(), Filter { state: Some(State::Ready), ..Filter::default() }] {
            let ids = walk(&fixture, &filter, limit).await;
            assert_eq!(ids.len(), 300, "limit {limit}");
            assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), all);
        }
    }
    let acme = Filter { tenant: Some("acme".into()), ..Filter::default() };
    for limit in [1, 4, 30, 200] {
        assert_eq!(walk(&fixture, &acme, limit).await.len(), 30, "limit {limit}");
    }
    fixture.finish().await;
}

/// Who left a lane is still in its list.
#[tokio::test]
async fn pages_of_ready_jobs_hold_none_that_left_its_lane() {
    let fixture = Fixture::new().await;
    let job = |i: usize| {
        let mut job = NewJob::new(JobId::random(), "test", "1");
        job.tenant = (!i.is_multiple_of(3)).then(|| format!("t{}", i % 3));
        job.deadline = i
            .is_multiple_of(10)
            .then_some(Deadline { within: Duration::from_secs(60 + i as u64), then: Late::Runs });
        job
    };
    let jobs: Vec<NewJob> = (0..200).map(job).collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    let every = |n: usize, at: usize| -> Vec<JobId> {
        jobs.iter().skip(at).step_by(n).map(|job| job.id.clone()).collect()
    };
    for id in every(7, 1) {
        fixture.queue.operator.cancel(&id).await.unwrap();
    }
    for id in every(7, 2) {
        fixture.queue.operator.reschedule(&id, Duration::ZERO).await.unwrap();
    }
    for id in every(7, 3) {
        fixture.queue.operator.prioritise(&id, Priority::Critical).await.unwrap();
    }
    let cancelled: BTreeSet<JobId> = every(7, 1).into_iter().collect();
    let ready: BTreeSet<JobId> =
        jobs.iter().map(|job| job.id.clone()).filter(|id| !cancelled.contains(id)).collect();
    let only = |state| Filter { state: Some(state), ..Filter::default() };
    for limit in [1, 2, 7, 30, 200] {
        for (filter, expected) in [
            (only(State::Ready), &ready),
            (only(State::Cancelled), &cancelled),
            (Filter::default(), &ready.union(&cancelled).cloned().collect()),
        ] {
            let ids = walk(&fixture, &filter, limit).await;
            assert_eq!(ids.len(), expected.len(), "limit {limit}");
            assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), *expected);
        }
    }
    fixture.finish().await;
}

#[tokio::test]
async fn pages_of_ready_jobs_go_on_where_they_ended_while_jobs_are_claimed() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(300).await;
    let ready = Filter { state: Some(State::Ready), ..Filter::default() };
    let claim = async |number, want| {
        let claim = Claim { want, quantum: want, ..by_hand::claim("w", number) };
        by_hand::jobs(&fixture.queue, "w", fixture.queue.worker.claim(&claim).await.unwrap())
    };
    let page = fixture.queue.list(&ready, None, 100).await.unwrap();
    let mut listed: Vec<JobId> = page.jobs.into_iter().map(|job| job.id).collect();
    let mut claimed: Vec<Job> = claim(1, 50).await;
    // The list is marked, and the last one that was seen is no longer in the lane.
    fixture.queue.operator.cancel(&ids[99]).await.unwrap();
    let page = fixture.queue.list(&ready, page.next, 50).await.unwrap();
    listed.extend(page.jobs.into_iter().map(|job| job.id));
    assert_eq!(listed, ids[..150]);
    // All that was seen is claimed, and more.
    claimed.extend(claim(2, 109).await);
    let page = fixture.queue.list(&ready, page.next, 300).await.unwrap();
    let rest: Vec<JobId> = page.jobs.into_iter().map(|job| job.id).collect();
    assert_eq!((rest.as_slice(), page.next), (&ids[160..], None));
    let end = |job: Job| {
        let (token, flow) = (job.token, job.flow());
        EndedAttempt {
            expectation: job.expectation,
            id: job.id,
            token,
            flow,
            args: job.args.len(),
            clock: None,
            disposition: Disposition::Succeed("null".to_owned()),
        }
    };
    let ended: Vec<EndedAttempt> = claimed.into_iter().map(end).collect();
    assert_eq!(fixture.queue.worker.settle("w", &ended).await.unwrap(), [true; 159]);
    fixture.finish().await;
}

/// A job that left a lane comes again under its id, while its old place is still there.
#[tokio::test]
async fn pages_end_also_where_an_id_stands_in_a_list_twice() {
    let fixture = Fixture::new().await;
    let jobs: Vec<NewJob> = (0..30).map(|_| NewJob::new(JobId::random(), "test", "1")).collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    fixture.queue.operator.cancel(&jobs[5].id).await.unwrap();
    assert_eq!(fixture.queue.worker.trim(State::Cancelled, Duration::ZERO).await.unwrap(), trimmed(1));
    fixture.queue.enqueue(&jobs[5..6]).await.unwrap();
    for limit in [1, 5, 8, 29, 30, 100] {
        let ids = walk(&fixture, &Filter::default(), limit).await;
        let once: BTreeSet<JobId> = ids.iter().cloned().collect();
        assert_eq!(ids.len(), once.len(), "limit {limit}");
        assert!(jobs.iter().all(|job| job.id == jobs[5].id || once.contains(&job.id)), "limit {limit}");
    }
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    fixture.until_count(State::Succeeded, 30).await;
    worker.stop().await;
    fixture.finish_after_forgetting(1).await;
}

/// The lease of an earlier claim still names a job that runs again by a later one.
#[tokio::test]
async fn a_job_that_runs_again_is_listed_once() {
    let fixture = Fixture::new().await;
    let all: BTreeSet<JobId> = fixture.enqueue(5).await.into_iter().collect();
    let mut number = 0;
    let mut claim = async |want| {
        number += 1;
        let claim = Claim { want, quantum: 1, ..by_hand::claim("w", number) };
        by_hand::jobs(&fixture.queue, "w", fixture.queue.worker.claim(&claim).await.unwrap())
    };
    let first = claim(5).await;
    let end = |job: &Job, end| EndedAttempt {
        expectation: job.expectation,
        id: job.id.clone(),
        token: job.token,
        flow: job.flow(),
        args: job.args.len(),
        clock: None,
        disposition: end,
    };
    let back: Vec<EndedAttempt> =
        first[1..4].iter().map(|job| end(job, Disposition::Release { line: String::new() })).collect();
    assert_eq!(fixture.queue.worker.settle("w", &back).await.unwrap(), [true; 3]);
    let second = claim(5).await;
    assert_eq!(second.len(), 3);
    let running = Filter { state: Some(State::Running), ..Filter::default() };
    for limit in [1, 2, 3, 5, 10] {
        let ids = walk(&fixture, &running, limit).await;
        assert_eq!(ids.len(), 5, "limit {limit}");
        assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), all);
    }
    let done: Vec<EndedAttempt> = [&first[0], &first[4], &second[0], &second[1], &second[2]]
        .map(|job| end(job, Disposition::Succeed("null".to_owned())))
        .into();
    assert_eq!(fixture.queue.worker.settle("w", &done).await.unwrap(), [true; 5]);
    let succeeded = Filter { state: Some(State::Succeeded), ..Filter::default() };
    for limit in [1, 2, 5] {
        assert_eq!(walk(&fixture, &succeeded, limit).await.len(), 5, "limit {limit}");
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_subject_finds_its_jobs_and_no_others() {
    let fixture = Fixture::new().await;
    let jobs =
        [subject("order-1", "a"), subject("order-10", "a"), subject("order-1", "b"), subject("order", "a")];
    fixture.queue.enqueue(&jobs).await.unwrap();
    let filter = Filter { subject: Some("order-1".into()), ..Filter::default() };
    let found: BTreeSet<JobId> = walk(&fixture, &filter, 1).await.into_iter().collect();
    assert_eq!(found, [jobs[0].id.clone(), jobs[2].id.clone()].into());
    fixture.finish().await;
}

#[tokio::test]
async fn retention_forgets_finished_jobs_whole() {
    let fixture = Fixture::new().await;
    let job = subject("order-7", "a");
    fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    fixture.until_state(&job.id, State::Succeeded).await;
    worker.stop().await;
    assert_eq!(
        fixture.queue.worker.trim(State::Succeeded, Duration::from_secs(3600)).await.unwrap(),
        trimmed(0)
    );
    assert_eq!(fixture.queue.worker.trim(State::Succeeded, Duration::ZERO).await.unwrap(), trimmed(1));
    assert!(fixture.queue.job(&job.id).await.unwrap().is_none());
    let filter = Filter { subject: Some("order-7".into()), ..Filter::default() };
    assert!(walk(&fixture, &filter, 10).await.is_empty());
    // The same id is new again: that is how long it is recognised.
    let again = fixture.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    assert_eq!(again, [upshot_queue::EnqueueResult::Inserted]);
    assert_eq!(fixture.queue.counts().await.unwrap().of(State::Ready), 1);
    fixture.finish_after_forgetting(1).await;
}

fn of_tenant(tenant: &str, keys: &[&str]) -> NewJob {
    NewJob {
        tenant: Some(tenant.to_owned()),
        limit_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        ..NewJob::new(JobId::random(), "test", "1")
    }
}

/// Among any number of others: a lane's name has the tenant.
#[tokio::test]
async fn ready_jobs_of_a_tenant_are_read_from_its_lanes() {
    let fixture = Fixture::new().await;
    // Names that stand between a tenant's lanes, and some that have to be escaped.
    let names = ["a", "a2", "a|b", "a~", "ab", "A", "é", "a!"];
    let mut jobs = Vec::new();
    for name in names {
        for keys in [&[][..], &["smtp"], &["db", "smtp"]] {
            jobs.extend((0..7).map(|_| of_tenant(name, keys)));
        }
    }
    jobs.extend((0..6_000).map(|i| of_tenant(&format!("m{}", i % 3), &[])));
    fixture.queue.enqueue(&jobs).await.unwrap();
    for name in names {
        let filter = Filter { state: Some(State::Ready), tenant: Some(name.to_owned()), ..Filter::default() };
        let all: BTreeSet<JobId> =
            jobs.iter().filter(|job| job.tenant.as_deref() == Some(name)).map(|job| job.id.clone()).collect();
        let page = fixture.queue.list(&filter, None, 200).await.unwrap();
        assert_eq!((page.jobs.len(), page.next, page.searched), (21, None, None), "{name}: one page has all");
        for limit in [1, 7, 20] {
            let ids = walk(&fixture, &filter, limit).await;
            assert_eq!(ids.len(), 21, "{name}, limit {limit}");
            assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), all, "{name}, limit {limit}");
        }
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_page_that_stops_early_says_how_far_it_looked() {
    let fixture = Fixture::new().await;
    let job = |i: usize| NewJob {
        kind: if i == 4_990 { "rare" } else { "test" }.to_owned(),
        ..NewJob::new(JobId::random(), "test", "1")
    };
    let jobs: Vec<NewJob> = (0..5_000).map(job).collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    let filter = Filter { kind: Some("rare".to_owned()), ..Filter::default() };
    let first = fixture.queue.list(&filter, None, 10).await.unwrap();
    let searched = first.searched.expect("it is not full, and there is more");
    assert_eq!((first.jobs.len(), searched.state), (0, Some(State::Ready)));
    assert!((4_000..5_000).contains(&searched.jobs), "{searched:?}");
    let second = fixture.queue.list(&filter, first.next, 10).await.unwrap();
    assert_eq!((second.jobs.len(), second.next, second.searched), (1, None, None));
    // A page that is full looked no further than it had to.
    let usual = Filter { kind: Some("test".to_owned()), ..Filter::default() };
    let page = fixture.queue.list(&usual, None, 10).await.unwrap();
    assert_eq!((page.jobs.len(), page.searched), (10, None));
    fixture.finish().await;
}

/// A cursor names the job that was seen last. That may have left, with all before it.
#[tokio::test]
async fn a_list_goes_on_behind_a_job_that_has_left() {
    let fixture = Fixture::new().await;
    let ids = fixture.enqueue(2_000).await;
    let ready = Filter { state: Some(State::Ready), ..Filter::default() };
    let mut cursor = None;
    for _ in 0..5 {
        cursor = fixture.queue.list(&ready, cursor, 200).await.unwrap().next;
    }
    // Far from where it was, and gone itself, or not.
    for (number, first) in [(1, 1_000), (2, 1_200)] {
        let mut leased = 0;
        while leased < 600 {
            let want = (600 - leased).min(150);
            let worker = format!("w{number}-{leased}");
            let claim = Claim { want, ..by_hand::claim(&worker, 1) };
            leased += fixture.queue.worker.claim(&claim).await.unwrap().len();
        }
        let page = fixture.queue.list(&ready, cursor.clone(), 100).await.unwrap();
        let seen: Vec<JobId> = page.jobs.into_iter().map(|job| job.id).collect();
        assert_eq!(seen, ids[first..first + 100], "{number}");
    }
    fixture.finish_damaged();
}

/// Of entries with the same score the names decide, also where the one that is named has left.
#[tokio::test]
async fn pages_of_a_sorted_set_go_on_behind_an_entry_that_has_left() {
    let fixture = Fixture::new().await;
    let jobs: Vec<NewJob> = (0..300)
        .map(|_| NewJob { delay: Duration::from_secs(3600), ..NewJob::new(JobId::random(), "test", "1") })
        .collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    let (scheduled, mut admin) = (fixture.queue.keys().scheduled(), fixture.connector.connect().unwrap());
    let mut cmd = redis::cmd("ZADD");
    cmd.arg(&scheduled);
    for job in &jobs {
        cmd.arg(4_000_000_000_000_i64).arg(job.id.as_str());
    }
    cmd.exec_async(&mut admin).await.unwrap();
    let mut all: Vec<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
    all.sort();
    let filter = Filter { state: Some(State::Scheduled), ..Filter::default() };
    let page = fixture.queue.list(&filter, None, 100).await.unwrap();
    assert_eq!(page.jobs.iter().map(|job| job.id.clone()).collect::<Vec<_>>(), all[..100]);
    fixture.queue.operator.cancel(&all[99]).await.unwrap();
    fixture.queue.operator.cancel(&all[42]).await.unwrap();
    let page = fixture.queue.list(&filter, page.next, 100).await.unwrap();
    assert_eq!(page.jobs.iter().map(|job| job.id.clone()).collect::<Vec<_>>(), all[100..200]);
    let walked = walk(&fixture, &filter, 7).await;
    assert_eq!(walked.len(), 298);
    fixture.finish().await;
}

#[tokio::test]
async fn cursors_of_another_list_are_refused() {
    let fixture = Fixture::new().await;
    let jobs: Vec<NewJob> = (0..4).map(|_| subject("order-1", "acme")).collect();
    fixture.queue.enqueue(&jobs).await.unwrap();
    let ready = Filter { state: Some(State::Ready), ..Filter::default() };
    let about = Filter { subject: Some("order-1".to_owned()), ..Filter::default() };
    let dead = Filter { state: Some(State::Dead), ..Filter::default() };
    for (of, others) in [(&ready, [&about, &dead]), (&about, [&ready, &dead])] {
        let next = fixture.queue.list(of, None, 2).await.unwrap().next.expect("more");
        assert_eq!(fixture.queue.list(of, Some(next.clone()), 2).await.unwrap().jobs.len(), 2);
        for other in others {
            let refused = fixture.queue.list(other, Some(next.clone()), 2).await.unwrap_err();
            assert!(matches!(refused, Error::Cursor(_)), "{refused}");
        }
    }
    fixture.finish().await;
}
