//! Lets parked jobs continue whose need a worker meets.

use std::collections::BTreeSet;

use super::Worker;
use crate::{
    client::parking::NeedCursor,
    error::Error,
    policy::kinds::{Kinds, is_resumed},
};

impl Worker {
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
        let (part, next) = self.client.needs_part(from).await?;
        let needs: BTreeSet<String> = part.into_iter().map(|(need, _)| need).collect();
        if needs.is_empty() {
            return Ok((0, next));
        }
        let paused = self.client.paused_kinds().await?;
        // Those that somebody began with go on by themselves.
        let begun: BTreeSet<String> =
            self.client.releases().await?.into_iter().map(|release| release.need).collect();
        let mut all = 0;
        let is_met = |need: &str| match kinds {
            Some(kinds) => kinds.meets(need, &paused),
            None => is_resumed(need, &paused),
        };
        for need in needs.iter().filter(|need| is_met(need) && !begun.contains(*need)) {
            all += self.client.release_part(need, "begin").await?.released;
        }
        Ok((all, next))
    }
}
