//! Recounts the expectations of a queue, job by job, and compares them with the books.
//!
//! Each call compares jobs with their indexes at one moment, so whatever it finds is wrong. The
//! recount takes many calls, and jobs move meanwhile: it may differ from the books by what moved.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    client::{
        books::{Books, NO_ROUTE},
        handle::Client,
        watch::{Balance, Drift},
    },
    error::Error,
    job::id::JobId,
    policy::account::Account,
    redis::clock::delay_ms,
    scripts::{self, Call, MAX_BATCH},
};

/// How long an expectation may be due before the watchdog must have found it.
const PATIENCE: Duration = Duration::from_secs(10);

/// An expectation that the books do not explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unexplained {
    /// Its job.
    pub id: JobId,
    /// What is wrong.
    pub what: String,
    /// Since when it may be, UTC ms.
    pub since: i64,
}

/// The result of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Jobs that were looked at.
    pub jobs: u64,
    /// What does not balance at one moment.
    pub drifts: Vec<Drift>,
    /// Routes and accounts whose recount differs from the books by more than what moved meanwhile.
    pub recounts: Vec<Drift>,
    /// Counts that are lower than in the last snapshot: the data were lost or replaced.
    pub fallen: Vec<(u32, Account, Account)>,
    /// What the books do not explain, at most [`MOST_UNEXPLAINED`] of them.
    pub unexplained: Vec<Unexplained>,
    /// All of these.
    pub unexplained_count: u64,
}

/// The most unexplained expectations that an audit names.
pub const MOST_UNEXPLAINED: usize = 1_000;

impl Audit {
    /// Whether everything is explained.
    pub fn is_clean(&self) -> bool {
        self.drifts.is_empty()
            && self.recounts.is_empty()
            && self.fallen.is_empty()
            && self.unexplained_count == 0
    }
}

/// A page of an audit.
#[derive(Default)]
struct Part {
    looked: usize,
    counts: Vec<(String, i64)>,
    unexplained: Vec<Unexplained>,
}

impl Client {
    /// Audits the queue: what balances at one moment, each job, and each index. The cost grows with
    /// the jobs that are kept; each call is bounded, and `rest` is awaited between two calls.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn audit(&self, rest: impl AsyncFn(Duration)) -> Result<Audit, Error> {
        let before = self.balance().await?;
        let mut audit = Audit { fallen: self.fallen(&before.books).await?, ..Audit::default() };
        let rows_before = self.rows_in_time().await?;
        let mut counted: BTreeMap<(u32, Account), i64> = BTreeMap::new();
        let prefix = self.keys().job_prefix();
        let pattern = format!("{}*", crate::worker::scrub::escape(&prefix));
        let mut cursor = 0;
        loop {
            let began = std::time::Instant::now();
            let (next, keys) =
                self.conn.clone().scan_page(self.keys().control(), cursor, &pattern, MAX_BATCH).await?;
            let ids: Vec<String> =
                keys.iter().filter_map(|key| key.strip_prefix(&prefix)).map(ToOwned::to_owned).collect();
            for part in self.audit_parts("jobs", &ids, 1).await? {
                audit.jobs += part.looked as u64;
                for (name, n) in &part.counts {
                    if let Some(of) = parse_account(name) {
                        *counted.entry(of).or_default() += n;
                    }
                }
                audit.note(part.unexplained);
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
            rest(began.elapsed()).await;
        }
        for (route, account) in before.indexed.keys() {
            self.audit_index(*route, *account, &mut audit, &rest).await?;
        }
        let after = self.balance().await?;
        audit.drifts = after.drifts();
        audit.recounts = recounts(&before, &after, &counted);
        let rows = [rows_before, self.rows_in_time().await?];
        audit.recounts.extend(in_time(&before, &after, &counted, rows));
        Ok(audit)
    }

    async fn audit_index(
        &self,
        route: u32,
        account: Account,
        audit: &mut Audit,
        rest: &impl AsyncFn(Duration),
    ) -> Result<(), Error> {
        let (mut cursor, name) = (0, format!("{route}:{}", account.letter()));
        loop {
            let began = std::time::Instant::now();
            let mut cmd = redis::cmd("ZSCAN");
            cmd.arg(self.keys().outcomes(route, account)).arg(cursor).arg("COUNT").arg(MAX_BATCH);
            let (next, page): (u64, Vec<(String, f64)>) = cmd.query_async(&mut self.conn.clone()).await?;
            let entries: Vec<String> =
                page.into_iter().flat_map(|(id, score)| [id, (score as i64).to_string()]).collect();
            for part in self.audit_parts(&name, &entries, 2).await? {
                audit.note(part.unexplained);
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
            rest(began.elapsed()).await;
        }
    }

    /// Audits a page in as many calls as it takes; each entry has `width` arguments.
    async fn audit_parts(&self, what: &str, entries: &[String], width: usize) -> Result<Vec<Part>, Error> {
        let mut parts = Vec::new();
        for mut batch in entries.chunks(MAX_BATCH * width) {
            while !batch.is_empty() {
                let mut call = Call::new(&scripts::AUDIT, self.keys());
                call.arg(what).arg(delay_ms(PATIENCE)).arg(batch);
                type Reply = (usize, Vec<(String, i64)>, Vec<(String, String, i64)>);
                let (looked, counts, found): Reply = call.run(&mut self.conn.clone()).await?;
                let unexplained = |(id, what, since)| Unexplained { id: JobId::trusted(id), what, since };
                let unexplained = found.into_iter().map(unexplained).collect();
                parts.push(Part { looked, counts, unexplained });
                batch = batch.get(looked.max(1) * width..).unwrap_or_default();
            }
        }
        Ok(parts)
    }

    /// How many rows there are about forgotten jobs whose outcomes were achieved in time.
    async fn rows_in_time(&self) -> Result<i64, Error> {
        let mut cmd = redis::cmd("ZRANGE");
        cmd.arg(self.keys().verdicts()).arg(0).arg(-1);
        let days: Vec<String> = cmd.query_async(&mut self.conn.clone()).await?;
        let mut pipe = redis::pipe();
        for day in days.iter().filter_map(|day| day.strip_suffix(":t")?.parse().ok()) {
            pipe.cmd("HLEN").arg(self.keys().verdicts_of(day, "t"));
        }
        if pipe.is_empty() {
            return Ok(0);
        }
        let rows: Vec<i64> = pipe.query_async(&mut self.conn.clone()).await?;
        Ok(rows.iter().sum())
    }

    /// The counts that are lower than in the last snapshot.
    async fn fallen(&self, books: &Books) -> Result<Vec<(u32, Account, Account)>, Error> {
        let last = self.snapshot(None).await?.unwrap_or_default();
        let fell = |(key, count): (&(u32, Account, Account), &u64)| {
            (books.moves.get(key).copied().unwrap_or(0) < *count).then_some(*key)
        };
        Ok(last.moves.iter().filter_map(fell).collect())
    }
}

impl Audit {
    fn note(&mut self, found: Vec<Unexplained>) {
        self.unexplained_count += found.len() as u64;
        let room = MOST_UNEXPLAINED.saturating_sub(self.unexplained.len());
        self.unexplained.extend(found.into_iter().take(room));
    }
}

/// Routes and accounts of kept jobs whose recount differs by more than what moved during the pass.
fn recounts(before: &Balance, after: &Balance, counted: &BTreeMap<(u32, Account), i64>) -> Vec<Drift> {
    let moved = after.books.since(&before.books);
    let mut drifts = Vec::new();
    for route in after.books.routes() {
        // An account without forgotten jobs in it: those that have work.
        for account in Account::ALL.into_iter().filter(|account| account.has_work()) {
            let found = counted.get(&(route, account)).copied().unwrap_or(0);
            let books = after.books.balance(route, account);
            let touches = |(of, from, to): &(u32, Account, Account)| {
                *of == route && (*from == account || *to == account)
            };
            let slack: u64 =
                moved.moves.iter().filter(|(key, _)| touches(key)).map(|(_, count)| *count).sum();
            if found.abs_diff(books) > slack {
                drifts.push(Drift { route: Some(route), account: Some(account), books, found });
            }
        }
    }
    drifts
}

/// What was achieved in time has no index: the jobs and rows of all routes together are compared with
/// the books. They may differ by what was achieved or forgotten during the pass.
fn in_time(
    before: &Balance,
    after: &Balance,
    counted: &BTreeMap<(u32, Account), i64>,
    rows: [i64; 2],
) -> Option<Drift> {
    const OF: Account = Account::AchievedInTime;
    let routes = || after.books.routes().into_iter().filter(|route| *route != NO_ROUTE);
    let jobs: i64 = routes().filter_map(|route| counted.get(&(route, OF))).sum();
    let books = routes().map(|route| after.books.balance(route, OF)).sum::<i64>();
    let moved = |(key, count): (&(u32, Account, Account), &u64)| {
        (key.0 != NO_ROUTE && (key.1 == OF || key.2 == OF)).then_some(*count)
    };
    let slack: u64 = after.books.since(&before.books).moves.iter().filter_map(moved).sum();
    // A job that is forgotten during the pass may count twice or not at all.
    let slack = slack + rows[0].abs_diff(rows[1]);
    let found = jobs + rows[1];
    (found.abs_diff(books) > slack).then_some(Drift { route: None, account: Some(OF), books, found })
}

fn parse_account(text: &str) -> Option<(u32, Account)> {
    let (route, account) = text.split_once('|')?;
    let route = route.parse().unwrap_or(NO_ROUTE);
    Some((route, Account::from_letter(account.parse().ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recount_may_differ_by_what_moved_meanwhile() {
        let balance = |moves: &[(&str, u64)]| Balance {
            books: Books::read(moves.iter().copied()),
            ..Balance::default()
        };
        let before = balance(&[("1|r>o", 10), ("1|o>t", 4)]);
        let after = balance(&[("1|r>o", 11), ("1|o>t", 6)]);
        let drift = |found| recounts(&before, &after, &BTreeMap::from([((1, Account::Open), found)]));
        assert_eq!(drift(5), []);
        assert_eq!((drift(2), drift(8)), (vec![], vec![]));
        let too_few = Drift { route: Some(1), account: Some(Account::Open), books: 5, found: 1 };
        assert_eq!(drift(1), [too_few]);
    }
}
