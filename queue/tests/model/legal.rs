//! Whether what happened to jobs was legal: each transition that the outbox tells of has to
//! follow on where the job was, and [`State::may_become`] has to admit it.

use std::collections::BTreeMap;

use upshot_queue::{JobId, State, outbox::Transition};

use crate::handles::Queue;

/// Entries that are read at a time: more than one operation writes, nearly always.
const PAGE: usize = 32;

/// Where jobs are, as far as the outbox tells: one that was put back waits for its time or
/// has come to it.
#[derive(Default)]
pub struct Walk {
    states: BTreeMap<JobId, Vec<State>>,
    /// The last entry that was read.
    last: Option<String>,
}

impl Walk {
    /// Follows what the outbox tells since the last time.
    pub async fn follow(&mut self, queue: &Queue) -> Result<(), String> {
        let mut most = PAGE;
        let new = loop {
            let entries = queue.latest_transitions(most).await.map_err(|error| error.to_string())?;
            let known = entries.iter().position(|entry| Some(&entry.id) == self.last.as_ref());
            match known {
                Some(known) => break entries[..known].to_vec(),
                None if entries.len() < most => break entries,
                None => most *= 2,
            }
        };
        if let Some(newest) = new.first() {
            self.last = Some(newest.id.clone());
        }
        new.iter().rev().flat_map(|entry| &entry.transitions).try_for_each(|each| self.judge(each))
    }

    /// The jobs are where it led, and from now on just there.
    pub fn arrive<'a>(&mut self, jobs: impl Iterator<Item = (&'a JobId, State)>) -> Result<(), String> {
        let mut told = std::mem::take(&mut self.states);
        for (id, state) in jobs {
            match told.remove(id) {
                Some(states) if states.contains(&state) => {
                    self.states.insert(id.clone(), vec![state]);
                }
                states => return Err(format!("{id} is {state}, and by the outbox {states:?}")),
            }
        }
        if told.is_empty() {
            Ok(())
        } else {
            Err(format!("the outbox tells of {told:?}, which are forgotten"))
        }
    }

    fn judge(&mut self, Transition { id, what, .. }: &Transition) -> Result<(), String> {
        let before = self.states.remove(id);
        let illegal = || format!("{id} is {before:?}, and then {what}: that is not legal");
        let after = match (what.as_str(), &before) {
            ("enqueued", None) => vec![State::Ready, State::Scheduled],
            ("forgotten", Some(states)) if states.iter().all(|state| state.is_final()) => return Ok(()),
            // That is no transition to another state.
            ("prioritised" | "overdue", Some(states)) if states.iter().all(|state| !state.is_final()) => {
                states.clone()
            }
            ("waived", Some(states)) => states.clone(),
            (_, Some(states)) => {
                let (from, to) = leads(what).ok_or_else(|| format!("nobody knows `{what}`"))?;
                let steps = || states.iter().filter(|state| from.contains(state));
                let reached =
                    |next: &State| steps().next().is_some() && steps().all(|state| state.may_become(*next));
                to.iter().copied().filter(reached).collect()
            }
            _ => return Err(illegal()),
        };
        if after.is_empty() {
            return Err(illegal());
        }
        self.states.insert(id.clone(), after);
        Ok(())
    }
}

/// The states that a transition leads from and to.
fn leads(what: &str) -> Option<(&'static [State], &'static [State])> {
    use State::{Cancelled, Dead, Parked, Ready, Running, Scheduled, Succeeded};
    Some(match what {
        "promoted" => (&[Scheduled], &[Ready]),
        "unparked" | "signalled" | "lapsed" => (&[Parked], &[Ready]),
        "claimed" => (&[Ready, Parked], &[Running]),
        "succeeded" => (&[Running], &[Succeeded]),
        "retried" | "snoozed" => (&[Running], &[Scheduled]),
        "released" => (&[Running], &[Ready]),
        "partial" => (&[Running], &[Succeeded]),
        "confirmed" => (&[Parked, Dead], &[Succeeded]),
        "refuted" | "unconfirmed" => (&[Parked], &[Dead]),
        // One that does not survive it dies, or is cancelled, with the next step.
        "crashed" => (&[Running], &[Ready, Scheduled]),
        "dead" => (&[Running, Ready], &[Dead]),
        "expired" => (&[Ready, Scheduled, Parked], &[Dead]),
        "cancelled" => (&[Running, Ready, Scheduled, Parked], &[Cancelled]),
        "parked" => (&[Running, Ready], &[Parked]),
        "revived" => (&[Dead], &[Ready, Scheduled]),
        "repaired" => (&[Dead, Parked], &[Ready]),
        "rescheduled" => (&[Ready, Scheduled], &[Ready, Scheduled]),
        _ => return None,
    })
}
