//! Jobs that wait for something else than time, and who lets them go on.
//!
//! A parked job names its need. Claims lease the jobs that are parked for a kind; for the other
//! needs a worker that starts, and every worker now and then, looks which it meets:
//! | need | met by |
//! |---|---|
//! | `kind K@V` | the claim of a worker that has a handler for version V of kind K |
//! | `args K@V not B\|C` | a worker that has one, of another build than B and C, which could not read the arguments |
//! | `resume K` | whoever resumes kind K, and any worker that finds it no longer paused |
//! | `wait NAME` | whoever calls [`Queue::meet`]: a handler parked the job ([`crate::Park`]) |
//! Handlers may name any number of needs (one for each order that is not confirmed yet), so
//! whoever looks through them reads a part at a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    client::{
        queue::{Error, Queue},
        release::Released,
    },
    job::{
        flow::{decode, encode, stored_kind},
        need::Need,
    },
    scripts::{self, Call, MAX_BATCH},
};

/// Needs that are read in one call; Redis may answer with a few more, or twice with one.
const PART: usize = 1_000;

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

    /// What it has handlers for, as a claim says it ([`crate::worker::protocol::Claim::kinds`]).
    pub fn stored(&self) -> Vec<String> {
        self.known.iter().map(|(kind, version)| stored_kind(kind, *version)).collect()
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

    /// Whether a need is met by it. Jobs that are parked for a kind are none of its business:
    /// they never become ready, where a worker could get them that does not know it.
    pub fn meets(&self, need: &str, paused_kinds: &[String]) -> bool {
        let known = |text: &str| {
            let (kind, version) = text.rsplit_once('@')?;
            Some(self.knows(&decode(kind), version.parse().ok()?))
        };
        if let Some((kind, builds)) = need.strip_prefix("args ").and_then(|rest| rest.split_once(" not ")) {
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

/// Where a look through the needs goes on; the default is their beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeedCursor(u64);

impl Queue {
    /// What parked jobs need, and how many need it: all of them, read in parts.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn needs(&self) -> Result<Vec<(String, u64)>, Error> {
        let mut all = BTreeMap::new();
        let mut from = Some(NeedCursor::default());
        while let Some(cursor) = from {
            let (needs, next) = self.needs_part(cursor).await?;
            all.extend(needs);
            from = next;
        }
        Ok(all.into_iter().collect())
    }

    /// A part of them: some 1,000, in no order, and where to go on, if there is more. What is
    /// there all the time that somebody looks through the parts is in one of them.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn needs_part(
        &self,
        from: NeedCursor,
    ) -> Result<(Vec<(String, u64)>, Option<NeedCursor>), Error> {
        self.check_layout().await?;
        let mut scan = redis::cmd("HSCAN");
        scan.arg(self.keys.needs()).arg(from.0).arg("COUNT").arg(PART);
        let (next, needs): (u64, Vec<(String, u64)>) = scan.query_async(&mut self.conn.clone()).await?;
        Ok((needs, (next != 0).then_some(NeedCursor(next))))
    }

    /// Lets all jobs go on that their handlers parked for a need: the first at once, the rest in the
    /// background ([`crate::client::release`]). None is no error: the need is met for those that are
    /// parked now, and not remembered. See [`Park`](crate::Park) for the order in which nobody is
    /// missed.
    ///
    /// # Errors
    /// When Redis failed; what was begun goes on.
    pub async fn meet(&self, need: &Need) -> Result<Released, Error> {
        self.begin_release(&need.stored()).await
    }

    /// How many jobs their handlers parked for a need.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn waiting_for(&self, need: &Need) -> Result<u64, Error> {
        self.check_layout().await?;
        let mut count = redis::cmd("HGET");
        count.arg(self.keys.needs()).arg(need.stored());
        let count: Option<u64> = count.query_async(&mut self.conn.clone()).await?;
        Ok(count.unwrap_or(0))
    }

    /// Lets those `most` jobs go on that have been parked the longest for a need; returns how
    /// many went. So one job finds out whether the need is met, and not all of them.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn meet_some(&self, need: &Need, most: usize) -> Result<u64, Error> {
        let mut call = Call::new(&scripts::UNPARK, &self.keys);
        call.arg(need.stored()).arg(most.clamp(1, MAX_BATCH)).arg("some");
        let (released, _): (u64, u64) = call.run(&mut self.conn.clone()).await?;
        Ok(released)
    }

    /// Begins to let go all jobs whose need this worker meets; returns how many are ready so far.
    /// `None` is a worker that runs every kind. What handlers parked, and what is parked for a kind,
    /// is none of its business.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn unpark_for(&self, kinds: Option<&Kinds>) -> Result<u64, Error> {
        let mut all = 0;
        let mut from = Some(NeedCursor::default());
        while let Some(cursor) = from {
            let released;
            (released, from) = self.unpark_part_for(kinds, cursor).await?;
            all += released;
        }
        Ok(all)
    }

    /// The same for a part of all needs; also returns where to go on, if there is more.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn unpark_part_for(
        &self,
        kinds: Option<&Kinds>,
        from: NeedCursor,
    ) -> Result<(u64, Option<NeedCursor>), Error> {
        let (part, next) = self.needs_part(from).await?;
        let needs: BTreeSet<String> = part.into_iter().map(|(need, _)| need).collect();
        if needs.is_empty() {
            return Ok((0, next));
        }
        let paused = self.paused_kinds().await?;
        // Those that somebody began with go on by themselves.
        let begun: BTreeSet<String> =
            self.releases().await?.into_iter().map(|release| release.need).collect();
        let mut all = 0;
        let is_met = |need: &str| match kinds {
            Some(kinds) => kinds.meets(need, &paused),
            None => is_resumed(need, &paused),
        };
        for need in needs.iter().filter(|need| is_met(need) && !begun.contains(*need)) {
            all += self.begin_release(need).await?.released;
        }
        Ok((all, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_meets_what_it_has() {
        let kinds = Kinds { known: [("mail".into(), 2), ("a@b".into(), 1)].into(), build: "v1".into() };
        assert_eq!(kinds.stored(), ["1|a@b", "2|mail"]);
        assert!(!kinds.meets("kind mail@2", &[]), "a claim leases those");
        assert!(!kinds.meets(&kinds.need_of_args("mail", 2, None), &[]), "not by the build that could not");
        let newer = Kinds { build: "v2".into(), ..kinds.clone() };
        assert!(newer.meets(&kinds.need_of_args("mail", 2, None), &[]));
        let both = newer.need_of_args("mail", 2, Some(&kinds.need_of_args("mail", 2, None)));
        assert!(!newer.meets(&both, &[]) && !kinds.meets(&both, &[]), "{both}");
        assert_eq!(newer.need_of_args("mail", 2, Some(&both)), both, "named once");
        assert_eq!(kinds.need_of_args("mail", 2, Some("kind mail@2")), kinds.need_of_args("mail", 2, None));
        assert!(kinds.meets("resume mail", &[]));
        assert!(!kinds.meets("resume mail", &["mail".into()]));
        assert!(!kinds.meets("wait confirmation 17", &[]));
    }
}
