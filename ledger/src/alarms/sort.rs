//! The sorts of alarms.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Outcomes of a route are overdue.
    Overdue,
    /// One of them is late by more than an hour.
    OldestOpen,
    /// Open outcomes of a route will probably be late.
    AtRisk,
    /// Outcomes of a route were missed.
    Missed,
    /// The budget of errors of a route is used up within hours.
    BudgetBurnsFast,
    /// It does not last for its period.
    BudgetBurnsSlowly,
    /// A confirmation contradicts an earlier one.
    Contradicted,
    /// The books do not explain expectations.
    Unexplained,
    /// A queue cannot be read.
    QueueUnread,
    /// RabbitMQ does not answer.
    RabbitmqAway,
    /// No bridge reads events.
    NoBridge,
    /// No worker runs a kind, and work waits for one.
    NoWorker,
    /// Schedules of a queue do not run as they say, for one reason.
    ScheduleStuck,
    /// A group of readers of the outbox is behind.
    OutboxLag,
    /// Events go to quarantine, for one reason.
    QuarantineGrows,
    /// Messages came that the AMQP client cannot parse.
    Unreadable,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It can wait for the morning.
    Warning,
    /// It should wake somebody.
    Critical,
}

const MINUTE_MS: i64 = 60_000;

impl Sort {
    /// All sorts.
    pub const ALL: [Self; 16] = [
        Self::Overdue,
        Self::OldestOpen,
        Self::AtRisk,
        Self::Missed,
        Self::BudgetBurnsFast,
        Self::BudgetBurnsSlowly,
        Self::Contradicted,
        Self::Unexplained,
        Self::QueueUnread,
        Self::RabbitmqAway,
        Self::NoBridge,
        Self::NoWorker,
        Self::ScheduleStuck,
        Self::OutboxLag,
        Self::QuarantineGrows,
        Self::Unreadable,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::OldestOpen => "oldest_open",
            Self::AtRisk => "at_risk",
            Self::Missed => "missed",
            Self::BudgetBurnsFast => "budget_burns_fast",
            Self::BudgetBurnsSlowly => "budget_burns_slowly",
            Self::Contradicted => "contradicted",
            Self::Unexplained => "unexplained",
            Self::QueueUnread => "queue_unread",
            Self::RabbitmqAway => "rabbitmq_away",
            Self::NoBridge => "no_bridge",
            Self::NoWorker => "no_worker",
            Self::ScheduleStuck => "schedule_stuck",
            Self::OutboxLag => "outbox_lag",
            Self::QuarantineGrows => "quarantine_grows",
            Self::Unreadable => "unreadable",
        }
    }

    /// The name of the rule for Prometheus: the same in another case.
    pub fn rule(self) -> String {
        let part = |part: &str| {
            let mut chars = part.chars();
            chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect::<String>()
        };
        format!("Upshot{}", self.as_str().split('_').map(part).collect::<String>())
    }

    /// How bad it is.
    pub const fn severity(self) -> Severity {
        match self {
            Self::OldestOpen
            | Self::BudgetBurnsFast
            | Self::Unexplained
            | Self::QueueUnread
            | Self::RabbitmqAway
            | Self::NoBridge
            | Self::NoWorker => Severity::Critical,
            Self::Overdue
            | Self::AtRisk
            | Self::Missed
            | Self::BudgetBurnsSlowly
            | Self::Contradicted
            | Self::ScheduleStuck
            | Self::OutboxLag
            | Self::QuarantineGrows
            | Self::Unreadable => Severity::Warning,
        }
    }

    /// How long it must last before the alarm is on, ms.
    pub const fn lasts(self) -> i64 {
        match self {
            Self::Overdue | Self::AtRisk => 5 * MINUTE_MS,
            Self::BudgetBurnsSlowly => 30 * MINUTE_MS,
            Self::QueueUnread
            | Self::RabbitmqAway
            | Self::NoBridge
            | Self::NoWorker
            | Self::ScheduleStuck => 2 * MINUTE_MS,
            Self::Unexplained | Self::OutboxLag => MINUTE_MS,
            Self::OldestOpen
            | Self::Missed
            | Self::BudgetBurnsFast
            | Self::Contradicted
            | Self::QuarantineGrows
            | Self::Unreadable => 0,
        }
    }
}

impl Severity {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_are_shown_names() {
        for sort in Sort::ALL {
            assert_eq!(serde_json::to_value(sort).unwrap(), sort.as_str());
            assert_eq!(serde_json::to_value(sort.severity()).unwrap(), sort.severity().as_str());
        }
        assert_eq!(Sort::NoWorker.rule(), "UpshotNoWorker");
    }
}
