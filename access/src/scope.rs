//! Scopes: whose jobs a principal sees.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text that stands for everything in a list of names.
pub const EVERYTHING: &str = "*";

/// All of something, or some of it by name. Written as a list; `["*"]` is all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Only {
    /// All.
    All,
    /// These.
    These(BTreeSet<String>),
}

impl Only {
    /// These names, or all if one of them is `*`.
    pub fn of<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        let names: BTreeSet<String> = names.into_iter().map(Into::into).collect();
        if names.contains(EVERYTHING) { Self::All } else { Self::These(names) }
    }

    /// Whether a name is among them. Something without a name is only among all.
    pub fn has(&self, name: Option<&str>) -> bool {
        match (self, name) {
            (Self::All, _) => true,
            (Self::These(names), Some(name)) => names.contains(name),
            (Self::These(_), None) => false,
        }
    }

    /// Whether all are meant.
    pub const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    /// Whether everything that this has is in another.
    pub fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::All) => true,
            (Self::All, Self::These(_)) => false,
            (Self::These(own), Self::These(other)) => own.is_subset(other),
        }
    }

    /// The names; `*` for all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (all, names) = match self {
            Self::All => (Some(EVERYTHING), None),
            Self::These(names) => (None, Some(names)),
        };
        all.into_iter().chain(names.into_iter().flatten().map(String::as_str))
    }
}

impl Serialize for Only {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for Only {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<String>::deserialize(deserializer).map(Self::of)
    }
}

/// The one thing that a capability link shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A job, by its id.
    Job(String),
    /// A subject.
    Subject(String),
}

/// Whose jobs a principal sees and changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Of these tenants. Jobs without a tenant belong to all tenants only.
    pub tenants: Only,
    /// In these queues.
    pub queues: Only,
    /// From events of these sources.
    pub sources: Only,
    /// Only this, of a capability link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
}

/// What a scope needs to know of a job.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its queue.
    pub queue: &'a str,
    /// Its tenant.
    pub tenant: Option<&'a str>,
    /// The source of its event.
    pub source: Option<&'a str>,
    /// Its subject.
    pub subject: Option<&'a str>,
}

impl Scope {
    /// Everything.
    pub const fn everything() -> Self {
        Self { tenants: Only::All, queues: Only::All, sources: Only::All, target: None }
    }

    /// Whether a job is in the scope.
    pub fn sees(&self, job: &Facts<'_>) -> bool {
        let is_target = match &self.target {
            None => true,
            Some(Target::Job(id)) => id == job.id,
            Some(Target::Subject(subject)) => Some(subject.as_str()) == job.subject,
        };
        is_target
            && self.tenants.has(job.tenant)
            && self.queues.has(Some(job.queue))
            && self.sources.has(job.source)
    }

    /// Whether every job is in the scope.
    pub fn is_everything(&self) -> bool {
        *self == Self::everything()
    }

    /// Whether every job of this scope is in another.
    pub fn is_within(&self, other: &Self) -> bool {
        self.tenants.is_within(&other.tenants)
            && self.queues.is_within(&other.queues)
            && self.sources.is_within(&other.sources)
            && (other.target.is_none() || self.target == other.target)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn only() -> impl Strategy<Value = Only> {
        prop_oneof![Just(Only::All), prop::collection::btree_set("[ab]", 0..3).prop_map(Only::These)]
    }

    prop_compose! {
        fn scopes()(
            tenants in only(),
            queues in only(),
            sources in only(),
            target in prop::option::of("[ab]".prop_flat_map(|name| {
                prop_oneof![Just(Target::Job(name.clone())), Just(Target::Subject(name))]
            })),
        ) -> Scope {
            Scope { tenants, queues, sources, target }
        }
    }

    proptest! {
        #[test]
        fn a_wider_scope_sees_whatever_a_narrower_one_sees(
            narrow in scopes(),
            wide in scopes(),
            (id, queue) in ("[ab]", "[ab]"),
            (tenant, source, subject) in (prop::option::of("[ab]"), prop::option::of("[ab]"), prop::option::of("[ab]")),
        ) {
            let facts = Facts {
                id: &id, queue: &queue, tenant: tenant.as_deref(), source: source.as_deref(), subject: subject.as_deref(),
            };
            prop_assert!(Scope::everything().sees(&facts));
            prop_assert!(narrow.is_within(&Scope::everything()) && narrow.is_within(&narrow));
            if narrow.is_within(&wide) && narrow.sees(&facts) {
                prop_assert!(wide.sees(&facts));
            }
            let json = serde_json::to_string(&narrow).unwrap();
            prop_assert_eq!(serde_json::from_str::<Scope>(&json).unwrap(), narrow);
        }
    }

    #[test]
    fn what_has_no_tenant_is_only_seen_with_all_tenants() {
        let some = Scope { tenants: Only::of(["acme"]), ..Scope::everything() };
        assert!(!some.sees(&Facts::default()));
        assert!(some.sees(&Facts { tenant: Some("acme"), ..Facts::default() }));
        assert!(Scope::everything().sees(&Facts::default()));
        assert!(Only::of(["acme", "*"]).is_all());
    }
}
