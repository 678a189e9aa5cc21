//! Idempotency keys: finds the job that stands for a duplicate, and the job that an enqueue would
//! find.

use crate::{
    client::handle::Client,
    error::Error,
    job::{Job, NewJob, id::JobId, state::State},
};

/// The longest chain of successors that the search follows.
const SUCCESSIONS: usize = 64;

impl Client {
    /// The jobs that stand for these duplicates under an idempotency key, in order: the job that
    /// each repeats, or the successor of that job. `None` for a job that is not a duplicate or has
    /// no note.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn originals(&self, ids: &[JobId]) -> Result<Vec<Option<JobId>>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.check_layout().await?;
        let mut cmd = redis::cmd("MGET");
        for id in ids {
            cmd.arg(self.keys.duplicate(id));
        }
        let noted: Vec<Option<String>> = cmd.query_async(&mut self.conn.clone()).await?;
        let mut originals: Vec<Option<JobId>> = noted.into_iter().map(|id| id.map(JobId::trusted)).collect();
        for _ in 0..SUCCESSIONS {
            if !self.follow_successors(&mut originals).await? {
                break;
            }
        }
        Ok(originals)
    }

    /// Replaces jobs by their successors, except for forgotten successors. Returns whether there
    /// was one.
    async fn follow_successors(&self, originals: &mut [Option<JobId>]) -> Result<bool, Error> {
        if originals.iter().all(Option::is_none) {
            return Ok(false);
        }
        let mut pipe = redis::pipe();
        for id in originals.iter().flatten() {
            pipe.cmd("HGET").arg(self.keys.job(id)).arg("successor");
        }
        let named: Vec<Option<String>> = pipe.query_async(&mut self.conn.clone()).await?;
        let mut successions: Vec<(&mut JobId, JobId)> = originals
            .iter_mut()
            .flatten()
            .zip(named)
            .filter_map(|(original, named)| Some((original, JobId::trusted(named?))))
            .collect();
        if successions.is_empty() {
            return Ok(false);
        }
        let mut pipe = redis::pipe();
        for (_, successor) in &successions {
            pipe.cmd("EXISTS").arg(self.keys.job(successor));
        }
        let exist: Vec<bool> = pipe.query_async(&mut self.conn.clone()).await?;
        for ((original, successor), exists) in successions.iter_mut().zip(&exist) {
            if *exists {
                **original = successor.clone();
            }
        }
        Ok(exist.contains(&true))
    }

    /// The job that an enqueue of this one would find; `None` if it would be inserted.
    ///
    /// # Errors
    /// When Redis failed or the job is damaged.
    pub async fn would_find(&self, job: &NewJob) -> Result<Option<Job>, Error> {
        let own = self.job(&job.id).await?;
        let gives_way = |found: &Job| found.state == State::Dead && job.replaces_dead;
        let Some(key) = job.unique_key() else { return Ok(own.filter(|own| !gives_way(own))) };
        if own.as_ref().is_some_and(|own| !gives_way(own)) {
            return Ok(own);
        }
        let replaces = job.replaces_dead || job.unique.as_ref().is_some_and(|unique| unique.replaces_dead);
        let mut cmd = redis::cmd("MGET");
        cmd.arg(self.keys.duplicate(&job.id)).arg(self.keys.unique(&key));
        let holders: Vec<Option<String>> = cmd.query_async(&mut self.conn.clone()).await?;
        let holders: Vec<JobId> = holders.into_iter().flatten().map(JobId::trusted).collect();
        let found = self.jobs(&holders).await?;
        let stands = |found: &Job| found.id != job.id && !(replaces && found.state == State::Dead);
        Ok(found.into_iter().find(stands))
    }
}
