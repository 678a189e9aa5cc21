//! Writes panics as log lines.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic,
};

/// Writes the message of every panic to the log. The standard library's own hook would write it
/// raw: a panic may repeat text from outside, and a reader of JSON lines expects nothing else.
pub(super) fn log() {
    panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            tracing::error!(panic = message, place, %backtrace, "a bug in Upshot: something panicked");
        } else {
            tracing::error!(panic = message, place, "a bug in Upshot: something panicked");
        }
    }));
}
