//! The files that a job's outcome names as evidence.

use serde::Deserialize;
use serde_json::Value;
use upshot_queue::{Job, State};
use upshot_shared::{Evidence, Outcome};

/// The kind of evidence that is a file in the store.
const OBJECT: &str = "object";

/// A file in the store that an outcome names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// The last segment of its key: its name in addresses.
    pub name: String,
    /// Where it is, below the store's root.
    pub key: String,
    /// Its SHA-256, in lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// What it is.
    pub content_type: Option<String>,
}

impl StoredFile {
    /// The file that a piece of evidence names, if any.
    pub fn of(evidence: &Evidence) -> Option<Self> {
        let fact = |name: &str| evidence.facts.get(name).cloned();
        let key = fact("key").filter(|_| evidence.kind == OBJECT)?;
        let name = key.rsplit('/').next().filter(|name| !name.is_empty())?.to_owned();
        let sha256 = fact("sha256").map(|hash| hash.to_lowercase());
        Some(Self { name, key, sha256, content_type: fact("content_type") })
    }
}

/// What the job's handler returned, where it counts or awaits its proof.
pub fn returned(job: &Job) -> Option<&Value> {
    let counts = job.state == State::Succeeded || job.awaiting().is_some();
    job.outcome.as_ref().filter(|_| counts)
}

/// The same, if the value is an outcome.
pub fn outcome(job: &Job) -> Option<Outcome> {
    Outcome::deserialize(returned(job)?).ok()
}

/// The files that the job's outcome names.
pub fn files(job: &Job) -> Vec<StoredFile> {
    outcome(job)
        .map(|outcome| outcome.evidence().iter().filter_map(StoredFile::of).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_with_a_name_are_files() {
        let object =
            |key: &str| Evidence::new(OBJECT, [("key", key.to_owned()), ("sha256", "AB".to_owned())]);
        let file = StoredFile::of(&object("invoices/2026/1042.pdf")).unwrap();
        assert_eq!((file.name.as_str(), file.sha256.as_deref()), ("1042.pdf", Some("ab")));
        assert_eq!(StoredFile::of(&object("invoices/")), None);
        assert_eq!(StoredFile::of(&Evidence::new("mail", [("key", "a/b".to_owned())])), None);
    }
}
