//! What a client was told: a tag of each job and its revision.

use std::collections::{BTreeMap, HashSet};

use axum::http::{HeaderMap, HeaderName};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use upshot_queue::{Job, JobId};

use super::MOST;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Bytes of a tag: enough that no two of some hundred are the same by chance.
const BYTES: usize = 6;
/// Characters of a tag.
const TAG: usize = 8;

/// What a client was told. The id of an event has the tags of all jobs, so that one header says at a
/// reconnect which of them the client knows.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Before this stream.
    before: HashSet<String>,
    /// In this stream.
    now: BTreeMap<JobId, String>,
}

impl Told {
    /// What the header of a request says. A header of another form says nothing.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let last = headers.get(LAST_EVENT_ID).and_then(|last| last.to_str().ok()).unwrap_or_default();
        let tags = last.as_bytes().chunks(TAG).take(MOST);
        Self {
            before: tags.map(|tag| String::from_utf8_lossy(tag).into_owned()).collect(),
            now: BTreeMap::new(),
        }
    }

    /// Whether the client was told of this revision before the stream.
    pub(super) fn knows(&self, job: &Job) -> bool {
        self.before.contains(&tag(job))
    }

    /// Notes a revision. Returns the name of the event that tells it; `None` if the client knows it.
    pub(super) fn tell(&mut self, job: &Job) -> Option<&'static str> {
        let tag = tag(job);
        let is_known = self.before.contains(&tag);
        match self.now.insert(job.id.clone(), tag.clone()) {
            None => (!is_known).then_some("snapshot"),
            Some(last) => (last != tag).then_some("change"),
        }
    }

    /// Forgets a job that is gone.
    pub(super) fn forget(&mut self, id: &JobId) {
        self.now.remove(id);
    }

    /// The id of an event.
    pub(super) fn id(&self) -> String {
        self.now.values().map(String::as_str).collect()
    }
}

fn tag(job: &Job) -> String {
    let digest =
        Sha256::new().chain_update(job.id.as_str()).chain_update([0]).chain_update(&job.revision).finalize();
    BASE64URL_NOPAD.encode(digest.get(..BYTES).unwrap_or_default())
}
