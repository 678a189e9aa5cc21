//! Slices of ready jobs: lane by lane, first the jobs in the sorted set.

use std::sync::Arc;

use redis::{FromRedisValue, RedisError, Value};

use super::{At, EXAMINED, Entry, InLane, Mark, Slice, Sorted};
use crate::{
    client::handle::Client,
    error::Error,
    job::{flow::encode, id::JobId},
    policy::priority::Priority,
    scripts::{self, Call},
};

/// Lanes that are read at a time.
const LANES: usize = 64;

impl Client {
    /// Up to `take` ids across all lanes, or those of one tenant, from a position. Examines a
    /// bounded number of lanes.
    pub(super) async fn ready_slice(
        &self,
        tenant: Option<&str>,
        from: Option<&At>,
        take: usize,
    ) -> Result<Slice, Error> {
        let mut slice = Slice::default();
        let mut start = match from {
            Some(At::Lane { class, flow, behind }) => Some((*class, Arc::clone(flow), behind.clone())),
            _ => None,
        };
        let first = start.as_ref().map_or(0, |(class, ..)| *class);
        for class in first..Priority::ALL.len() {
            // The lane of the cursor is read again, up to its end.
            let mut after = start.as_ref().map(|(_, flow, _)| (Arc::clone(flow), true));
            loop {
                let after_flow = after.as_ref().map(|(flow, inclusive)| (&**flow, *inclusive));
                let flows = self.lanes_behind(class, tenant, after_flow).await?;
                let is_last = flows.len() < LANES;
                for flow in flows {
                    let flow: Arc<str> = flow.into();
                    if slice.entries.len() >= take || slice.cost >= EXAMINED {
                        slice.next = Some(At::Lane { class, flow, behind: InLane::Start });
                        return Ok(slice);
                    }
                    // The lane of the cursor may be gone, and this may be another lane.
                    let behind = start.take().filter(|(_, of, _)| *of == flow).map(|(.., behind)| behind);
                    let room = take - slice.entries.len();
                    let before = slice.entries.len();
                    slice.next = self.part_of_lane(class, &flow, behind, room, &mut slice.entries).await?;
                    slice.cost += (slice.entries.len() - before).max(1);
                    if slice.next.is_some() {
                        return Ok(slice);
                    }
                    after = Some((flow, false));
                }
                if is_last {
                    break;
                }
            }
            start = None;
        }
        Ok(slice)
    }

    /// Up to 64 flows of a class that have lanes, in order: all, or those of a tenant.
    async fn lanes_behind(
        &self,
        class: usize,
        tenant: Option<&str>,
        after: Option<(&str, bool)>,
    ) -> Result<Vec<String>, Error> {
        let key = self.keys.lanes(class);
        let mut from = match after {
            Some((flow, true)) => format!("[{flow}"),
            Some((flow, false)) => format!("({flow}"),
            None => "-".to_owned(),
        };
        let mut to = "+".to_owned();
        let mut flows = Vec::new();
        if let Some(tenant) = tenant.map(encode) {
            // A flow is the tenant, or the tenant and a bar. Names of other tenants may sort
            // between.
            if after.is_none_or(|(flow, inclusive)| flow < tenant.as_str() || inclusive && flow == tenant) {
                let mut cmd = redis::cmd("ZSCORE");
                let there: Option<f64> =
                    cmd.arg(&key).arg(&tenant).query_async(&mut self.conn.clone()).await?;
                flows.extend(there.map(|_| tenant.clone()));
            }
            let with_keys = format!("{tenant}|");
            if after.is_none_or(|(flow, _)| flow < with_keys.as_str()) {
                from = format!("[{with_keys}");
            }
            to = format!("({tenant}}}");
        }
        let mut cmd = redis::cmd("ZRANGE");
        cmd.arg(&key).arg(from).arg(to).arg("BYLEX").arg("LIMIT").arg(0).arg(LANES - flows.len());
        let more: Vec<String> = cmd.query_async(&mut self.conn.clone()).await?;
        flows.extend(more);
        Ok(flows)
    }

    /// Adds up to `room` ids of one lane; returns where the lane continues.
    async fn part_of_lane(
        &self,
        class: usize,
        flow: &Arc<str>,
        from: Option<InLane>,
        room: usize,
        entries: &mut Vec<Entry>,
    ) -> Result<Option<At>, Error> {
        let lane = format!("{class}:{flow}");
        let at = |behind| At::Lane { class, flow: Arc::clone(flow), behind };
        let mut room = room;
        let (behind, enqueued_at, hint) = match &from {
            Some(InLane::Listed { enqueued_at, place, id }) => (id.as_str(), *enqueued_at, *place),
            other => {
                let behind = match other {
                    Some(InLane::Placed { score, id }) => Some((*score, id.as_str())),
                    _ => None,
                };
                let found = self.part_of(Sorted::Placed(&lane), true, behind, room).await?;
                room -= found.len();
                entries.extend(found.into_iter().map(|(id, score)| {
                    let id = JobId::trusted(id);
                    Entry { behind: at(InLane::Placed { score, id: id.clone() }), id, is_of: Mark::Any }
                }));
                if room == 0 {
                    // The lane may be finished; the next part finds that out.
                    return Ok(entries.last().map(|last| last.behind.clone()));
                }
                ("", 0, 0)
            }
        };
        let mut call = Call::new(&scripts::PAGE_LANE, &self.keys);
        call.arg(&lane).arg(behind).arg(enqueued_at).arg(hint).arg(room);
        let mut reply: Vec<Value> = call.run(&mut self.conn.clone()).await?;
        let ids: Vec<(String, u8)> = read(Value::Array(reply.split_off(reply.len().min(3))))?;
        let (place, last_enqueued, more): (u64, i64, u8) = read(Value::Array(reply))?;
        for (i, (id, left)) in ids.into_iter().enumerate() {
            let id = JobId::trusted(id);
            // The time of its enqueue is known after the read.
            let behind =
                InLane::Listed { enqueued_at: last_enqueued, place: place + i as u64, id: id.clone() };
            let is_of = if left == 1 { Mark::Left } else { Mark::Any };
            entries.push(Entry { id, is_of, behind: at(behind) });
        }
        Ok(entries.last().filter(|_| more == 1).map(|last| last.behind.clone()))
    }
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, RedisError> {
    Ok(T::from_redis_value(value)?)
}
