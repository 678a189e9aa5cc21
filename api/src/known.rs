//! Reads a job for an answer: its hash, and when it runs again.

use upshot_queue::{Client, Error, Job, JobId, State};

/// A job, with what Redis keeps about it outside its hash.
#[derive(Clone, Debug)]
pub struct Known {
    /// The job.
    pub job: Job,
    /// When it becomes ready, UTC ms; for a scheduled job.
    pub due: Option<i64>,
}

impl Known {
    /// Reads the jobs of these ids that exist, in order. Two round trips at most, for any number of
    /// ids.
    ///
    /// # Errors
    /// When Redis failed or a job is damaged.
    pub async fn read(queue: &Client, ids: &[JobId]) -> Result<Vec<Self>, Error> {
        let jobs = queue.jobs(ids).await?;
        Self::complete(queue, jobs).await
    }

    /// Adds to jobs what Redis keeps outside their hashes. A job that left its state since then has
    /// no due time.
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
