//! Dead jobs, grouped by cause.

use std::{collections::HashMap, time::Duration};

use crate::{
    admin::Changed,
    failure::FailureClass,
    flow::decode,
    id::JobId,
    list::Filter,
    queue::{Error, Queue},
    state::State,
};

/// What dead jobs of one cause have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Follows from class, kind and normalised message, and is stable.
    pub fingerprint: String,
    /// The class of the last failure.
    pub class: FailureClass,
    /// The kind of the jobs.
    pub kind: String,
    /// The message without what differs from job to job.
    pub message: String,
    /// The message of the last one as it was.
    pub last_message: String,
    /// When one was first seen, UTC ms.
    pub first_seen: i64,
    /// When one was last seen, UTC ms.
    pub last_seen: i64,
    /// Deaths since the group came up; a job that was retried and died again counts twice.
    pub count: u64,
    /// Jobs that are dead now.
    pub dead: u64,
    /// The last job that died of it.
    pub sample: JobId,
}

impl Queue {
    /// Groups of dead jobs, the last seen first.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn dead_groups(&self, skip: usize, limit: usize) -> Result<Vec<Group>, Error> {
        let mut cmd = redis::cmd("ZRANGE");
        cmd.arg(self.keys.groups()).arg(skip).arg(skip + limit.max(1) - 1).arg("REV");
        let fingerprints: Vec<String> = cmd.query_async(&mut self.conn.clone()).await?;
        if fingerprints.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for fingerprint in &fingerprints {
            pipe.cmd("HGETALL").arg(self.keys.group(fingerprint));
        }
        let mut counts = redis::pipe();
        for fingerprint in &fingerprints {
            counts.cmd("ZCARD").arg(self.keys.members(fingerprint));
        }
        let groups: Vec<HashMap<String, String>> = pipe.query_async(&mut self.conn.clone()).await?;
        let dead: Vec<u64> = counts.query_async(&mut self.conn.clone()).await?;
        let read = |((fingerprint, fields), dead): ((String, HashMap<String, String>), u64)| {
            let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
            let class = text("class");
            Some(Group {
                class: FailureClass::ALL.into_iter().find(|known| known.as_str() == class)?,
                kind: decode(&text("kind")),
                message: text("normal"),
                last_message: text("said"),
                first_seen: text("first").parse().ok()?,
                last_seen: text("last").parse().ok()?,
                count: text("count").parse().ok()?,
                dead,
                sample: JobId::trusted(text("sample")),
                fingerprint,
            })
        };
        Ok(fingerprints.into_iter().zip(groups).zip(dead).filter_map(read).collect())
    }

    /// Ids of dead jobs of one group, the longest dead first.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn dead_of_group(&self, fingerprint: &str, limit: usize) -> Result<Vec<JobId>, Error> {
        let mut cmd = redis::cmd("ZRANGE");
        cmd.arg(self.keys.members(fingerprint)).arg(0).arg(limit.max(1) - 1);
        let ids: Vec<String> = cmd.query_async(&mut self.conn.clone()).await?;
        Ok(ids.into_iter().map(JobId::trusted).collect())
    }

    /// Retries up to `most` dead jobs that the filter admits, one each `pace`;
    /// returns how many. Jobs that are retried are no longer dead, so calling
    /// again goes on with the rest.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn retry_many(&self, filter: &DeadFilter, pace: Duration, most: usize) -> Result<u64, Error> {
        let ids = self.dead_ids(filter, most).await?;
        let done = self.retry_paced(&ids, pace).await?;
        Ok(done.iter().filter(|changed| matches!(changed, Changed::To(_))).count() as u64)
    }

    /// Forgets up to `most` dead jobs that the filter admits and that died at
    /// least `age` ago; returns how many.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn purge(&self, filter: &DeadFilter, age: Duration, most: usize) -> Result<u64, Error> {
        let ids = self.dead_ids(filter, most).await?;
        let done = self.forget(&ids, age).await?;
        Ok(done.iter().filter(|changed| **changed == Changed::Forgotten).count() as u64)
    }

    async fn dead_ids(&self, filter: &DeadFilter, most: usize) -> Result<Vec<JobId>, Error> {
        if let Some(fingerprint) = &filter.group {
            return self.dead_of_group(fingerprint, most).await;
        }
        let list = Filter {
            state: Some(State::Dead),
            kind: filter.kind.clone(),
            tenant: filter.tenant.clone(),
            ..Filter::default()
        };
        let (mut ids, mut cursor) = (Vec::new(), None);
        while ids.len() < most {
            let page = self.list(&list, cursor, (most - ids.len()).min(256)).await?;
            ids.extend(page.jobs.into_iter().map(|job| job.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(ids)
    }
}

/// Which dead jobs; all when nothing is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadFilter {
    /// Of this group.
    pub group: Option<String>,
    /// Of this kind; not looked at beside a group.
    pub kind: Option<String>,
    /// Of this tenant; not looked at beside a group.
    pub tenant: Option<String>,
}
