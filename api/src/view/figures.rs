//! The view of figures of outcomes.

use serde::Serialize;
use upshot_ledger::summary::{Cause, Figures};
use utoipa::ToSchema;

use crate::shown::Shown;

/// Figures of outcomes. Those that the grouping does not know are null.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = Figures)]
pub struct FiguresBody {
    /// Events of the period that became a job or found one.
    #[schema(required)]
    received: Option<u64>,
    /// Those of them that found a job.
    #[schema(required)]
    duplicate: Option<u64>,
    /// Without a verdict and in time, at the end of the period.
    #[schema(required)]
    open: Option<u64>,
    /// Without a verdict and late, at the end of the period.
    #[schema(required)]
    overdue: Option<u64>,
    /// Done, and the proof is to come, at the end of the period.
    #[schema(required)]
    awaiting: Option<u64>,
    /// Retried after a verdict and not decided again, at the end of the period.
    #[schema(required)]
    reopened: Option<u64>,
    /// Became overdue in the period.
    #[schema(required)]
    became_overdue: Option<u64>,
    /// Were retried after a verdict in the period.
    #[schema(required)]
    became_reopened: Option<u64>,
    /// Verdicts of the period. An outcome that was reopened and decided again counts twice.
    #[schema(required)]
    achieved_in_time: Option<u64>,
    /// Achieved late.
    #[schema(required)]
    achieved_late: Option<u64>,
    /// Achieved, in time or late, without a retry after a verdict.
    #[schema(required)]
    achieved_first_time: Option<u64>,
    /// Achieved in part.
    #[schema(required)]
    partial: Option<u64>,
    /// Missed.
    missed: u64,
    /// Cancelled.
    #[schema(required)]
    cancelled: Option<u64>,
    /// Settled by an operator.
    #[schema(required)]
    waived: Option<u64>,
    /// Of those achieved or missed, the share that was achieved in time, 0 to 1; null without any.
    #[schema(required)]
    share_in_time: Option<f64>,
}

/// A cause of missed outcomes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Cause)]
pub struct CauseBody {
    /// The group of dead jobs; `*` for all causes beyond those that a day counts.
    #[schema(example = "5f1d7a84db00d2fc")]
    group: String,
    /// The class of the failure.
    class: String,
    /// The kind of job.
    kind: String,
    /// The message, without its numbers and names.
    message: String,
}

impl FiguresBody {
    /// All figures.
    pub fn whole(figures: &Figures) -> Self {
        Self {
            received: Some(figures.received),
            duplicate: Some(figures.duplicate),
            open: Some(figures.open),
            overdue: Some(figures.overdue),
            awaiting: Some(figures.awaiting),
            reopened: Some(figures.reopened),
            became_reopened: Some(figures.became_reopened),
            achieved_first_time: Some(figures.achieved_first_time),
            ..Self::verdicts(figures)
        }
    }

    /// The figures of verdicts, which are counted by tenant as well.
    pub fn verdicts(figures: &Figures) -> Self {
        Self {
            became_overdue: Some(figures.became_overdue),
            achieved_in_time: Some(figures.achieved_in_time),
            achieved_late: Some(figures.achieved_late),
            partial: Some(figures.partial),
            missed: figures.missed,
            cancelled: Some(figures.cancelled),
            waived: Some(figures.waived),
            share_in_time: figures.share_in_time(),
            ..Self::default()
        }
    }

    /// The figure of a cause.
    pub fn missed(missed: u64) -> Self {
        Self { missed, ..Self::default() }
    }
}

impl CauseBody {
    /// The body of a cause.
    pub fn new(cause: Cause, shown: &Shown) -> Self {
        let message = shown.text(&cause.message);
        Self { group: cause.fingerprint, class: cause.class, kind: cause.kind, message }
    }
}
