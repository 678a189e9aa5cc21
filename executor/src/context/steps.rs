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
    /// Numbered steps that failed, or that the handler dropped.
    failed: BTreeSet<String>,
    /// Whether two steps were under way at the same time.
    has_overlapped: bool,
    /// Effects that this attempt has begun.
    begun: BTreeSet<String>,
    /// The newest stored result that was found: when it was stored, and its name.
    newest: Option<(i64, String)>,
    is_reordered: bool,
}

/// What tells a step from others of its name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which<'a> {
    /// How often the attempt has come to the name.
    Number,
    /// A key.
    Key(&'a str),
    /// Nothing: an effect has a name of its own.
    Effect,
}

/// A step that is under way. Dropping it without [`Open::done`] says that it failed.
#[derive(Debug)]
pub(super) struct Open<'a> {
    steps: &'a Steps,
    name: String,
    is_numbered: bool,
    is_done: bool,
    /// The name under which its result is stored.
    pub(super) stored: String,
}

impl Steps {
    fn used(&self) -> std::sync::MutexGuard<'_, Used> {
        // Every statement leaves the sets whole.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a step.
    ///
    /// # Errors
    /// A permanent failure for a name that cannot be used, for a step that cannot be told from another
    /// one, and for too many steps.
    pub(super) fn open(&self, name: &str, which: Which<'_>) -> Result<Open<'_>, Failure> {
        let whole = match which {
            Which::Key(key) => format!("{name} [{key}]"),
            _ => name.to_owned(),
        };
        let shown = whole.escape_debug();
        let refuse = |why: String| Err(Failure::permanent(why));
        if !(1..=MAX_NAME).contains(&whole.len())
            || whole.contains(NUMBERED)
            || whole.contains(char::is_control)
        {
            return refuse(format!(
                "a step cannot have the name `{shown}`: use 1 to {MAX_NAME} bytes without control characters and \
                 `{NUMBERED}`, which numbers repeated steps"
            ));
        }
        let mut used = self.used();
        if used.done.values().sum::<usize>() >= MOST {
            return refuse(format!(
                "step `{shown}` is one too many: a job has at most {MOST}; enqueue children instead"
            ));
        }
        let remedy = match which {
            Which::Effect => "give each effect a name of its own",
            _ => "give each a key of its own: `step_keyed(name, key, …)`",
        };
        let done = used.done.get(&whole).copied().unwrap_or_default();
        let is_numbered = matches!(which, Which::Number);
        if used.open.contains(&whole) {
            return refuse(format!(
                "step `{shown}` begins while it is under way in the same attempt: {remedy}"
            ));
        }
        if done > 0 && !is_numbered {
            return refuse(format!("step `{shown}` comes twice in one attempt: {remedy}"));
        }
        // Another attempt might come to these steps in another order, and mix up their numbers.
        if is_numbered && used.failed.contains(&whole) {
            return refuse(format!(
                "step `{shown}` failed before in this attempt, and its number cannot tell which one this is: {remedy}"
            ));
        }
        used.has_overlapped |= !used.open.is_empty();
        if done > 0 && used.has_overlapped {
            return refuse(format!(
                "step `{shown}` is repeated, and steps run at the same time or within others, so its number cannot \
                 tell which one this is: {remedy}"
            ));
        }
        used.open.insert(whole.clone());
        let stored = match done {
            0 => whole.clone(),
            done => format!("{whole}{NUMBERED}{}", done + 1),
        };
        Ok(Open { steps: self, name: whole, is_numbered, is_done: false, stored })
    }
}

impl Open<'_> {
    /// The step is completed, or its stored result was found.
    pub(super) fn done(mut self) {
        self.is_done = true;
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

    /// The beginning of the effect is stored.
    pub(super) fn begun(&self) {
        self.steps.used().begun.insert(self.stored.clone());
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
        let mut used = self.steps.used();
        used.open.remove(&self.name);
        if self.is_numbered && !self.is_done {
            used.failed.insert(self.name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(steps: &Steps, name: &str, which: Which<'_>) -> String {
        let open = steps.open(name, which).unwrap();
        let stored = open.stored.clone();
        open.done();
        stored
    }

    #[test]
    fn a_step_is_known_by_its_name_and_number_or_key() {
        let steps = Steps::default();
        let names = [Which::Number, Which::Number, Which::Key("ada"), Which::Key("bob")]
            .map(|which| stored(&steps, "mail", which));
        assert_eq!(names, ["mail", "mail #2", "mail [ada]", "mail [bob]"]);
        // What has a key or a name of its own is the same one when it runs again.
        for which in [Which::Key("eve"), Which::Effect] {
            drop(steps.open("call", which).unwrap());
            assert!(["call [eve]", "call"].contains(&stored(&steps, "call", which).as_str()));
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        let said =
            |steps: &Steps, name: &str, which: Which<'_>| steps.open(name, which).unwrap_err().to_string();
        let steps = Steps::default();
        let open = steps.open("mail", Which::Number).unwrap();
        assert!(said(&steps, "mail", Which::Number).contains("under way"));
        stored(&steps, "mail", Which::Key("ada"));
        assert!(said(&steps, "mail", Which::Key("ada")).contains("comes twice"));
        open.done();
        // They overlapped.
        assert!(said(&steps, "mail", Which::Number).contains("at the same time"));

        let steps = Steps::default();
        drop(steps.open("mail", Which::Number).unwrap());
        assert!(said(&steps, "mail", Which::Number).contains("failed before"));
        stored(&steps, "charge", Which::Effect);
        assert!(said(&steps, "charge", Which::Effect).contains("a name of its own"));
        for name in ["", "mail #2", "a\nb", &"x".repeat(121)] {
            assert!(said(&steps, name, Which::Number).contains("1 to 120 bytes"), "{name}");
        }
        for _ in 1..MOST {
            stored(&steps, "scan", Which::Number);
        }
        assert!(said(&steps, "more", Which::Number).contains("at most 1000"));
    }

    #[test]
    fn another_order_is_told_once() {
        let steps = Steps::default();
        let found = |name: &str, at: i64| {
            let open = steps.open(name, Which::Number).unwrap();
            let later = open.found(at);
            open.done();
            later
        };
        assert_eq!(found("a", 1), None);
        assert_eq!(found("b", 5), None);
        assert_eq!(found("c", 3), Some("b".to_owned()));
        assert_eq!(found("d", 2), None);
    }

    /// Runs an attempt over calls of steps, of which some fail and end it. `known` has what is stored
    /// under each name: which call it came from.
    fn attempt(
        calls: &[(String, Option<String>)],
        fails: Option<usize>,
        known: &mut BTreeMap<String, usize>,
    ) -> Option<bool> {
        let steps = Steps::default();
        for (n, (name, key)) in calls.iter().enumerate() {
            let which = key.as_deref().map_or(Which::Number, Which::Key);
            let Ok(open) = steps.open(name, which) else { return None };
            if fails == Some(n) {
                return Some(true);
            }
            if *known.entry(open.stored.clone()).or_insert(n) != n {
                return Some(false);
            }
            open.done();
        }
        Some(true)
    }

    proptest! {
        /// Whatever the calls, and wherever attempts end: each call finds its own result, or is refused.
        #[test]
        fn no_two_steps_share_a_result(
            calls in prop::collection::vec(("[a-c]", prop::option::of("[a-c]")), 0..40),
            ends in prop::collection::vec(0_usize..40, 0..5),
        ) {
            let mut known = BTreeMap::new();
            for end in ends.into_iter().map(Some).chain([None]) {
                prop_assert_ne!(attempt(&calls, end, &mut known), Some(false));
            }
        }
    }
}
