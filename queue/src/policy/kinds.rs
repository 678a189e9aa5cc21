//! What a worker can run, and which conditions of parked jobs it meets by that.

use std::collections::BTreeSet;

use crate::job::flow::{decode, encode, stored_kind};

/// Builds that a condition names.
const BUILDS: usize = 16;

/// What a worker can run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Kinds and versions that it has handlers for.
    pub known: BTreeSet<(String, u32)>,
    /// Which build it is: one that cannot read a job's arguments leaves them to
    /// another.
    pub build: String,
}

impl Kinds {
    /// Whether it has a handler.
    pub fn knows(&self, kind: &str, version: u32) -> bool {
        // A range query would need an owned key as well; there are few kinds.
        self.known.iter().any(|(known, of)| known == kind && *of == version)
    }

    /// What it has handlers for, as a claim says it ([`crate::worker::protocol::Claim::kinds`]).
    pub fn stored(&self) -> Vec<String> {
        self.known.iter().map(|(kind, version)| stored_kind(kind, *version)).collect()
    }

    /// The condition of a job whose arguments it cannot read. `needed` is what the job was
    /// parked for before: builds that could not read it either stay named, the newest ones,
    /// or two of them would hand it to and fro.
    pub fn condition_of_args(&self, kind: &str, version: u32, needed: Option<&str>) -> String {
        let this = format!("args {}@{version} not ", encode(kind));
        let build = encode(&self.build);
        let mut builds: Vec<&str> = needed
            .and_then(|needed| needed.strip_prefix(&this))
            .map(|builds| builds.split('|').filter(|each| *each != build).collect())
            .unwrap_or_default();
        builds.push(&build);
        let newest = builds.get(builds.len().saturating_sub(BUILDS)..).unwrap_or_default();
        this + &newest.join("|")
    }

    /// Whether a condition is met by it. Jobs that are parked for a kind are none of its business:
    /// they never become ready, where a worker could get them that does not know it.
    pub fn meets(&self, condition: &str, paused_kinds: &[String]) -> bool {
        let known = |text: &str| {
            let (kind, version) = text.rsplit_once('@')?;
            Some(self.knows(&decode(kind), version.parse().ok()?))
        };
        if let Some((kind, builds)) =
            condition.strip_prefix("args ").and_then(|rest| rest.split_once(" not "))
        {
            known(kind) == Some(true) && builds.split('|').all(|build| decode(build) != self.build)
        } else {
            is_resumed(condition, paused_kinds)
        }
    }
}

/// Whether it is the condition of a kind that is no longer paused.
pub(crate) fn is_resumed(condition: &str, paused_kinds: &[String]) -> bool {
    condition.strip_prefix("resume ").is_some_and(|kind| !paused_kinds.contains(&decode(kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_meets_what_it_has() {
        let kinds = Kinds { known: [("mail".into(), 2), ("a@b".into(), 1)].into(), build: "v1".into() };
        assert_eq!(kinds.stored(), ["1|a@b", "2|mail"]);
        assert!(!kinds.meets("kind mail@2", &[]), "a claim leases those");
        assert!(
            !kinds.meets(&kinds.condition_of_args("mail", 2, None), &[]),
            "not by the build that could not"
        );
        let newer = Kinds { build: "v2".into(), ..kinds.clone() };
        assert!(newer.meets(&kinds.condition_of_args("mail", 2, None), &[]));
        let both = newer.condition_of_args("mail", 2, Some(&kinds.condition_of_args("mail", 2, None)));
        assert!(!newer.meets(&both, &[]) && !kinds.meets(&both, &[]), "{both}");
        assert_eq!(newer.condition_of_args("mail", 2, Some(&both)), both, "named once");
        assert_eq!(
            kinds.condition_of_args("mail", 2, Some("kind mail@2")),
            kinds.condition_of_args("mail", 2, None)
        );
        assert!(kinds.meets("resume mail", &[]));
        assert!(!kinds.meets("resume mail", &["mail".into()]));
        assert!(!kinds.meets("wait confirmation 17", &[]));
    }
}
