//! The CloudEvent that an entry of the audit log becomes.

use serde::Serialize;
use serde_json::{Value, json};
use upshot_access::acts::{Act, tail::Entry};
use upshot_shared::receipt::{self, Time};

/// An entry as a CloudEvent.
#[derive(Debug, Serialize)]
pub struct Event {
    specversion: &'static str,
    /// Identifies the entry within its source. An entry that is published again has the same id.
    pub id: String,
    source: String,
    /// One of `upshot_access::acts::tail::KINDS`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    time: Time,
    datacontenttype: &'static str,
    /// The act; its `id` is the same in the intent and in the result.
    data: Value,
}

impl Event {
    /// The event of an entry. `prefix` names the installation.
    pub fn of(prefix: &str, entry: &Entry) -> Option<Self> {
        let act = entry.act.as_ref()?;
        Some(Self {
            specversion: "1.0",
            id: entry.id.clone(),
            source: receipt::source(prefix, "@audit"),
            kind: entry.kind()?,
            time: Time(entry.at),
            datacontenttype: "application/json",
            data: data(act),
        })
    }

    /// When the entry was written, UTC ms.
    pub fn at(&self) -> i64 {
        self.time.0
    }

    /// Its body, in structured mode.
    pub fn body(&self) -> Vec<u8> {
        // Texts, numbers and JSON values always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The act, with times as they are written elsewhere, and the principal's name for people.
fn data(act: &Act) -> Value {
    let mut data = serde_json::to_value(act).unwrap_or_default();
    if let Some(members) = data.as_object_mut() {
        members.insert("at".to_owned(), json!(Time(act.at)));
        if let Some(ended_at) = act.ended_at {
            members.insert("ended_at".to_owned(), json!(Time(ended_at)));
        }
        if let Some(principal) = &act.principal {
            members.insert("by".to_owned(), json!(principal.to_string()));
        }
    }
    data
}
