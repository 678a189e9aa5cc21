//! Remembers tokens that were identified lately, for publishing while Redis does not answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{principal::Principal, token::Hash};

/// How long a token is remembered after its last check.
const KEPT: Duration = Duration::from_secs(300);
/// How old an entry may be before it is renewed, so that most requests only compare.
const RENEWED: Duration = Duration::from_secs(30);
/// Tokens at most.
const MOST: usize = 1_000;

/// The tokens, by id. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<HashMap<String, Seen>>>);

#[derive(Debug)]
struct Seen {
    hash: Hash,
    principal: Principal,
    at: Instant,
}

impl Memory {
    /// A panic elsewhere cannot leave the map half changed, so a poisoned lock is taken.
    fn seen(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remember(&self, id: &str, hash: &Hash, principal: &Principal) {
        let mut seen = self.seen();
        if seen.get(id).is_some_and(|seen| seen.at.elapsed() < RENEWED && seen.hash.is(hash)) {
            return;
        }
        if seen.len() >= MOST {
            seen.retain(|_, seen| seen.at.elapsed() < KEPT);
        }
        if seen.len() < MOST || seen.contains_key(id) {
            let entry = Seen { hash: hash.clone(), principal: principal.clone(), at: Instant::now() };
            seen.insert(id.to_owned(), entry);
        }
    }

    pub(super) fn forget(&self, id: &str) {
        self.seen().remove(id);
    }

    /// Forgets a token whose right secret is refused. A wrong secret must not make it forgotten.
    pub(super) fn forget_secret(&self, id: &str, hash: &Hash) {
        let mut seen = self.seen();
        if seen.get(id).is_some_and(|seen| seen.hash.is(hash)) {
            seen.remove(id);
        }
    }

    pub(super) fn principal(&self, id: &str, hash: &Hash) -> Option<Principal> {
        let seen = self.seen();
        let entry = seen.get(id).filter(|seen| seen.at.elapsed() < KEPT && seen.hash.is(hash))?;
        Some(entry.principal.clone())
    }
}
