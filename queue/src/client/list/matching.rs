//! Filters many jobs inside Redis, without sending their arguments.

use redis::RedisResult;

use super::Matched;
use crate::{
    client::handle::Client,
    job::{flow::encode, id::JobId},
    scripts::{self, Call, MAX_BATCH},
};

impl Client {
    /// The positions of the jobs that match.
    pub(crate) async fn matching(&self, matched: &Matched, ids: &[&JobId]) -> RedisResult<Vec<usize>> {
        let named = |name: Option<&str>| name.map(|name| format!("={}", encode(name))).unwrap_or_default();
        let (kind, tenant) = (named(matched.kind.as_deref()), named(matched.tenant.as_deref()));
        let route = matched.route.map(|route| route.to_string()).unwrap_or_default();
        let trace = matched.trace.as_deref().unwrap_or_default();
        let (mut places, mut start) = (Vec::new(), 0);
        while let Some(rest) = ids.get(start..).filter(|rest| !rest.is_empty()) {
            let mut call = Call::new(&scripts::MATCH, &self.keys);
            call.arg(&kind).arg(&tenant).arg(&route).arg(trace);
            for id in rest.iter().take(MAX_BATCH) {
                call.arg(id.as_str());
            }
            let found: Vec<usize> = call.run(&mut self.conn.clone()).await?;
            let (looked, fits) = found.split_first().map_or((1, &[][..]), |(looked, fits)| (*looked, fits));
            places.extend(fits.iter().map(|place| start + place.saturating_sub(1)));
            start += looked.max(1);
        }
        Ok(places)
    }
}
