//! Slices of ready jobs: lane by lane, first those that have a place of their own.

use super::{Cursor, EXAMINED, Slice};
use crate::{
    id::JobId,
    priority::Priority,
    queue::{Error, Queue},
};

/// Lanes that are read at a time.
const LANES: usize = 64;
/// What stands before the ids of a lane whose jobs are not all in its list.
const MARK: &str = "*";
/// Jobs that may have been claimed between two pages, so that the place where the second
/// goes on is found at once.
const MOVED: usize = 512;
/// The mark of an id that left its lane, although the list still has it.
const GONE: i64 = -1;

/// A lane in which a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InLane {
    pub(super) class: usize,
    pub(super) flow: String,
    /// Behind which id of its list, which was at the place that `seen` says; empty for the
    /// beginning. `None` for one among those that have a place of their own.
    pub(super) behind: Option<String>,
}

/// Part of a lane: ids and what is known of each, and where it goes on.
#[derive(Default)]
struct Part {
    ids: Vec<JobId>,
    marks: Vec<i64>,
    next: Option<(i64, usize, Option<String>)>,
}

impl Queue {
    /// Up to `take` ids across the lanes from a cursor on; it looks at a bounded number of
    /// them.
    pub(super) async fn ready_slice(
        &self,
        place: usize,
        from: Option<&Cursor>,
        take: usize,
    ) -> Result<Slice, Error> {
        let mut slice = Slice::default();
        let mut start = from.and_then(|from| from.lane.clone().map(|lane| (lane, (from.score, from.seen))));
        let first = start.as_ref().map_or(0, |(lane, _)| lane.class);
        for class in first..Priority::ALL.len() {
            let mut after = start.as_ref().map(|(lane, _)| format!("[{}", lane.flow));
            loop {
                let mut cmd = redis::cmd("ZRANGE");
                cmd.arg(self.keys.lanes(class)).arg(after.as_deref().unwrap_or("-")).arg("+").arg("BYLEX");
                cmd.arg("LIMIT").arg(0).arg(LANES);
                let flows: Vec<String> = cmd.query_async(&mut self.conn.clone()).await?;
                let last = flows.last().map(|flow| format!("({flow}"));
                for flow in flows {
                    let goes_on = |score, seen, behind, flow| {
                        let lane = Some(InLane { class, flow, behind });
                        Some(Cursor { score, seen, lane, ..Cursor::start_of(place) })
                    };
                    if slice.ids.len() >= take || slice.cost >= EXAMINED {
                        slice.next = goes_on(i64::MIN, 0, None, flow);
                        return Ok(slice);
                    }
                    // The lane of the cursor may be gone, and this another one.
                    let at = start.take().filter(|(lane, _)| lane.flow == flow);
                    let lane = format!("{class}:{flow}");
                    let part = self.part_of_lane(&lane, at, take - slice.ids.len()).await?;
                    slice.cost += part.ids.len().max(1);
                    slice.ids.extend(part.ids);
                    slice.marks.extend(part.marks);
                    if let Some((score, seen, behind)) = part.next {
                        slice.next = goes_on(score, seen, behind, flow);
                        return Ok(slice);
                    }
                }
                match last {
                    Some(last) => after = Some(last),
                    None => break,
                }
            }
            start = None;
        }
        Ok(slice)
    }

    /// Up to `take` ids of one lane.
    async fn part_of_lane(
        &self,
        lane: &str,
        from: Option<(InLane, (i64, usize))>,
        take: usize,
    ) -> Result<Part, Error> {
        let mut part = Part::default();
        let (behind, was_at) = match from {
            Some((InLane { behind: Some(behind), .. }, (_, was_at))) => (behind, was_at),
            at => {
                let at = at.map(|(_, at)| at);
                let (ids, next) = self.range(&self.keys.placed(lane), false, at, take).await?;
                part.marks = vec![0; ids.len()];
                part.ids = ids;
                if let Some((score, seen)) = next {
                    part.next = Some((score, seen, None));
                    return Ok(part);
                }
                (String::new(), 0)
            }
        };
        let room = take - part.ids.len();
        let listed = self.keys.lane(lane);
        let mut conn = self.conn.clone();
        // What is claimed moves the others to the front, and a mark moves them on by one.
        // So it is looked for from there on backwards, in one command with what follows.
        let first = was_at.saturating_sub(MOVED);
        let mut found = self.listed(&listed, first, was_at + 2 + room).await?;
        let mut start = first;
        if !behind.is_empty() {
            let seen = found.iter().take(was_at - first + 2).rposition(|id| *id == behind);
            let seen = match seen {
                Some(seen) => Some(seen),
                None => {
                    // Many were claimed meanwhile; if it was as well, so was all before it.
                    let mut cmd = redis::cmd("LPOS");
                    cmd.arg(&listed).arg(&behind).arg("MAXLEN").arg(was_at + 2);
                    let at: Option<usize> = cmd.query_async(&mut conn).await?;
                    start = at.unwrap_or(0);
                    found = self.listed(&listed, start, start + room + 1).await?;
                    at.map(|_| 0)
                }
            };
            if let Some(seen) = seen {
                found.drain(..=seen);
                start += seen + 1;
            }
        }
        if start == 0 && found.first().is_some_and(|first| first == MARK) {
            found.remove(0);
            start = 1;
        }
        let more = found.len() > room;
        found.truncate(room);
        if more {
            let at = (start + found.len()).saturating_sub(1);
            part.next = Some((i64::MIN, at, Some(found.last().map_or(behind, Clone::clone))));
        }
        if !found.is_empty() {
            let mut cmd = redis::cmd("HMGET");
            cmd.arg(self.keys.gone(lane)).arg(&found);
            let gone: Vec<Option<u64>> = cmd.query_async(&mut conn).await?;
            part.marks.extend(gone.iter().map(|gone| if gone.is_some() { GONE } else { 0 }));
            part.ids.extend(found.into_iter().map(JobId::trusted));
        }
        Ok(part)
    }

    async fn listed(&self, key: &str, first: usize, last: usize) -> Result<Vec<String>, Error> {
        let mut cmd = redis::cmd("LRANGE");
        cmd.arg(key).arg(first).arg(last);
        Ok(cmd.query_async(&mut self.conn.clone()).await?)
    }
}
