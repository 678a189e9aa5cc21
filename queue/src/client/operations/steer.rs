//! Creates operations; starts, pauses, resumes and aborts them.

use std::time::Duration;

use crate::{
    client::{operations::Deed, operator::Operator},
    error::Error,
    policy::operation::{OperationId, Phase, Plan, Steer},
    redis::clock::{delay_ms, utc_ms},
    scripts::{self, Call},
};

/// Operations of a queue that may count or run at the same time.
const ACTIVE: usize = 8;
/// For how long, and how many, operations are kept that do neither.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
const KEPT: usize = 1_000;

/// The result of a creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is stored.
    Done(
        /// Its id.
        OperationId,
    ),
    /// As many operations of the queue count or run as may.
    Full(
        /// How many.
        usize,
    ),
}

/// The result of steering an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steered {
    /// It is in this state.
    To(Phase),
    /// It is in this state, which does not allow that. Nothing was changed.
    Refused(Phase),
    /// It counted this many jobs, and another number was given, or none where its act needs one. Nothing
    /// was changed.
    Counted(u64),
    /// As many operations of the queue count or run as may: this many. Nothing was changed.
    Full(u64),
    /// It is unknown.
    Unknown,
}

impl Operator {
    /// Stores an operation. It counts its jobs first, or changes them at once without a dry run.
    ///
    /// # Errors
    /// When Redis failed. It may be stored then.
    pub async fn create_operation(&self, plan: &Plan, is_dry: bool) -> Result<Created, Error> {
        let id = OperationId::random();
        // Texts and numbers always serialise.
        let stored = serde_json::to_string(plan).unwrap_or_default();
        let phase = if is_dry { Phase::Counting } else { Phase::Running };
        let mut call = Call::new(&scripts::OPERATION, &self.client.keys);
        call.arg("create").arg(id.as_str()).arg(stored).arg(phase.as_str()).arg(plan.same_cause);
        call.arg(deed("created", &plan.by)).arg(ACTIVE).arg(delay_ms(KEPT_FOR)).arg(KEPT);
        call.arg(if plan.act.destroys() { "1" } else { "" });
        let (is_done, said): (u8, i64) = call.run(&mut self.client.conn.clone()).await?;
        if is_done == 1 {
            Ok(Created::Done(id))
        } else {
            Ok(Created::Full(usize::try_from(said).unwrap_or_default()))
        }
    }

    /// Starts, pauses, resumes or aborts an operation. `confirmed` is the number of jobs that it must
    /// have counted.
    ///
    /// # Errors
    /// When Redis failed. It may be done then; the same call again says so.
    pub async fn steer_operation(
        &self,
        id: &OperationId,
        steer: Steer,
        by: &str,
        confirmed: Option<u64>,
    ) -> Result<Steered, Error> {
        let line = deed(steer.did(), by);
        self.move_operation(id, steer.from(), steer.to(), &line, confirmed, "").await
    }

    /// Ends an operation that cannot be walked.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn fail_operation(&self, id: &OperationId, why: &str) -> Result<Steered, Error> {
        let from = [Phase::Counting, Phase::Running];
        self.move_operation(id, &from, Phase::Failed, "", None, why).await
    }

    async fn move_operation(
        &self,
        id: &OperationId,
        from: &[Phase],
        to: Phase,
        line: &str,
        confirmed: Option<u64>,
        why: &str,
    ) -> Result<Steered, Error> {
        let from: Vec<&str> = from.iter().map(|phase| phase.as_str()).collect();
        let mut call = Call::new(&scripts::OPERATION, &self.client.keys);
        call.arg("move").arg(id.as_str()).arg(format!(" {} ", from.join(" "))).arg(to.as_str()).arg(line);
        call.arg(confirmed.map(|jobs| jobs.to_string()).unwrap_or_default()).arg(why).arg(ACTIVE);
        let (said, state): (u8, String) = call.run(&mut self.client.conn.clone()).await?;
        Ok(match (said, state.parse()) {
            (1, Ok(phase)) => Steered::To(phase),
            (2, _) => Steered::Counted(state.parse().unwrap_or_default()),
            (3, _) => Steered::Full(state.parse().unwrap_or_default()),
            (_, Ok(phase)) => Steered::Refused(phase),
            (_, Err(_)) => Steered::Unknown,
        })
    }
}

fn deed(did: &str, by: &str) -> String {
    let deed = Deed { at: utc_ms(), did: did.to_owned(), by: by.to_owned() };
    // Texts and numbers always serialise.
    serde_json::to_string(&deed).unwrap_or_default()
}
