//! The paths that are hidden, by event type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Pointer;

/// JSON pointers into the data of each event type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Paths(BTreeMap<String, Vec<Pointer>>);

impl Paths {
    /// The pointers of an event type.
    pub fn of(&self, event_type: &str) -> &[Pointer] {
        self.0.get(event_type).map_or(&[], Vec::as_slice)
    }
}
