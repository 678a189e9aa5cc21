//! The carrier that prints labels, over HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use upshot::prelude::*;

/// `[app.carrier]` of the settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarrierSettings {
    /// Where the carrier's API is.
    url: String,
    /// The depot that the parcels leave from.
    depot: String,
}

/// The state that both handlers share.
#[derive(Clone, Debug)]
pub struct Carrier {
    client: reqwest::Client,
    settings: std::sync::Arc<CarrierSettings>,
}

impl Carrier {
    /// A carrier with these settings.
    pub fn new(settings: CarrierSettings) -> Self {
        Self { client: reqwest::Client::new(), settings: settings.into() }
    }

    /// Prints a label and returns its number. The carrier knows the order by its number, so a
    /// second call after a crash returns the same label.
    ///
    /// # Errors
    /// What the carrier's answer means for the job.
    pub async fn print(&self, order: &str) -> Result<String, Stop> {
        let body = json!({"order": order, "depot": self.settings.depot});
        let answer = self.post("labels", &body).await?;
        let label = answer["label"].as_str().ok_or("the carrier's answer has no `label`")?;
        Ok(label.to_owned())
    }

    /// Tells a customer that a parcel is on its way.
    ///
    /// # Errors
    /// What the carrier's answer means for the job.
    pub async fn notify(&self, parcel: &str, label: &str) -> Result<(), Stop> {
        self.post("notices", &json!({"parcel": parcel, "label": label})).await.map(drop)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Stop> {
        let url = format!("{}/{path}", self.settings.url);
        let request = self.client.post(url).header("content-type", "application/json");
        // A connection that breaks is a transient failure: the job runs again.
        let answer = request.body(body.to_string()).timeout(Duration::from_secs(20)).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        match status.as_u16() {
            200..=299 => Ok(serde_json::from_str(&text)?),
            429 => Err(Failure::throttled("the carrier is busy", Duration::from_secs(10)).into()),
            // The same call would be refused again.
            400..=499 => Err(Failure::permanent(format!("the carrier refuses: {status} {text}")).into()),
            _ => Err(format!("the carrier answers {status}").into()),
        }
    }
}
