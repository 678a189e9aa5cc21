//! Schedules: one job for a due time, whatever several processes do, and whichever of them stalls.

use std::time::Duration;

use futures::future;
use serde_json::json;
use upshot_queue::{
    Expect, Fire, JobId, MAX_SCHEDULES, NewJob, NewSchedule, NextRun, ScheduleChanged, SchedulesSet, State,
    StoredSchedule,
};

use crate::{
    fixture::{Fixture, Worker, options},
    handles::Queue,
};

const MINUTE: i64 = 60_000;

fn at(due: i64) -> NextRun {
    NextRun { due, starts: due }
}

fn new(name: &str, definition: &str, due: i64) -> NewSchedule {
    NewSchedule { name: name.to_owned(), definition: definition.to_owned(), keeps_next: false, next: at(due) }
}

/// The job for a due time.
fn job(due: i64) -> NewJob {
    let mut job = NewJob::new(JobId::derive(&["schedule", &due.to_string()]), "report.write", "{}");
    job.expect =
        Some(Expect { route: "schedule:a".to_owned(), within: Duration::from_secs(3600), from: Some(due) });
    job
}

fn fire(schedule: &StoredSchedule, due: &[i64], next: i64) -> Fire<'static> {
    let schedule = Box::leak(Box::new(schedule.clone()));
    let jobs = due.iter().map(|due| (*due, job(*due))).collect();
    Fire { schedule, jobs, missed: 0, next: Some(at(next)) }
}

async fn read(queue: &Queue, name: &str) -> Option<StoredSchedule> {
    queue.schedule(name).await.unwrap().seen.pop()
}

/// A schedule `a` that is due since a minute ago. Returns it, and the time.
async fn due(fixture: &Fixture) -> (StoredSchedule, i64) {
    let now = fixture.queue.schedules().await.unwrap().now;
    let put = fixture.queue.operator.put_schedule(&new("a", "{}", now - MINUTE), 0, "ada").await.unwrap();
    assert!(matches!(put, ScheduleChanged::Done(_)));
    let mut due = fixture.queue.due_schedules().await.unwrap();
    assert_eq!((due.seen.len(), due.first_start), (1, None));
    (due.seen.pop().unwrap(), now)
}

async fn done(fixture: Fixture) {
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    fixture.until_counts(|counts| counts.of(State::Ready) == 0 && counts.of(State::Running) == 0).await;
    worker.stop().await;
    fixture.finish().await;
}

#[tokio::test]
async fn schedulers_that_race_make_one_job() {
    let fixture = Fixture::new().await;
    let (schedule, now) = due(&fixture).await;
    let fire = fire(&schedule, &[now - MINUTE], now + MINUTE);
    let others = (0..8).map(|_| Queue::new(&fixture.connector, fixture.queue.name().clone()).unwrap());
    let others: Vec<Queue> = others.collect();
    let fired = future::try_join_all(others.iter().map(|queue| queue.fire(&fire))).await.unwrap();
    assert_eq!(fired.iter().filter(|fired| **fired).count(), 1, "{fired:?}");
    let counts = fixture.queue.counts().await.unwrap();
    assert_eq!((counts.of(State::Ready), counts.transitions("duplicates")), (1, 0));
    let after = read(&fixture.queue, "a").await.unwrap();
    assert_eq!((after.next, after.runs), (Some(now + MINUTE), 1));
    let last = after.last.unwrap();
    assert_eq!((last.due, last.job), (Some(now - MINUTE), job(now - MINUTE).id));
    assert!(fixture.queue.due_schedules().await.unwrap().seen.is_empty());
    done(fixture).await;
}

/// A process that was stopped over a due time holds the old due time. Its job may be forgotten since.
#[tokio::test]
async fn a_scheduler_that_stalled_does_nothing_twice() {
    let fixture = Fixture::new().await;
    let (schedule, now) = due(&fixture).await;
    let stalled = fire(&schedule, &[now - MINUTE], now + MINUTE);
    assert!(fixture.queue.fire(&stalled).await.unwrap());
    let worker = Worker::start(&fixture.connector, options(), |_, _| async { Ok(json!(null)) });
    fixture.until_count(State::Succeeded, 1).await;
    worker.stop().await;
    fixture.queue.worker.trim(State::Succeeded, Duration::ZERO).await.unwrap();
    assert!(!fixture.queue.fire(&stalled).await.unwrap());
    assert_eq!(fixture.queue.counts().await.unwrap().transitions("enqueued"), 1);
    fixture.finish_after_forgetting(1).await;
}

#[tokio::test]
async fn nothing_runs_before_its_time_or_while_it_is_paused() {
    let fixture = Fixture::new().await;
    let (schedule, now) = due(&fixture).await;
    let later = StoredSchedule { next: Some(now + MINUTE), ..schedule.clone() };
    let operator = &fixture.queue.operator;
    assert!(!fixture.queue.fire(&fire(&later, &[now + MINUTE], now + 2 * MINUTE)).await.unwrap());
    assert_eq!(
        operator.pause_schedule(&schedule, "ada").await.unwrap(),
        ScheduleChanged::Done(schedule.version)
    );
    assert!(!fixture.queue.fire(&fire(&schedule, &[now - MINUTE], now + MINUTE)).await.unwrap());
    assert!(fixture.queue.due_schedules().await.unwrap().seen.is_empty());
    let (since, by) = read(&fixture.queue, "a").await.unwrap().paused.unwrap();
    assert!(since >= now && by == "ada");
    // A change leaves it paused.
    let changed =
        operator.put_schedule(&new("a", "[]", now - 2 * MINUTE), schedule.version, "ada").await.unwrap();
    let ScheduleChanged::Done(version) = changed else { panic!("{changed:?}") };
    assert!(fixture.queue.due_schedules().await.unwrap().seen.is_empty());
    let paused = read(&fixture.queue, "a").await.unwrap();
    assert_eq!(paused.version, version);
    // Who saw another pause, or none, resumes nothing.
    for seen in [None, Some((since - 1, "ada".to_owned()))] {
        let stale = StoredSchedule { paused: seen, ..paused.clone() };
        let refused = operator.resume_schedule(&stale, Some(at(now - MINUTE))).await.unwrap();
        assert_eq!(refused, ScheduleChanged::Conflict(version));
    }
    assert_eq!(read(&fixture.queue, "a").await.unwrap(), paused);
    operator.resume_schedule(&paused, Some(at(now - 1))).await.unwrap();
    // A late copy of the call leaves it alone.
    let again = operator.resume_schedule(&paused, Some(at(now - MINUTE))).await.unwrap();
    assert_eq!(again, ScheduleChanged::Done(version));
    let resumed = fixture.queue.due_schedules().await.unwrap().seen.pop().unwrap();
    assert_eq!((resumed.next, resumed.paused.clone()), (Some(now - 1), None));
    assert!(fixture.queue.fire(&fire(&resumed, &[now - 1], now + MINUTE)).await.unwrap());
    done(fixture).await;
}

#[tokio::test]
async fn a_changed_or_new_schedule_is_another_one() {
    let fixture = Fixture::new().await;
    let (schedule, now) = due(&fixture).await;
    let operator = &fixture.queue.operator;
    let old = fire(&schedule, &[now - MINUTE], now + MINUTE);
    let change = NewSchedule { keeps_next: true, ..new("a", "[1]", 0) };
    let put = operator.put_schedule(&change, schedule.version, "bob").await.unwrap();
    let ScheduleChanged::Done(version) = put else { panic!("{put:?}") };
    // A lost reply is repeated; a change of an old version is refused.
    assert_eq!(operator.put_schedule(&change, schedule.version, "bob").await.unwrap(), put);
    let refused = operator.put_schedule(&new("a", "[2]", 0), schedule.version, "eve").await.unwrap();
    assert_eq!(refused, ScheduleChanged::Conflict(version));
    assert!(!fixture.queue.fire(&old).await.unwrap(), "the old definition must not run");
    let changed = read(&fixture.queue, "a").await.unwrap();
    assert_eq!((changed.next, changed.by.as_str()), (Some(now - MINUTE), "bob"), "it keeps its place");
    assert_eq!(operator.remove_schedule(&schedule).await.unwrap(), ScheduleChanged::Conflict(version));
    assert_eq!(operator.remove_schedule(&changed).await.unwrap(), ScheduleChanged::Done(version));
    assert_eq!(read(&fixture.queue, "a").await, None);
    operator.put_schedule(&new("a", "[1]", now - MINUTE), 0, "ada").await.unwrap();
    assert!(!fixture.queue.fire(&fire(&changed, &[now - MINUTE], now + MINUTE)).await.unwrap());
    assert_eq!(fixture.queue.counts().await.unwrap().transitions("enqueued"), 0);
    fixture.finish().await;
}

#[tokio::test]
async fn catching_up_enqueues_in_order_and_counts_the_rest() {
    let fixture = Fixture::new().await;
    let (schedule, now) = due(&fixture).await;
    let times: Vec<i64> = (1..=50).rev().map(|n| now - n * MINUTE).collect();
    let fire = Fire { missed: 7, ..fire(&schedule, &times, now + MINUTE) };
    assert!(fixture.queue.fire(&fire).await.unwrap());
    let after = read(&fixture.queue, "a").await.unwrap();
    assert_eq!((after.runs, after.missed, after.last.unwrap().due), (50, 7, Some(now - MINUTE)));
    let lane: Vec<String> = redis::cmd("LRANGE")
        .arg(fixture.queue.keys().lane("2:"))
        .arg(0)
        .arg(-1)
        .query_async(&mut fixture.connector.connect().unwrap())
        .await
        .unwrap();
    let wanted: Vec<String> = times.iter().map(|due| job(*due).id.to_string()).collect();
    assert_eq!(lane, wanted, "the oldest first");
    let counts = fixture.queue.counts().await.unwrap();
    assert_eq!((counts.transitions("schedule_runs"), counts.transitions("schedule_missed")), (50, 7));
    done(fixture).await;
}

#[tokio::test]
async fn a_run_by_hand_leaves_the_due_time() {
    let fixture = Fixture::new().await;
    let (schedule, now) = due(&fixture).await;
    fixture.queue.operator.pause_schedule(&schedule, "ada").await.unwrap();
    let by_hand = NewJob::new(JobId::random(), "report.write", "{}");
    assert!(fixture.queue.run_schedule(&schedule, &by_hand).await.unwrap(), "a paused one may run by hand");
    let after = read(&fixture.queue, "a").await.unwrap();
    assert_eq!((after.next, after.runs), (Some(now - MINUTE), 1));
    let last = after.last.unwrap();
    assert_eq!((last.due, last.job), (None, by_hand.id));
    let gone = StoredSchedule { name: "gone".to_owned(), ..schedule };
    assert!(!fixture.queue.run_schedule(&gone, &job(now)).await.unwrap());
    done(fixture).await;
}

#[tokio::test]
async fn settings_own_their_schedules_by_version() {
    let fixture = Fixture::new().await;
    let (queue, operator) = (&fixture.queue, &fixture.queue.operator);
    let now = queue.schedules().await.unwrap().now;
    operator.put_schedule(&new("by-hand", "{}", now + MINUTE), 0, "ada").await.unwrap();
    let first = [new("a", "1", now + MINUTE), new("b", "1", now + MINUTE)];
    assert_eq!(operator.set_schedules(&first, 0, "worker 1").await.unwrap(), SchedulesSet::Done(1));
    // Another program, which is as new: the first one was first.
    let other = [new("c", "1", now)];
    assert_eq!(operator.set_schedules(&other, 0, "worker 2").await.unwrap(), SchedulesSet::Conflict(1));
    let before = read(queue, "a").await.unwrap();
    let keeps = NewSchedule { keeps_next: true, ..new("b", "2", now + 9 * MINUTE) };
    let next = [new("a", "1", now + 9 * MINUTE), keeps, new("c", "1", now + 2 * MINUTE)];
    assert_eq!(operator.set_schedules(&next, 1, "ada").await.unwrap(), SchedulesSet::Done(2));
    assert_eq!(read(queue, "a").await.unwrap(), before, "the same definition is left alone");
    let (b, c) = (read(queue, "b").await.unwrap(), read(queue, "c").await.unwrap());
    assert_eq!((b.definition.as_str(), b.next), ("2", Some(now + MINUTE)), "it keeps its place");
    assert_eq!((c.next, c.is_of_settings), (Some(now + 2 * MINUTE), true));
    // Persons neither define nor remove it, and may pause it.
    assert_eq!(
        operator.put_schedule(&new("a", "3", now), before.version, "eve").await.unwrap(),
        ScheduleChanged::OfSettings
    );
    assert_eq!(operator.remove_schedule(&before).await.unwrap(), ScheduleChanged::OfSettings);
    assert!(matches!(operator.pause_schedule(&before, "ada").await.unwrap(), ScheduleChanged::Done(_)));
    let taken = [new("by-hand", "9", now)];
    assert_eq!(
        operator.set_schedules(&taken, 2, "ada").await.unwrap(),
        SchedulesSet::Taken("by-hand".into())
    );
    assert_eq!(operator.set_schedules(&[], 2, "ada").await.unwrap(), SchedulesSet::Done(3));
    let left = queue.schedules().await.unwrap();
    assert_eq!(left.seen.iter().map(|each| each.name.as_str()).collect::<Vec<_>>(), ["by-hand"]);
    assert_eq!((left.set_version, left.count), (3, 1));
    fixture.finish().await;
}

#[tokio::test]
async fn a_queue_has_a_bounded_number_of_schedules() {
    let fixture = Fixture::new().await;
    let operator = &fixture.queue.operator;
    let many: Vec<NewSchedule> = (0..=MAX_SCHEDULES).map(|n| new(&format!("s{n}"), "{}", MINUTE)).collect();
    let full = operator.set_schedules(&many, 0, "ada").await.unwrap();
    assert_eq!(full, SchedulesSet::Full(MAX_SCHEDULES as u64 + 1));
    assert_eq!(operator.set_schedules(&many[1..], 0, "ada").await.unwrap(), SchedulesSet::Done(1));
    assert_eq!(
        operator.put_schedule(&new("one-more", "{}", 1), 0, "ada").await.unwrap(),
        ScheduleChanged::Full
    );
    assert_eq!(fixture.queue.schedules().await.unwrap().seen.len(), MAX_SCHEDULES);
    fixture.finish().await;
}

#[tokio::test]
async fn a_damaged_schedule_is_left_out_and_holds_no_other() {
    let fixture = Fixture::new().await;
    let (_, now) = due(&fixture).await;
    fixture.queue.operator.put_schedule(&new("b", "{}", now - MINUTE), 0, "ada").await.unwrap();
    let mut conn = fixture.connector.connect().unwrap();
    let key = fixture.queue.keys().schedule("a");
    let _: () = redis::cmd("SET").arg(&key).arg("x").query_async(&mut conn).await.unwrap();
    for there in [fixture.queue.due_schedules().await.unwrap(), fixture.queue.schedules().await.unwrap()] {
        let names: Vec<&str> = there.seen.iter().map(|stored| stored.name.as_str()).collect();
        assert_eq!((names, there.count), (vec!["b"], 2));
    }
    assert_eq!(read(&fixture.queue, "a").await, None);
    let _: () = redis::cmd("DEL").arg(&key).query_async(&mut conn).await.unwrap();
    fixture.finish().await;
}
