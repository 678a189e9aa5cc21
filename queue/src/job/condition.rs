//! The conditions that handlers park jobs for: a key, for one tenant or for all.

use std::{fmt, str::FromStr};

use super::{
    flow::{decode, encode},
    new::MAX_NAME,
};

/// The longest key, in bytes. It is a part of a Redis key.
pub const MAX_CONDITION: usize = 200;

/// The prefix of the stored form of a handler's condition. Other prefixes are the queue's own
/// conditions.
const NAMED: &str = "wait ";
/// The same for a condition of one tenant.
const OF_TENANT: &str = "tenant ";

/// The prefixes of the queue's own conditions, and what fulfils them.
const OURS: [(&str, &str); 3] = [
    ("kind ", "a worker that has a handler for the kind takes its jobs"),
    ("args ", "a worker of another build, which can read the arguments, meets it when it starts"),
    ("resume ", "it is met when the kind is resumed"),
];

/// What a job waits for after its handler parked it: a key that the fulfilling program also knows,
/// such as `breaker:smtp` or `order-1042 confirmed`, and the tenant, if the condition belongs to
/// one tenant.
///
/// It is stored and listed as `wait KEY`, or as `tenant TENANT|KEY`. So no key is mistaken for a
/// condition that the queue fulfils by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Condition {
    tenant: Option<String>,
    key: String,
}

/// A text that is not a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCondition {
    /// The key is empty or too long.
    #[error("the key of a condition has {0} bytes: use 1 to {MAX_CONDITION}")]
    Length(usize),
    /// The key has characters that a screen does not show.
    #[error("condition `{0}` cannot be waited for: leave out control characters, and blanks at its ends")]
    Characters(String),
    /// The tenant is empty or too long.
    #[error("the tenant of a condition has {0} bytes: use 1 to {MAX_NAME}, or leave it out")]
    Tenant(usize),
    /// It looks like a condition of the queue itself.
    #[error("condition `{name}` is one of the queue's own: {met}")]
    Ours {
        /// The key.
        name: String,
        /// What meets it.
        met: &'static str,
    },
}

impl Condition {
    /// The condition of one tenant, of this key.
    ///
    /// # Errors
    /// When the key or the tenant cannot be used.
    pub fn of_tenant(tenant: &str, key: &str) -> Result<Self, BadCondition> {
        if !(1..=MAX_NAME).contains(&tenant.len()) {
            return Err(BadCondition::Tenant(tenant.len()));
        }
        let Self { key, .. } = Self::of_all(key)?;
        Ok(Self { tenant: Some(tenant.to_owned()), key })
    }

    /// The condition of a tenant, or of all tenants without one.
    ///
    /// # Errors
    /// As [`Self::of_tenant`].
    pub fn new(tenant: Option<&str>, key: &str) -> Result<Self, BadCondition> {
        match tenant {
            Some(tenant) => Self::of_tenant(tenant, key),
            None => Self::of_all(key),
        }
    }

    fn of_all(key: &str) -> Result<Self, BadCondition> {
        if !(1..=MAX_CONDITION).contains(&key.len()) {
            return Err(BadCondition::Length(key.len()));
        }
        if key.contains(char::is_control) || key.trim() != key {
            return Err(BadCondition::Characters(key.escape_debug().to_string()));
        }
        let ours =
            OURS.into_iter().chain([(NAMED, "name it without `wait`"), (OF_TENANT, "name the tenant apart")]);
        if let Some((_, met)) = ours.into_iter().find(|(word, _)| key.starts_with(word)) {
            return Err(BadCondition::Ours { name: key.to_owned(), met });
        }
        Ok(Self { tenant: None, key: key.to_owned() })
    }

    /// The stored and listed form, which names its set of jobs.
    pub fn stored(&self) -> String {
        match &self.tenant {
            Some(tenant) => format!("{OF_TENANT}{}|{}", encode(tenant), self.key),
            None => format!("{NAMED}{}", self.key),
        }
    }

    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The tenant; `None` for all tenants.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        match &self.tenant {
            Some(tenant) => write!(f, " of tenant {tenant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Condition {
    type Err = BadCondition;

    /// Reads a key, or the listed form of a condition: `wait KEY`, `tenant TENANT|KEY`.
    fn from_str(s: &str) -> Result<Self, BadCondition> {
        match s.strip_prefix(OF_TENANT).and_then(|rest| rest.split_once('|')) {
            Some((tenant, key)) => Self::of_tenant(&decode(tenant), key),
            None => Self::of_all(s.strip_prefix(NAMED).unwrap_or(s)),
        }
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
            let words = OURS.iter().map(|(word, _)| *word).chain([NAMED, OF_TENANT]);
            prop_assume!(words.into_iter().all(|word| !name.starts_with(word)));
            let condition: Condition = name.parse().unwrap();
            prop_assert_eq!(condition.key(), &name);
            prop_assert_eq!(condition.stored().parse(), Ok(condition));
        }

        /// No worker releases a job for any key of a handler by itself.
        #[test]
        fn no_need_of_a_handler_is_met_by_a_worker(
            name in "(wait )?(kind |args |resume )?(mail@1|mail@1 not old|mail)( .{0,9})?",
        ) {
            let kinds = Kinds { known: [("mail".to_owned(), 1)].into(), build: "new".to_owned() };
            if let Ok(condition) = name.parse::<Condition>() {
                prop_assert!(!kinds.meets(&condition.stored(), &[]), "{}", condition);
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
            ("tenant acme", &["tenant apart"]),
            ("tenant |x", &["tenant", "0 bytes"]),
        ] {
            let said = text.parse::<Condition>().unwrap_err().to_string();
            for word in words {
                assert!(said.contains(word), "`{text}`: `{word}` is not in: {said}");
            }
        }
    }

    #[test]
    fn a_condition_of_a_tenant_is_told_from_that_of_all() {
        for tenant in ["acme", "a|b", "wait x", "tenant y"] {
            let condition = Condition::of_tenant(tenant, "order|17 confirmed").unwrap();
            assert_eq!((condition.tenant(), condition.key()), (Some(tenant), "order|17 confirmed"));
            assert_eq!(condition.stored().parse(), Ok(condition.clone()));
            assert_ne!(condition, "order|17 confirmed".parse().unwrap());
        }
    }
}
