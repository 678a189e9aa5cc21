//! The same event, on any way, any number of times, is one job.

use serde_json::{Value, json};
use upshot_tests::{Stage, orders::order};

#[tokio::test(flavor = "multi_thread")]
async fn three_times_over_amqp_and_http_is_one_job_and_the_api_says_so() {
    let stage = Stage::new().await;
    let (api, url) = stage.start_api().await;
    let bridge = stage.start("bridge", &[]).await;
    let executor = stage.start("executor", &[]).await;
    let event = order(9);
    let id = stage.job_of(&event);
    let post = || async {
        let request = reqwest::Client::new()
            .post(format!("{url}/v1/events"))
            .header("content-type", "application/cloudevents+json")
            .body(event.to_string());
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 202);
        answer.json::<Value>().await.unwrap()
    };
    let first = post().await;
    assert_eq!((&first["duplicate"], &first["jobs"][0]["id"]), (&json!(false), &json!(id.as_str())));
    stage.succeeded(&id).await;
    let second = post().await;
    assert_eq!((&second["duplicate"], &second["jobs"][0]["state"]), (&json!(true), &json!("succeeded")));
    stage.publish(&event).await;
    // Something that comes behind it: by then the repetitions have been seen.
    let behind = order(10);
    stage.publish(&behind).await;
    stage.succeeded(&stage.job_of(&behind)).await;

    let job: Value = reqwest::get(format!("{url}/v1/jobs/{id}")).await.unwrap().json().await.unwrap();
    assert_eq!((&job["duplicates"], &job["attempts"]), (&json!(2), &json!(1)));
    let found: Value =
        reqwest::get(format!("{url}/v1/jobs?subject=order-9")).await.unwrap().json().await.unwrap();
    assert_eq!(found["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(stage.mail.messages().unwrap().len(), 2);
    for process in [bridge, executor, api] {
        process.stop().await;
    }
    stage.finish().await;
}
