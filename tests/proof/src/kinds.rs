//! The three kinds of jobs. All do what their event says.

use upshot::prelude::*;

use crate::fate::Planned;

/// A job of the route `confirm`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct ConfirmOrder(Planned);

/// A job of the route `bill`, which has the same events.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct BillOrder(Planned);

/// A job of the route `track`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct TrackParcel(Planned);

impl Job for ConfirmOrder {
    const KIND: &'static str = "order.confirm";
    type State = ();

    async fn run(self, cx: &Context<()>) -> Result<Outcome, Stop> {
        self.0.run(cx).await
    }
}

impl Job for BillOrder {
    const KIND: &'static str = "order.bill";
    type State = ();

    async fn run(self, cx: &Context<()>) -> Result<Outcome, Stop> {
        self.0.run(cx).await
    }
}

impl Job for TrackParcel {
    const KIND: &'static str = "parcel.track";
    type State = ();

    async fn run(self, cx: &Context<()>) -> Result<Outcome, Stop> {
        self.0.run(cx).await
    }
}
