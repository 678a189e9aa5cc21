//! `order.ship`: prints a label, and has the customer told of each parcel.

use upshot::prelude::*;

use crate::{carrier::Carrier, notify::NotifyCustomer};

/// The data of `order.packed.v1`.
#[derive(Debug, Deserialize)]
pub struct ShipOrder {
    order: String,
    parcels: Vec<String>,
}

impl Job for ShipOrder {
    const KIND: &'static str = "order.ship"; // ALIASES, VERSION, TIMEOUT have defaults
    type State = Carrier;

    async fn run(self, cx: &Context<Carrier>) -> Result<Outcome, Stop> {
        let label = cx.step("label", async || cx.state().print(&self.order).await).await?;
        for (number, parcel) in (0..).zip(self.parcels) {
            cx.checkpoint()?; // hands the job back when the worker stops
            let notify = NotifyCustomer { parcel, label: label.clone() };
            cx.enqueue(Child::new("notify", &notify)?.number(number)).await?;
        }
        Ok(Outcome::achieved("shipped", Evidence::new("label", [("id", label)])))
    }
}
