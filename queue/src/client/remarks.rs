//! What operators remark about jobs: a note, an owner, and that an expectation is settled.

use crate::{
    client::{
        change::{Changed, Order},
        operator::Operator,
    },
    error::Error,
    job::{Remark, id::JobId},
};

impl Operator {
    /// Settles the expectation of a job that is late, missed or still open. The work is not stopped,
    /// and its end changes nothing about the verdict; only a retry reopens the expectation.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn waive(&self, id: &JobId, reason: &Remark) -> Result<Changed, Error> {
        self.remark(id, "waive", "waived", reason).await
    }

    /// Notes something about a job. The job shows the latest note; its history has all of them.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn note(&self, id: &JobId, note: &Remark) -> Result<Changed, Error> {
        self.remark(id, "note", "noted", note).await
    }

    /// Notes who takes charge of a job.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn own(&self, id: &JobId, owner: &Remark) -> Result<Changed, Error> {
        self.remark(id, "own", "owned", owner).await
    }

    async fn remark(
        &self,
        id: &JobId,
        verb: &'static str,
        did: &'static str,
        remark: &Remark,
    ) -> Result<Changed, Error> {
        let (note, by) = (Some(remark.text.clone()), Some(remark.by.clone()));
        self.change_one(Order { first: remark.stored(), note, by, ..Order::new(id, verb, did) }).await
    }
}
