//! Groups of failures: jobs that are dead, and jobs that run again, by the cause of their last failure.

use std::collections::HashMap;

use crate::{
    client::handle::Client,
    error::Error,
    job::{flow::decode, id::JobId},
    policy::failure::FailureClass,
    scripts::GROUP_HOURS_KEPT,
};

/// What jobs whose last failure had one cause share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Follows from class, kind and normalised message, and is stable.
    pub fingerprint: String,
    /// The class of the failure.
    pub class: FailureClass,
    /// The kind of the jobs.
    pub kind: String,
    /// The message without the parts that differ from job to job.
    pub message: String,
    /// The exact message of the last failure, or the one above when its job has left the group; `None`
    /// when the group has no jobs.
    pub last_message: Option<String>,
    /// When the first failure was, UTC ms.
    pub first_seen: i64,
    /// When the last failure was, UTC ms.
    pub last_seen: i64,
    /// Since when the group has jobs again, after it had none, UTC ms; `None` where it always had
    /// some.
    pub again_since: Option<i64>,
    /// Failures since the group exists: each attempt that failed so counts.
    pub count: u64,
    /// Jobs that are dead now.
    pub dead: u64,
    /// Jobs that failed so and run again now: they wait, run, or are parked.
    pub retrying: u64,
    /// The last job that failed so and has not left the group; `None` when the group has no jobs.
    pub sample: Option<JobId>,
}

/// Failures by the hour in which they were: its beginning, UTC ms, and how many. Of the 7 days before the
/// last one, in order; an hour without failures is left out.
pub type Hours = Vec<(i64, u64)>;

/// What a group was, beside what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupHistory {
    /// Failures by hour.
    pub hours: Hours,
    /// Failures by tenant (`None` for jobs without one), the busiest first. A tenant that was displaced
    /// meanwhile has at least so many.
    pub tenants: Vec<(Option<String>, u64)>,
    /// Failures of other tenants.
    pub other_tenants: u64,
    /// How many tenants there are; at least so many where others were displaced.
    pub tenants_seen: u64,
    /// What operators did, the newest first.
    pub acts: Vec<GroupAct>,
}

/// What an operator did about the jobs of a group, and what became of these jobs. What is left of
/// `retried` has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupAct {
    /// Names the act, also in other groups.
    pub act: String,
    /// When it began, UTC ms.
    pub at: i64,
    /// By whom, as the caller said.
    pub by: Option<String>,
    /// Dead jobs that it made run again.
    pub retried: u64,
    /// Those of them that succeeded.
    pub succeeded: u64,
    /// Those that died of the same cause again.
    pub again: u64,
    /// Those that died of another cause.
    pub other: u64,
    /// Those that were cancelled.
    pub cancelled: u64,
}

impl GroupAct {
    /// Retried jobs that have not ended.
    pub fn not_ended(&self) -> u64 {
        self.retried.saturating_sub(self.succeeded + self.again + self.other + self.cancelled)
    }

    fn read(act: &str, told: &str) -> Option<Self> {
        let (numbers, by) = told.split_once('|')?;
        let mut numbers = numbers.split(' ').map(|number| number.parse::<u64>().ok());
        let mut number = || numbers.next().flatten();
        Some(Self {
            act: act.to_owned(),
            at: i64::try_from(number()?).ok()?,
            by: (!by.is_empty()).then(|| by.to_owned()),
            retried: number()?,
            succeeded: number()?,
            again: number()?,
            other: number()?,
            cancelled: number()?,
        })
    }
}

/// Which groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// Those without jobs instead of those with some.
    pub past: bool,
    /// Of this kind.
    pub kind: Option<String>,
    /// Whose last failure was at this time or later, UTC ms.
    pub since: Option<i64>,
    /// Whose first failure was before this time, UTC ms.
    pub until: Option<i64>,
}

impl GroupFilter {
    fn admits(&self, group: &Group) -> bool {
        self.kind.as_ref().is_none_or(|kind| *kind == group.kind)
            && self.since.is_none_or(|since| group.last_seen >= since)
            && self.until.is_none_or(|until| group.first_seen < until)
    }
}

/// Groups that are read together.
const PART: usize = 200;
/// Tenants that a history names.
const TENANTS: usize = 20;

impl Client {
    /// Up to `most` groups that the filter admits: those with jobs, the last failure first; or those
    /// without, the last that lost its jobs first. At most 10,000 groups are kept, so a filter that
    /// admits few looks at no more.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn dead_groups(&self, filter: &GroupFilter, most: usize) -> Result<Vec<Group>, Error> {
        self.check_layout().await?;
        let index = if filter.past { self.keys.past_groups() } else { self.keys.groups() };
        let (mut groups, mut skip) = (Vec::new(), 0);
        while groups.len() < most {
            let mut cmd = redis::cmd("ZRANGE");
            cmd.arg(&index).arg("+inf");
            // A past group stays in order of when its last job left, which is after its last failure.
            cmd.arg(filter.since.unwrap_or(0)).arg("BYSCORE").arg("REV").arg("LIMIT").arg(skip).arg(PART);
            let fingerprints: Vec<String> = cmd.query_async(&mut self.conn.clone()).await?;
            let found = self.groups(&fingerprints).await?;
            groups.extend(found.into_iter().flatten().filter(|group| filter.admits(group)));
            skip += fingerprints.len();
            if fingerprints.len() < PART {
                break;
            }
        }
        groups.truncate(most);
        Ok(groups)
    }

    /// A group, with or without jobs, and its history; `None` when it is not known (any more).
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn dead_group(&self, fingerprint: &str) -> Result<Option<(Group, GroupHistory)>, Error> {
        self.check_layout().await?;
        let Some(group) = self.groups(&[fingerprint.to_owned()]).await?.pop().flatten() else {
            return Ok(None);
        };
        let (keys, busiest) = (&self.keys, TENANTS - 1);
        let mut pipe = redis::pipe();
        pipe.cmd("ZRANGE").arg(keys.group_tenants(fingerprint)).arg(0).arg(-1).arg("REV").arg("WITHSCORES");
        pipe.cmd("HGET").arg(keys.group(fingerprint)).arg("other");
        pipe.cmd("HGETALL").arg(keys.group_acts(fingerprint));
        type Answers = (Vec<(String, u64)>, Option<u64>, HashMap<String, String>);
        let (tenants, displaced, acts): Answers = pipe.query_async(&mut self.conn.clone()).await?;
        let tenants_seen = tenants.len() as u64;
        let rest: u64 = tenants.iter().skip(busiest + 1).map(|(_, n)| n).sum();
        let name = |tenant: &str| Some(decode(tenant)).filter(|tenant| !tenant.is_empty());
        let mut history = GroupHistory {
            hours: self.failures_by_hour(&[fingerprint]).await?.pop().unwrap_or_default(),
            tenants: tenants.iter().take(TENANTS).map(|(tenant, n)| (name(tenant), *n)).collect(),
            other_tenants: rest + displaced.unwrap_or_default(),
            tenants_seen,
            acts: acts.iter().filter_map(|(act, told)| GroupAct::read(act, told)).collect(),
        };
        history.acts.sort_by(|one, other| (other.at, &other.act).cmp(&(one.at, &one.act)));
        Ok(Some((group, history)))
    }

    /// The failures of groups by hour, in the order of the groups.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn failures_by_hour(&self, fingerprints: &[&str]) -> Result<Vec<Hours>, Error> {
        if fingerprints.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for fingerprint in fingerprints {
            pipe.cmd("HGETALL").arg(self.keys.group_hours(fingerprint));
        }
        let found: Vec<HashMap<i64, u64>> = pipe.query_async(&mut self.conn.clone()).await?;
        Ok(found.into_iter().map(hours_of).collect())
    }

    async fn groups(&self, fingerprints: &[String]) -> Result<Vec<Option<Group>>, Error> {
        if fingerprints.is_empty() {
            return Ok(Vec::new());
        }
        let (mut pipe, mut counts) = (redis::pipe(), redis::pipe());
        for fingerprint in fingerprints {
            pipe.cmd("HGETALL").arg(self.keys.group(fingerprint));
            counts.cmd("ZCARD").arg(self.keys.members(fingerprint));
            counts.cmd("ZCARD").arg(self.keys.retrying(fingerprint));
        }
        let groups: Vec<HashMap<String, String>> = pipe.query_async(&mut self.conn.clone()).await?;
        let counts: Vec<u64> = counts.query_async(&mut self.conn.clone()).await?;
        let all = fingerprints.iter().zip(groups).zip(counts.chunks(2));
        Ok(all.map(|((fingerprint, fields), counts)| read(fingerprint, &fields, counts)).collect())
    }
}

const HOUR_MS: i64 = 3_600_000;

/// What is older than 7 days before the newest goes when the next failure is counted.
fn hours_of(found: HashMap<i64, u64>) -> Hours {
    let newest = found.keys().max().copied().unwrap_or_default();
    let kept = found.into_iter().filter(|(hour, _)| *hour > newest - GROUP_HOURS_KEPT as i64);
    let mut hours: Hours = kept.map(|(hour, n)| (hour * HOUR_MS, n)).collect();
    hours.sort_unstable();
    hours
}

fn read(fingerprint: &str, fields: &HashMap<String, String>, counts: &[u64]) -> Option<Group> {
    let text = |name: &str| fields.get(name).cloned();
    let class = text("class")?;
    Some(Group {
        fingerprint: fingerprint.to_owned(),
        class: FailureClass::ALL.into_iter().find(|known| known.as_str() == class)?,
        kind: decode(&text("kind")?),
        message: text("normal").unwrap_or_default(),
        last_message: text("said"),
        first_seen: text("first")?.parse().ok()?,
        last_seen: text("last")?.parse().ok()?,
        again_since: text("again").and_then(|at| at.parse().ok()),
        count: text("count")?.parse().ok()?,
        dead: counts.first().copied().unwrap_or_default(),
        retrying: counts.get(1).copied().unwrap_or_default(),
        sample: text("sample").map(JobId::trusted),
    })
}
