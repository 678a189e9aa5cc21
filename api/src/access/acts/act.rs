//! What a handler adds to the entry of its act.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{extract::FromRequestParts, http::request::Parts, response::Response};
use serde_json::Value;
use upshot_access::{
    Identity,
    acts::{Conclusion, bounds::brief},
};

use crate::problem::Problem;

/// The act that a request is. A handler tells it what was there before and what is there now. It
/// must not tell arguments, payloads and secrets. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Act(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    before: Option<Value>,
    after: Option<Value>,
    target: BTreeMap<String, String>,
}

impl Act {
    /// What was there before. The members of several objects stand in one.
    pub fn before(&self, before: impl Into<Value>) {
        add(&mut self.notes().before, &before.into());
    }

    /// What is there now. The members of several objects stand in one.
    pub fn after(&self, after: impl Into<Value>) {
        add(&mut self.notes().after, &after.into());
    }

    /// More of what the act is about. The name has letters, digits, `_` and `-` only.
    pub fn target(&self, name: &str, value: &str) {
        self.notes().target.insert(name.to_owned(), value.to_owned());
    }

    /// What came of the act, with its answer; without one the handler panicked.
    pub(super) fn conclusion(&self, answer: Option<&Response>) -> Conclusion {
        let notes = std::mem::take(&mut *self.notes());
        let problem = answer.and_then(|answer| answer.extensions().get::<Problem>());
        Conclusion {
            status: answer.map_or(500, |answer| answer.status().as_u16()),
            problem: problem.map(|problem| problem.code().to_owned()),
            before: notes.before,
            after: notes.after,
            reason: None,
            target: notes.target,
            // The answer to a login has the principal that it made known.
            principal: answer.and_then(|answer| answer.extensions().get::<Identity>().cloned()),
        }
    }

    /// A panic elsewhere cannot leave the notes half changed, so a poisoned lock is taken.
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(to: &mut Option<Value>, value: &Value) {
    match (to, brief(value)) {
        (Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
        (to, value) => *to = Some(value),
    }
}

impl<S: Sync> FromRequestParts<S> for Act {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
