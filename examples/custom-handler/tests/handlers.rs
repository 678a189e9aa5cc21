//! The handlers without Redis: what they do, and what a crash does to them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "support.rs"]
mod support;

use custom_handler::{
    carrier::{Carrier, CarrierSettings},
    notify::NotifyCustomer,
    ship::ShipOrder,
};
use serde_json::{from_value, json};
use support::Depot;
use upshot::prelude::*;
use upshot_testkit::{Trial, crash_everywhere};

async fn carrier(depot: &Depot) -> Carrier {
    let settings: CarrierSettings =
        from_value(json!({"url": depot.open().await, "depot": "Hamburg"})).unwrap();
    Carrier::new(settings)
}

fn ship(carrier: Carrier) -> Trial<ShipOrder> {
    Trial::new(json!({"order": "1042", "parcels": ["a", "b"]}), carrier)
}

#[tokio::test]
async fn an_order_is_shipped_and_each_parcel_is_announced() {
    let depot = Depot::default();
    let run = ship(carrier(&depot).await).run().await;
    assert_eq!(run.outcome().summary, "shipped");
    assert_eq!(run.step("label"), "L-1042");
    let kinds: Vec<&str> = run.enqueued.iter().map(|enqueued| enqueued.job.kind.as_str()).collect();
    assert_eq!(kinds, ["parcel.notify", "parcel.notify"]);
}

#[tokio::test]
async fn a_crash_anywhere_costs_no_parcel() {
    let depot = Depot::default();
    let carrier = carrier(&depot).await;
    crash_everywhere(
        || ship(carrier.clone()),
        |_, run| assert_eq!((run.outcome().summary.as_str(), run.enqueued.len()), ("shipped", 2)),
    )
    .await;
    // A label is asked for again only by the crash between the carrier's answer and the step's end.
    // The carrier knows the order, and returns the same label.
    let mut trial = ship(carrier);
    let before = depot.labels.lock().unwrap().len();
    assert!(trial.crash_before(2).run().await.crashed());
    assert!(trial.crash_after(2).run().await.crashed());
    assert_eq!(trial.run().await.step("label"), "L-1042");
    assert_eq!(depot.labels.lock().unwrap().len() - before, 2);
}

#[tokio::test]
async fn a_stop_of_the_worker_hands_the_job_back_between_two_parcels() {
    let mut trial = ship(carrier(&Depot::default()).await);
    let run = trial.stop_after(3).run().await;
    assert!(matches!(run.stop(), Stop::Released(_)));
    assert_eq!(run.enqueued.len(), 1);
    assert_eq!(trial.run().await.enqueued.len(), 2);
}

#[tokio::test]
async fn what_the_carrier_refuses_is_final() {
    let depot = Depot::default();
    *depot.closed.lock().unwrap() = true;
    let run = ship(carrier(&depot).await).run().await;
    let Stop::Failed(failure) = run.stop() else { panic!("{run:?}") };
    assert_eq!(failure.class, FailureClass::Permanent);
    assert!(failure.message.contains("no such depot"), "{failure}");
}

#[tokio::test]
async fn a_customer_is_notified() {
    let depot = Depot::default();
    let mut trial =
        Trial::<NotifyCustomer>::new(json!({"parcel": "a", "label": "L-1"}), carrier(&depot).await);
    assert_eq!(trial.run().await.outcome().summary, "notified");
    assert!(depot.notices.lock().unwrap().contains("a"));
}
