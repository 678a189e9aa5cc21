//! Erases what a queue keeps about a subject.

use crate::{
    client::operator::Operator,
    error::Error,
    job::id::JobId,
    scripts::{self, Call},
};

/// What was erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Jobs that had ended.
    pub jobs: u64,
    /// Rows about the verdicts of forgotten jobs.
    pub rows: u64,
    /// Signals that had answered these jobs.
    pub signals: u64,
    /// Jobs that have not ended, which stay: cancel them first.
    pub kept: Vec<JobId>,
}

/// Ids of one call.
const IDS: usize = 16;

impl Operator {
    /// Erases the jobs of a subject that have ended, the signals that answered them, and the rows about
    /// forgotten jobs. Counts stay. A repeated call erases what is left.
    ///
    /// # Errors
    /// When Redis failed; a part may be erased.
    pub async fn erase(&self, subject: &str) -> Result<Erased, Error> {
        let mut erased = Erased::default();
        let (client, mut after) = (&self.client, format!("[{subject}\0"));
        client.check_layout().await?;
        loop {
            let mut cmd = redis::cmd("ZRANGE");
            cmd.arg(client.keys().subjects()).arg(&after).arg(format!("({subject}\x01")).arg("BYLEX");
            cmd.arg("LIMIT").arg(0).arg(IDS);
            let found: Vec<String> = cmd.query_async(&mut client.conn.clone()).await?;
            let Some(last) = found.last() else { return Ok(erased) };
            let mut call = Call::new(&scripts::ERASE, client.keys());
            call.arg(subject);
            for (_, id) in found.iter().filter_map(|entry| entry.rsplit_once('\0')) {
                call.arg(id);
            }
            let (jobs, rows, signals, kept): (u64, u64, u64, Vec<String>) =
                call.run(&mut client.conn.clone()).await?;
            // A call that erased something may have stopped early.
            if jobs + rows == 0 {
                after = format!("({last}");
                erased.kept.extend(kept.into_iter().map(JobId::trusted));
            } else {
                erased.jobs += jobs;
                erased.rows += rows;
                erased.signals += signals;
            }
        }
    }
}
