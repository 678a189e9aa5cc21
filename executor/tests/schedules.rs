//! Schedules, run by executors on a real Redis.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use serde::Deserialize;
use upshot_executor::{Context, Job, Jobs, Stop};
use upshot_queue::{NewSchedule, NextRun, ScheduleChanged, Schedules, State, StoredSchedule};
use upshot_shared::{
    Evidence, Outcome, Schedule,
    schedule::{CatchUp, LABEL_SCHEDULE, LABEL_SCHEDULED_FOR},
};
use upshot_testkit::{TestRedis, within};

const HOUR: i64 = 3_600_000;

#[derive(Deserialize)]
struct Report {}

impl Job for Report {
    const KIND: &'static str = "report.write";
    type State = ();

    async fn run(self, _: &Context<()>) -> Result<Outcome, Stop> {
        Ok(Outcome::achieved("written", Evidence::new("report", [("pages", "3".to_owned())])))
    }
}

fn jobs() -> Jobs {
    let mut jobs = Jobs::new();
    let state = jobs.state(());
    jobs.job::<Report>(&state).unwrap();
    jobs
}

fn hourly(name: &str, catch_up: CatchUp, most: u32) -> Schedule {
    let (cron, queue) = (Some("0 * * * *".to_owned()), "reports".parse().unwrap());
    Schedule { cron, catch_up, catch_up_most: most, ..Schedule::new(name, queue, "report.write") }
}

/// Puts a schedule as it would be had no executor been there since.
async fn put(redis: &TestRedis, name: &str, definition: String, due: i64) {
    let next = NextRun { due, starts: due };
    let new = NewSchedule { name: name.to_owned(), definition, keeps_next: false, next };
    let put = redis.operator().put_schedule(&new, 0, "ada").await.unwrap();
    assert!(matches!(put, ScheduleChanged::Done(_)));
}

/// Waits until the schedules are as wanted: reads them, and again after each change of a job.
async fn until(redis: &TestRedis, wanted: impl Fn(&Schedules) -> bool) -> Schedules {
    let mut listener = redis.connector.listen().await.unwrap();
    listener.subscribe(redis.queue.keys().changes()).await.unwrap();
    let reading = async {
        loop {
            let there = redis.queue.schedules().await.unwrap();
            if wanted(&there) {
                return there;
            }
            listener.next().await.expect("Redis went away");
        }
    };
    within("the schedules ran", reading).await
}

fn of<'a>(there: &'a Schedules, name: &str) -> &'a StoredSchedule {
    there.seen.iter().find(|stored| stored.name == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_downtime_is_made_up_for_as_each_schedule_says() {
    let redis = TestRedis::new("reports").await;
    let now = redis.queue.schedules().await.unwrap().now;
    // The 24 due times of a day, the last of which is at least a minute ago.
    let last = (now - 2 * 60_000).div_euclid(HOUR) * HOUR;
    let first = last - 23 * HOUR;
    // In order of their due times, so that the last one tells that the others were looked at.
    for (name, catch_up, most, due) in [
        ("none", CatchUp::None, 100, first),
        ("latest", CatchUp::Latest, 100, first + 1),
        ("some", CatchUp::All, 5, first + 2),
        ("all", CatchUp::All, 100, first + 3),
    ] {
        put(&redis, name, hourly(name, catch_up, most).definition(), due).await;
    }
    let worker = redis.worker(jobs()).await;
    let there = until(&redis, |there| of(there, "all").runs > 0).await;
    let counts = |name| (of(&there, name).runs, of(&there, name).missed);
    // An hour may have begun meanwhile, and each schedule had a due time then.
    let began = (of(&there, "all").runs + of(&there, "all").missed).saturating_sub(24);
    assert!(began <= 1, "{there:?}");
    assert_eq!(counts("all"), (24 + began, 0));
    assert_eq!(counts("latest"), (1, 23 + began));
    assert_eq!(counts("some"), (5, 19 + began));
    assert_eq!(of(&there, "none").runs + of(&there, "none").missed, 24 + began);
    assert!(there.seen.iter().all(|stored| stored.next.unwrap() > now), "{there:?}");
    let last = of(&there, "latest").last.clone().unwrap();
    let job = redis.until(&last.job, State::Succeeded).await;
    assert_eq!(job.labels[LABEL_SCHEDULE], "latest");
    assert!(job.labels[LABEL_SCHEDULED_FOR].ends_with(":00:00Z"), "{:?}", job.labels);
    worker.stop().await;
    redis.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_is_said_and_holds_no_other_schedule() {
    let redis = TestRedis::new("reports").await;
    let now = redis.queue.schedules().await.unwrap().now;
    let due = now.div_euclid(HOUR) * HOUR - HOUR;
    let renamed = Schedule { zone: Some("Mars/Phobos".into()), ..hourly("renamed", CatchUp::Latest, 1) };
    let unknown = Schedule { job: "report.gone".into(), ..hourly("unknown", CatchUp::Latest, 1) };
    put(&redis, "renamed", renamed.definition(), due).await;
    put(&redis, "damaged", "{".to_owned(), due).await;
    put(&redis, "unknown", unknown.definition(), due + 1).await;
    put(&redis, "fine", hourly("fine", CatchUp::Latest, 1).definition(), due + 2).await;
    let worker = redis.worker(jobs()).await;
    let there = until(&redis, |there| of(there, "fine").runs == 1).await;
    for name in ["renamed", "damaged"] {
        let stored = of(&there, name);
        assert_eq!((stored.next, stored.runs, stored.missed), (Some(due), 0, 0), "{name} waits");
    }
    let job = of(&there, "unknown").last.clone().unwrap().job;
    let parked = redis.until(&job, State::Parked).await;
    assert_eq!(parked.parked.unwrap().condition, "kind report.gone@1");
    redis.until(&of(&there, "fine").last.clone().unwrap().job, State::Succeeded).await;
    worker.stop().await;
    redis.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_executor_stores_the_schedules_of_its_settings_and_another_does_not_fight() {
    let mut redis = TestRedis::new("reports").await;
    let often = |name: &str| {
        let queue = "reports".parse().unwrap();
        let every = Some(Duration::from_secs(1));
        Schedule { every, ..Schedule::new(name, queue, "report.write") }
    };
    redis.settings.schedules = vec![often("a")];
    let first = redis.worker(jobs()).await;
    let there = until(&redis, |there| there.seen.first().is_some_and(|stored| stored.runs >= 2)).await;
    assert_eq!((there.set_version, of(&there, "a").is_of_settings), (1, true));
    redis.settings.schedules = vec![often("b")];
    let second = redis.worker(jobs()).await;
    let ran = of(&there, "a").runs;
    let there = until(&redis, |there| of(there, "a").runs >= ran + 2).await;
    assert_eq!((there.set_version, there.seen.len()), (1, 1), "the stored ones count");
    first.stop().await;
    second.stop().await;
    // Two executors, and each due time had one job.
    let there = redis.queue.schedules().await.unwrap();
    let stored = of(&there, "a");
    let counts = redis.queue.counts().await.unwrap();
    assert_eq!(counts.transitions("enqueued"), stored.runs);
    assert_eq!(counts.transitions("duplicates"), 0);
    redis.finish().await;
}

/// Somebody's schedule keeps out only the one of the settings that has its name.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_keeps_no_other_schedule_out() {
    let mut redis = TestRedis::new("reports").await;
    let now = redis.queue.schedules().await.unwrap().now;
    let theirs = Schedule { tenant: Some("acme".into()), ..hourly("taken", CatchUp::Latest, 1) };
    put(&redis, "taken", theirs.definition(), now + HOUR).await;
    let every = Some(Duration::from_secs(1));
    let fine = Schedule { every, ..Schedule::new("fine", "reports".parse().unwrap(), "report.write") };
    redis.settings.schedules = vec![hourly("taken", CatchUp::Latest, 1), fine];
    let worker = redis.worker(jobs()).await;
    let ran = |there: &Schedules| there.seen.iter().any(|stored| stored.name == "fine" && stored.runs > 0);
    let there = until(&redis, ran).await;
    let taken = of(&there, "taken");
    assert_eq!((taken.is_of_settings, taken.definition.as_str()), (false, theirs.definition().as_str()));
    assert!(of(&there, "fine").is_of_settings);
    worker.stop().await;
    redis.finish().await;
}
