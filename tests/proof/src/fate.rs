//! What an event wants its jobs to come to.

use std::time::Duration;

use upshot::prelude::*;

/// How long after its due time a late job runs again. The watchdog finds it overdue before.
const AFTER: i64 = 3000;
/// Longer than any proof takes.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The data of both events.
#[derive(Debug, Deserialize)]
pub struct Planned {
    number: u64,
    fate: Fate,
}

/// What a job comes to.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It succeeds at once.
    Achieve,
    /// It is dead after its first attempt.
    Die,
    /// Its first attempt fails, its second succeeds.
    Retry,
    /// It is dead after its first attempt, and succeeds when an operator retries it.
    Revive,
    /// It succeeds after its due time.
    Late,
    /// It runs until it is cancelled.
    Hold,
    /// It is parked until it is cancelled.
    Park,
}

impl Planned {
    /// Brings about what is planned.
    ///
    /// # Errors
    /// What is planned, where that is no success.
    pub async fn run(self, cx: &Context<()>) -> Result<Outcome, Stop> {
        let failed = |class| cx.job().history.iter().any(|attempt| attempt.class == class);
        match self.fate {
            Fate::Die => return Err(Failure::permanent("planned: it dies").into()),
            Fate::Retry if !failed(FailureClass::Transient) => {
                return Err(Failure::transient("planned: it fails once").into());
            }
            Fate::Revive if !failed(FailureClass::Permanent) => {
                return Err(Failure::permanent("planned: it dies until it is retried").into());
            }
            Fate::Late => {
                let due = cx.job().expectation.as_ref().map_or(0, |expectation| expectation.due);
                if let wait @ 1.. = due.saturating_add(AFTER).saturating_sub(cx.now()) {
                    let wait = Duration::from_millis(wait.unsigned_abs());
                    return Err(Snooze::new(wait, "planned: it is late").into());
                }
            }
            Fate::Hold => {
                tokio::select! {
                    () = cx.cancelled().cancelled() => {}
                    () = cx.stopping().cancelled() => {}
                }
                cx.checkpoint()?;
            }
            Fate::Park => {
                cx.wait_for(&format!("never {}", self.number), DAY).await?;
            }
            Fate::Achieve | Fate::Retry | Fate::Revive => {}
        }
        Ok(Outcome::achieved("as planned", Evidence::new("event", [("number", self.number.to_string())])))
    }
}
