//! What is due: promotions, take-overs and expiries, which each claim sees to first.

use std::collections::BTreeMap;

use upshot_queue::{JobId, State};

use crate::{
    model::{CRASHED, EXPIRED, Model, PATIENCE_US},
    operation::{CRASHES, LARGE},
};

impl Model {
    /// What every claim does before it leases anything: promotes what is due,
    /// takes over what lost its worker, ends what is too late. Returns how many
    /// were taken over, and how many of these are dead. Those that survive it
    /// wait for so many ms.
    pub fn sweep(&mut self, wait: u64) -> (u64, u64) {
        let now = self.now();
        let mut due = self.ids(|job| job.state == State::Scheduled && job.due <= now);
        due.sort_by_key(|id| (self.jobs[id].due, id.clone()));
        for (i, id) in due.iter().enumerate() {
            self.make_ready(id, i as u64 + 1);
            // One that ran before has its turn by when it was enqueued.
            let job = self.jobs.get_mut(id).unwrap();
            if job.token > 0 && job.deadline.is_none() {
                job.place = (job.enqueued_at * 1000 + PATIENCE_US, 0);
            }
            self.count("promoted");
            // Those behind it are left to the next call.
            if self.jobs[id].args.len() >= LARGE {
                break;
            }
        }
        let (mut reclaimed, mut buried) = (0, 0);
        for id in self.lost_now() {
            reclaimed += 1;
            self.count("crashed");
            let job = self.jobs.get_mut(&id).unwrap();
            job.lines.0 += 1;
            let crashes = job.failures.entry("crashed").or_default();
            *crashes += 1;
            if job.cancel.is_some() {
                self.enter(&id, State::Cancelled);
                self.count("cancelled");
            } else if *crashes > CRASHES {
                self.bury(&id, "crashed", CRASHED);
                self.count("dead");
                buried += 1;
            } else if wait > 0 {
                self.fail_of(&id, "crashed", CRASHED);
                self.enter(&id, State::Scheduled).due = now + wait;
            } else {
                self.fail_of(&id, "crashed", CRASHED);
                self.enter(&id, State::Ready).place = (0, 0);
            }
        }
        let mut waited = self.ids(|job| job.has_waited(now));
        waited.sort_by_key(|id| (self.jobs[id].watch, id.clone()));
        for id in waited {
            let (condition, _) = self.jobs[&id].condition.clone().unwrap();
            self.lapse(&id, &condition);
            if self.jobs[&id].args.len() >= LARGE {
                return (reclaimed, buried);
            }
        }
        let mut too_late = self.ids(|job| job.is_late(now));
        too_late.sort_by_key(|id| (self.jobs[id].deadline.map(|(by, _)| by), id.clone()));
        for id in too_late {
            let job = self.jobs.get_mut(&id).unwrap();
            job.lines.0 += 1;
            *job.failures.entry("expired").or_default() += 1;
            self.bury(&id, "expired", EXPIRED);
            self.count("expired");
            if self.jobs[&id].args.len() >= LARGE {
                break;
            }
        }
        (reclaimed, buried)
    }

    /// What one claim takes over: whole leases, those first that expired first, and none
    /// behind one that has a large job left.
    fn lost_now(&self) -> Vec<JobId> {
        let mut lost: BTreeMap<(u64, String), Vec<JobId>> = BTreeMap::new();
        for id in self.ids(|job| job.state == State::Running && job.until <= self.now()) {
            let job = &self.jobs[&id];
            lost.entry((job.until, job.claim.to_string())).or_default().push(id);
        }
        let is_large = |id: &JobId| self.jobs[id].args.len() >= LARGE;
        let last = lost.values().position(|lease| lease.iter().any(is_large)).unwrap_or(lost.len());
        lost.into_values().take(last + 1).flatten().collect()
    }
}
