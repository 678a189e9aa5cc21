//! Which jobs a list has.

use std::{fmt, str::FromStr, sync::Arc};

use data_encoding::{BASE64_NOPAD, HEXLOWER};

use super::{At, BadCursor, Cursor, Entry, Mark, Slice};
use crate::{
    client::handle::Client,
    error::Error,
    job::{Job, id::JobId, state::State},
    policy::failure::FailureClass,
};

/// Selects jobs of a queue.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In this state; all states when `None`.
    pub state: Option<State>,
    /// With this subject, from its own index.
    pub subject: Option<String>,
    /// With a subject that begins with this text, from the same index.
    pub subject_prefix: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this tenant. Ready jobs of a tenant are read from its lanes.
    pub tenant: Option<String>,
    /// Of this route.
    pub route: Option<String>,
    /// Whose last failure has this class. The page reads each job whole.
    pub class: Option<FailureClass>,
    /// In their state since this time (UTC ms) or later.
    pub since: Option<i64>,
    /// In their state since before this time (UTC ms).
    pub until: Option<i64>,
    /// Of this trace.
    pub trace: Option<TraceId>,
    /// Of this group of failures ([`crate::Group`]): first those that run again, by their last failure,
    /// then those that are dead.
    pub group: Option<String>,
}

/// The id of a trace (W3C Trace Context).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceId([u8; TraceId::BYTES]);

/// A text that is not the id of a trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the id of a trace is 32 hexadecimal digits, not all zero")]
pub struct BadTraceId;

impl TraceId {
    const BYTES: usize = 16;
    /// Characters of the packed form that follow from the id alone: six bits each.
    const PACKED: usize = Self::BYTES * 8 / 6;

    /// How the stored form of every `traceparent` of this trace begins.
    fn packed(&self) -> String {
        let mut text = BASE64_NOPAD.encode(&self.0);
        text.truncate(Self::PACKED);
        text
    }
}

impl FromStr for TraceId {
    type Err = BadTraceId;

    fn from_str(text: &str) -> Result<Self, BadTraceId> {
        let bytes = HEXLOWER.decode(text.to_ascii_lowercase().as_bytes()).map_err(|_| BadTraceId)?;
        let bytes: [u8; Self::BYTES] = bytes.try_into().map_err(|_| BadTraceId)?;
        if bytes == [0; Self::BYTES] { Err(BadTraceId) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// What Redis compares, without sending the jobs.
#[derive(Debug, Default)]
pub(crate) struct Matched {
    pub(crate) kind: Option<String>,
    pub(crate) tenant: Option<String>,
    /// The number of the route in this queue.
    pub(crate) route: Option<u32>,
    /// How the stored trace begins.
    pub(crate) trace: Option<String>,
}

impl Matched {
    /// Whether it lets every job pass.
    pub(super) fn is_any(&self) -> bool {
        let Self { kind, tenant, route, trace } = self;
        kind.is_none() && tenant.is_none() && route.is_none() && trace.is_none()
    }
}

impl Client {
    /// What Redis compares for a filter; `None` if this queue has no such route.
    pub(super) async fn matched(&self, filter: &Filter) -> Result<Option<Matched>, Error> {
        let route = match &filter.route {
            None => None,
            Some(name) => {
                let routes = self.routes().await?;
                let number = routes.into_iter().find(|(_, known)| known == name).map(|(number, _)| number);
                let Some(number) = number else { return Ok(None) };
                Some(number)
            }
        };
        let (kind, tenant) = (filter.kind.clone(), filter.tenant.clone());
        Ok(Some(Matched { kind, tenant, route, trace: filter.trace.as_ref().map(TraceId::packed) }))
    }
}

impl Filter {
    pub(super) fn wants(&self, place: usize) -> bool {
        let Some(listed) = State::ALL.get(place) else { return false };
        if self.group.is_none() {
            return self.state.is_none_or(|state| state == *listed);
        }
        // The jobs of a group that run again are listed as scheduled ones are.
        match listed {
            State::Scheduled => self.state.is_none_or(|state| !state.is_final()),
            State::Dead => self.state.is_none_or(|state| state == State::Dead),
            _ => false,
        }
    }

    /// Whether each job is read whole, because Redis cannot compare what is asked for.
    pub(super) fn reads_whole(&self) -> bool {
        self.class.is_some()
    }

    /// Whether a page examines more jobs of a state than it has.
    pub(super) fn looks(&self, state: State) -> bool {
        let is_timed = self.since.is_some() || self.until.is_some();
        self.kind.is_some()
            || self.route.is_some()
            || self.class.is_some()
            || self.trace.is_some()
            || self.tenant.is_some() && (state != State::Ready || self.group.is_some())
            || is_timed
    }

    /// Where the jobs of a state begin that can be of the asked time, where its index is by that time.
    pub(super) fn first(&self, place: usize, state: State) -> Option<At> {
        // Sorts before every id.
        let sorted = |score| At::Sorted { state: place, score, id: JobId::trusted(" ".to_owned()) };
        match state {
            State::Dead | State::Cancelled => self.until.map(sorted),
            State::Parked => self.since.map(sorted),
            State::Succeeded => {
                self.until.map(|until| At::Line { ms: until.max(0).unsigned_abs(), n: 0, seen: 0 })
            }
            State::Scheduled | State::Ready | State::Running => None,
        }
    }

    /// Takes from a slice what cannot be of the asked time, and ends it where the rest cannot.
    pub(super) fn bound(&self, state: State, slice: &mut Slice) {
        let time = |entry: &Entry| match (state, entry.is_of, &entry.behind) {
            (State::Succeeded, Mark::Since(at), _) => Some(at),
            (State::Dead | State::Cancelled | State::Parked, _, At::Sorted { score, .. }) => Some(*score),
            _ => None,
        };
        let is_early = |at: i64| self.since.is_some_and(|since| at < since);
        let is_late = |at: i64| self.until.is_some_and(|until| at >= until);
        if let Some(last) = slice.entries.last().and_then(time)
            && (if state == State::Parked { is_late(last) } else { is_early(last) })
        {
            slice.next = None;
        }
        slice.entries.retain(|entry| time(entry).is_none_or(|at| !is_early(at) && !is_late(at)));
    }

    /// The part of the index of subjects.
    pub(super) fn range(&self, from: Option<At>) -> (Vec<u8>, Vec<u8>) {
        let (begin, end) = match (&self.subject, &self.subject_prefix) {
            (Some(subject), _) => (format!("[{subject}\0"), format!("({subject}\x01").into_bytes()),
            (None, prefix) => {
                let prefix = prefix.as_deref().unwrap_or_default();
                // No text in UTF-8 has this byte, so it sorts behind all that begin so.
                (format!("[{prefix}"), [b"(", prefix.as_bytes(), &[0xff]].concat())
            }
        };
        let after = match (from, &self.subject) {
            (Some(At::Subject(id)), Some(subject)) => format!("({subject}\0{id}"),
            (Some(At::Named { subject, id }), _) => format!("({subject}\0{id}"),
            _ => begin,
        };
        (after.into_bytes(), end)
    }

    /// The position after an entry of that index.
    pub(super) fn behind(&self, (subject, id): (Arc<str>, JobId)) -> At {
        if self.subject.is_some() { At::Subject(id) } else { At::Named { subject, id } }
    }

    /// Whether a cursor belongs to this list.
    pub(super) fn check(&self, cursor: &Cursor) -> Result<(), BadCursor> {
        let fits = match (&cursor.0, cursor.state()) {
            (_, Some(state)) => self.subject.is_none() && self.subject_prefix.is_none() && self.wants(state),
            (At::Named { subject, .. }, None) => {
                self.subject.is_none()
                    && self.subject_prefix.as_ref().is_some_and(|prefix| subject.starts_with(prefix.as_str()))
            }
            (_, None) => self.subject.is_some(),
        };
        if fits { Ok(()) } else { Err(BadCursor(cursor.to_string())) }
    }

    pub(super) fn admits(&self, job: &Job, matched: &Matched) -> bool {
        let is = |asked: &Option<String>, has: Option<&String>| {
            asked.as_ref().is_none_or(|asked| has == Some(asked))
        };
        let trace = || job.trace.as_deref().and_then(|text| text.split('-').nth(1)).map(str::to_owned);
        self.state.is_none_or(|state| job.state == state)
            && is(&self.kind, Some(&job.kind))
            && is(&self.tenant, job.tenant.as_ref())
            && is(&self.subject, job.subject.as_ref())
            && is(&self.group, job.group.as_ref())
            && self.subject_prefix.as_ref().is_none_or(|prefix| {
                job.subject.as_ref().is_some_and(|subject| subject.starts_with(prefix.as_str()))
            })
            && matched.route.is_none_or(|route| {
                job.expectation.as_ref().is_some_and(|expectation| expectation.route == route)
            })
            && self.class.is_none_or(|class| job.history.last().is_some_and(|failed| failed.class == class))
            && self.since.is_none_or(|since| job.since >= since)
            && self.until.is_none_or(|until| job.since < until)
            && self.trace.as_ref().is_none_or(|asked| trace() == Some(asked.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::job::trace::pack;

    proptest! {
        #[test]
        fn a_trace_is_found_by_the_beginning_of_its_stored_form(trace in "[0-9a-f]{32}", parent in "[0-9a-f]{16}") {
            prop_assume!(trace.bytes().any(|digit| digit != b'0'));
            let id: TraceId = trace.parse().unwrap();
            prop_assert_eq!(id.to_string(), trace.as_str());
            let stored = pack(&format!("00-{trace}-{parent}-01"));
            prop_assert!(stored.starts_with(&id.packed()));
        }
    }

    #[test]
    fn other_texts_are_no_traces() {
        for text in ["", "abc", &"0".repeat(32), &"g".repeat(32), &"a".repeat(31), &"a".repeat(34)] {
            assert_eq!(text.parse::<TraceId>(), Err(BadTraceId), "{text}");
        }
    }
}
