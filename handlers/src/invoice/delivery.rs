//! The confirmation that a mail was delivered.
//!
//! The 250 of a mail server says that the server has the mail, not that a mailbox got it. A provider
//! that accepts mail and drops it causes no error anywhere. So the outcome can await a confirmation,
//! which the provider's delivery webhook sends; a bounce says that the mail was not delivered. Meanwhile
//! the job holds no slot, and the due time of its route makes the outcome overdue.

use std::time::Duration;

use serde::{Deserializer, de::Error as _};
use upshot::{
    mail::Mailer,
    prelude::*,
    queue::{BadCondition, Condition},
    shared::duration,
};

/// The least time to wait for a confirmation.
const LEAST: Duration = Duration::from_secs(1);
/// Bytes of the longest id of a mail: the job's id, the number of the edit, and the suffix.
const LONGEST_ID: usize = 64;
/// Whether and for how long the outcome awaits the confirmation of a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// How long the confirmation may take, counted from the mail; without it, none is expected.
    #[serde(
        deserialize_with = "some_time",
        serialize_with = "duration::optional::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    pub confirm_delivery: Option<Duration>,
}

/// Confirmations that cannot be waited for.
#[derive(Debug, thiserror::Error)]
#[error(
    "[app.{section}] confirm_delivery: {source} with the domain of smtp.from; use a sender with a shorter domain, or leave confirm_delivery out",
    section = Delivery::SECTION
)]
pub struct DeliveryError {
    source: BadCondition,
}

impl Delivery {
    /// The section of the settings.
    pub const SECTION: &'static str = "invoice";

    /// Checks that the key of every signal fits, before the first mail is sent.
    ///
    /// # Errors
    /// When the domain of the sender is too long.
    pub fn check(&self, mailer: &Mailer) -> Result<(), DeliveryError> {
        if self.confirm_delivery.is_some() {
            Condition::new(None, &key(&mailer.message_id(&"x".repeat(LONGEST_ID))))
                .map_err(|source| DeliveryError { source })?;
        }
        Ok(())
    }

    /// The confirmation that a mail was delivered; `None` where none is expected.
    pub(super) fn confirm(&self, message_id: &str) -> Option<Confirm> {
        self.confirm_delivery.map(|within| Confirm::new(key(message_id), within))
    }
}

/// The key of the signal that confirms the delivery of a mail.
pub(super) fn key(message_id: &str) -> String {
    format!("delivered {}", message_id.trim_start_matches('<').trim_end_matches('>'))
}

fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let within = duration::deserialize(deserializer)?;
    if within < LEAST {
        let shown = humantime::format_duration(within);
        return Err(D::Error::custom(format!(
            "`{shown}` is too short for a confirmation: use 1s or more, or leave it out to expect none"
        )));
    }
    Ok(Some(within))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};
    use upshot_runtime::settings::SmtpSettings;

    use super::*;

    #[test]
    fn a_time_for_the_confirmation_is_optional_and_more_than_nothing() {
        assert_eq!(from_value::<Delivery>(json!({})).unwrap(), Delivery::default());
        let set: Delivery = from_value(json!({"confirm_delivery": "24h"})).unwrap();
        assert_eq!(set.confirm_delivery, Some(Duration::from_secs(24 * 3600)));
        assert_eq!(from_value::<Delivery>(serde_json::to_value(&set).unwrap()).unwrap(), set);
        for (value, words) in [("0s", "leave it out"), ("500ms", "use 1s or more"), ("soon", "5m")] {
            let said = from_value::<Delivery>(json!({"confirm_delivery": value})).unwrap_err().to_string();
            assert!(said.contains(value) && said.contains(words), "{said}");
        }
        assert!(from_value::<Delivery>(json!({"confirm": "1h"})).is_err());
    }

    #[test]
    fn a_sender_whose_domain_does_not_fit_into_a_key_is_refused() {
        let delivery = Delivery { confirm_delivery: Some(LEAST) };
        let checked = |labels: usize| {
            let from = format!("Shop <billing@{}example>", "a234567890.".repeat(labels));
            let mailer = Mailer::new(&SmtpSettings { from, ..SmtpSettings::default() }).unwrap();
            Delivery::default().check(&mailer).unwrap();
            delivery.check(&mailer)
        };
        checked(10).unwrap();
        let said = checked(15).unwrap_err().to_string();
        assert!(said.contains("[app.invoice]") && said.contains("smtp.from"), "{said}");
    }
}
