//! Events of one identity with other data: the same, a repair, or a conflict.

use serde_json::json;
use upshot_queue::State;
use upshot_tests::{Stage, orders::order};

#[tokio::test(flavor = "multi_thread")]
async fn another_event_of_the_same_identity_is_set_aside_and_names_the_job() {
    let stage = Stage::new().await;
    let bridge = stage.start("bridge", &[]).await;
    let first = order(1);
    let id = stage.job_of(&first);
    stage.publish(&first).await;
    stage.enqueued(&id).await;
    // The same in other words is a duplicate and no more.
    let mut same = first.clone();
    same["data"]["lines"][0]["quantity"] = json!(1.0);
    stage.publish(&same).await;
    let mut changed = first.clone();
    changed["data"]["note"] = json!("please ring twice");
    let mut foreign = first.clone();
    foreign["tenant"] = json!("another");
    for event in [&changed, &foreign] {
        stage.publish(event).await;
    }
    let kept = stage.quarantined(2).await;
    for (event, place) in [(&changed, "/data"), (&foreign, "/tenant")] {
        let delivery = kept.iter().find(|each| each.data == event.to_string().as_bytes()).unwrap();
        let headers = delivery.properties.headers().as_ref().unwrap().inner();
        let header = |name: &str| headers.get(name).unwrap().as_long_string().unwrap().to_string();
        assert_eq!(
            (header("x-upshot-reason").as_str(), header("x-upshot-place").as_str()),
            ("conflicting_duplicate", place)
        );
    }
    let job = stage.enqueued(&id).await;
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&job.args).unwrap(), first["data"]);
    assert!(job.duplicates >= 3, "{job:?}");
    bridge.stop().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_event_repairs_a_job_that_died_of_its_data() {
    let stage = Stage::new().await;
    let bridge = stage.start("bridge", &[]).await;
    let template = [("UPSHOT_TEMPLATES__DIR", stage.broken_templates())];
    let executor = stage.start("executor", &template).await;
    let wrong = order(1);
    let id = stage.job_of(&wrong);
    stage.publish(&wrong).await;
    stage.until(&id, |job| job.state == State::Dead).await;
    executor.stop().await;
    let executor = stage.start("executor", &[]).await;
    let mut right = wrong.clone();
    right["data"]["customer"]["name"] = json!("Right Name");
    stage.publish(&right).await;
    let job = stage.until(&id, |job| job.state == State::Succeeded).await;
    assert!(job.changes.iter().any(|change| change.did == "repaired"), "{job:?}");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&job.args).unwrap(), right["data"]);
    // The event that repaired it, again.
    stage.publish(&right).await;
    stage.until(&id, |job| job.duplicates >= 2).await;
    for process in [bridge, executor] {
        process.stop().await;
    }
    stage.finish().await;
}
