//! A signal on its way from a person to the job that waits for it.

use std::time::Duration;

use serde_json::{Value, json};
use upshot_queue::{
    Condition, Crashes, JobId, NewJob, Shares, State, Wait,
    protocol::{Claim, Disposition, EndedAttempt},
    worker::Worker,
};
use upshot_tests::{Process, Stage};

/// Parks a job for the condition, as a handler does.
async fn park(stage: &Stage, condition: &Condition) -> JobId {
    let job = NewJob { tenant: Some("acme".to_owned()), ..NewJob::new(JobId::random(), "order.ship", "{}") };
    stage.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let worker = Worker::new(stage.queue.clone());
    let claim = Claim {
        worker: "test",
        want: 1,
        lease: Duration::from_secs(60),
        crashes: &Crashes::new(3, Wait::NONE),
        crashes_by_kind: &[],
        kinds: None,
        request_id: 1,
        shares: Shares::default(),
        quantum: 1,
    };
    let claimed = worker.claim(&claim).await.unwrap();
    for leased in claimed.jobs(&stage.queue, "test") {
        let leased = leased.unwrap();
        let disposition = Disposition::Park {
            condition: condition.stored(),
            within: Some(Duration::from_secs(3600)),
            why: "not confirmed".to_owned(),
            line: json!({"at": leased.since, "did": "parked"}).to_string(),
        };
        let (flow, args) = (leased.flow(), leased.args.len());
        let (id, token, expectation) = (leased.id, leased.token, leased.expectation);
        let ended = EndedAttempt { id, token, flow, expectation, args, clock: None, disposition };
        assert_eq!(worker.settle("test", &[ended]).await.unwrap(), [true]);
    }
    job.id
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_signals_a_waiting_job() {
    let stage = Stage::new().await;
    let (api, address) = stage.start_api().await;
    let mut variables = stage.variables();
    variables.push(("UPSHOT_API_URL".to_owned(), address.clone()));
    let condition = Condition::of_tenant("acme", "order-1042 confirmed").unwrap();
    let id = park(&stage, &condition).await;
    let (_, page) = Process::output(&["job", id.as_str()], &variables).await;
    assert!(page.contains("upshot signal invoices --tenant=acme 'order-1042 confirmed'"), "{page}");

    let line =
        ["signal", "invoices", "order-1042 confirmed", "--tenant", "acme", "--payload", "{\"by\":\"ann\"}"];
    let (succeeded, said) = Process::output(&[&line[..], &["--json"]].concat(), &variables).await;
    assert!(succeeded, "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said, json!({"result": "stored", "payload": {"by": "ann"}, "released": 1, "left": 0}));
    let job = stage.queue.job(&id).await.unwrap().unwrap();
    assert_eq!(job.state, State::Ready);
    assert_eq!(job.answers[&condition.stored()].payload, Some(json!({"by": "ann"})));

    let other = ["signal", "invoices", "order-1042 confirmed", "--tenant", "acme"];
    let (succeeded, said) = Process::output(&other, &variables).await;
    assert!(succeeded && said.contains("another payload already") && said.contains("ann"), "{said}");
    let (_, page) = Process::output(&["job", id.as_str(), "--timeline"], &variables).await;
    for word in ["parked", "signalled", "contradicted"] {
        assert!(page.contains(word), "`{word}` is not in: {page}");
    }
    api.stop().await;
    stage.finish().await;
}
