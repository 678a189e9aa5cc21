//! Holds the infrastructure's figures of a route against those of its outcomes, and says where they
//! disagree.
//!
//! A queue can be calm and its outcomes late: mail that a provider accepted and dropped raises no
//! error anywhere. And a queue can be busy while every outcome is in time.

use crate::span::span;

/// How long the next ready job may wait in a calm queue, ms.
const CALM_WAIT: i64 = 60_000;

/// What the infrastructure says about a route's queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Infrastructure {
    /// Whether the queue, or the kind of the route, is paused.
    pub is_paused: bool,
    /// Jobs that wait for a worker.
    pub ready: u64,
    /// Jobs that wait for a time.
    pub scheduled: u64,
    /// Jobs that run.
    pub running: u64,
    /// Jobs that wait for something else.
    pub parked: u64,
    /// Since when the next ready job waits, UTC ms.
    pub next_ready_since: Option<i64>,
    /// Events that wait in RabbitMQ for a bridge; `None` while RabbitMQ does not answer.
    pub backlog: Option<u32>,
    /// Bridges that read them.
    pub bridges: Option<u32>,
}

/// What the ledger says about a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Open ones, in time.
    pub open: u64,
    /// Those of them that are at risk.
    pub at_risk: u64,
    /// Overdue ones.
    pub overdue: u64,
    /// When the oldest of these was due, UTC ms.
    pub oldest_due: Option<i64>,
    /// Missed ones of the last hour.
    pub missed: u64,
}

/// A trouble of the infrastructure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The queue or the kind is paused.
    Paused,
    /// Ready jobs wait for long.
    Slow,
    /// RabbitMQ does not answer.
    Unreachable,
    /// No bridge reads the events.
    NoBridge,
    /// Events wait in RabbitMQ.
    Backlog,
}

/// Where the figures disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// The infrastructure is calm, and outcomes are overdue.
    CalmButOverdue,
    /// The infrastructure is calm, and outcomes were missed.
    CalmButMissed,
    /// The infrastructure is calm, and open outcomes are at risk.
    CalmButAtRisk,
    /// The infrastructure is in trouble, and no outcome suffers yet.
    TroubledButInTime,
}

/// A disagreement, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Which.
    pub sort: Sort,
    /// For people.
    pub words: String,
}

impl Sort {
    /// All sorts.
    pub const ALL: [Self; 4] =
        [Self::CalmButOverdue, Self::CalmButMissed, Self::CalmButAtRisk, Self::TroubledButInTime];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CalmButOverdue => "calm_but_overdue",
            Self::CalmButMissed => "calm_but_missed",
            Self::CalmButAtRisk => "calm_but_at_risk",
            Self::TroubledButInTime => "troubled_but_in_time",
        }
    }
}

impl Infrastructure {
    /// What is wrong with it, if anything. Parked jobs are not: they wait for something outside.
    pub fn trouble(&self, now: i64) -> Option<Trouble> {
        let waits = self.next_ready_since.map_or(0, |since| now.saturating_sub(since));
        if self.is_paused {
            Some(Trouble::Paused)
        } else if self.ready > 0 && waits > CALM_WAIT {
            Some(Trouble::Slow)
        } else if self.bridges.is_none() {
            Some(Trouble::Unreachable)
        } else if self.bridges == Some(0) {
            Some(Trouble::NoBridge)
        } else if self.backlog.is_some_and(|events| events > 0) {
            Some(Trouble::Backlog)
        } else {
            None
        }
    }
}

/// Where infrastructure and outcomes of a route disagree at `now` (UTC ms).
pub fn flags(infrastructure: &Infrastructure, standing: &Standing, now: i64) -> Vec<Flag> {
    let Standing { open, at_risk, overdue, oldest_due, missed } = standing;
    let Some(trouble) = infrastructure.trouble(now) else {
        let calm = calm(infrastructure);
        let mut flags = Vec::new();
        let mut flag = |sort, said: String| flags.push(Flag { sort, words: format!("{calm}, yet {said}") });
        if *overdue > 0 {
            let age = oldest_due.map(|due| format!(", the oldest by {}", span(now.saturating_sub(due))));
            let said = format!("{} overdue{}", outcomes(*overdue), age.unwrap_or_default());
            flag(Sort::CalmButOverdue, said);
        }
        if *missed > 0 {
            let were =
                if *missed == 1 { "1 outcome was".to_owned() } else { format!("{missed} outcomes were") };
            flag(Sort::CalmButMissed, format!("{were} missed in the last hour"));
        }
        if *at_risk > 0 {
            flag(Sort::CalmButAtRisk, format!("{} at risk of being late", outcomes(*at_risk)));
        }
        return flags;
    };
    if *overdue > 0 || *missed > 0 || *at_risk > 0 {
        return Vec::new();
    }
    let said = match trouble {
        Trouble::Paused => "the queue is paused".to_owned(),
        Trouble::Slow => {
            let since = infrastructure.next_ready_since.unwrap_or(now);
            let waits = span(now.saturating_sub(since));
            format!("{} ready, and the next one has waited for {waits}", jobs(infrastructure.ready))
        }
        Trouble::Unreachable => "RabbitMQ does not answer".to_owned(),
        Trouble::NoBridge => "no bridge reads the events".to_owned(),
        Trouble::Backlog => {
            let events = infrastructure.backlog.unwrap_or(0);
            format!("{events} event{} in RabbitMQ", if events == 1 { " waits" } else { "s wait" })
        }
    };
    let open = match open {
        0 => "no outcome is open".to_owned(),
        1 => "the 1 open outcome is in time".to_owned(),
        n => format!("all {n} open outcomes are in time"),
    };
    vec![Flag { sort: Sort::TroubledButInTime, words: format!("{said}, yet {open}") }]
}

/// What a calm queue looks like.
fn calm(of: &Infrastructure) -> String {
    let parked = if of.parked > 0 { format!(", {} parked", of.parked) } else { String::new() };
    format!(
        "the queue is calm ({} ready, {} running{parked}) and no event waits in RabbitMQ",
        of.ready, of.running
    )
}

fn outcomes(n: u64) -> String {
    if n == 1 { "1 outcome is".to_owned() } else { format!("{n} outcomes are") }
}

fn jobs(n: u64) -> String {
    if n == 1 { "1 job is".to_owned() } else { format!("{n} jobs are") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_773_480_413_000;

    fn calm_queue() -> Infrastructure {
        Infrastructure { running: 3, backlog: Some(0), bridges: Some(1), ..Infrastructure::default() }
    }

    #[test]
    fn a_calm_queue_with_overdue_outcomes_is_flagged() {
        let standing =
            Standing { open: 50, overdue: 37, oldest_due: Some(NOW - 7_200_000), ..Standing::default() };
        let [flag] = &flags(&calm_queue(), &standing, NOW)[..] else { panic!() };
        assert_eq!(flag.sort, Sort::CalmButOverdue);
        let words = "the queue is calm (0 ready, 3 running) and no event waits in RabbitMQ, \
                     yet 37 outcomes are overdue, the oldest by 2 h";
        assert_eq!(flag.words, words);
    }

    #[test]
    fn a_troubled_queue_whose_outcomes_are_in_time_is_flagged() {
        let standing = Standing { open: 2, ..Standing::default() };
        let slow = Infrastructure { ready: 40, next_ready_since: Some(NOW - 90_000), ..calm_queue() };
        for (trouble, words) in [
            (Infrastructure { is_paused: true, ..calm_queue() }, "the queue is paused, yet"),
            (slow, "40 jobs are ready, and the next one has waited for 1 min 30 s, yet all 2"),
            (Infrastructure { bridges: None, ..calm_queue() }, "RabbitMQ does not answer"),
            (Infrastructure { bridges: Some(0), ..calm_queue() }, "no bridge reads the events"),
            (Infrastructure { backlog: Some(1), ..calm_queue() }, "1 event waits in RabbitMQ, yet"),
        ] {
            let [flag] = &flags(&trouble, &standing, NOW)[..] else { panic!("{trouble:?}") };
            assert_eq!(flag.sort, Sort::TroubledButInTime);
            assert!(flag.words.starts_with(words), "{}", flag.words);
        }
    }

    fn infrastructure() -> impl Strategy<Value = Infrastructure> {
        let count = 0..5_u64;
        let since = prop::option::of(NOW - 200_000..NOW + 1_000);
        let events = prop::option::of(0..3_u32);
        (any::<bool>(), count.clone(), count.clone(), count, since, events, prop::option::of(0..3_u32))
            .prop_map(|(is_paused, ready, running, parked, next_ready_since, backlog, bridges)| {
                Infrastructure {
                    is_paused,
                    ready,
                    running,
                    parked,
                    next_ready_since,
                    backlog,
                    bridges,
                    scheduled: 0,
                }
            })
    }

    proptest! {
        #[test]
        fn a_flag_means_that_one_side_is_well_and_the_other_is_not(
            infrastructure in infrastructure(), open in 0..5_u64, at_risk in 0..3_u64, overdue in 0..3_u64,
            missed in 0..3_u64, due in prop::option::of(NOW - 1_000_000..NOW),
        ) {
            let standing = Standing { open, at_risk, overdue, oldest_due: due, missed };
            let found = flags(&infrastructure, &standing, NOW);
            let is_calm = infrastructure.trouble(NOW).is_none();
            let suffers = at_risk + overdue + missed > 0;
            prop_assert_eq!(!found.is_empty(), is_calm == suffers, "{:?}", found);
            for flag in found {
                prop_assert_eq!(flag.sort == Sort::TroubledButInTime, !is_calm);
                prop_assert!(flag.words.contains(", yet "), "{}", flag.words);
            }
        }
    }
}
