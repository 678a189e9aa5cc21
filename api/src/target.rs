//! A job that a request changes.

use axum::{Json, body::Bytes, http::StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use upshot_queue::{Changed, JobId, Operator, State};
use upshot_shared::intake::LABEL_TYPE;
use utoipa::ToSchema;

use crate::{
    access::{Act, Caller},
    known::Known,
    links::Links,
    problem::{Code, Problem},
    state::{Shared, job_id},
    view::{JobBody, StepBody},
};

/// The answer about a job that runs again.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetriedJob {
    #[serde(flatten)]
    job: JobBody,
    /// The completed steps that run again, because their results came from other arguments.
    #[schema(example = json!(["render"]))]
    repeats: Vec<String>,
}

/// A job that a request changes, and its queue.
pub struct Target<'a> {
    state: &'a Shared,
    /// The principal that changes it.
    pub caller: &'a Caller,
    act: &'a Act,
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: Operator,
    /// The type of the event that the job comes from.
    pub event_type: Option<String>,
    /// The arguments.
    pub args: Bytes,
    /// How often the arguments were replaced.
    edits: u32,
}

impl<'a> Target<'a> {
    /// Finds the job whose id an address holds.
    ///
    /// # Errors
    /// A 400 or 404 when there is none, a 503 when Redis does not answer.
    pub async fn find(
        state: &'a Shared,
        caller: &'a Caller,
        act: &'a Act,
        id: &str,
    ) -> Result<Self, Problem> {
        let id = job_id(id)?;
        let mut known = state.find(caller, &id).await?;
        act.before(standing(&known));
        act.target("queue", known.job.queue.as_str());
        for (name, value) in [("tenant", &known.job.tenant), ("subject", &known.job.subject)] {
            if let Some(value) = value {
                act.target(name, value);
            }
        }
        let operator = |queue| Operator::new(queue).acting(&caller.author(""));
        let Some(queue) = state.queues.get(&known.job.queue).cloned().map(operator) else {
            let detail = format!("its queue {} is not in the settings", known.job.queue);
            return Err(Problem::new(Code::UnknownJob, detail));
        };
        let event_type = known.job.labels.remove(LABEL_TYPE);
        let (args, edits) = (known.job.args.clone(), known.job.edits());
        Ok(Self { state, caller, act, id, queue, event_type, args, edits })
    }

    /// Checks that the job was changed; `refused` says why a job in another state was not.
    ///
    /// # Errors
    /// When the job was not changed.
    pub fn check(
        &self,
        changed: Changed,
        did: &'static str,
        refused: impl FnOnce(State) -> Problem,
    ) -> Result<(), Problem> {
        match changed {
            Changed::To(_) | Changed::Stopping | Changed::Waived => {
                tracing::info!(job_id = %self.id, queue = %self.queue.client().name(), did, "an operator changed the job");
                Ok(())
            }
            Changed::Refused(now) => Err(refused(now)),
            Changed::Replaced => Err(Problem::new(
                Code::Replaced,
                format!(
                    "job {} gave way to its `successor`, which has its idempotency key: \
                     retry that one if it is dead, or cancel it first; if it is forgotten, publish the event again",
                    self.id
                ),
            )),
            Changed::Unexpected => Err(Problem::new(
                Code::NoExpectation,
                format!(
                    "job {} was enqueued without an expected outcome, so there is nothing to settle",
                    self.id
                ),
            )),
            Changed::Stepped => Err(Problem::steps_completed(&self.id, Vec::new(), &[])),
            Changed::Unknown | Changed::Forgotten => {
                Err(Problem::new(Code::UnknownJob, format!("job {} was forgotten in the meantime", self.id)))
            }
        }
    }

    /// The problem that only a waiting job is changed in this way.
    pub fn not_waiting(&self, now: State, remedy: &str) -> Problem {
        Problem::new(Code::NotWaiting, format!("job {} is {now}: {remedy}", self.id))
    }

    /// The problem that other arguments would repeat completed steps or begun effects.
    pub async fn steps_completed(&self) -> Problem {
        match self.state.find(self.caller, &self.id).await {
            Ok(known) => {
                let step = |step| StepBody::new(step, &self.state.shown);
                let begun: Vec<&str> = known.job.begun.iter().map(|begun| begun.name.as_str()).collect();
                Problem::steps_completed(&self.id, known.job.steps.iter().map(step).collect(), &begun)
            }
            Err(problem) => problem,
        }
    }

    /// The answer with the present job, and the names of the steps that run again because this
    /// request set their results aside.
    ///
    /// # Errors
    /// When the job is forgotten or Redis does not answer.
    pub async fn retried(&self, links: &Links) -> Result<(StatusCode, Json<RetriedJob>), Problem> {
        let known = self.after().await?;
        let repeats = known.job.dropped.iter().filter(|dropped| dropped.edit > self.edits);
        let repeats = repeats.map(|dropped| dropped.step.name.clone()).collect();
        let job = JobBody::new(&known, links, &self.state.shown, false);
        Ok((StatusCode::ACCEPTED, Json(RetriedJob { job, repeats })))
    }

    /// The present job.
    ///
    /// # Errors
    /// When the job is forgotten or Redis does not answer.
    pub async fn body(&self, links: &Links) -> Result<JobBody, Problem> {
        Ok(JobBody::new(&self.after().await?, links, &self.state.shown, false))
    }

    /// The present job, which the audit log has as what is there after the act.
    ///
    /// # Errors
    /// When the job is forgotten or Redis does not answer.
    pub async fn after(&self) -> Result<Known, Problem> {
        let known = self.state.find(self.caller, &self.id).await?;
        self.act.after(standing(&known));
        Ok(known)
    }

    /// The answer with the present job.
    ///
    /// # Errors
    /// Those of [`Self::body`].
    pub async fn accepted(&self, links: &Links) -> Result<(StatusCode, Json<JobBody>), Problem> {
        Ok((StatusCode::ACCEPTED, Json(self.body(links).await?)))
    }
}

/// How a job stands, for the audit log.
fn standing(known: &Known) -> Value {
    let job = &known.job;
    json!({
        "state": job.state.as_str(),
        "priority": job.priority.as_str(),
        "runs_at": known.due,
        "outcome": job.expectation.map(|expected| expected.account.as_str()),
        "owner": job.owner.as_ref().map(|owner| owner.text.as_str()),
    })
}
