//! Effects: steps that change something outside, with a receipt.
//!
//! The job stores that an effect begins, before it begins, and its receipt afterwards. An attempt that
//! finds the beginning and no receipt does not know whether the effect happened. Then a check of the
//! world decides, or a stated rule.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use upshot_queue::{Condition, Failure, FailureClass, JobId, Park, Snooze, Stop};

use super::{
    Context, Waited, over,
    steps::{Open, Which},
};

/// How long a job waits for a person to say whether an effect happened.
const ASKED_FOR: Duration = Duration::from_secs(365 * 24 * 3600);

/// What to do about an effect that may have happened, where nothing can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclear {
    /// Repeat it: twice does no harm, or less than never.
    Repeat,
    /// Park the job until a person says whether it happened: `upshot signal` with the payload
    /// `{"happened": true, "receipt": …}` or `{"happened": false}`.
    Ask,
}

/// What is known of an effect when an attempt comes to it.
enum Known<T> {
    /// It has not begun, or it did not happen.
    Not,
    /// It may have happened.
    Begun,
    /// It has happened.
    Receipt(T),
}

impl<S> Context<S> {
    /// Makes an effect outside once, and returns its receipt, in every later attempt too. Each effect of
    /// a job has a name of its own, such as `charge card-7`.
    ///
    /// `check` looks whether the effect has happened: it asks for the object, the charge or the mail by
    /// a key that follows from the job ([`Self::key`]). It is called when an earlier attempt began the
    /// effect and left no receipt. `act` makes the effect.
    ///
    /// ```
    /// use upshot_executor::{Context, Stop};
    ///
    /// # struct Bank;
    /// # impl Bank {
    /// #     async fn find(&self, _: &str) -> std::io::Result<Option<String>> { Ok(None) }
    /// #     async fn charge(&self, _: &str, _: u64) -> std::io::Result<String> { Ok(String::new()) }
    /// # }
    /// async fn charge(cx: &Context<Bank>, cents: u64) -> Result<String, Stop> {
    ///     let (bank, key) = (cx.state(), cx.key("charge"));
    ///     cx.effect("charge", async || bank.find(&key).await, async || bank.charge(&key, cents).await).await
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of `check` and `act`, and those of [`Self::step`].
    pub async fn effect<T, E, C, F>(&self, name: &str, check: C, act: F) -> Result<T, Stop>
    where
        T: Serialize + DeserializeOwned,
        E: Into<Stop>,
        C: AsyncFnOnce() -> Result<Option<T>, E>,
        F: AsyncFnOnce() -> Result<T, E>,
    {
        let open = self.steps.open(name, Which::Effect)?;
        let known = match self.known(&open)? {
            Known::Begun => match check().await.map_err(Into::into)? {
                Some(receipt) => {
                    tracing::info!(effect = name, "it had happened");
                    self.complete(open, &receipt).await?;
                    return Ok(receipt);
                }
                None => Known::Begun,
            },
            known => known,
        };
        self.make(open, name, known, act, false).await
    }

    /// Makes an effect that nothing can check, and returns its receipt, in every later attempt too. If an
    /// earlier attempt began it and left no receipt, `unclear` decides.
    ///
    /// An error of `act` with the class permanent or throttled says that the effect did not happen. After
    /// any other one it may have happened.
    ///
    /// # Errors
    /// Those of `act`, and those of [`Self::step`]; [`Stop::Parked`] while a person is asked.
    pub async fn effect_unchecked<T, E, F>(&self, name: &str, unclear: Unclear, act: F) -> Result<T, Stop>
    where
        T: Serialize + DeserializeOwned,
        E: Into<Stop>,
        F: AsyncFnOnce() -> Result<T, E>,
    {
        let open = self.steps.open(name, Which::Effect)?;
        let known = match (self.known(&open)?, unclear) {
            (Known::Begun, Unclear::Ask) => match self.ask(&open).await? {
                Known::Receipt(receipt) => {
                    self.complete(open, &receipt).await?;
                    return Ok(receipt);
                }
                known => known,
            },
            (known, _) => known,
        };
        self.make(open, name, known, act, true).await
    }

    /// A key for the effect of this name that is the same in every attempt, and another one for other
    /// arguments: for providers that take an idempotency key.
    pub fn key(&self, name: &str) -> String {
        match self.job().edits() {
            0 => format!("{}.{name}", self.job().id),
            edit => format!("{}.edit-{edit}.{name}", self.job().id),
        }
    }

    fn known<T: DeserializeOwned>(&self, open: &Open<'_>) -> Result<Known<T>, Stop> {
        if let Some(receipt) = self.found(open)? {
            return Ok(Known::Receipt(receipt));
        }
        let has_begun = open.has_begun() || self.lease.begun(&open.stored).is_some();
        Ok(if has_begun { Known::Begun } else { Known::Not })
    }

    /// Makes the effect. With `takes_back`, some errors say that it did not happen.
    async fn make<T, E, F>(
        &self,
        open: Open<'_>,
        name: &str,
        known: Known<T>,
        act: F,
        takes_back: bool,
    ) -> Result<T, Stop>
    where
        T: Serialize + DeserializeOwned,
        E: Into<Stop>,
        F: AsyncFnOnce() -> Result<T, E>,
    {
        if let Known::Receipt(receipt) = known {
            open.done();
            return Ok(receipt);
        }
        self.begins(name).await?;
        let had_begun = matches!(known, Known::Begun);
        // The write is fenced: a process that was stopped for long does not act on an old lease.
        self.lease.begin_effect(&open.stored).await.map_err(over)?;
        open.begun();
        let receipt = match Box::pin(act()).await.map_err(Into::into) {
            Ok(receipt) => receipt,
            Err(stop) => {
                // What began earlier may have happened all the same.
                if takes_back && !had_begun && did_not_happen(&stop) {
                    open.refused();
                    self.lease.refuse_effect(&open.stored).await.map_err(over)?;
                }
                return Err(stop);
            }
        };
        self.complete(open, &receipt).await?;
        Ok(receipt)
    }

    /// Asks a person whether an effect happened.
    async fn ask<T: DeserializeOwned>(&self, open: &Open<'_>) -> Result<Known<T>, Stop> {
        let name = &open.stored;
        // Of what began in this attempt, the time is not known here.
        let Some(at) = self.lease.begun(name).filter(|_| !open.has_begun()) else {
            let why = format!("effect `{name}` may have happened: the next attempt asks");
            return Err(Failure::new(FailureClass::Unclear, why).into());
        };
        // Each beginning has a question of its own, because an answer stays. The name may hold an
        // address, which is hidden where people see the key.
        let mark: String = JobId::derive(&["effect", name]).as_str().chars().take(8).collect();
        let key = format!("{} effect {mark} {at}", self.job().id);
        match self.answer(&key)? {
            Some(Waited::Signalled(answer)) => self.answered(open, &answer).await,
            Some(Waited::TimedOut) => {
                Err(Failure::permanent(format!("for a year no answer came whether effect `{name}` happened"))
                    .into())
            }
            None => {
                self.lease.verify().await.map_err(over)?;
                let condition =
                    Condition::new(self.job().tenant.as_deref(), &key).map_err(Failure::permanent)?;
                let why = format!(
                    "effect `{name}` began and has no receipt: find out whether it happened, and signal `{key}` with \
                     {{\"happened\": true, \"receipt\": …}} or {{\"happened\": false}}"
                );
                Err(Park::wait(condition, ASKED_FOR, why).into())
            }
        }
    }

    async fn answered<T: DeserializeOwned>(&self, open: &Open<'_>, answer: &Value) -> Result<Known<T>, Stop> {
        let name = &open.stored;
        let why = match answer.get("happened").and_then(Value::as_bool) {
            Some(true) => match serde_json::from_value(answer.get("receipt").cloned().unwrap_or_default()) {
                Ok(receipt) => return Ok(Known::Receipt(receipt)),
                Err(error) => format!("its `receipt` has another form: {error}"),
            },
            Some(false) => {
                // It begins anew, with a question of its own.
                open.refused();
                self.lease.refuse_effect(name).await.map_err(over)?;
                return Ok(Known::Not);
            }
            None => "it lacks `happened`, true or false".to_owned(),
        };
        // An answer stays, so the next attempt asks another question.
        let why = format!("the answer about effect `{name}` cannot be used: {why}");
        self.log(&why).await?;
        self.lease.begin_effect(name).await.map_err(over)?;
        Err(Snooze::new(Duration::ZERO, why).into())
    }
}

/// Whether an error says that the effect did not happen.
fn did_not_happen(stop: &Stop) -> bool {
    matches!(stop, Stop::Failed(failure) if matches!(failure.class, FailureClass::Permanent | FailureClass::Throttled))
}
