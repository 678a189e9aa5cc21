//! Looks for causes of alarms, and tells a webhook. One API process does at a time.

mod look;
#[cfg(not(feature = "webhook"))]
#[path = "alarms/absent.rs"]
mod send;
#[cfg(feature = "webhook")]
mod send;

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use upshot_ledger::alarms::{Holding, Looking, State as Alarms, Store};
use upshot_queue::{Error, connect::Backoff};
use upshot_runtime::settings::AlarmSettings;

use crate::state::Shared;

pub use send::{Sender, Unusable};

/// How long a look sends at most before it looks again. The last message may take its time-out more.
const SENDING: Duration = Duration::from_secs(25);
/// Looks without a cause after which its alarm is over.
const CALM: u32 = 4;

/// What is needed to look and to tell.
pub struct Watch {
    /// The state in Redis.
    pub store: Store,
    sender: Option<Sender>,
    every: Duration,
    repeat: Duration,
}

impl Watch {
    /// The watch for these settings.
    ///
    /// # Errors
    /// When the webhook cannot be used.
    pub fn new(settings: &AlarmSettings, store: Store) -> Result<Self, Unusable> {
        let sender = if settings.webhook.is_empty() { None } else { Some(Sender::new(settings)?) };
        Ok(Self { store, sender, every: settings.every, repeat: settings.repeat })
    }

    /// Whether a webhook is told.
    pub const fn has_webhook(&self) -> bool {
        self.sender.is_some()
    }

    fn looking<'a>(&self, receiver: Option<&'a str>) -> Looking<'a> {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Looking { calm: ms(self.every * CALM), repeat: ms(self.repeat), receiver }
    }
}

/// Looks until streams must end. Then another process may look.
pub async fn run(state: Shared) {
    let holding = state.alarms.store.holding(format!("{:016x}", uuid::Uuid::new_v4().as_u64_pair().0));
    // A look that is cut off has told at most what the next one tells again, with the same ids.
    if state.stop.run_until_cancelled(look_for_ever(&state, &holding)).await.is_none()
        && let Err(error) = holding.release().await
    {
        tracing::debug!(%error, "the right to look at alarms ends by itself");
    }
}

async fn look_for_ever(state: &Shared, holding: &Holding) -> Infallible {
    let mut backoff = Backoff::default();
    loop {
        match round(state, holding).await {
            Ok(()) => {
                backoff.reset();
                tokio::time::sleep(state.alarms.every).await;
            }
            Err(error) => {
                tracing::debug!(%error, "no look at alarms");
                backoff.wait().await;
            }
        }
    }
}

/// Looks once, if this process may, and tells what is to be told.
async fn round(state: &Shared, holding: &Holding) -> Result<(), Error> {
    let watch = &state.alarms;
    let Some((mut alarms, now)) = holding.take().await? else { return Ok(()) };
    let readings = look::readings(state, now).await;
    let receiver = watch.sender.as_ref().map(Sender::receiver);
    let was_on = on(&alarms);
    alarms.look(&readings, watch.looking(receiver.as_deref()), now);
    let Some(mut now) = holding.put(&alarms).await? else { return Ok(()) };
    for (key, summary) in on(&alarms).into_iter().filter(|(key, _)| !was_on.iter().any(|(was, _)| was == key))
    {
        tracing::warn!(alarm = %key, "{summary}");
    }
    let (Some(sender), Some(receiver)) = (&watch.sender, receiver) else { return Ok(()) };
    let begun = Instant::now();
    while begun.elapsed() < SENDING
        && let Some(notice) = alarms.notices.next(now).cloned()
    {
        let told = sender.send(&notice).await;
        alarms.notices.told(&notice.id, told, &receiver, now);
        let Some(at) = holding.put(&alarms).await? else { return Ok(()) };
        now = at;
    }
    Ok(())
}

/// The alarms that are on: keys and summaries.
fn on(alarms: &Alarms) -> Vec<(String, String)> {
    let on = alarms.alarms.iter().filter(|(_, alarm)| alarm.on_since.is_some());
    on.map(|(key, alarm)| (key.clone(), alarm.summary.clone())).collect()
}
