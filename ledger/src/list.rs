//! Lists outcomes of several queues: by status and time, with filters and a cursor.
//!
//! A list goes through the indexes that the queue's scripts keep, never through all jobs:
//! | status | where from | order |
//! |---|---|---|
//! | overdue, reopened | index by due time | oldest due first |
//! | open | packs of ids by due time | oldest due first |
//! | achieved in time | stream of succeeded jobs, then rows | newest first, queue by queue |
//! | other verdicts | index by time of the verdict | newest first |
//!
//! A page looks at a bounded number of ids, and says how far it came. Rows are what is left of
//! forgotten jobs. The indexes of exceptions keep them; those achieved in time are found day by day,
//! those of one day in no order.

mod cursor;
mod search;

use upshot_queue::{Account, Client, Error, Job, QueueName, VerdictRow};

pub use cursor::Cursor;
use cursor::Place;
use search::Search;

use crate::risk::RunTimesCache;

/// Selects outcomes.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// With this status; all, one after another, when `None`.
    pub status: Option<Account>,
    /// Of the route of this name.
    pub route: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Not before this time, UTC ms: the due time of those without a verdict, else the time of the
    /// verdict.
    pub from: Option<i64>,
    /// Not after this time, UTC ms.
    pub to: Option<i64>,
    /// Only open ones that are at risk.
    pub at_risk: bool,
}

/// An outcome of a list.
#[derive(Clone, Debug)]
pub enum Found {
    /// Its job.
    Job(Box<Job>),
    /// What is left of its forgotten job.
    Row(QueueName, Box<VerdictRow>),
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// The outcomes. A page with `next` may have fewer than requested, or none.
    pub found: Vec<Found>,
    /// Where the list continues.
    pub next: Option<Cursor>,
    /// How many ids the page looked at, if it stopped before it was full.
    pub searched: Option<usize>,
}

/// Ids that a page looks at, about.
const EXAMINED: usize = 400;

/// The statuses of a list without one: what needs attention first.
const ALL: [Account; 10] = [
    Account::Overdue,
    Account::Reopened,
    Account::Awaiting,
    Account::Open,
    Account::Missed,
    Account::Partial,
    Account::Cancelled,
    Account::Waived,
    Account::AchievedLate,
    Account::AchievedInTime,
];

/// A page of at most `limit` outcomes of these queues. `now` is Redis' time, UTC ms.
///
/// # Errors
/// When the cursor does not belong to this list, or Redis failed.
pub async fn outcomes(
    queues: &[&Client],
    filter: &Filter,
    from: Option<Cursor>,
    limit: usize,
    now: i64,
    times: &RunTimesCache,
) -> Result<Page, Error> {
    let statuses = match filter.status {
        Some(status) => vec![status],
        None if filter.at_risk => vec![Account::Open],
        None => ALL.to_vec(),
    };
    let first = match &from {
        None => 0,
        Some(cursor) => {
            let place = statuses.iter().position(|status| *status == cursor.account);
            place.filter(|_| cursor.fits(queues)).ok_or_else(|| cursor.refused())?
        }
    };
    let mut search = Search::begin(queues, filter, now, times).await?;
    let mut place = from.map_or(Place::Start, |cursor| cursor.place);
    let statuses = statuses.get(first..).unwrap_or_default();
    for (n, status) in statuses.iter().enumerate() {
        let following = statuses.get(n + 1).map(|next| Cursor { account: *next, place: Place::Start });
        loop {
            let room = limit - search.picked();
            if room == 0 || search.examined() >= EXAMINED {
                let searched = (room > 0).then(|| search.examined());
                let next = Some(Cursor { account: *status, place });
                return Ok(Page { found: search.load().await?, next, searched });
            }
            match search.step(*status, &place, room).await? {
                Some(behind) => place = behind,
                None => break,
            }
        }
        place = Place::Start;
        if search.picked() == limit {
            return Ok(Page { found: search.load().await?, next: following, searched: None });
        }
    }
    Ok(Page { found: search.load().await?, next: None, searched: None })
}

impl Cursor {
    /// Whether its queue is one of these.
    fn fits(&self, queues: &[&Client]) -> bool {
        match &self.place {
            Place::Start | Place::Listed { .. } | Place::Due { .. } => true,
            Place::Succeeded { queue, .. } | Place::RowsOf { queue } | Place::Rows { queue, .. } => {
                queues.iter().any(|each| each.name() == queue)
            }
        }
    }

    fn refused(&self) -> Error {
        upshot_queue::BadCursor::new(&self.to_string()).into()
    }
}
