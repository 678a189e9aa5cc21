//! Groups of failures as the model knows them: who is in one follows from its jobs.

use std::collections::BTreeMap;

use upshot_queue::{Client, JobId, State};

use crate::{
    job::{Cause, ModelJob},
    model::Model,
};

/// What is known of a group beside its jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelGroup {
    pub count: u64,
    pub first: u64,
    pub last: u64,
    pub again: Option<u64>,
    pub hours: BTreeMap<u64, u64>,
    pub tenants: BTreeMap<Option<String>, u64>,
    /// How many jobs the operator retried, and how many of these succeeded, died so again, died of
    /// another cause, and were cancelled.
    pub done: [u64; 5],
    /// Jobs that are dead, and jobs that run again.
    pub now: (u64, u64),
}

pub type Groups = BTreeMap<Cause, ModelGroup>;

const HOUR_MS: u64 = 3_600_000;

impl Model {
    fn has_members(&self, cause: &Cause) -> bool {
        self.jobs.values().any(|job| job.cause.as_ref() == Some(cause))
    }

    /// A job failed: it dies, or runs again.
    pub(crate) fn fail_of(&mut self, id: &JobId, class: &'static str, normal: &str) -> Cause {
        let now = self.now();
        let job = &self.jobs[id];
        let cause = (class, job.new.kind.clone(), normal.to_owned());
        let (tenant, was) = (job.new.tenant.clone(), job.cause.clone());
        let comes_back = was.as_ref() != Some(&cause) && !self.has_members(&cause);
        self.jobs.get_mut(id).unwrap().cause = Some(cause.clone());
        let group = self
            .groups
            .entry(cause.clone())
            .or_insert_with(|| ModelGroup { first: now, ..Default::default() });
        if comes_back && group.count > 0 {
            group.again = Some(now);
        }
        (group.count, group.last) = (group.count + 1, now);
        *group.hours.entry(now / HOUR_MS).or_default() += 1;
        *group.tenants.entry(tenant).or_default() += 1;
        cause
    }

    /// An operator retries a dead job.
    pub(crate) fn act_on(&mut self, id: &JobId) {
        let job = self.jobs.get_mut(id).unwrap();
        let Some(cause) = job.cause.clone() else { return };
        job.act = Some(cause.clone());
        self.groups.get_mut(&cause).unwrap().done[0] += 1;
    }

    /// A job ends.
    pub(crate) fn end_act(&mut self, id: &JobId, state: State) {
        let job = self.jobs.get_mut(id).unwrap();
        let Some(act) = job.act.take() else { return };
        let became = match state {
            State::Succeeded => 1,
            State::Dead if job.cause.as_ref() == Some(&act) => 2,
            State::Dead => 3,
            _ => 4,
        };
        self.groups.get_mut(&act).unwrap().done[became] += 1;
    }

    fn now_in(&self, cause: &Cause) -> (u64, u64) {
        let of = |is_dead: bool| {
            let fits =
                |job: &&ModelJob| job.cause.as_ref() == Some(cause) && (job.state == State::Dead) == is_dead;
            self.jobs.values().filter(fits).count() as u64
        };
        (of(true), of(false))
    }

    /// All groups, with those that have no jobs.
    pub(crate) fn groups_now(&self) -> BTreeMap<(String, String, String), ModelGroup> {
        let of = |(cause, group): (&Cause, &ModelGroup)| {
            let (class, kind, normal) = cause.clone();
            ((class.to_owned(), kind, normal), ModelGroup { now: self.now_in(cause), ..group.clone() })
        };
        self.groups.iter().map(of).collect()
    }
}

/// The groups in Redis, and whether each is listed where it belongs.
pub async fn stored(queue: &Client) -> Result<BTreeMap<(String, String, String), ModelGroup>, String> {
    let said = |error: upshot_queue::Error| error.to_string();
    let mut all = BTreeMap::new();
    for past in [false, true] {
        let filter = upshot_queue::GroupFilter { past, ..Default::default() };
        for group in queue.dead_groups(&filter, 1000).await.map_err(said)? {
            if past != (group.dead + group.retrying == 0) || past == group.sample.is_some() {
                return Err(format!("past: {past}, and it is {group:?}"));
            }
            let Some((again, history)) = queue.dead_group(&group.fingerprint).await.map_err(said)? else {
                return Err(format!("{group:?} is listed and not there"));
            };
            if again != group || history.other_tenants > 0 || history.acts.len() > 1 {
                return Err(format!("{again:?} with {history:?} is listed as {group:?}"));
            }
            let act = history.acts.first();
            let ms = i64::unsigned_abs;
            let found = ModelGroup {
                count: group.count,
                first: ms(group.first_seen),
                last: ms(group.last_seen),
                again: group.again_since.map(ms),
                hours: history.hours.iter().map(|(at, n)| (ms(*at) / HOUR_MS, *n)).collect(),
                tenants: history.tenants.into_iter().collect(),
                done: act
                    .map_or([0; 5], |act| [act.retried, act.succeeded, act.again, act.other, act.cancelled]),
                now: (group.dead, group.retrying),
            };
            all.insert((group.class.to_string(), group.kind, group.message), found);
        }
    }
    Ok(all)
}
