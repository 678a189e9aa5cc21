//! What handlers park jobs for: needs by name.

use std::{fmt, str::FromStr};

/// Bytes of a name at most: it is a part of a Redis key.
const LONGEST: usize = 200;

/// What the stored form of such a need begins with. Needs that begin with another of
/// these words are the queue's own.
const NAMED: &str = "wait ";

/// What the queue's own needs begin with, and who meets them.
const OURS: [(&str, &str); 3] = [
    ("kind ", "a worker that has a handler for the kind takes its jobs"),
    ("args ", "a worker of another build, which can read the arguments, meets it when it starts"),
    ("resume ", "it is met when the kind is resumed"),
];

/// What a job waits for whose handler parked it: a name that those who can meet it know as
/// well, such as `breaker:smtp` or `order-1042 confirmed`. It is kept, listed and stored as
/// `wait NAME`, so no name is mistaken for a need that the queue meets by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Need(String);

/// A text that names no need.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNeed {
    /// It is nothing, or too long.
    #[error("a need of {0} bytes cannot be waited for: use a name of 1 to {LONGEST}")]
    Length(usize),
    /// It cannot be told from others on a screen.
    #[error("need `{0}` cannot be waited for: leave out control characters, and blanks at its ends")]
    Characters(String),
    /// It looks like a need of the queue itself.
    #[error("need `{name}` is one of the queue's own: {met}")]
    Ours {
        /// The name.
        name: String,
        /// Who meets it.
        met: &'static str,
    },
}

impl Need {
    /// The name of its set of jobs, and what is listed.
    pub(crate) fn stored(&self) -> String {
        format!("{NAMED}{}", self.0)
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Need {
    type Err = BadNeed;

    /// Reads a name, or what is listed for it: `wait NAME`.
    fn from_str(s: &str) -> Result<Self, BadNeed> {
        let name = s.strip_prefix(NAMED).unwrap_or(s);
        if !(1..=LONGEST).contains(&name.len()) {
            return Err(BadNeed::Length(name.len()));
        }
        if name.contains(char::is_control) || name.trim() != name {
            return Err(BadNeed::Characters(name.escape_debug().to_string()));
        }
        let ours = OURS.into_iter().chain([(NAMED, "name it without `wait`")]);
        if let Some((_, met)) = ours.into_iter().find(|(word, _)| name.starts_with(word)) {
            return Err(BadNeed::Ours { name: name.to_owned(), met });
        }
        Ok(Self(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::kinds::Kinds;

    proptest! {
        #[test]
        fn a_name_and_what_is_listed_for_it_are_the_same_need(name in "[a-z:|%@é][a-z :|%@é]{0,20}[a-z:|%@é]") {
            prop_assume!(OURS.iter().all(|(word, _)| !name.starts_with(word)) && !name.starts_with(NAMED));
            let need: Need = name.parse().unwrap();
            prop_assert_eq!(need.as_str(), &name);
            prop_assert_eq!(need.stored().parse(), Ok(need));
        }

        /// Whatever a handler writes, no worker lets its job go by itself.
        #[test]
        fn no_need_of_a_handler_is_met_by_a_worker(
            name in "(wait )?(kind |args |resume )?(mail@1|mail@1 not old|mail)( .{0,9})?",
        ) {
            let kinds = Kinds { known: [("mail".to_owned(), 1)].into(), build: "new".to_owned() };
            if let Ok(need) = name.parse::<Need>() {
                prop_assert!(!kinds.meets(&need.stored(), &[]), "{}", need);
            }
        }
    }

    #[test]
    fn what_cannot_be_waited_for_is_told_why() {
        for (text, words) in [
            ("", &["0 bytes", "1 to 200"][..]),
            ("wait ", &["0 bytes"]),
            (&"x".repeat(201), &["201 bytes", "1 to 200"]),
            ("a\nb", &["`a\\nb`", "control characters"]),
            (" a", &["` a`", "blanks at its ends"]),
            ("kind invoice.issue@2", &["`kind invoice.issue@2`", "has a handler"]),
            ("wait args mail@1 not 1.0", &["another build"]),
            ("resume mail", &["resumed"]),
            ("wait wait x", &["without `wait`"]),
        ] {
            let said = text.parse::<Need>().unwrap_err().to_string();
            for word in words {
                assert!(said.contains(word), "`{text}`: `{word}` is not in: {said}");
            }
        }
    }
}
