//! What an answer shows of stored data: everything, or with personal data hidden.
//!
//! Every view that holds a text or a value from outside takes a [`Shown`], so a new view cannot
//! forget to decide. Identity stays: ids, sources, types, subjects, tenants, kinds, step names, the
//! names of files in links.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use upshot_queue::Job;
use upshot_shared::{
    intake::LABEL_TYPE,
    redact::{MASK, Paths, redact, shorten, shorten_all},
};

use crate::reveal::Reveal;

/// How stored data is shown.
#[derive(Clone, Debug)]
pub struct Shown {
    paths: Arc<Paths>,
    is_revealed: bool,
}

impl Shown {
    /// Personal data is hidden: the values that these paths name, and mail addresses.
    pub fn redacted(paths: Paths) -> Self {
        Self { paths: Arc::new(paths), is_revealed: false }
    }

    /// The same for a request that may see more.
    pub fn with(&self, reveal: Reveal) -> Self {
        Self { is_revealed: reveal.is_all(), ..self.clone() }
    }

    /// A text.
    pub fn text(&self, text: &str) -> String {
        if self.is_revealed { text.to_owned() } else { shorten(text).into_owned() }
    }

    /// A text, if there is one.
    pub fn optional(&self, text: Option<&String>) -> Option<String> {
        text.map(|text| self.text(text))
    }

    /// A value that no contract describes.
    pub fn value(&self, value: &Value) -> Value {
        let mut value = value.clone();
        if !self.is_revealed {
            shorten_all(&mut value);
        }
        value
    }

    /// The facts of evidence.
    pub fn facts(&self, facts: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        facts.iter().map(|(name, fact)| (name.clone(), self.text(fact))).collect()
    }

    /// Arguments of a job. They are the data of its event, so the paths of the event's type apply.
    /// Arguments that are not JSON are hidden as a whole.
    pub fn arguments(&self, job: &Job, args: &[u8]) -> Value {
        let read = serde_json::from_slice::<Value>(args);
        if self.is_revealed {
            return read.unwrap_or_else(|_| Value::String(String::from_utf8_lossy(args).into_owned()));
        }
        let mut args = read.unwrap_or_else(|_| Value::from(MASK));
        if let Some(event_type) = job.labels.get(LABEL_TYPE) {
            redact(&mut args, self.paths.of(event_type));
        }
        shorten_all(&mut args);
        args
    }
}
