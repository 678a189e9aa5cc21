//! What is left of forgotten jobs: a row about each verdict, by the day of the verdict.

use std::{collections::HashMap, fmt, str::FromStr};

use serde_json::Value;

use crate::{client::handle::Client, error::Error, job::id::JobId, policy::account::Account};

/// Days of rows that a search for ids goes through at most, the newest first: twice what retention
/// keeps by default.
const DAYS: usize = 400;
const DAY_MS: i64 = 86_400_000;
/// Ids that are looked for together.
const IDS: usize = 128;

/// The rows of one day, of one of two sorts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VerdictDay {
    /// The day: days since 1970, UTC.
    pub day: i64,
    /// Whether they were achieved in time; otherwise they are exceptions.
    pub in_time: bool,
}

/// The verdict about a job that the queue has forgotten. Texts were cut when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictRow {
    /// The job.
    pub id: JobId,
    /// The account of its verdict.
    pub account: Account,
    /// The number of its route.
    pub route: u32,
    /// When it was enqueued, UTC ms.
    pub enqueued_at: i64,
    /// By when its outcome was expected, UTC ms.
    pub due: i64,
    /// When it ended, UTC ms.
    pub ended_at: i64,
    /// Attempts.
    pub attempts: u64,
    /// The kind of work.
    pub kind: String,
    /// The tenant.
    pub tenant: Option<String>,
    /// The subject.
    pub subject: Option<String>,
    /// The source of its event.
    pub source: Option<String>,
    /// The id of its event.
    pub event: Option<String>,
    /// What was achieved, or why it was not.
    pub what: Option<String>,
}

/// A row of another form.
#[derive(Debug, thiserror::Error)]
#[error("the row of job {id} cannot be read: {why}")]
struct Unreadable {
    id: JobId,
    why: String,
}

impl VerdictDay {
    /// The suffix of its key.
    const fn sort(self) -> &'static str {
        if self.in_time { "t" } else { "e" }
    }
}

impl fmt::Display for VerdictDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.day, self.sort())
    }
}

impl FromStr for VerdictDay {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (day, sort) = text.split_once(':').ok_or(())?;
        let in_time = match sort {
            "t" => true,
            "e" => false,
            _ => return Err(()),
        };
        Ok(Self { day: day.parse().map_err(|_| ())?, in_time })
    }
}

impl VerdictRow {
    fn read(id: &JobId, json: &[u8]) -> Result<Self, Unreadable> {
        let unreadable = |why: String| Unreadable { id: id.clone(), why };
        // A text may be cut within a character.
        let json = String::from_utf8_lossy(json);
        let row: Vec<Value> = serde_json::from_str(&json).map_err(|why| unreadable(why.to_string()))?;
        let at = |place: usize| row.get(place).unwrap_or(&Value::Null);
        // Lua writes a whole number as a float where it is large.
        let number = |place: usize, what: &str| {
            let read = match at(place) {
                Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|n| n as i64)),
                Value::String(text) => text.parse().ok(),
                _ => None,
            };
            read.ok_or_else(|| unreadable(format!("{what} is `{}`", at(place))))
        };
        let text = |place: usize| at(place).as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let letter = text(0).and_then(|text| text.parse().ok()).and_then(Account::from_letter);
        Ok(Self {
            id: id.clone(),
            account: letter.ok_or_else(|| unreadable(format!("the account is `{}`", at(0))))?,
            route: u32::try_from(number(1, "the route")?).unwrap_or_default(),
            enqueued_at: number(2, "the time of its enqueue")?,
            due: number(3, "the due time")?,
            ended_at: number(4, "the time of its end")?,
            attempts: number(5, "the count of attempts")?.max(0).unsigned_abs(),
            kind: text(6).unwrap_or_default(),
            tenant: text(7),
            subject: text(8),
            source: text(9),
            event: text(10),
            what: text(11),
        })
    }

    /// The same, where an unreadable row is logged and left out.
    fn known(id: &JobId, json: &[u8]) -> Option<Self> {
        Self::read(id, json)
            .inspect_err(|error| tracing::error!(%error, "left out of a list of outcomes"))
            .ok()
    }
}

impl Client {
    /// The days of which there are rows, the newest first.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn verdict_days(&self) -> Result<Vec<VerdictDay>, Error> {
        self.check_layout().await?;
        let mut cmd = redis::cmd("ZRANGE");
        cmd.arg(self.keys.verdicts()).arg("+inf").arg("-inf").arg("BYSCORE").arg("REV");
        cmd.arg("LIMIT").arg(0).arg(2 * DAYS);
        let found: Vec<String> = cmd.query_async(&mut self.conn.clone()).await?;
        Ok(found.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// A part of the rows of a day, about `most` of them, in no order; and the position of the next
    /// part, 0 where this was the last one. Each row that stays is in at least one part.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn verdict_rows_of(
        &self,
        of: VerdictDay,
        position: u64,
        most: usize,
    ) -> Result<(Vec<VerdictRow>, u64), Error> {
        let mut cmd = redis::cmd("HSCAN");
        cmd.arg(self.keys.verdicts_of(of.day, of.sort())).arg(position).arg("COUNT").arg(most);
        let (next, found): (u64, Vec<(String, Vec<u8>)>) = cmd.query_async(&mut self.conn.clone()).await?;
        let row = |(id, json): (String, Vec<u8>)| VerdictRow::known(&JobId::trusted(id), &json);
        Ok((found.into_iter().filter_map(row).collect(), next))
    }

    /// Of each of these forgotten jobs, in order, its row among the exceptions of the day on which it
    /// ended (UTC ms); `None` where there is none.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn exception_rows(&self, ended: &[(JobId, i64)]) -> Result<Vec<Option<VerdictRow>>, Error> {
        if ended.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for (id, at) in ended {
            let of = VerdictDay { day: at.div_euclid(DAY_MS), in_time: false };
            pipe.cmd("HGET").arg(self.keys.verdicts_of(of.day, of.sort())).arg(id.as_str());
        }
        let found: Vec<Option<Vec<u8>>> = pipe.query_async(&mut self.conn.clone()).await?;
        let rows = ended.iter().zip(found).map(|((id, _), json)| VerdictRow::known(id, &json?));
        Ok(rows.collect())
    }

    /// The rows of forgotten jobs by their ids. One round trip for all days. A job that came again
    /// and was forgotten twice has the newest row.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn verdict_rows(&self, ids: &[JobId]) -> Result<Vec<VerdictRow>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let days = self.verdict_days().await?;
        if days.is_empty() {
            // Redis refuses a call without commands.
            return Ok(Vec::new());
        }
        let mut rows: HashMap<&JobId, VerdictRow> = HashMap::new();
        for ids in ids.chunks(IDS) {
            let mut pipe = redis::pipe();
            for of in &days {
                pipe.cmd("HMGET").arg(self.keys.verdicts_of(of.day, of.sort()));
                for id in ids {
                    pipe.arg(id.as_str());
                }
            }
            let found: Vec<Vec<Option<Vec<u8>>>> = pipe.query_async(&mut self.conn.clone()).await?;
            for day in found {
                for (id, json) in ids.iter().zip(day) {
                    let Some(json) = json.filter(|_| !rows.contains_key(id)) else { continue };
                    rows.extend(VerdictRow::known(id, &json).map(|row| (id, row)));
                }
            }
        }
        Ok(ids.iter().filter_map(|id| rows.remove(id)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_and_another_form_is_refused() {
        let id: JobId = "a".repeat(26).parse().unwrap();
        let json = r#"["m",3,1773480413000,1773480473000,1773480420000.0,2,"invoice.issue",null,"order-1042","/shops/berlin","e-1","550 no such mailbox"]"#;
        let row = VerdictRow::read(&id, json.as_bytes()).unwrap();
        assert_eq!((row.account, row.route, row.attempts), (Account::Missed, 3, 2));
        assert_eq!((row.due, row.ended_at), (1_773_480_473_000, 1_773_480_420_000));
        assert_eq!((row.tenant, row.subject.as_deref()), (None, Some("order-1042")));
        assert_eq!(row.what.as_deref(), Some("550 no such mailbox"));
        for bad in ["", "{}", "[]", r#"["q",1,1,1,1,1]"#, r#"["m",1,1,"x",1,1]"#] {
            assert!(VerdictRow::read(&id, bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_day_is_read_back() {
        for day in [VerdictDay { day: 20_787, in_time: true }, VerdictDay { day: 20_787, in_time: false }] {
            assert_eq!(day.to_string().parse(), Ok(day));
        }
        assert!("20787:x".parse::<VerdictDay>().is_err());
    }
}
