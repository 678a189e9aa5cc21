//! Jobs that wait for something else than time, and who lets them go on.
//!
//! A parked job names its need. A worker that starts, and every worker now and
//! then, looks which needs it meets:
//! | need | met by |
//! |---|---|
//! | `kind K@V` | a worker that has a handler for version V of kind K |
//! | `args K@V not B\|C` | the same, of another build than B and C, which could not read the arguments |
//! | `resume K` | anybody, once kind K is no longer paused |
//! Any other need is met by whoever calls [`Queue::unpark`] with it.

use std::collections::BTreeSet;

use crate::{
    flow::{decode, encode},
    queue::{Error, Queue},
    scripts::{self, Call, MAX_BATCH},
};

/// Builds that a need names.
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

    /// The need of a job that it has no handler for.
    pub fn need_of_kind(kind: &str, version: u32) -> String {
        format!("kind {}@{version}", encode(kind))
    }

    /// The need of a job whose arguments it cannot read. `needed` is what the job was
    /// parked for before: builds that could not read it either stay named, the newest ones,
    /// or two of them would hand it to and fro.
    pub fn need_of_args(&self, kind: &str, version: u32, needed: Option<&str>) -> String {
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

    /// Whether a need is met by it.
    pub fn meets(&self, need: &str, paused_kinds: &[String]) -> bool {
        let known = |text: &str| {
            let (kind, version) = text.rsplit_once('@')?;
            Some(self.knows(&decode(kind), version.parse().ok()?))
        };
        if let Some(kind) = need.strip_prefix("kind ") {
            known(kind) == Some(true)
        } else if let Some((kind, builds)) =
            need.strip_prefix("args ").and_then(|rest| rest.split_once(" not "))
        {
            known(kind) == Some(true) && builds.split('|').all(|build| decode(build) != self.build)
        } else {
            is_resumed(need, paused_kinds)
        }
    }
}

/// Whether it is the need of a kind that is no longer paused.
fn is_resumed(need: &str, paused_kinds: &[String]) -> bool {
    need.strip_prefix("resume ").is_some_and(|kind| !paused_kinds.contains(&decode(kind)))
}

impl Queue {
    /// What parked jobs need, and how many need it.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn needs(&self) -> Result<Vec<(String, u64)>, Error> {
        self.check_layout().await?;
        Ok(redis::cmd("HGETALL").arg(self.keys.needs()).query_async(&mut self.conn.clone()).await?)
    }

    /// Lets all jobs go on that are parked for this need; returns how many.
    ///
    /// # Errors
    /// When Redis failed; what is left goes on with the next call.
    pub async fn unpark(&self, need: &str) -> Result<u64, Error> {
        let mut all = 0;
        loop {
            let mut call = Call::new(&scripts::UNPARK, &self.keys);
            call.arg(need).arg(MAX_BATCH);
            let (released, more): (u64, u8) = call.run(&mut self.conn.clone()).await?;
            all += released;
            if more == 0 {
                return Ok(all);
            }
        }
    }

    /// Lets all jobs go on whose need this worker meets; returns how many. `None` is one
    /// that runs every kind.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn unpark_for(&self, kinds: Option<&Kinds>) -> Result<u64, Error> {
        let needs = self.needs().await?;
        if needs.is_empty() {
            return Ok(0);
        }
        let paused = self.limits().await?.paused_kinds;
        let mut all = 0;
        let is_met = |need: &str| match kinds {
            Some(kinds) => kinds.meets(need, &paused),
            None => need.starts_with("kind ") || is_resumed(need, &paused),
        };
        for (need, _) in needs.iter().filter(|(need, _)| is_met(need)) {
            all += self.unpark(need).await?;
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_meets_what_it_has() {
        let kinds = Kinds { known: [("mail".into(), 2), ("a@b".into(), 1)].into(), build: "v1".into() };
        assert!(kinds.meets(&Kinds::need_of_kind("mail", 2), &[]));
        assert!(kinds.meets(&Kinds::need_of_kind("a@b", 1), &[]));
        assert!(!kinds.meets(&Kinds::need_of_kind("mail", 3), &[]));
        assert!(!kinds.meets(&kinds.need_of_args("mail", 2, None), &[]), "not by the build that could not");
        let newer = Kinds { build: "v2".into(), ..kinds.clone() };
        assert!(newer.meets(&kinds.need_of_args("mail", 2, None), &[]));
        let both = newer.need_of_args("mail", 2, Some(&kinds.need_of_args("mail", 2, None)));
        assert!(!newer.meets(&both, &[]) && !kinds.meets(&both, &[]), "{both}");
        assert_eq!(newer.need_of_args("mail", 2, Some(&both)), both, "named once");
        assert_eq!(kinds.need_of_args("mail", 2, Some("kind mail@2")), kinds.need_of_args("mail", 2, None));
        assert!(kinds.meets("resume mail", &[]));
        assert!(!kinds.meets("resume mail", &["mail".into()]));
        assert!(!kinds.meets("confirmation 17", &[]));
    }
}
