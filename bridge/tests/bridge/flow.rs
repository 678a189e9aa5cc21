//! Events become jobs, and are acknowledged once Redis has them.

use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use upshot_bridge::Bridge;
use upshot_queue::State;
use upshot_runtime::{Health, amqp::INTAKE, health::REDIS};
use upshot_shared::event::Identity;
use upshot_testkit::{TestRedis, own_redis, within};

use crate::fixture::{Stage, order, waiting_in};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_one_job_however_often_it_comes_and_a_bad_one_is_set_aside() {
    let stage = Stage::new().await;
    for id in ["1", "2"] {
        stage.publish(&order(id, &json!(7))).await;
    }
    stage.publish(&order("3", &json!("seven"))).await;
    stage.publish(&order("1", &json!(7))).await;
    stage
        .publish(&json!({"specversion": "1.0", "id": "4", "source": "/shop", "type": "order.lost.v1"}))
        .await;
    stage.publish(&order("5", &json!(7))).await;
    let last = stage.redis.until(&stage.job_of("5"), State::Ready).await;
    assert_eq!((last.kind.as_str(), last.subject.as_deref()), ("order.book", Some("5")));
    assert!(last.expectation.is_some(), "the expectation is part of the job");
    let mut reasons = stage.quarantined(2).await;
    reasons.sort_unstable();
    assert_eq!(reasons, ["contract_violation", "unknown_type"]);
    let counts = stage.redis.queue.counts().await.unwrap();
    assert_eq!(counts.of(State::Ready), 3, "{counts:?}");
    assert_eq!(stage.redis.queue.job(&stage.job_of("1")).await.unwrap().unwrap().duplicates, 1);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_before_redis_holds_it() {
    let server = own_redis().await;
    let mut redis = TestRedis::on(&server.url(), "test", "orders");
    redis.settings.redis.response_timeout = Duration::from_secs(1);
    let stage = Stage::on(redis).await;
    stage.publish(&order("1", &json!(1))).await;
    stage.redis.until(&stage.job_of("1"), State::Ready).await;
    server.pause().unwrap();
    for id in ["2", "3", "4"] {
        stage.publish(&order(id, &json!(1))).await;
    }
    let refused = async {
        while stage.health.why_missing(REDIS).is_none() {
            tokio::task::yield_now().await;
        }
    };
    within("readiness says that Redis does not answer", refused).await;
    // The bridge ends without an acknowledgement: RabbitMQ has all three again.
    stage.stop.cancel();
    within("the bridge stops", stage.running).await.unwrap();
    let all_back = async { while waiting_in(&stage.amqp, INTAKE).await < 3 {} };
    within("RabbitMQ has all three again", all_back).await;
    server.resume().unwrap();
    let bridge = Bridge::new(&stage.redis.settings, Health::default()).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(bridge.run(stop.clone()));
    for id in ["2", "3", "4"] {
        let id = stage.route.job_id("/shop", Identity::Id(id));
        stage.redis.until(&id, State::Ready).await;
    }
    stop.cancel();
    within("the bridge stops", running).await.unwrap();
    stage.publisher.close().await;
    stage.redis.finish().await;
    server.stop().await.unwrap();
}
