//! The sentences that say what holds a job.

use upshot_queue::{LimitKey, OnSilence, State};

use super::{Ahead, Hold};
use crate::span::{moment, span};

/// Builds that a sentence names.
const BUILDS: usize = 3;

impl Hold {
    /// The sentence, as of `now` (UTC ms).
    pub fn text(&self, now: i64) -> String {
        match self {
            Self::NotEnqueued { accepted_at, events, bridges } => {
                let since = span(now.saturating_sub(*accepted_at));
                let behind = match (events, bridges) {
                    (_, Some(0)) => "no bridge takes events: start `upshot bridge`".to_owned(),
                    (Some(0), _) => {
                        "no event waits for the bridge, so it is being enqueued or is in quarantine"
                            .to_owned()
                    }
                    (Some(events), _) => format!("{events} events wait for the bridge"),
                    (None, _) => "RabbitMQ does not answer".to_owned(),
                };
                format!("Its event was accepted {since} ago and is not enqueued yet: {behind}.")
            }
            Self::Scheduled { until } => format!("It waits for its time, {}.", time(*until, now)),
            Self::BackingOff { class, message, until, attempt, failures, budget } => {
                let budget =
                    budget.map(|budget| format!(" of {budget} that it survives")).unwrap_or_default();
                format!(
                    "Attempt {attempt} failed ({class}: {}). It runs again {}. This was failure {failures} of its class{budget}.",
                    ended(message),
                    time(*until, now)
                )
            }
            Self::Limit { key, running, most, ahead, .. } => match most {
                Some(0) => {
                    format!("The limit of {} is 0: no job starts under it.{}", named(key), behind(ahead))
                }
                Some(most) => format!(
                    "The limit of {} is reached: {running} of {most} jobs run.{}",
                    named(key),
                    behind(ahead)
                ),
                None => format!("The next slot of {} is kept for another lane.{}", named(key), behind(ahead)),
            },
            Self::Rate { key, next_token, ahead } => {
                let at = time(Some(*next_token), now);
                format!("The rate of {} has no token; the next one comes {at}.{}", named(key), behind(ahead))
            }
            Self::QueuePaused => "Its queue is paused: nothing starts until it is resumed.".to_owned(),
            Self::KindPaused { ends: false } => {
                "Its kind is paused: it starts when the kind is resumed.".to_owned()
            }
            Self::KindPaused { ends: true } => {
                "Its kind was paused and is resumed: its jobs are released in the background.".to_owned()
            }
            Self::ParkedSignal { condition, why, until } => {
                let until =
                    until.map(|until| format!(", until {} at the latest", moment(until))).unwrap_or_default();
                format!("It is parked for `{condition}`{until}: {}.", ended(why))
            }
            Self::Awaiting { key, until, on_silence } => {
                let silence = match on_silence {
                    OnSilence::Missed => "it counts as missed without one",
                    OnSilence::Achieved => "it counts as achieved without one",
                    OnSilence::Retry => "its handler runs again without one",
                };
                let then = until.map(|_| format!(": {silence} {}", time(*until, now))).unwrap_or_default();
                format!("The work is done; the proof `{key}` has not come{then}.")
            }
            Self::ParkedVersion { workers } => format!(
                "It is parked: none of the queue's {workers} workers runs its kind and version. A worker that does takes it."
            ),
            Self::ParkedArguments { why, builds } => {
                let named: Vec<&str> = builds.iter().take(BUILDS).map(String::as_str).collect();
                let more = if builds.len() > BUILDS { " and others" } else { "" };
                format!(
                    "It is parked: builds {}{more} cannot read its arguments ({}). Another build, or the event again with other data, continues it.",
                    named.join(", "),
                    ended(why)
                )
            }
            Self::NoWorkerForKind { workers } => {
                format!("None of the queue's {workers} workers runs its kind and version.")
            }
            Self::NoWorker => "The queue has no worker: start `upshot executor`.".to_owned(),
            Self::Behind { ahead } => {
                let slots = if ahead.running >= ahead.slots {
                    format!(" All {} slots of the workers that run its kind may be taken.", ahead.slots)
                } else {
                    String::new()
                };
                format!("It waits for its turn.{}{slots}", behind(ahead))
            }
            Self::Running { worker, step, percent, last_progress_at, cancel_asked_at } => {
                let step = step.as_deref().map(|step| format!(", step `{step}`")).unwrap_or_default();
                let percent = percent.map(|percent| format!(", {percent} %")).unwrap_or_default();
                let last = match last_progress_at {
                    Some(at) => format!(", last progress {} ago", span(now.saturating_sub(*at))),
                    None => ", no progress reported".to_owned(),
                };
                let stop = if cancel_asked_at.is_some() { " It was asked to stop." } else { "" };
                format!("It runs on worker {worker}{step}{percent}{last}.{stop}")
            }
            Self::LeaseLost { worker, expired_at, workers } => {
                let since =
                    expired_at.map(|at| format!(" {} ago", span(now.saturating_sub(at)))).unwrap_or_default();
                let next = if *workers == 0 {
                    "no other worker is there to reclaim it: start `upshot executor`"
                } else {
                    "another worker reclaims it"
                };
                format!("Worker {worker} is gone, and its lease expired{since}: {next}.")
            }
            Self::Ended { state, verdict } => {
                let how = match state {
                    State::Succeeded => "succeeded",
                    State::Cancelled => "was cancelled",
                    _ => "is dead: it runs again only when an operator retries it",
                };
                let verdict =
                    verdict.map(|account| format!(" Its outcome: {}.", account.as_str().replace('_', " ")));
                format!("It has ended: it {how}.{}", verdict.unwrap_or_default())
            }
        }
    }
}

/// The place of a job, with a blank before it.
fn behind(ahead: &Ahead) -> String {
    let Ahead { at_least, at_most, in_class, more_urgent, lanes, .. } = ahead;
    let jobs = match (at_least, at_most) {
        (0, 0) => "It is the next of its tenant".to_owned(),
        (least, most) if least == most => format!("{least} jobs of its tenant are ahead of it"),
        (least, most) => format!("{least} to {most} jobs of its tenant are ahead of it"),
    };
    let urgent =
        if *more_urgent > 0 { format!(", {more_urgent} jobs are more urgent") } else { String::new() };
    format!(" {jobs}; {in_class} jobs of its priority are ready in {lanes} lanes{urgent}.")
}

fn named(key: &LimitKey) -> String {
    match key {
        LimitKey::Queue => "the queue".to_owned(),
        key => format!("`{key}`"),
    }
}

/// A message without the full stop that the sentence adds.
fn ended(message: &str) -> &str {
    let message = message.trim_end().trim_end_matches('.');
    if message.is_empty() { "no message" } else { message }
}

/// A time, and how long until then.
fn time(at: Option<i64>, now: i64) -> String {
    match at {
        Some(at) if at > now => format!("at {} (in {})", moment(at), span(at.saturating_sub(now))),
        Some(at) => format!("at {} (now)", moment(at)),
        None => "soon".to_owned(),
    }
}
