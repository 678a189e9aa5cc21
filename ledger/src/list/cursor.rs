//! Where a list of outcomes continues: after the last entry that was looked at, by its name.

use std::{fmt, str::FromStr};

use upshot_queue::{Account, BadCursor, JobId, QueueName, VerdictDay};

/// Where a list of outcomes continues. An opaque text, to be passed on unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) account: Account,
    pub(super) place: Place,
}

/// A position in the list of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The beginning.
    Start,
    /// After an entry of the indexes by time, of all queues and routes.
    Listed { at: i64, id: JobId },
    /// After this many ids of the pack that begins with an id, of all queues.
    Due { until: i64, pack: JobId, seen: usize },
    /// In the stream of succeeded jobs of a queue; `None` for its beginning.
    Succeeded { queue: QueueName, from: Option<upshot_queue::Cursor> },
    /// Where the rows of a queue begin.
    RowsOf { queue: QueueName },
    /// After this many rows of a part of a day.
    Rows { queue: QueueName, day: VerdictDay, position: u64, seen: usize },
}

const LISTED: &str = "i";
const DUE: &str = "d";
const SUCCEEDED: &str = "s";
const ROWS: &str = "r";
/// Larger numbers are not times, and Lua would round them.
const MOST: i64 = 1 << 53;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.account.letter())?;
        match &self.place {
            Place::Start => Ok(()),
            Place::Listed { at, id } => write!(f, "~{LISTED}~{at}~{id}"),
            Place::Due { until, pack, seen } => write!(f, "~{DUE}~{until}~{pack}~{seen}"),
            Place::Succeeded { queue, from: None } => write!(f, "~{SUCCEEDED}~{queue}"),
            Place::Succeeded { queue, from: Some(from) } => write!(f, "~{SUCCEEDED}~{queue}~{from}"),
            Place::RowsOf { queue } => write!(f, "~{ROWS}~{queue}"),
            Place::Rows { queue, day, position, seen } => {
                write!(f, "~{ROWS}~{queue}~{day}~{position}~{seen}")
            }
        }
    }
}

/// A number in its only form: `+1` and `01` are none.
fn number<T: TryFrom<i64>>(text: &str) -> Option<T> {
    let number: i64 = text.parse().ok()?;
    let is_ours = (-MOST..=MOST).contains(&number) && number.to_string() == text;
    T::try_from(number).ok().filter(|_| is_ours)
}

fn read(text: &str) -> Option<Cursor> {
    let parts: Vec<&str> = text.split('~').collect();
    let (letter, rest) = parts.split_first()?;
    let account = letter.parse().ok().and_then(Account::from_letter)?;
    let place = match rest {
        [] => Place::Start,
        [LISTED, at, id] => Place::Listed { at: number(at)?, id: id.parse().ok()? },
        [DUE, until, pack, seen] => {
            Place::Due { until: number(until)?, pack: pack.parse().ok()?, seen: number(seen)? }
        }
        [SUCCEEDED, queue] => Place::Succeeded { queue: queue.parse().ok()?, from: None },
        [SUCCEEDED, queue, from] => {
            let from: upshot_queue::Cursor = from.parse().ok()?;
            let is_ours = from.is_succeeded();
            Place::Succeeded { queue: queue.parse().ok()?, from: is_ours.then_some(Some(from))? }
        }
        [ROWS, queue] => Place::RowsOf { queue: queue.parse().ok()? },
        [ROWS, queue, day, position, seen] => {
            let (of, day): (VerdictDay, &str) = (day.parse().ok()?, day);
            let position: u64 = position.parse().ok().filter(|n: &u64| n.to_string() == *position)?;
            let is_ours = of.to_string() == day;
            let (queue, seen) = (queue.parse().ok()?, number(seen)?);
            Place::Rows { queue, day: is_ours.then_some(of)?, position, seen }
        }
        _ => return None,
    };
    Some(Cursor { account, place })
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        read(text).ok_or_else(|| {
            let shown: String = text.chars().take(100).collect();
            BadCursor::new(&shown)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places() -> impl Strategy<Value = Place> {
        let id = any::<u64>().prop_map(|n| JobId::derive(&[&n.to_string()]));
        let queue = "[a-z][a-z0-9-]{0,9}".prop_map(|name| name.parse::<QueueName>().unwrap());
        let day = (0..40_000_i64, any::<bool>()).prop_map(|(day, in_time)| VerdictDay { day, in_time });
        prop_oneof![
            Just(Place::Start),
            (-MOST..=MOST, id.clone()).prop_map(|(at, id)| Place::Listed { at, id }),
            (0..MOST, id, 0..100_usize).prop_map(|(until, pack, seen)| Place::Due { until, pack, seen }),
            (queue.clone(), prop::option::of(0..MOST - 2)).prop_map(|(queue, until)| Place::Succeeded {
                queue,
                from: until.map(upshot_queue::Cursor::succeeded_until)
            }),
            queue.clone().prop_map(|queue| Place::RowsOf { queue }),
            (queue, day, any::<u64>(), 0..100_usize).prop_map(|(queue, day, position, seen)| Place::Rows {
                queue,
                day,
                position,
                seen
            }),
        ]
    }

    proptest! {
        #[test]
        fn cursors_are_read_back(place in places(), account in prop::sample::select(Account::ALL.to_vec())) {
            let cursor = Cursor { account, place };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn only_what_a_page_answered_is_read(text in "[a-z](~([a-z0-9:.-]{0,4}|[a-z2-7]{26})){0,5}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }

    #[test]
    fn others_are_refused() {
        let id = "a".repeat(26);
        for bad in [
            "",
            "q",
            "ov",
            "o~",
            "o~d~1",
            &format!("v~i~01~{id}"),
            &format!("v~i~9223372036854775807~{id}"),
            "t~s~emails~5.1",
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
