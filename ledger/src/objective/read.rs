//! Reads how routes stand from the books of their queue, and from the snapshots of these books.

use futures::future;
use upshot_queue::{Books, Client, Error};
use upshot_shared::Objective;

use super::{PERIOD_MS, Standing, Tally, Window};

/// What moved on the routes of a queue, in each window and in the period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    windows: [Books; Window::ALL.len()],
    period: Books,
    all: Books,
}

/// Reads what moved up to `now` (UTC ms, by the clock of Redis). The cost depends on the number of
/// routes alone. A window begins with the snapshot before it: to the minute for a day, before that to
/// the hour.
///
/// # Errors
/// When Redis failed.
pub async fn read(queue: &Client, now: i64) -> Result<Moved, Error> {
    let begins = Window::ALL.map(Window::ms).into_iter().chain([PERIOD_MS]).map(|ms| now.saturating_sub(ms));
    let begins = future::try_join_all(begins.map(|at| queue.books_at(at)));
    let (begins, end) = future::try_join(begins, queue.books()).await?;
    let mut moved = begins.iter().map(|begin| end.since(&begin.books));
    let windows = std::array::from_fn(|_| moved.next().unwrap_or_default());
    let period = moved.next().unwrap_or_default();
    Ok(Moved { windows, period, all: end })
}

impl Moved {
    /// The outcomes of a route that were counted since the queue began.
    pub fn counted(&self, route: Option<u32>) -> Tally {
        route.map_or_else(Tally::default, |route| Tally::of(route, &self.all))
    }

    /// How a route stands that has this number in the queue; `None` for a route without a job so far.
    pub fn standing(&self, route: Option<u32>, objective: Objective) -> Standing {
        let tally = |moved: &Books| route.map_or_else(Tally::default, |route| Tally::of(route, moved));
        Standing { objective, period: tally(&self.period), windows: self.windows.each_ref().map(tally) }
    }
}
