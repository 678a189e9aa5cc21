//! Slices of jobs whose ids stand several in a line: those that run, by their
//! claims, and those that succeeded, by the calls that said so.

use super::{Cursor, Slice};
use crate::{
    id::JobId,
    queue::{Error, Queue},
};

/// Lines of up to 128 ids that are read at a time, of jobs that run or succeeded.
const LINES: usize = 8;
/// Places in a line; more than it can have.
const PLACES: usize = 1_000;

/// A slice that is gathered from lines of ids. Its cursor names a line, by a time
/// and which one of that time it is, and how many ids of it were seen.
struct Lines {
    place: usize,
    take: usize,
    /// Ids of the next line that were seen before.
    seen: usize,
    ids: Vec<JobId>,
    marks: Vec<i64>,
    next: Option<Cursor>,
}

impl Lines {
    fn new(place: usize, take: usize, seen: usize) -> Self {
        Self { place, take, seen, ids: Vec::new(), marks: Vec::new(), next: None }
    }

    fn line(&mut self, at: i64, n: usize, mark: i64, ids: &str) {
        let skip = std::mem::take(&mut self.seen);
        for (i, id) in ids.split_whitespace().enumerate().skip(skip) {
            if self.next.is_some() {
                return;
            }
            if self.ids.len() == self.take {
                let seen = n * PLACES + i;
                self.next = Some(Cursor { score: at, seen, ..Cursor::start_of(self.place) });
                return;
            }
            self.ids.push(JobId::trusted(id.to_owned()));
            self.marks.push(mark);
        }
    }

    fn end(self) -> Slice {
        Slice { cost: self.ids.len(), ids: self.ids, marks: self.marks, next: self.next }
    }
}

impl Queue {
    /// Up to `take` jobs that succeeded from a cursor on: the newest first, several in a line. The
    /// cursor names a line by its ms and number, and how many of it were seen.
    pub(super) async fn succeeded_slice(
        &self,
        place: usize,
        from: Option<&Cursor>,
        take: usize,
    ) -> Result<Slice, Error> {
        let from = from.filter(|cursor| cursor.score != i64::MIN);
        let mut start = from.map(|from| format!("{}-{}", from.score, from.seen / PLACES));
        let mut slice = Lines::new(place, take, from.map_or(0, |from| from.seen % PLACES));
        loop {
            let mut cmd = redis::cmd("XREVRANGE");
            cmd.arg(self.keys.succeeded()).arg(start.as_deref().unwrap_or("+")).arg("-");
            cmd.arg("COUNT").arg(LINES);
            let lines: Vec<(String, Vec<(String, String)>)> = cmd.query_async(&mut self.conn.clone()).await?;
            let last = lines.last().map(|(line, _)| format!("({line}"));
            for (line, fields) in lines {
                let named =
                    line.split_once('-').and_then(|(ms, n)| Some((ms.parse().ok()?, n.parse().ok()?)));
                let (Some((ms, n)), Some((at, ids))) = (named, fields.first()) else { continue };
                slice.line(ms, n, at.parse().unwrap_or(0), ids);
            }
            match last {
                Some(last) if slice.next.is_none() => start = Some(last),
                _ => return Ok(slice.end()),
            }
        }
    }

    /// The same for running jobs, by the claims that they came with: whose lease
    /// expires first comes first.
    pub(super) async fn running_slice(
        &self,
        place: usize,
        from: Option<&Cursor>,
        take: usize,
    ) -> Result<Slice, Error> {
        let from = from.filter(|cursor| cursor.score != i64::MIN);
        let start = from.map_or_else(|| "-inf".to_owned(), |from| from.score.to_string());
        let mut skip = from.map_or(0, |from| from.seen / PLACES);
        let mut slice = Lines::new(place, take, from.map_or(0, |from| from.seen % PLACES));
        // How many claims of one ms were seen.
        let mut seen = (from.map_or(i64::MIN, |from| from.score), skip);
        loop {
            let mut cmd = redis::cmd("ZRANGE");
            cmd.arg(self.keys.running()).arg(&start).arg("+inf").arg("BYSCORE");
            cmd.arg("LIMIT").arg(skip).arg(LINES).arg("WITHSCORES");
            let claims: Vec<(u64, f64)> = cmd.query_async(&mut self.conn.clone()).await?;
            let mut pipe = redis::pipe();
            for (claim, _) in &claims {
                pipe.cmd("HGET").arg(self.keys.lease(*claim)).arg("ids");
            }
            let ids: Vec<Option<String>> =
                if claims.is_empty() { Vec::new() } else { pipe.query_async(&mut self.conn.clone()).await? };
            for ((claim, until), ids) in claims.iter().zip(&ids) {
                let until = *until as i64;
                if seen.0 != until {
                    seen = (until, 0);
                }
                slice.line(until, seen.1, claim.cast_signed(), ids.as_deref().unwrap_or_default());
                seen.1 += 1;
            }
            skip += claims.len();
            if claims.len() < LINES || slice.next.is_some() {
                return Ok(slice.end());
            }
        }
    }
}
