//! The parameter `accepted` in the links of a 202: when the event was accepted.
//!
//! A job is there milliseconds after its event was accepted, or as soon as RabbitMQ, the bridge and
//! Redis work again. Until then a link of the answer leads to "not yet". "Unknown" would be wrong,
//! because an `EventSource` takes it as final. The link carries the time, so the API stores
//! nothing.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use chrono::Utc;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{moment::Moment, problem::Problem, query::Query};

/// The parameter's name.
pub const ACCEPTED: &str = "accepted";
/// How long an accepted event may be on its way, in ms.
const LONGEST: u64 = 3_600_000;
/// When a client asks again, in seconds.
const ASK_AGAIN: &str = "1";

/// When an event was accepted, UTC ms by the clock of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedAt(i64);

/// The answer while an event is accepted and its jobs are not enqueued yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotYet {
    /// `accepted`.
    #[schema(example = "accepted")]
    status: &'static str,
    /// When the event was accepted.
    accepted_at: Moment,
    /// What this means, for people.
    detail: String,
}

impl AcceptedAt {
    /// Now.
    pub fn now() -> Self {
        Self(Utc::now().timestamp_millis())
    }

    /// The time in a query.
    ///
    /// # Errors
    /// When it is not a time.
    pub fn of(query: &Query) -> Result<Option<Self>, Problem> {
        let latest = chrono::DateTime::<Utc>::MAX_UTC.timestamp_millis();
        let read = |text: &str| {
            let time = text.parse().ok().filter(|time| (0..=latest).contains(time));
            time.map(Self).ok_or_else(|| {
                let remedy = "use the link of the answer as it is: a time in UTC milliseconds is expected";
                Problem::parameter(ACCEPTED, text, remedy)
            })
        };
        query.text(ACCEPTED).map(read).transpose()
    }

    /// Its form in a link.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// For how long, in ms, the event may still be on its way; `None` once the hour is over.
    /// Clocks of several APIs may differ, so a time in the future counts as well.
    pub fn left(self) -> Option<u64> {
        let age = Utc::now().timestamp_millis() - self.0;
        LONGEST.checked_sub(age.unsigned_abs()).filter(|left| *left > 0)
    }

    /// The answer about jobs that are not there yet.
    pub fn not_yet(self) -> NotYet {
        let detail = "RabbitMQ has the event, and its jobs are not enqueued yet: ask again, or watch \
                      `/readyz` if this stays so; an event that the bridge cannot accept is in quarantine, and a job that ended is \
                      forgotten after its retention";
        NotYet { status: "accepted", accepted_at: Moment(self.0), detail: detail.to_owned() }
    }
}

impl IntoResponse for NotYet {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, AppendHeaders([(header::RETRY_AFTER, ASK_AGAIN)]), Json(self)).into_response()
    }
}

/// An answer, or "not there yet".
pub fn answer<T: Serialize>(found: Result<T, NotYet>) -> Response {
    match found {
        Ok(found) => Json(found).into_response(),
        Err(not_yet) => not_yet.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<AcceptedAt>, Problem> {
        AcceptedAt::of(&Query::parse(Some(text), &[ACCEPTED]).unwrap())
    }

    #[test]
    fn an_hour_is_as_long_as_an_event_may_be_on_its_way() {
        let now = Utc::now().timestamp_millis();
        let hour = LONGEST as i64;
        for (at, recent) in
            [(now, true), (now - hour + 60_000, true), (now - hour, false), (now + hour + 60_000, false)]
        {
            let at = read(&format!("accepted={at}")).unwrap().unwrap();
            assert_eq!(at.left().is_some(), recent, "{at:?}");
        }
        assert!(read("").unwrap().is_none());
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "now", "-1", "1e9", "9223372036854775807", "99999999999999999999"] {
            assert!(read(&format!("accepted={text}")).is_err(), "{text}");
        }
    }
}
