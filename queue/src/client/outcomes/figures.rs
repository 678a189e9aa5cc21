//! Reads figures: the books at a time, and the counts of a day.

use redis::FromRedisValue;

use crate::{
    client::{books::Books, handle::Client},
    error::Error,
    policy::account::Account,
};

/// The field of a snapshot that holds the books.
const BOOKS: &str = "books";
/// Fields of a day that are read together.
const FIELDS: usize = 500;

/// The books at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// When, UTC ms; `None` for the beginning of the queue.
    pub at: Option<i64>,
    /// The books.
    pub books: Books,
}

/// Counts of one day (UTC).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FigureDay {
    /// By tenant (empty for jobs without one) and account: verdicts, and those that became overdue.
    pub tenants: Vec<(String, Account, u64)>,
    /// Missed outcomes by cause: the fingerprint, the class, the kind and the message.
    pub causes: Vec<([String; 4], u64)>,
    /// Whether the day has more fields than were read.
    pub is_cut: bool,
}

impl Client {
    /// The latest snapshot of the books that is not later than a time (UTC ms): of the last day to
    /// the minute, before that to the hour. For a time before the first snapshot, the oldest one, or
    /// the beginning of the queue where no snapshot was dropped.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn books_at(&self, ms: i64) -> Result<Snapshot, Error> {
        self.check_layout().await?;
        let mut pipe = redis::pipe();
        let until = ms.max(0);
        for stream in [self.keys.minutes(), self.keys.hours()] {
            pipe.cmd("XREVRANGE").arg(stream).arg(until).arg("-").arg("COUNT").arg(1);
        }
        pipe.cmd("XRANGE").arg(self.keys.hours()).arg("-").arg("+").arg("COUNT").arg(1);
        type Entries = Vec<(String, Vec<(String, String)>)>;
        let (minute, hour, oldest): (Entries, Entries, Entries) =
            pipe.query_async(&mut self.conn.clone()).await?;
        let before = [minute, hour].into_iter().flatten().filter_map(|entry| snapshot(&entry));
        if let Some(found) = before.max_by_key(|snapshot| snapshot.at) {
            return Ok(found);
        }
        match oldest.first().and_then(snapshot) {
            Some(oldest) if self.was_trimmed().await? => Ok(oldest),
            _ => Ok(Snapshot::default()),
        }
    }

    /// Whether the stream of hours has lost its beginning.
    async fn was_trimmed(&self) -> Result<bool, Error> {
        let mut cmd = redis::cmd("XINFO");
        cmd.arg("STREAM").arg(self.keys.hours());
        let info: Vec<(String, redis::Value)> = cmd.query_async(&mut self.conn.clone()).await?;
        let number = |name: &str| {
            let value = info.iter().find(|(each, _)| each == name).map(|(_, value)| value.clone())?;
            i64::from_redis_value(value).ok()
        };
        Ok(number("entries-added").unwrap_or(0) > number("length").unwrap_or(0))
    }

    /// The counts of a day (days since 1970), of at most `most` fields.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn figures_of(&self, day: i64, most: usize) -> Result<FigureDay, Error> {
        let mut figures = FigureDay::default();
        let (mut position, mut read) = (0_u64, 0);
        loop {
            let mut cmd = redis::cmd("HSCAN");
            cmd.arg(self.keys.figures(day)).arg(position).arg("COUNT").arg(FIELDS);
            let (next, found): (u64, Vec<(Vec<u8>, u64)>) = cmd.query_async(&mut self.conn.clone()).await?;
            read += found.len();
            // A message may be cut within a character.
            found.into_iter().for_each(|(name, n)| figures.add(&String::from_utf8_lossy(&name), n));
            if next == 0 {
                return Ok(figures);
            }
            if read >= most {
                figures.is_cut = true;
                return Ok(figures);
            }
            position = next;
        }
    }
}

impl FigureDay {
    /// Adds a field. Leaves out what a newer version wrote.
    fn add(&mut self, name: &str, n: u64) {
        if let Some(rest) = name.strip_prefix("t|") {
            let named = rest.rsplit_once('|').and_then(|(tenant, letter)| {
                let account = letter.parse().ok().and_then(Account::from_letter)?;
                Some((crate::job::flow::decode(tenant), account, n))
            });
            self.tenants.extend(named);
        } else if let Some(rest) = name.strip_prefix("c|") {
            let mut parts = rest.splitn(4, '|').map(str::to_owned);
            let mut part = || parts.next().unwrap_or_default();
            let (fingerprint, class, kind, message) = (part(), part(), part(), part());
            self.causes.push(([fingerprint, class, crate::job::flow::decode(&kind), message], n));
        }
    }
}

/// Reads an entry of a stream of snapshots.
fn snapshot((id, fields): &(String, Vec<(String, String)>)) -> Option<Snapshot> {
    let at = id.split_once('-')?.0.parse().ok()?;
    let (_, text) = fields.iter().find(|(name, _)| name == BOOKS)?;
    let moves = text.split(' ').filter_map(|each| each.rsplit_once('='));
    let moves = moves.filter_map(|(name, count)| Some((name, count.parse().ok()?)));
    Some(Snapshot { at: Some(at), books: Books::read(moves) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_day_are_taken_apart() {
        let mut day = FigureDay::default();
        for (name, n) in [
            ("t|acme|m", 3),
            ("t||t", 9),
            ("c|0123456789abcdef|permanent|invoice.issue|550 no such | mailbox: #", 2),
            ("c|*", 1),
            ("x|new", 1),
            ("t|acme|?", 1),
        ] {
            day.add(name, n);
        }
        let tenants = [("acme".to_owned(), Account::Missed, 3), (String::new(), Account::AchievedInTime, 9)];
        assert_eq!(day.tenants, tenants);
        let parts = ["0123456789abcdef", "permanent", "invoice.issue", "550 no such | mailbox: #"];
        assert_eq!(day.causes[0], (parts.map(str::to_owned), 2));
        assert_eq!(day.causes.len(), 2);
    }

    #[test]
    fn a_snapshot_is_read() {
        let entry = ("1773480413000-0".to_owned(), vec![(BOOKS.to_owned(), "3|r>o=12 3|o>t=11".to_owned())]);
        let found = snapshot(&entry).unwrap();
        assert_eq!(found.at, Some(1_773_480_413_000));
        assert_eq!(found.books.balance(3, Account::Open), 1);
    }
}
