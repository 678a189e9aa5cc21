//! Files that a job needs until it has filed them.
//!
//! A step's result is small. So a step puts a large file into the store under the job's own key,
//! and a later step moves it to its final key. The sweep removes the draft of a job that died in
//! between ([`super::sweep`]).

use object_store::path::Path;
use upshot_queue::{Job, JobId, QueueName};

/// The folder of all drafts.
const FOLDER: &str = "drafts";

/// The drafts of one installation.
///
/// Their keys name the prefix of the Redis keys and the job's queue, so that a sweeper recognises
/// the drafts of its own installation.
#[derive(Clone, Debug)]
pub struct Drafts {
    prefix: String,
}

impl Drafts {
    /// The drafts of the installation whose Redis keys start with `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The key of a job's draft.
    pub fn key(&self, job: &Job, extension: &str) -> String {
        format!("{}/{}/{}.{extension}", self.folder(), job.queue, job.id)
    }

    pub(super) fn folder(&self) -> String {
        format!("{FOLDER}/{}", self.prefix)
    }

    /// The job that owns a draft in `folder`; `None` for other files.
    pub(super) fn job_of(folder: &Path, file: &Path) -> Option<(QueueName, JobId)> {
        let mut parts = file.prefix_match(folder)?;
        let (queue, name) = (parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let (id, _) = name.as_ref().split_once('.')?;
        Some((queue.as_ref().parse().ok()?, id.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_names_its_job_and_other_files_do_not() {
        let folder = Path::from("base/drafts/upshot");
        let id = JobId::random();
        let of = |key: String| Drafts::job_of(&folder, &Path::parse(key).unwrap());
        let (queue, found) = of(format!("base/drafts/upshot/invoices/{id}.pdf")).unwrap();
        assert_eq!((queue.as_str(), found), ("invoices", id.clone()));
        for other in [
            format!("base/drafts/other/invoices/{id}.pdf"),
            format!("base/drafts/upshot/{id}.pdf"),
            format!("base/drafts/upshot/invoices/{id}"),
            format!("base/drafts/upshot/invoices/more/{id}.pdf"),
            "base/drafts/upshot/invoices/notes.pdf".to_owned(),
            format!("base/invoices/{id}/INV-1.pdf"),
        ] {
            assert_eq!(of(other.clone()), None, "{other}");
        }
    }
}
