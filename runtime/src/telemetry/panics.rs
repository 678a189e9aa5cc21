//! Writes panics as log lines.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    panic,
};

/// Stands for a message that was put together at run time.
const FORMATTED: &str = "a message with values, which may be data of an event: `place` says which";

/// Writes every panic to the log: its place, and its message if that is part of the program. A
/// message with values may repeat the data of an event, as an `unwrap` of an error does. A job whose
/// handler panicked keeps such a message in its history. The standard library's own hook would write
/// it raw, where a reader expects JSON lines.
pub(super) fn log() {
    panic::set_hook(Box::new(|info| {
        let message = said(info.payload());
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            tracing::error!(panic = message, place, %backtrace, "a bug in Upshot: something panicked");
        } else {
            tracing::error!(panic = message, place, "a bug in Upshot: something panicked");
        }
    }));
}

/// The message of a panic, if it is part of the program.
fn said(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or(FORMATTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_values_is_not_logged() {
        let value = std::hint::black_box("ada");
        let panicking = |panics: fn(&str)| panic::catch_unwind(|| panics(value)).unwrap_err();
        assert_eq!(said(&*panicking(|_| panic!("no such state"))), "no such state");
        assert_eq!(said(&*panicking(|value| panic!("no customer {value}"))), FORMATTED);
        assert_eq!(said(&*panicking(|value| assert_eq!(value.parse::<u8>().unwrap(), 1))), FORMATTED);
    }
}
