//! What a dry run counts: bounded, however many tenants and causes there are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Facts, Fate};

/// Tenants, causes and reasons that are counted one by one: the first that the walk meets.
const ROWS: usize = 200;

/// The jobs of one cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// How many.
    pub jobs: u64,
    /// The class of their last failure.
    pub class: String,
    /// Their kind.
    pub kind: String,
    /// The message that they share.
    pub message: String,
}

/// The counts of a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Jobs that would be changed.
    pub would: u64,
    /// The same by tenant; `""` for jobs without one.
    pub tenants: BTreeMap<String, u64>,
    /// Of further tenants.
    pub other_tenants: u64,
    /// The same by the group of dead jobs.
    pub causes: BTreeMap<String, Cause>,
    /// Of further groups, and jobs without a group.
    pub other_causes: u64,
    /// Jobs that would be refused, by reason.
    pub refused: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts a job.
    pub(crate) fn count(&mut self, fate: &Fate, facts: Option<&Facts>) {
        match fate {
            Fate::Pass => {}
            Fate::Refuse(reason) => *self.refused.entry(reason.clone()).or_default() += 1,
            Fate::Change => {
                self.would += 1;
                let tenant = facts.and_then(|facts| facts.job.tenant.as_deref()).unwrap_or_default();
                if self.tenants.len() < ROWS || self.tenants.contains_key(tenant) {
                    *self.tenants.entry(tenant.to_owned()).or_default() += 1;
                } else {
                    self.other_tenants += 1;
                }
                match facts.and_then(|facts| facts.group.as_deref()) {
                    Some(group) if self.causes.len() < ROWS || self.causes.contains_key(group) => {
                        self.causes.entry(group.to_owned()).or_default().jobs += 1;
                    }
                    _ => self.other_causes += 1,
                }
            }
        }
    }

    /// Groups whose message is not known yet.
    pub(crate) fn unnamed(&self) -> Vec<String> {
        self.causes
            .iter()
            .filter(|(_, cause)| cause.class.is_empty())
            .map(|(group, _)| group.clone())
            .collect()
    }

    /// Jobs that would be refused.
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::job::{Job, id::JobId};

    fn facts(tenant: u16, group: Option<u16>) -> Facts {
        let mut job = Job::empty(&JobId::random(), &"work".parse().unwrap());
        job.tenant = (tenant > 0).then(|| format!("t{tenant}"));
        let group = group.map(|group| format!("{group:016x}"));
        Facts { job, account: None, group, is_replaced: false }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_everything_is_bounded(
            jobs in prop::collection::vec((0u16..400, prop::option::of(0u16..400), 0u8..4), 0..900),
        ) {
            let mut tally = Tally::default();
            for (tenant, group, fate) in &jobs {
                let fate = match fate {
                    0 => Fate::Pass,
                    1 => Fate::Refuse("ready".to_owned()),
                    _ => Fate::Change,
                };
                tally.count(&fate, Some(&facts(*tenant, *group)));
            }
            let of = |fate: &dyn Fn(u8) -> bool| jobs.iter().filter(|(.., each)| fate(*each)).count() as u64;
            prop_assert_eq!(tally.would, of(&|fate| fate > 1));
            prop_assert_eq!(tally.refusals(), of(&|fate| fate == 1));
            prop_assert_eq!(tally.tenants.values().sum::<u64>() + tally.other_tenants, tally.would);
            let causes: u64 = tally.causes.values().map(|cause| cause.jobs).sum();
            prop_assert_eq!(causes + tally.other_causes, tally.would);
            prop_assert!(tally.tenants.len() <= ROWS && tally.causes.len() <= ROWS);
        }
    }
}
