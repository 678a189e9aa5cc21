//! The kinds that a worker runs, and the conditions of parked jobs that it fulfils.

use std::collections::BTreeSet;

use crate::job::flow::{decode, encode, stored_kind};

/// Builds that a condition names.
const BUILDS: usize = 16;

/// The kinds that a worker runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Kinds and versions that it has handlers for.
    pub known: BTreeSet<(String, u32)>,
    /// The build of the worker. A build that cannot read a job's arguments leaves the job to
    /// another build.
    pub build: String,
}

impl Kinds {
    /// Whether the worker has a handler.
    pub fn knows(&self, kind: &str, version: u32) -> bool {
        // A range query would need an owned key too; there are few kinds.
        self.known.iter().any(|(known, of)| known == kind && *of == version)
    }

    /// Its kinds, in the form of a claim ([`crate::worker::protocol::Claim::kinds`]).
    pub fn stored(&self) -> Vec<String> {
        self.known.iter().map(|(kind, version)| stored_kind(kind, *version)).collect()
    }

    /// The condition of a job whose arguments it cannot read. `needed` is the job's previous
    /// condition. The newest builds that could not read the job stay named; otherwise two builds
    /// would pass it back and forth.
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

    /// Whether it fulfils a condition. It ignores jobs that are parked for a kind: they never
    /// become ready, where a worker without that kind could claim them.
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

/// Whether it is the condition of a kind whose pause has ended.
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
