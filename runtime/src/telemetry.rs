//! Logs and metrics.

mod fields;
mod panics;
mod process;
mod writer;

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, fmt, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::settings::{LogFormat, LogSettings};
use fields::Visible;
use writer::LogWriter;

/// Telemetry that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not understood.
    #[error("log.filter is `{filter}`: {source}; write it like `info,upshot=debug`")]
    Filter {
        /// The value.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Metrics are installed already.
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// Starts logging to standard error: as text in a terminal, otherwise as JSON lines, unless the
/// settings choose. Panics become log lines.
///
/// A line that cannot be written, because standard error is closed or its disk is full, is counted
/// and dropped.
///
/// # Errors
/// When the filter is not understood.
pub fn log(settings: &LogSettings) -> Result<(), Error> {
    let filter = EnvFilter::builder()
        .parse(&settings.filter)
        .map_err(|source| Error::Filter { filter: settings.filter.clone(), source })?;
    let human = match settings.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let private = filter_fn(|event| !is_left_out(event.target(), *event.level()));
    let registry = tracing_subscriber::registry().with(filter).with(private);
    // A second call in one process (tests) keeps the first.
    let _ = registry.with(lines(human, move || LogWriter::new(std::io::stderr(), !human))).try_init();
    panics::log();
    Ok(())
}

/// Log lines, for people or as JSON. Text from outside is escaped in both.
fn lines<S, W>(human: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let is_coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // The writer handles errors. The library would print them, and panic if it cannot.
    let layer = fmt::layer().with_writer(writer).with_ansi(is_coloured).log_internal_errors(false);
    if human {
        layer.fmt_fields(Visible).with_target(false).boxed()
    } else {
        layer.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    }
}

/// Whether to drop a library's log line regardless of the filter. Such a line may hold the payload
/// of an event, which is personal data: a returned message, or frames. Or its caller says the same
/// in better words: that a channel was closed.
fn is_left_out(target: &str, level: Level) -> bool {
    let is_of = |library| target.split("::").next() == Some(library);
    ["lapin::returned_messages", "lapin::channel"].contains(&target) || is_of("lapin") && level > Level::WARN
}

/// Starts recording metrics; the handle renders them for Prometheus.
///
/// # Errors
/// When a recorder is installed already.
pub fn metrics() -> Result<PrometheusHandle, Error> {
    let seconds =
        [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds)?
        .install_recorder()?;
    process::describe();
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use proptest::prelude::*;

    use super::*;
    use upshot_shared::visible::is_shown;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of a line that has this text everywhere.
    fn written(human: bool, text: &str) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = lines(human, move || LogWriter::new(writer.clone(), !human));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("job", subject = text, id = %text, later = tracing::field::Empty);
            span.record("later", text);
            let error = io::Error::other(text.to_owned());
            let source: &(dyn std::error::Error + 'static) = &error;
            span.in_scope(
                || tracing::warn!(text, shown = %text, debug = ?text, error = source, "said: {text}"),
            );
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    proptest! {
        #[test]
        fn whatever_is_logged_is_one_line_of_what_can_be_seen(text in any::<String>()) {
            for human in [true, false] {
                let line = written(human, &text);
                let Some(line) = line.strip_suffix('\n') else { panic!("no line: {line:?}") };
                prop_assert!(line.chars().all(is_shown), "{line:?}");
            }
            let line: serde_json::Value = serde_json::from_str(&written(false, &text)).unwrap();
            prop_assert_eq!(line["text"].as_str(), Some(text.as_str()));
        }
    }

    #[test]
    fn a_log_that_cannot_be_written_stops_nothing() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }

            fn flush(&mut self) -> io::Result<()> {
                Err(io::Error::from(io::ErrorKind::BrokenPipe))
            }
        }
        for human in [true, false] {
            let layer = lines(human, move || LogWriter::new(Full, !human));
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
                tracing::error!("nobody reads this");
            });
        }
    }

    #[test]
    fn no_line_of_a_library_that_may_show_a_payload_is_written() {
        for (target, level, left_out) in [
            ("lapin::returned_messages", Level::WARN, true),
            ("lapin::channels", Level::TRACE, true),
            ("lapin::channel", Level::ERROR, true),
            ("lapin::io_loop", Level::DEBUG, true),
            ("lapin::io_loop", Level::ERROR, false),
            ("lapindary", Level::TRACE, false),
            ("upshot_bridge::batch", Level::DEBUG, false),
        ] {
            assert_eq!(is_left_out(target, level), left_out, "{target} {level}");
        }
    }
}
