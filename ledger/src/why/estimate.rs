//! Estimates when a job will start and finish, as ranges, from recent figures.
//!
//! There is no estimate where nothing is known: where no run was seen, or where a person or another
//! system decides.

use upshot_queue::Standing;

use super::{Ahead, Hold, decide};

/// The slowest pace that is reckoned with, as a share of what the workers could do.
const SLOWEST: f64 = 0.25;
/// A time beyond this (ms) is not told: ten years.
const FARTHEST: f64 = 10.0 * 365.0 * 86_400_000.0;

/// Recent figures of a job's route and queue.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// How long one of ten runs took at most, and nine of ten (ms).
    pub run: Option<(i64, i64)>,
    /// Jobs of the queue that succeeded in a ms, lately.
    pub pace: Option<f64>,
}

/// When a job will start and finish. Each is the earliest and the latest time, UTC ms; `None` where
/// nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// The next attempt; of a running job the present one.
    pub start: Option<(i64, i64)>,
    /// The end of that attempt.
    pub finish: Option<(i64, i64)>,
}

/// The estimate for a job that these hold ([`holds`](super::holds)).
pub fn estimate(holds: &[Hold], standing: &Standing, figures: &Figures) -> Estimate {
    let Some(hold) = holds.first().filter(|_| !holds.iter().any(is_for_others)) else {
        return Estimate::default();
    };
    let (Some((short, long)), now) = (figures.run, standing.now) else { return Estimate::default() };
    let place = decide::ahead(standing);
    let turn = |from: i64, ahead: Ahead| {
        let (least, most) = wait(ahead, long.max(1), figures)?;
        Some((from.saturating_add(least), from.saturating_add(most)))
    };
    let start = match hold {
        Hold::Running { .. } => {
            let began = standing.job.began.unwrap_or(standing.job.since);
            let finish = (began.saturating_add(short).max(now), began.saturating_add(long).max(now));
            // A run that takes longer than nine of ten may take as long again.
            let finish =
                if finish.1 == now { (now, now.saturating_add(now - began.min(now))) } else { finish };
            return Estimate { start: Some((began, began)), finish: Some(finish) };
        }
        Hold::Scheduled { until: Some(until) } | Hold::BackingOff { until: Some(until), .. } => {
            turn((*until).max(now), place)
        }
        Hold::Behind { ahead } => turn(now, *ahead),
        Hold::Rate { next_token, ahead, .. } => turn((*next_token).max(now), *ahead),
        Hold::Limit { most: Some(most), ahead, .. } if *most > 0 => {
            // The slots become free one after the other.
            let rounds = i64::try_from(ahead.at_most / u64::from(*most) + 1).unwrap_or(i64::MAX);
            Some((now, now.saturating_add(rounds.saturating_mul(long)))).filter(|_| place.slots > 0)
        }
        // At that time the handler is told that no signal came.
        Hold::ParkedSignal { until: Some(until), .. } if place.slots > 0 => Some((now, (*until).max(now))),
        _ => None,
    };
    let finish = start.map(|(from, to)| (from.saturating_add(short), to.saturating_add(long)));
    let near = |range: &(i64, i64)| (range.1.saturating_sub(now) as f64) < FARTHEST;
    match (start.filter(near), finish.filter(near)) {
        (Some(start), Some(finish)) => Estimate { start: Some(start), finish: Some(finish) },
        _ => Estimate::default(),
    }
}

/// Whether a person or another system decides when it ends.
fn is_for_others(hold: &Hold) -> bool {
    matches!(
        hold,
        Hold::QueuePaused
            | Hold::KindPaused { ends: false }
            | Hold::ParkedVersion { .. }
            | Hold::ParkedArguments { .. }
            | Hold::NoWorkerForKind { .. }
            | Hold::NoWorker
    )
}

/// How long a job waits for its turn, at least and at most (ms).
fn wait(ahead: Ahead, run: i64, figures: &Figures) -> Option<(i64, i64)> {
    if ahead.slots == 0 {
        return None;
    }
    // Jobs in a ms, if all slots are always in use.
    let most = ahead.slots as f64 / run as f64;
    let pace = figures.pace.unwrap_or(0.0);
    let (fast, slow) = (most.max(pace), pace.max(most * SLOWEST).min(most.max(pace)));
    let few = ahead.at_least as f64;
    // Every lane of its priority may get as many as its own before it.
    let in_turns = ahead.at_most.saturating_add(1).saturating_mul(ahead.lanes.max(1)) as f64;
    let many = in_turns.min(ahead.in_class.max(ahead.at_most + 1) as f64) + ahead.more_urgent as f64;
    let many = many.max(few);
    Some(((few / fast) as i64, (many / slow).min(FARTHEST * 2.0) as i64))
}
