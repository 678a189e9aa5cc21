//! Slices of jobs whose ids share a line: running jobs by their claims, and succeeded jobs by the
//! calls that wrote them.

use super::{At, Cursor, Entry, Mark, Slice, Sorted};
use crate::{
    client::handle::Client,
    error::Error,
    job::{id::JobId, state::State},
};

/// Lines of up to 192 ids that are read at a time, of jobs that run or succeeded.
const LINES: usize = 8;

impl Slice {
    /// Adds the ids of a line after the seen ones, up to `take` in all. False if some are left; it
    /// then notes where to continue.
    fn line(
        &mut self,
        take: usize,
        seen: usize,
        ids: &str,
        is_of: Mark,
        behind: impl Fn(usize) -> At,
    ) -> bool {
        for (i, id) in ids.split_whitespace().enumerate().skip(seen) {
            if self.entries.len() == take {
                self.next = Some(behind(i));
                return false;
            }
            self.cost += 1;
            self.entries.push(Entry { id: JobId::trusted(id.to_owned()), is_of, behind: behind(i + 1) });
        }
        true
    }
}

impl Client {
    /// Up to `take` succeeded jobs from a position, the newest first. All jobs of one call share a
    /// line of the index, because an entry for each job would cost as much as the rest of a
    /// completion.
    pub(super) async fn succeeded_slice(&self, from: Option<&At>, take: usize) -> Result<Slice, Error> {
        let (mut start, first) = match from {
            Some(At::Line { ms, n, seen }) => (format!("{ms}-{n}"), Some(((*ms, *n), *seen))),
            _ => ("+".to_owned(), None),
        };
        let mut slice = Slice::default();
        loop {
            let mut cmd = redis::cmd("XREVRANGE");
            cmd.arg(self.keys.succeeded()).arg(&start).arg("-").arg("COUNT").arg(LINES);
            let lines: Vec<(String, Vec<(String, String)>)> = cmd.query_async(&mut self.conn.clone()).await?;
            let Some((last, _)) = lines.last() else { return Ok(slice) };
            start = format!("({last}");
            for (line, fields) in lines {
                let named =
                    line.split_once('-').and_then(|(ms, n)| Some((ms.parse().ok()?, n.parse().ok()?)));
                let (Some((ms, n)), Some((at, ids))) = (named, fields.first()) else { continue };
                // The line of the cursor may be gone.
                let seen = first.filter(|(line, _)| *line == (ms, n)).map_or(0, |(_, seen)| seen);
                let is_of = Mark::Since(at.parse().unwrap_or(0));
                if !slice.line(take, seen, ids, is_of, |seen| At::Line { ms, n, seen }) {
                    return Ok(slice);
                }
            }
        }
    }

    /// Up to `most` ids of succeeded jobs from a position, the newest first: each with the time of its
    /// end (UTC ms) and the position after it. An id may belong to a job that has another end by now.
    ///
    /// # Errors
    /// When Redis failed.
    pub async fn succeeded_ids(
        &self,
        from: Option<&Cursor>,
        most: usize,
    ) -> Result<Vec<(JobId, i64, Cursor)>, Error> {
        let slice = self.succeeded_slice(from.map(|cursor| &cursor.0), most).await?;
        let named = |Entry { id, is_of, behind }: Entry| match is_of {
            Mark::Since(at) => Some((id, at, Cursor(behind))),
            Mark::Any | Mark::Claim(_) | Mark::Left => None,
        };
        Ok(slice.entries.into_iter().filter_map(named).collect())
    }

    /// The same for running jobs, by their claims. The claim whose lease expires first comes first.
    pub(super) async fn running_slice(&self, from: Option<&At>, take: usize) -> Result<Slice, Error> {
        let mut slice = Slice::default();
        if let Some(At::Claim { until, claim, seen }) = from {
            // The rest of that claim, whose lease may have been renewed since.
            let ids = self.claimed(&[claim.to_string()]).await?.pop().flatten().unwrap_or_default();
            let behind = |seen| At::Claim { until: *until, claim: *claim, seen };
            if !slice.line(take, *seen, &ids, Mark::Claim(*claim), behind) {
                return Ok(slice);
            }
        }
        let mut behind = match from {
            Some(At::Claim { until, claim, .. }) => Some((*until, claim.to_string())),
            _ => None,
        };
        loop {
            let named = behind.as_ref().map(|(until, claim)| (*until, claim.as_str()));
            let claims = self.part_of(Sorted::Of(State::Running), true, named, LINES).await?;
            let Some((last, until)) = claims.last() else { return Ok(slice) };
            behind = Some((*until, last.clone()));
            let names: Vec<String> = claims.iter().map(|(claim, _)| claim.clone()).collect();
            let lines = self.claimed(&names).await?;
            for ((claim, until), ids) in claims.iter().zip(lines) {
                let claim: i64 = claim.parse().unwrap_or(0);
                let behind = |seen| At::Claim { until: *until, claim, seen };
                if !slice.line(take, 0, &ids.unwrap_or_default(), Mark::Claim(claim), behind) {
                    return Ok(slice);
                }
            }
        }
    }

    /// The ids of the jobs of claims.
    async fn claimed(&self, claims: &[String]) -> Result<Vec<Option<String>>, Error> {
        let mut pipe = redis::pipe();
        for claim in claims {
            pipe.cmd("HGET").arg(self.keys.lease(claim.parse().unwrap_or(0))).arg("ids");
        }
        Ok(pipe.query_async(&mut self.conn.clone()).await?)
    }
}
