//! Releases parked jobs whose condition a worker fulfils.

use std::collections::BTreeSet;

use super::Worker;
use crate::{
    client::parking::ConditionCursor,
    error::Error,
    policy::kinds::{Kinds, is_resumed},
};

impl Worker {
    /// Begins to release all jobs whose condition this worker fulfils; returns how many are ready
    /// so far. `None` is a worker that runs every kind. It ignores jobs that handlers parked, and
    /// jobs that are parked for a kind.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn unpark_for(&self, kinds: Option<&Kinds>) -> Result<u64, Error> {
        let mut all = 0;
        let mut from = Some(ConditionCursor::default());
        while let Some(cursor) = from {
            let released;
            (released, from) = self.unpark_part_for(kinds, cursor).await?;
            all += released;
        }
        Ok(all)
    }

    /// The same for a part of all conditions; also returns where to continue, if there are more.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn unpark_part_for(
        &self,
        kinds: Option<&Kinds>,
        from: ConditionCursor,
    ) -> Result<(u64, Option<ConditionCursor>), Error> {
        let (part, next) = self.client.conditions_part(from).await?;
        let conditions: BTreeSet<String> = part.into_iter().map(|(condition, _)| condition).collect();
        if conditions.is_empty() {
            return Ok((0, next));
        }
        let paused = self.client.paused_kinds().await?;
        // Releases in progress continue by themselves.
        let begun: BTreeSet<String> =
            self.client.releases().await?.into_iter().map(|release| release.condition).collect();
        let mut all = 0;
        let is_met = |condition: &str| match kinds {
            Some(kinds) => kinds.meets(condition, &paused),
            None => is_resumed(condition, &paused),
        };
        for condition in
            conditions.iter().filter(|condition| is_met(condition) && !begun.contains(*condition))
        {
            all += self.client.release_part(condition, "begin").await?.released;
        }
        Ok((all, next))
    }
}
