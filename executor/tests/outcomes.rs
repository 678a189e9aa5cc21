//! Outcomes in parts and outcomes that await their proof, in an executor on a real Redis.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::json;
use upshot_executor::{Context, Job, Jobs, Stop, Waited};
use upshot_queue::{Account, Condition, Expect, FailureClass, JobId, NewJob, OnSilence, State};
use upshot_shared::{Confirm, Evidence, Outcome, Part, intake::LABEL_PARTS};
use upshot_testkit::TestRedis;

/// Sends letters, of which so many arrive.
#[derive(Deserialize)]
struct Letters {
    arrive: usize,
}

impl Job for Letters {
    const KIND: &'static str = "letters.send";
    type State = ();

    async fn run(self, _: &Context<()>) -> Result<Outcome, Stop> {
        let letter = |n: usize| {
            let name = format!("letter {n}");
            if n <= self.arrive {
                Part::achieved(name, Evidence::new("post", [("receipt", n.to_string())]))
            } else {
                Part::missed(name, "no such street")
            }
        };
        Ok(Outcome::of_parts(format!("{} of 3 letters arrived", self.arrive), (1..=3).map(letter)))
    }
}

/// Asks a bank, and awaits its word. It asks once more when the bank is silent.
#[derive(Deserialize)]
struct Pay {
    payment: String,
}

impl Job for Pay {
    const KIND: &'static str = "bill.pay";
    type State = ();

    async fn run(self, cx: &Context<()>) -> Result<Outcome, Stop> {
        let key = format!("{} settled", self.payment);
        let asked = Evidence::new("request", [("payment", self.payment)]);
        let confirm = match cx.answer(&key)? {
            None => Confirm::new(key, Duration::from_millis(1)).on_silence(OnSilence::Retry),
            Some(Waited::TimedOut) => Confirm::new(key, Duration::from_secs(3600)),
            Some(Waited::Signalled(said)) => return Err(format!("answered twice: {said}").into()),
        };
        Ok(Outcome::awaiting("the bank has it", asked, confirm))
    }
}

fn jobs() -> Jobs {
    let mut jobs = Jobs::new();
    let state = jobs.state(());
    jobs.job::<Letters>(&state).unwrap();
    jobs.job::<Pay>(&state).unwrap();
    jobs
}

fn new(kind: &str, args: &serde_json::Value) -> NewJob {
    NewJob {
        tenant: Some("acme".to_owned()),
        expect: Some(Expect::new("orders", Duration::from_secs(3600))),
        ..NewJob::new(JobId::random(), kind, args.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_of_the_route_decides_what_parts_come_to() {
    let redis = TestRedis::new("letters").await;
    let worker = redis.worker(jobs()).await;
    for (rule, arrive, state, account) in [
        (None, 3, State::Succeeded, Account::AchievedInTime),
        (None, 2, State::Succeeded, Account::Partial),
        (Some("any"), 1, State::Succeeded, Account::AchievedInTime),
        (Some("at least 60%"), 2, State::Succeeded, Account::AchievedInTime),
        (Some("at least 2"), 1, State::Succeeded, Account::Partial),
        (Some("any"), 0, State::Dead, Account::Missed),
    ] {
        let rule = rule.map(|rule: &str| (LABEL_PARTS.to_owned(), rule.to_owned()));
        let labels: BTreeMap<_, _> = rule.into_iter().collect();
        let job = NewJob { labels, ..new(Letters::KIND, &json!({"arrive": arrive})) };
        redis.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
        let done = redis.until(&job.id, state).await;
        assert_eq!(done.expectation.unwrap().account, account, "{:?}", job.labels);
        if state == State::Dead {
            let failed = &done.history[0];
            assert_eq!(failed.class, FailureClass::Permanent);
            assert!(failed.message.contains("letter 3: no such street"), "{failed:?}");
            continue;
        }
        let outcome: Outcome = serde_json::from_value(done.outcome.unwrap()).unwrap();
        assert_eq!((outcome.parts().len(), outcome.evidence().len()), (3, arrive));
        assert_eq!(outcome.evidence()[0].facts["part"], "letter 1");
    }
    worker.stop().await;
    redis.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_awaits_a_proof_and_sees_that_none_came() {
    let redis = TestRedis::new("payments").await;
    let worker = redis.worker(jobs()).await;
    let job = new(Pay::KIND, &json!({"payment": "p-17"}));
    redis.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    // The second attempt awaits it for long.
    let job = loop {
        let parked = redis.until(&job.id, State::Parked).await;
        if parked.attempts == 2 {
            break parked;
        }
    };
    assert_eq!(job.awaiting().unwrap().on_silence, OnSilence::Missed);
    let condition = Condition::new(Some("acme"), "p-17 settled").unwrap();
    redis.queue.confirm(&condition, &json!({"id": "c-1"})).await.unwrap();
    let done = redis.until(&job.id, State::Succeeded).await;
    assert_eq!((done.attempts, done.expectation.unwrap().account), (2, Account::AchievedInTime));
    let outcome: Outcome = serde_json::from_value(done.outcome.unwrap()).unwrap();
    let kinds: Vec<&str> = outcome.evidence().iter().map(|each| each.kind.as_str()).collect();
    assert_eq!(kinds, ["request", "confirmation"]);
    worker.stop().await;
    redis.finish().await;
}
