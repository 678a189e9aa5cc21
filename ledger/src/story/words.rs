//! The sentences of a story.

use upshot_queue::{Account, Condition};

pub(super) use crate::span::moment;
use crate::span::span;

/// A change of a job, in words.
pub(super) fn change(did: &str, note: Option<&str>, by: Option<&str>) -> String {
    let note = note.unwrap_or_default();
    let with = |text: &str| if note.is_empty() { text.to_owned() } else { format!("{text}: {note}") };
    let said = match did {
        "released" => with("the worker handed the attempt back"),
        "snoozed" => with("the handler put the job off"),
        "parked" => with("the job was parked"),
        "awaiting" => format!("the work is done; it awaits its proof {}", key(note)),
        "confirmed" => format!("the confirmation {} came", key(note)),
        "refuted" => {
            format!("the confirmation {} came, and says that the work did not come out right", key(note))
        }
        "signalled" => format!("the signal `{note}` came"),
        "waited" => format!("the wait for `{note}` ran out of time"),
        "contradicted" => {
            format!("another signal `{note}` with a different payload came; the first one counts")
        }
        "cancelled" => with("an operator cancelled the job"),
        "rescheduled" => with("an operator moved the job to another time"),
        "prioritised" => with("an operator gave the job another priority"),
        "retried" => with("an operator let the job run again"),
        "edited" => "an operator let the job run again with other arguments".to_owned(),
        "repaired" => "the event came again, and its data replaced the arguments".to_owned(),
        "waived" => with("an operator settled the outcome"),
        "noted" => with("note"),
        "owned" => format!("{} took charge of it", if note.is_empty() { "an operator" } else { note }),
        other => with(other),
    };
    match by {
        Some(by) if !by.is_empty() => format!("{said} (by {by}, unverified)"),
        _ => said,
    }
}

/// The key of a condition, and its tenant.
fn key(condition: &str) -> String {
    match condition.parse::<Condition>() {
        Ok(condition) => match condition.tenant() {
            Some(tenant) => format!("`{}` of tenant {tenant}", condition.key()),
            None => format!("`{}`", condition.key()),
        },
        Err(_) => format!("`{condition}`"),
    }
}

/// The words for an expectation that came into an account at `at`.
pub(super) fn verdict(account: Account, at: i64, due: i64) -> String {
    let early = || format!("{} before it was due", span(due.saturating_sub(at)));
    let late = || format!("{} after it was due", span(at.saturating_sub(due)));
    match account {
        Account::Overdue => "OVERDUE: no outcome by the due time; the work continues".to_owned(),
        Account::Reopened => "REOPENED: the outcome is open again".to_owned(),
        Account::AchievedInTime => format!("ACHIEVED IN TIME, {}", early()),
        Account::AchievedLate => format!("ACHIEVED LATE, {}", late()),
        Account::Partial => "PARTIAL: a part of the outcome was achieved".to_owned(),
        Account::Missed if at <= due => format!("MISSED, {}", early()),
        Account::Missed => format!("MISSED, {}", late()),
        Account::Cancelled => "CANCELLED".to_owned(),
        Account::Waiving | Account::Waived => "WAIVED: settled by an operator".to_owned(),
        other => other.to_string(),
    }
}

/// Facts of evidence.
pub(super) fn facts<'a>(facts: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let facts: Vec<String> = facts.into_iter().map(|(name, fact)| format!("{name} {fact}")).collect();
    facts.join(", ")
}
