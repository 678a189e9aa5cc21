//! Dead jobs, grouped by cause.

use std::collections::HashMap;

use crate::{
    client::handle::Client,
    error::Error,
    job::{flow::decode, id::JobId},
    policy::failure::FailureClass,
};

/// What dead jobs with one cause share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Follows from class, kind and normalised message, and is stable.
    pub fingerprint: String,
    /// The class of the last failure.
    pub class: FailureClass,
    /// The kind of the jobs.
    pub kind: String,
    /// The message without the parts that differ from job to job.
    pub message: String,
    /// The exact message of the last job.
    pub last_message: String,
    /// When the first job died, UTC ms.
    pub first_seen: i64,
    /// When the last job died, UTC ms.
    pub last_seen: i64,
    /// Deaths since the group exists. A job that was retried and died again counts twice.
    pub count: u64,
    /// Jobs that are dead now.
    pub dead: u64,
    /// The last job that died of this cause.
    pub sample: JobId,
}

impl Client {
    /// Groups of dead jobs, the last seen first.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn dead_groups(&self, skip: usize, limit: usize) -> Result<Vec<Group>, Error> {
        self.check_layout().await?;
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
}
