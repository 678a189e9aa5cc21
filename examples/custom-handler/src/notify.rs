//! `parcel.notify`: tells the customer of one parcel.

use upshot::prelude::*;

use crate::carrier::Carrier;

/// One parcel, as `order.ship` enqueues it.
#[derive(Debug, Serialize, Deserialize)]
pub struct NotifyCustomer {
    /// The parcel.
    pub parcel: String,
    /// Its label.
    pub label: String,
}

impl Job for NotifyCustomer {
    const KIND: &'static str = "parcel.notify";
    type State = Carrier;

    async fn run(self, cx: &Context<Carrier>) -> Result<Outcome, Stop> {
        cx.state().notify(&self.parcel, &self.label).await?;
        Ok(Outcome::achieved("notified", Evidence::new("notice", [("parcel", self.parcel)])))
    }
}
