//! The steps of one attempt: which names it has used, and which are under way.
//!
//! A step is known by its name and by how often the attempt has come to this name before, never by its
//! place among other steps. So a handler may change between two attempts: an added step runs, a removed
//! one leaves its result unused, and steps in another order find their results.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use upshot_queue::Failure;

/// Steps of a job at most. Each result is read with every claim of the job.
pub(super) const MOST: usize = 1_000;
/// Bytes of a name with its key.
const MAX_NAME: usize = 120;
/// What stands in front of the number of a repeated step.
const NUMBERED: &str = " #";

/// The steps of an attempt.
#[derive(Debug, Default)]
pub(super) struct Steps {
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    /// How often each name was completed or found.
    done: BTreeMap<String, usize>,
    open: BTreeSet<String>,
    /// Effects that this attempt has begun, by the name under which they are stored.
    begun: BTreeSet<String>,
    /// The newest stored result that was found: when it was stored, and its name.
    newest: Option<(i64, String)>,
    is_reordered: bool,
}

/// A step that is under way. Dropping it without [`Open::done`] lets the attempt run it again.
#[derive(Debug)]
pub(super) struct Open<'a> {
    steps: &'a Steps,
    name: String,
    /// The name under which its result is stored.
    pub(super) stored: String,
}

impl Steps {
    fn used(&self) -> std::sync::MutexGuard<'_, Used> {
        // Every statement leaves the sets whole.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a step: the n-th of its name, where n - 1 of them are done.
    ///
    /// # Errors
    /// A permanent failure for a name that cannot be used or is open, and for too many steps.
    pub(super) fn open(&self, name: &str, key: Option<&str>) -> Result<Open<'_>, Failure> {
        let whole = key.map_or_else(|| name.to_owned(), |key| format!("{name} [{key}]"));
        if !(1..=MAX_NAME).contains(&whole.len()) || whole.contains(NUMBERED) {
            let why = format!(
                "a step cannot have the name `{}`: use 1 to {MAX_NAME} bytes without `{NUMBERED}`, which numbers \
                 repeated steps",
                whole.escape_debug()
            );
            return Err(Failure::permanent(why));
        }
        let mut used = self.used();
        if used.done.values().sum::<usize>() >= MOST {
            let why =
                format!("step `{whole}` is one too many: a job has at most {MOST}; enqueue children instead");
            return Err(Failure::permanent(why));
        }
        if !used.open.insert(whole.clone()) {
            let why = format!(
                "step `{whole}` begins while it is under way in the same attempt: give those that run at the \
                 same time a key each: `step_keyed(\"{name}\", key, …)`"
            );
            return Err(Failure::permanent(why));
        }
        let stored = match used.done.get(&whole).copied().unwrap_or_default() {
            0 => whole.clone(),
            done => format!("{whole}{NUMBERED}{}", done + 1),
        };
        Ok(Open { steps: self, name: whole, stored })
    }
}

impl Open<'_> {
    /// The step is completed, or its stored result was found.
    pub(super) fn done(self) {
        *self.steps.used().done.entry(self.name.clone()).or_default() += 1;
    }

    /// Notes a stored result. Returns the name of one that was stored later and found earlier, for the
    /// first such pair of an attempt: the handler's steps have another order now.
    pub(super) fn found(&self, at: i64) -> Option<String> {
        let mut used = self.steps.used();
        match used.newest.take() {
            Some((newest, name)) if newest > at => {
                used.newest = Some((newest, name.clone()));
                let is_first = !std::mem::replace(&mut used.is_reordered, true);
                is_first.then_some(name)
            }
            _ => {
                used.newest = Some((at, self.stored.clone()));
                None
            }
        }
    }

    /// Notes that this attempt begins the effect. False if it did so before.
    pub(super) fn begin(&self) -> bool {
        self.steps.used().begun.insert(self.stored.clone())
    }

    /// The effect did not happen.
    pub(super) fn refused(&self) {
        self.steps.used().begun.remove(&self.stored);
    }

    /// Whether this attempt has begun the effect.
    pub(super) fn has_begun(&self) -> bool {
        self.steps.used().begun.contains(&self.stored)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.steps.used().open.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_step_is_known_by_its_name_and_occurrence() {
        let steps = Steps::default();
        let stored = |name: &str, key: Option<&str>| {
            let open = steps.open(name, key).unwrap();
            let stored = open.stored.clone();
            open.done();
            stored
        };
        assert_eq!([stored("mail", None), stored("mail", None)], ["mail", "mail #2"]);
        assert_eq!([stored("mail", Some("ada")), stored("mail", Some("bob"))], ["mail [ada]", "mail [bob]"]);
        // One that failed is the same one when it runs again.
        drop(steps.open("mail", None).unwrap());
        assert_eq!(stored("mail", None), "mail #3");
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        let steps = Steps::default();
        let open = steps.open("mail", None).unwrap();
        let why = steps.open("mail", None).unwrap_err().to_string();
        assert!(why.contains("step_keyed(\"mail\", key"), "{why}");
        steps.open("mail", Some("ada")).unwrap().done();
        open.done();
        for name in ["", "mail #2", &"x".repeat(121)] {
            let why = steps.open(name, None).unwrap_err().to_string();
            assert!(why.contains("1 to 120 bytes"), "{why}");
        }
        for _ in 2..MOST {
            steps.open("mail", None).unwrap().done();
        }
        let why = steps.open("more", None).unwrap_err().to_string();
        assert!(why.contains("at most 1000"), "{why}");
    }

    #[test]
    fn another_order_is_told_once() {
        let steps = Steps::default();
        let found = |name: &str, at: i64| {
            let open = steps.open(name, None).unwrap();
            let later = open.found(at);
            open.done();
            later
        };
        assert_eq!(found("a", 1), None);
        assert_eq!(found("b", 5), None);
        assert_eq!(found("c", 3), Some("b".to_owned()));
        assert_eq!(found("d", 2), None);
    }

    proptest! {
        /// Whatever the order of calls, two steps of an attempt never share a stored name.
        #[test]
        fn no_two_steps_share_a_result(names in prop::collection::vec(("[a-c]", prop::option::of("[a-c]")), 0..40)) {
            let steps = Steps::default();
            let mut seen = BTreeSet::new();
            for (name, key) in names {
                let open = steps.open(&name, key.as_deref()).unwrap();
                prop_assert!(seen.insert(open.stored.clone()));
                open.done();
            }
        }
    }
}
