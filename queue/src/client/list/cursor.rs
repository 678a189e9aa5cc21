//! Where a list continues: after the last seen entry, by its name and not by a count. So a page
//! costs the same at any position, and a removed entry moves nothing.

use std::{fmt, str::FromStr, sync::Arc};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::{
    job::{id::JobId, state::State},
    policy::priority::Priority,
};

/// Where a list continues. An opaque text, to be passed on unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor(pub(super) At);

/// A position in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// The beginning of a state, by its index in [`State::ALL`].
    Start(usize),
    /// After a job in the sorted set of a state.
    Sorted { state: usize, score: i64, id: JobId },
    /// After this many jobs of a claim whose lease expires at this time (ms).
    Claim { until: i64, claim: i64, seen: usize },
    /// After this many jobs of a line of succeeded jobs: the ms and the number of its id.
    Line { ms: u64, n: u64, seen: usize },
    /// In a lane.
    Lane { class: usize, flow: Arc<str>, behind: InLane },
    /// After a job in the list of a subject.
    Subject(JobId),
    /// After a job in the list of the subjects that begin with a text.
    Named { subject: Arc<str>, id: JobId },
}

/// A position in a lane. Jobs in the sorted set come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InLane {
    /// Its beginning.
    Start,
    /// After a job in the sorted set (µs).
    Placed { score: i64, id: JobId },
    /// After a job in its list: when it was enqueued (ms), and its position.
    Listed { enqueued_at: i64, place: u64, id: JobId },
}

/// A word that is not a cursor of this list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a cursor of this list: pass on the `next` of the page before, unchanged")]
pub struct BadCursor(pub(super) String);

impl BadCursor {
    /// For a list that a program makes of several.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

const READY: usize = 1;
const RUNNING: usize = 2;
const SUCCEEDED: usize = 4;
/// The prefix of a cursor in a subject's list.
const SUBJECT: &str = "subject";
/// That of a cursor in the list of several subjects.
const NAMED: &str = "named";
const PLACED: &str = "placed";
const LISTED: &str = "listed";
/// Larger numbers are not times, and Lua would round them.
const MOST: i64 = 1 << 53;
/// Bytes of a flow, in digits: a tenant and its limit keys, each byte escaped; and of a subject.
const LONGEST_FLOW: usize = 16 << 10;

impl Cursor {
    /// The jobs that succeeded up to this time (UTC ms), the newest first.
    pub fn succeeded_until(ms: i64) -> Self {
        let ms = ms.clamp(0, MOST - 1).unsigned_abs() + 1;
        Self(At::Line { ms, n: 0, seen: 0 })
    }

    /// Whether it is a position among succeeded jobs.
    pub fn is_succeeded(&self) -> bool {
        self.state() == Some(SUCCEEDED)
    }

    /// The index of its state; `None` in a subject's list.
    pub(super) fn state(&self) -> Option<usize> {
        match &self.0 {
            At::Start(state) | At::Sorted { state, .. } => Some(*state),
            At::Claim { .. } => Some(RUNNING),
            At::Line { .. } => Some(SUCCEEDED),
            At::Lane { .. } => Some(READY),
            At::Subject(_) | At::Named { .. } => None,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            At::Start(state) => write!(f, "{state}"),
            At::Sorted { state, score, id } => write!(f, "{state}.{score}.{id}"),
            At::Claim { until, claim, seen } => write!(f, "{RUNNING}.{until}.{claim}.{seen}"),
            At::Line { ms, n, seen } => write!(f, "{SUCCEEDED}.{ms}.{n}.{seen}"),
            At::Lane { class, flow, behind } => {
                // A flow may hold any character.
                write!(f, "{READY}.{class}.{}", HEXLOWER.encode(flow.as_bytes()))?;
                match behind {
                    InLane::Start => Ok(()),
                    InLane::Placed { score, id } => write!(f, ".{PLACED}.{score}.{id}"),
                    InLane::Listed { enqueued_at, place, id } => {
                        write!(f, ".{LISTED}.{enqueued_at}.{place}.{id}")
                    }
                }
            }
            At::Subject(id) => write!(f, "{SUBJECT}.{id}"),
            // A subject may hold any character.
            At::Named { subject, id } => write!(f, "{NAMED}.{}.{id}", HEXLOWER.encode(subject.as_bytes())),
        }
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

impl TryFrom<String> for Cursor {
    type Error = BadCursor;

    fn try_from(s: String) -> Result<Self, BadCursor> {
        s.parse()
    }
}

/// A number that Redis and Lua keep exactly.
fn number<T: TryFrom<i64>>(text: &str) -> Option<T> {
    let number: i64 = text.parse().ok()?;
    // Each number has one form: `+1` and `01` are invalid.
    let is_ours = (-MOST..=MOST).contains(&number) && number.to_string() == text;
    T::try_from(number).ok().filter(|_| is_ours)
}

fn in_lane(parts: &[&str]) -> Option<InLane> {
    match parts {
        [] => Some(InLane::Start),
        [PLACED, score, id] => Some(InLane::Placed { score: number(score)?, id: id.parse().ok()? }),
        [LISTED, enqueued_at, place, id] => Some(InLane::Listed {
            enqueued_at: number(enqueued_at)?,
            place: number(place)?,
            id: id.parse().ok()?,
        }),
        _ => None,
    }
}

/// A text whose bytes are digits.
fn text_of(digits: &str) -> Option<String> {
    if digits.len() > LONGEST_FLOW {
        return None;
    }
    String::from_utf8(HEXLOWER.decode(digits.as_bytes()).ok()?).ok()
}

fn at(text: &str) -> Option<At> {
    let parts: Vec<&str> = text.split('.').collect();
    let (first, rest) = parts.split_first()?;
    if *first == SUBJECT {
        let [id] = rest else { return None };
        return Some(At::Subject(id.parse().ok()?));
    }
    if *first == NAMED {
        let [subject, id] = rest else { return None };
        return Some(At::Named { subject: text_of(subject)?.into(), id: id.parse().ok()? });
    }
    let state = number(first).filter(|state| *state < State::ALL.len())?;
    match (state, rest) {
        (_, []) => Some(At::Start(state)),
        (READY, [class, flow, behind @ ..]) => {
            let class = number(class).filter(|class| *class < Priority::ALL.len())?;
            Some(At::Lane { class, flow: text_of(flow)?.into(), behind: in_lane(behind)? })
        }
        (RUNNING, [until, claim, seen]) => {
            Some(At::Claim { until: number(until)?, claim: number(claim)?, seen: number(seen)? })
        }
        (SUCCEEDED, [ms, n, seen]) => Some(At::Line { ms: number(ms)?, n: number(n)?, seen: number(seen)? }),
        (READY | RUNNING | SUCCEEDED, _) => None,
        (_, [score, id]) => Some(At::Sorted { state, score: number(score)?, id: id.parse().ok()? }),
        _ => None,
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(s: &str) -> Result<Self, BadCursor> {
        at(s).map(Self).ok_or_else(|| BadCursor(s.chars().take(100).collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places() -> impl Strategy<Value = At> {
        let id = any::<u64>().prop_map(|n| JobId::derive(&[&n.to_string()]));
        let ms = -MOST..=MOST;
        let flow = ".{0,20}".prop_map(Arc::<str>::from);
        let in_lane = prop_oneof![
            Just(InLane::Start),
            (ms.clone(), id.clone()).prop_map(|(score, id)| InLane::Placed { score, id }),
            (ms.clone(), 0u64..1 << 50, id.clone()).prop_map(|(enqueued_at, place, id)| InLane::Listed {
                enqueued_at,
                place,
                id
            }),
        ];
        prop_oneof![
            (0..7usize).prop_map(At::Start),
            (prop::sample::select(vec![0, 3, 5, 6usize]), ms.clone(), id.clone())
                .prop_map(|(state, score, id)| At::Sorted { state, score, id }),
            (ms.clone(), ms, 0..1000usize).prop_map(|(until, claim, seen)| At::Claim { until, claim, seen }),
            (0u64..1 << 50, 0u64..1 << 50, 0..1000usize).prop_map(|(ms, n, seen)| At::Line { ms, n, seen }),
            (0..4usize, flow, in_lane).prop_map(|(class, flow, behind)| At::Lane { class, flow, behind }),
            id.clone().prop_map(At::Subject),
            (".{0,20}", id).prop_map(|(subject, id)| At::Named { subject: subject.into(), id }),
        ]
    }

    proptest! {
        #[test]
        fn cursors_are_read_back(at in places()) {
            let cursor = Cursor(at);
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn only_what_a_page_answered_is_read(text in "([0-9]|subject|named)(\\.([0-9a-f]{0,4}|placed|listed|[a-z2-7]{26}|-?[0-9]{1,20})){0,6}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }

    #[test]
    fn the_states_are_at_their_places() {
        for (place, state) in
            [(READY, State::Ready), (RUNNING, State::Running), (SUCCEEDED, State::Succeeded)]
        {
            assert_eq!(State::ALL[place], state);
        }
    }

    #[test]
    fn others_are_refused() {
        let id = "a".repeat(26);
        for bad in [
            String::new(),
            "9".to_owned(),
            "1.2".to_owned(),
            // What counted entries.
            "5.1773480413000.1".to_owned(),
            "1.2.3.9.61".to_owned(),
            "1.2.6.listed".to_owned(),
            format!("5.1e3.{id}"),
            format!("5.9223372036854775807.{id}"),
            format!("5.+1.{id}"),
            format!("1.7.61.placed.1.{id}"),
            format!("1.2.61.listed.1.-1.{id}"),
            "4.1.2.-1".to_owned(),
            "subject.x".to_owned(),
            format!("subject.{id}.1"),
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
