//! A trial shows what a handler does, and lets happen what happens to attempts.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use upshot_executor::{Child, Context, Job, Stop};
use upshot_queue::{Failure, FailureClass, Snooze};
use upshot_shared::{Evidence, Outcome};
use upshot_testkit::{Trial, crash_everywhere};

#[derive(Deserialize)]
struct Ship {
    parcels: u32,
    #[serde(default)]
    not_before: i64,
}

#[derive(Serialize, Deserialize)]
struct Announce {
    parcel: u32,
}

/// Counts its labels, which must be printed once.
#[derive(Default)]
struct Carrier {
    printed: AtomicUsize,
}

impl Job for Ship {
    const KIND: &'static str = "order.ship";
    const STEPS: &'static [&'static str] = &["label", "hand over"];
    type State = Carrier;

    async fn run(self, cx: &Context<Carrier>) -> Result<Outcome, Stop> {
        if cx.now() < self.not_before {
            let wait = Duration::from_millis((self.not_before - cx.now()).unsigned_abs());
            return Err(Snooze::new(wait, "it is too early").into());
        }
        let label = cx.step("label", async || cx.state().print()).await?;
        for parcel in 0..self.parcels {
            cx.checkpoint()?;
            cx.log(format!("parcel {parcel}")).await?;
            cx.enqueue(Child::new("announce", &Announce { parcel })?.number(parcel)).await?;
        }
        cx.step("hand over", async || Ok::<_, Stop>(())).await?;
        Ok(Outcome::achieved("shipped", Evidence::new("label", [("id", label)])))
    }
}

impl Job for Announce {
    const KIND: &'static str = "parcel.announce";
    type State = ();

    async fn run(self, cx: &Context<()>) -> Result<Outcome, Stop> {
        for copy in 1..3 {
            cx.step("print", async || Ok::<_, Stop>(self.parcel + copy)).await?;
        }
        let weigh =
            async |key: &str| cx.step_keyed("weigh", key, async || Ok::<_, Stop>(key.to_owned())).await;
        futures::try_join!(weigh("left"), weigh("right"))?;
        let outer = async || cx.step("print", async || Ok::<_, Stop>(0)).await;
        cx.step("print", outer).await?;
        unreachable!("a step of the name is under way")
    }
}

impl Carrier {
    fn print(&self) -> Result<String, Failure> {
        match self.printed.fetch_add(1, Ordering::Relaxed) {
            0 => Ok("L-1".to_owned()),
            _ => Err(Failure::permanent("the label is printed twice")),
        }
    }
}

fn ship(parcels: u32) -> Trial<Ship> {
    Trial::new(json!({"parcels": parcels}), Carrier::default()).job(|job| {
        job.subject = Some("order-1042".to_owned());
        job.tenant = Some("acme".to_owned());
        job.labels.insert("id".to_owned(), "1042".to_owned());
    })
}

#[tokio::test]
async fn a_run_shows_steps_progress_log_and_children() {
    let run = ship(2).run().await;
    assert_eq!(run.outcome().summary, "shipped");
    assert_eq!(
        (run.step("label"), run.ran.as_slice()),
        (&json!("L-1"), ["label", "hand over"].map(String::from).as_slice())
    );
    assert_eq!(run.log, ["parcel 0", "parcel 1"]);
    let percents: Vec<u8> = run.progress.iter().map(|progress| progress.percent).collect();
    assert_eq!(percents, [0, 50]);
    let [first, second] = run.enqueued.as_slice() else { panic!("{:?}", run.enqueued) };
    assert_ne!(first.job.id, second.job.id);
    assert_eq!((first.job.kind.as_str(), &first.job.args[..]), ("parcel.announce", &b"{\"parcel\":0}"[..]));
    assert_eq!(first.job.subject.as_deref(), Some("order-1042"));
    assert_eq!((first.job.tenant.as_deref(), first.job.labels["id"].as_str()), (Some("acme"), "1042"));
    assert!(first.job.expect.is_none(), "an expectation is opened only on purpose");
}

#[tokio::test]
async fn a_crash_after_any_write_repeats_no_completed_step_and_no_child() {
    let (mut runs, mut printed_twice) = (0, 0);
    crash_everywhere(
        || ship(2),
        |trial, run| {
            runs += 1;
            // Between the effect of a step and its storing a crash is possible: the label is then
            // printed again, which this carrier refuses.
            if trial.state().printed.load(Ordering::Relaxed) > 1 {
                printed_twice += 1;
                assert!(run.stop().why().contains("printed twice"), "{run:?}");
            } else {
                assert_eq!(run.outcome().summary, "shipped");
                assert_eq!(run.enqueued.len(), 2, "{run:?}");
            }
        },
    )
    .await;
    assert_eq!(
        (runs, printed_twice),
        (17, 1),
        "two writes a step, two a parcel, and the run without a crash"
    );
}

#[tokio::test]
async fn a_stop_hands_the_job_back_at_the_next_checkpoint_and_it_continues() {
    let mut trial = ship(3);
    let run = trial.stop_after(4).run().await;
    assert!(matches!(run.stop(), Stop::Released(_)), "{run:?}");
    assert_eq!((run.log.len(), run.ran.as_slice()), (1, ["label".to_owned()].as_slice()));
    assert_eq!(trial.run().await.outcome().summary, "shipped");
    assert_eq!(trial.state().printed.load(Ordering::Relaxed), 1);
    let run = ship(3).cancel_after(4).run().await;
    assert!(run.stop().why().contains("cancelled"), "{run:?}");
}

#[tokio::test]
async fn an_attempt_without_its_lease_does_nothing_more() {
    let mut trial = ship(1);
    let run = trial.lose_lease_after(1).run().await;
    let Stop::Failed(failure) = run.stop() else { panic!("{run:?}") };
    assert_eq!(failure.class, FailureClass::Crashed);
    assert_eq!(trial.state().printed.load(Ordering::Relaxed), 0);
    assert!(run.steps.is_empty());
    // The label is stored, and the next write is refused: no child is enqueued under a lost lease.
    let run = ship(1).lose_lease_after(3).run().await;
    assert!(run.enqueued.is_empty() && matches!(run.stop(), Stop::Failed(_)), "{run:?}");
}

#[tokio::test]
async fn the_clock_stands_until_the_test_moves_it() {
    let mut trial = Trial::<Ship>::new(
        json!({"parcels": 0, "not_before": 1_767_225_600_000_i64 + 5_000}),
        Carrier::default(),
    );
    let run = trial.run().await;
    let Stop::Snoozed(snooze) = run.stop() else { panic!("{run:?}") };
    let wait = snooze.wait;
    assert_eq!(wait, Duration::from_secs(5));
    assert_eq!(trial.advance(wait).run().await.outcome().summary, "shipped");
}

#[tokio::test]
async fn a_repeated_step_is_another_one_and_two_at_the_same_time_need_keys() {
    let run = Trial::<Announce>::new(json!({"parcel": 7}), ()).run().await;
    assert!(run.stop().why().contains("`print` begins while it is under way"), "{run:?}");
    assert_eq!((run.step("print"), run.step("print #2")), (&json!(8), &json!(9)));
    assert_eq!((run.step("weigh [left]"), run.step("weigh [right]")), (&json!("left"), &json!("right")));
}
