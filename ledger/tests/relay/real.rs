//! Jobs that really run, and the receipts of their lives.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use upshot_executor::{Context, Job, Jobs, Stop};
use upshot_queue::{Changed, Expect, Failure, JobId, NewJob, Operator, Remark, State, watch::Watched};
use upshot_shared::{Evidence, Outcome, Verdict, receipt::schema};
use upshot_testkit::within;

use crate::stage::{ROUTE, Stage};

/// A job that does what its arguments say.
#[derive(Deserialize)]
struct Work {
    /// Bytes of its outcome.
    bytes: usize,
    /// Whether it fails for good.
    fails: bool,
}

impl Job for Work {
    const KIND: &'static str = "order.work";
    type State = ();

    async fn run(self, _: &Context<()>) -> Result<Outcome, Stop> {
        if self.fails {
            return Err(Failure::permanent("x".repeat(self.bytes)).into());
        }
        let large = Evidence::new("letter", [("text", "y".repeat(self.bytes))]);
        Ok(Outcome::achieved("s".repeat(self.bytes / 2), Evidence::new("object", [("key", "a.pdf".into())]))
            .and(large))
    }
}

fn jobs() -> Jobs {
    let mut jobs = Jobs::new();
    let state = jobs.state(());
    jobs.job::<Work>(&state).unwrap();
    jobs
}

async fn enqueue(stage: &Stage, name: &str, args: Value, within: Duration) -> JobId {
    let mut job = NewJob::new(JobId::derive(&[name]), "order.work", args.to_string());
    job.subject = Some(format!("{name}\u{202e}\n\u{7f}\"}}{{"));
    job.labels = [("id", name), ("source", "/shop"), ("type", "order.placed.v1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    job.expect = Some(Expect::new(ROUTE, within));
    stage.redis.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    job.id
}

#[tokio::test(flavor = "multi_thread")]
async fn every_turn_of_a_life_is_told_as_it_was() {
    let stage = Stage::new().await;
    let mut consumer = stage.consumer("#").await;
    let operator = Operator::new(stage.redis.queue.clone());
    let remark = |text: &str| Remark { at: 1, text: text.to_owned(), by: "ada".to_owned() };
    let (soon, long) = (Duration::from_millis(1), Duration::from_secs(3600));
    let secret = |args: Value| {
        let mut args = args;
        args["secret"] = "bank account".into();
        args
    };

    let overdue = enqueue(&stage, "overdue", secret(json!({"bytes": 5, "fails": false})), soon).await;
    let fallen_due = async {
        let lease = Duration::from_secs(1);
        while stage.redis.queue.watch("test", lease, None).await.unwrap()
            != (Watched::Here { overdue: 1, more: false })
        {}
    };
    within("the expectation is overdue", fallen_due).await;
    let good = enqueue(&stage, "good", secret(json!({"bytes": 400_000, "fails": false})), long).await;
    let bad = enqueue(&stage, "bad", secret(json!({"bytes": 5_000, "fails": true})), long).await;
    let waived = enqueue(&stage, "waived", secret(json!({"bytes": 5, "fails": true})), long).await;
    let cancelled = enqueue(&stage, "cancelled", secret(json!({"bytes": 5, "fails": true})), long).await;
    assert_eq!(operator.cancel(&cancelled).await.unwrap(), Changed::To(State::Cancelled));
    let worker = stage.redis.worker(jobs()).await;
    for id in [&good, &overdue] {
        stage.redis.until(id, State::Succeeded).await;
    }
    for id in [&bad, &waived] {
        stage.redis.until(id, State::Dead).await;
    }
    assert_eq!(operator.waive(&waived, &remark("sent by letter")).await.unwrap(), Changed::Waived);
    let args = json!({"bytes": 5, "fails": false}).to_string();
    assert_eq!(operator.retry_with(&bad, &args.into()).await.unwrap(), Changed::To(State::Ready));
    stage.redis.until(&bad, State::Succeeded).await;
    worker.stop().await;

    // All of it is told later.
    let relay = stage.start();
    let receipts = consumer.until(9).await;
    let mut lives: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut by_id: BTreeMap<(String, &str), &Value> = BTreeMap::new();
    for receipt in &receipts {
        let kind = receipt["type"].as_str().unwrap();
        let verdict = Verdict::ALL.into_iter().find(|each| each.event_type() == kind).unwrap();
        let contract = jsonschema::validator_for(&schema(verdict)).unwrap();
        assert!(contract.is_valid(&receipt["data"]), "{receipt}");
        assert!(!receipt.to_string().contains("bank account"), "a receipt has no arguments");
        assert!(receipt.to_string().len() < 32 << 10, "a receipt is bounded");
        let job = receipt["data"]["job"].as_str().unwrap().to_owned();
        assert_eq!(receipt["data"]["event"]["source"], "/shop");
        assert!(
            receipt["subject"]
                .as_str()
                .unwrap()
                .starts_with(receipt["data"]["event"]["id"].as_str().unwrap())
        );
        lives.entry(job.clone()).or_default().push(verdict.as_str());
        by_id.insert((job, verdict.as_str()), receipt);
    }
    assert_eq!(lives[overdue.as_str()], ["overdue", "achieved"]);
    assert_eq!(lives[good.as_str()], ["achieved"]);
    assert_eq!(lives[bad.as_str()], ["missed", "reopened", "achieved"]);
    assert_eq!(lives[waived.as_str()], ["missed", "waived"]);
    assert_eq!(lives[cancelled.as_str()], ["cancelled"]);
    let data = |id: &JobId, verdict| &by_id[&(id.to_string(), verdict)]["data"];
    assert_eq!(data(&overdue, "achieved")["status"], "achieved_late");
    assert_eq!(data(&good, "achieved")["truncated"], json!(["/summary", "/evidence"]));
    assert_eq!(data(&good, "achieved")["evidence"][0], json!({"kind": "object", "key": "a.pdf"}));
    assert_eq!(data(&bad, "missed")["reason"]["class"], "permanent");
    assert_eq!(data(&bad, "achieved")["in_time"], true);
    assert_eq!(data(&waived, "waived")["decision"], json!({"reason": "sent by letter", "by": "ada"}));
    stage.acknowledged().await;
    relay.stop().await;
    consumer.close().await;
    stage.finish().await;
}
