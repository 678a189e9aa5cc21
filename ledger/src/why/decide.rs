//! Decides what holds a job.

use upshot_queue::{Job, LimitState, Priority, Standing, State};

use super::{Ahead, Hold};

/// Characters that are kept of a message.
const MESSAGE: usize = 200;
/// Changes after which a scheduled job does not wait because of its last failure.
const PUT_OFF: [&str; 5] = ["snoozed", "released", "rescheduled", "retried", "edited"];

/// What holds a job, the first thing first: where that ends, the next one holds the job. Never empty.
/// `budget` gives how many failures of the job's last class it survives, where that is known.
pub fn holds(standing: &Standing, budget: Option<u32>) -> Vec<Hold> {
    let job = &standing.job;
    match job.state {
        State::Succeeded | State::Dead | State::Cancelled => {
            vec![Hold::Ended { state: job.state, verdict: job.expectation.map(|it| it.account) }]
        }
        State::Running => vec![running(standing)],
        State::Scheduled => scheduled(standing, budget),
        State::Parked => parked(standing),
        State::Ready => waiting(standing),
    }
}

fn running(standing: &Standing) -> Hold {
    let Standing { job, now, lease_until, .. } = standing;
    let worker = job.worker.clone().unwrap_or_default();
    if lease_until.is_none_or(|until| until <= *now) {
        return Hold::LeaseLost { worker, expired_at: *lease_until, workers: standing.workers.workers };
    }
    // What an earlier attempt reported says nothing about this one.
    let mark = job.marks.last().filter(|mark| mark.at >= job.since);
    Hold::Running {
        worker,
        step: mark.and_then(|mark| mark.step.clone()),
        percent: mark.map(|mark| mark.percent),
        last_progress_at: mark.map(|mark| mark.at),
        cancel_asked_at: job.cancel_asked_at,
    }
}

/// A job whose time has come is moved to its lane by the next claim of any worker.
fn scheduled(standing: &Standing, budget: Option<u32>) -> Vec<Hold> {
    let Standing { job, ready_at: until, .. } = standing;
    let wait = match failed_last(job) {
        Some(failed) => Hold::BackingOff {
            class: failed.class,
            message: shortened(&failed.message),
            until: *until,
            attempt: failed.attempt,
            failures: job.failures.get(&failed.class).copied().unwrap_or(0),
            budget,
        },
        None => Hold::Scheduled { until: *until },
    };
    let is_over = until.is_some_and(|until| until <= standing.now);
    let others = obstacles(standing);
    if is_over && !others.is_empty() { others } else { [vec![wait], others].concat() }
}

/// The failure because of which a scheduled job waits.
fn failed_last(job: &Job) -> Option<&upshot_queue::failure::FailedAttempt> {
    let failed = job.history.last()?;
    let put_off = job.changes.iter().filter(|change| PUT_OFF.contains(&change.did.as_str()));
    put_off.map(|change| change.at).max().is_none_or(|at| at < failed.at).then_some(failed)
}

fn parked(standing: &Standing) -> Vec<Hold> {
    let Some(parked) = &standing.job.parked else { return waiting(standing) };
    let condition = parked.condition.as_str();
    if let Some(awaiting) = standing.job.awaiting() {
        let (key, on_silence) = (awaiting.key(), awaiting.on_silence);
        return vec![Hold::Awaiting { key, until: parked.until, on_silence }];
    }
    if condition.starts_with("kind ") {
        if standing.kind_workers.workers > 0 {
            return waiting(standing);
        }
        let version = Hold::ParkedVersion { workers: standing.workers.workers };
        let others =
            obstacles(standing).into_iter().filter(|hold| !matches!(hold, Hold::NoWorkerForKind { .. }));
        return [version].into_iter().chain(others).collect();
    }
    let first = if condition.starts_with("resume ") {
        Hold::KindPaused { ends: !standing.kind_paused }
    } else if let Some((_, builds)) =
        condition.strip_prefix("args ").and_then(|rest| rest.split_once(" not "))
    {
        let builds = builds.split('|').map(str::to_owned).collect();
        Hold::ParkedArguments { why: shortened(&parked.why), builds }
    } else {
        let (condition, why) = (condition.to_owned(), shortened(&parked.why));
        Hold::ParkedSignal { condition, why, until: parked.until }
    };
    let others = obstacles(standing).into_iter().filter(|hold| hold.reason() != first.reason());
    let others: Vec<Hold> = others.collect();
    [vec![first], others].concat()
}

/// What holds a job that could start.
fn waiting(standing: &Standing) -> Vec<Hold> {
    let mut holds = obstacles(standing);
    let ahead = ahead(standing);
    for limit in standing.limits.iter().filter(|limit| !limit.has_room) {
        holds.push(held_by(limit, ahead));
    }
    if holds.is_empty() {
        holds.push(Hold::Behind { ahead });
    }
    holds
}

fn held_by(limit: &LimitState, ahead: Ahead) -> Hold {
    let is_full = limit.most.is_some_and(|most| limit.running >= u64::from(most));
    match limit.next_token {
        Some(next_token) if !is_full => Hold::Rate { key: limit.key.clone(), next_token, ahead },
        _ => Hold::Limit {
            key: limit.key.clone(),
            running: limit.running,
            most: limit.most,
            holders: limit.holders.clone(),
            ahead,
        },
    }
}

/// What lets no job of its kind start, whatever its turn.
fn obstacles(standing: &Standing) -> Vec<Hold> {
    let mut holds = Vec::new();
    if standing.queue_paused {
        holds.push(Hold::QueuePaused);
    }
    if standing.kind_paused {
        holds.push(Hold::KindPaused { ends: false });
    }
    if standing.workers.workers == 0 {
        holds.push(Hold::NoWorker);
    } else if standing.kind_workers.workers == 0 {
        holds.push(Hold::NoWorkerForKind { workers: standing.workers.workers });
    }
    holds
}

/// The place of a job.
pub(super) fn ahead(standing: &Standing) -> Ahead {
    let class = Priority::ALL.iter().position(|each| *each == standing.job.priority).unwrap_or(0);
    let (at_least, at_most) = standing.ahead.unwrap_or_default();
    Ahead {
        at_least,
        at_most,
        in_class: standing.ready.get(class).copied().unwrap_or(0),
        more_urgent: standing.ready.iter().take(class).sum(),
        lanes: standing.lanes,
        running: standing.running,
        slots: standing.kind_workers.slots,
    }
}

fn shortened(message: &str) -> String {
    let mut chars = message.chars();
    let text: String = chars.by_ref().take(MESSAGE).collect();
    if chars.next().is_none() { text } else { text + "…" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use upshot_queue::{
        Capacity, FailureClass, LimitKey, NewJob,
        failure::FailedAttempt,
        job::{Change, Mark, Parked},
    };

    use super::{
        super::{Figures, Reason, estimate},
        *,
    };

    const NOW: i64 = 1_000_000;

    /// Facts of every sort, also such as no queue has.
    fn facts() -> impl Strategy<Value = Standing> {
        let flags = (any::<bool>(), any::<bool>(), 0..3_u64, 0..3_u64);
        let times = (prop::option::of(-9..9_i64), prop::option::of(-9..9_i64));
        let conditions = prop::option::of(prop::sample::select(vec![
            "kind k@1",
            "args k@1 not v1|v2",
            "args",
            "resume k",
            "wait a b",
            "tenant t|k",
            "",
        ]));
        let limit = (any::<bool>(), 0..4_u64, prop::option::of(0..3_u32), prop::option::of(1..9_i64));
        let limits = prop::collection::vec(limit, 0..3);
        let past = (
            prop::option::of(0..9_i64),
            prop::option::of((0..9_i64, 0..2_usize)),
            prop::option::of(-5..5_i64),
        );
        let ready = [0..9_u64, 0..9_u64, 0..9_u64, 0..9_u64];
        (0..7_usize, flags, times, conditions, limits, past, ready, prop::option::of((0..9_u64, 0..9_u64)))
            .prop_map(
                |(
                    state,
                    (queue_paused, kind_paused, workers, known),
                    (ready_at, lease),
                    condition,
                    limits,
                    past,
                    ready,
                    ahead,
                )| {
                    let mut job = Job::sample(
                        &"q".parse().unwrap(),
                        NewJob::new(upshot_queue::JobId::derive(&["x"]), "k", ""),
                        NOW - 50,
                    );
                    job.state = State::ALL[state];
                    job.parked = condition.map(|condition| Parked {
                        condition: condition.to_owned(),
                        why: "w".repeat(300),
                        until: ready_at.map(|at| NOW + at),
                    });
                    let (failed, changed, mark) = past;
                    job.history.extend(failed.map(|at| FailedAttempt {
                        at,
                        attempt: 1,
                        class: FailureClass::Transient,
                        message: "m".repeat(300),
                        worker: None,
                        began: None,
                    }));
                    job.changes.extend(changed.map(|(at, did)| Change {
                        at,
                        did: ["snoozed", "noted"][did].to_owned(),
                        note: None,
                        by: None,
                        worker: None,
                        attempt: None,
                        began: None,
                    }));
                    job.marks.extend(mark.map(|at| Mark { at: NOW - 50 + at, percent: 5, step: None }));
                    let limits = limits.into_iter().map(|(has_room, running, most, token)| LimitState {
                        key: LimitKey::Queue,
                        running,
                        most,
                        next_token: token.map(|at| NOW + at),
                        has_room,
                        holders: Vec::new(),
                    });
                    Standing {
                        now: NOW,
                        queue_paused,
                        kind_paused,
                        ready,
                        lanes: 2,
                        running: 1,
                        ahead,
                        workers: Capacity { workers, slots: workers * 2 },
                        kind_workers: Capacity { workers: known.min(workers), slots: known.min(workers) * 2 },
                        ready_at: ready_at.map(|at| NOW + at),
                        lease_until: lease.map(|at| NOW + at),
                        limits: limits.collect(),
                        ..Standing::of(job)
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn something_holds_every_job_and_is_told_once(standing in facts()) {
            let holds = holds(&standing, Some(3));
            prop_assert!(!holds.is_empty());
            for (n, hold) in holds.iter().enumerate() {
                let text = hold.text(NOW);
                prop_assert!(text.len() > 10 && text.len() < 600, "{text}");
                let is_limit = matches!(hold, Hold::Limit { .. } | Hold::Rate { .. });
                let twice = holds.iter().skip(n + 1).any(|other| other.reason() == hold.reason());
                prop_assert!(is_limit || !twice, "{holds:?}");
            }
        }

        #[test]
        fn the_state_decides_first(standing in facts()) {
            let first = holds(&standing, None).remove(0).reason();
            let state = standing.job.state;
            prop_assert_eq!(first == Reason::Ended, state.is_final());
            prop_assert_eq!(matches!(first, Reason::Running | Reason::LeaseLost), state == State::Running);
            if matches!(first, Reason::Scheduled | Reason::BackingOff) {
                prop_assert_eq!(state, State::Scheduled);
            }
            if matches!(first, Reason::ParkedSignal | Reason::Awaiting | Reason::ParkedVersion | Reason::ParkedArguments) {
                prop_assert_eq!(state, State::Parked);
            }
        }

        #[test]
        fn nothing_is_said_to_be_behind_others_while_something_stops_it(standing in facts()) {
            let holds = holds(&standing, None);
            if holds.iter().any(|hold| hold.reason() == Reason::Behind) {
                prop_assert_eq!(holds.len(), 1);
                prop_assert!(!standing.queue_paused && !standing.kind_paused && standing.kind_workers.workers > 0);
                prop_assert!(standing.limits.iter().all(|limit| limit.has_room));
            }
        }

        #[test]
        fn a_range_begins_before_it_ends_and_not_in_the_past(
            standing in facts(), p10 in 0..500_i64, more in 0..500_i64, pace in prop::option::of(0.0..2.0_f64),
        ) {
            let figures = Figures { run: Some((p10, p10 + more)), pace };
            let holds = holds(&standing, None);
            let (first, estimate) = (&holds[0], estimate(&holds, &standing, &figures));
            for (from, to) in [estimate.start, estimate.finish].into_iter().flatten() {
                prop_assert!(from <= to, "{from} {to} {first:?}");
            }
            if let Some((from, to)) = estimate.finish {
                prop_assert!(from >= NOW && to >= NOW, "{first:?}");
                let (start, last) = estimate.start.unwrap();
                prop_assert!(start <= from && last <= to, "{first:?}");
            }
            let is_stopped = |hold: &Hold| {
                matches!(hold.reason(), Reason::QueuePaused | Reason::NoWorker | Reason::NoWorkerForKind | Reason::Ended)
            };
            if holds.iter().any(is_stopped) {
                prop_assert_eq!(estimate.finish, None);
            }
        }
    }
}
