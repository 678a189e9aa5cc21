//! A job as it is read for an answer: the hash, and when it runs again.

use upshot_queue::{Client, Error, Job, JobId, State};

/// A job and what stands about it outside of its hash.
#[derive(Clone, Debug)]
pub struct Known {
    /// The job.
    pub job: Job,
    /// When it becomes ready, UTC ms; for a scheduled job.
    pub due: Option<i64>,
}

impl Known {
    /// Reads the jobs of these ids that exist, in order: two round trips at
    /// most, whatever their number.
    ///
    /// # Errors
    /// When Redis failed or a job is damaged.
    pub async fn read(queue: &Client, ids: &[JobId]) -> Result<Vec<Self>, Error> {
        let jobs = queue.jobs(ids).await?;
        Self::complete(queue, jobs).await
    }

    /// Adds to jobs what stands outside of their hashes. A job that moved on
    /// meanwhile has no due time any more.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn complete(queue: &Client, jobs: Vec<Job>) -> Result<Vec<Self>, Error> {
        let scheduled = |job: &&Job| job.state == State::Scheduled;
        let ids: Vec<JobId> = jobs.iter().filter(scheduled).map(|job| job.id.clone()).collect();
        let mut times = queue.due_times(&ids).await?.into_iter();
        let due = |job: Job| {
            let due = if scheduled(&&job) { times.next().flatten() } else { None };
            Self { job, due }
        };
        Ok(jobs.into_iter().map(due).collect())
    }
}
