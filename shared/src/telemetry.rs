//! Logs and metrics.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Level;
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::settings::{LogFormat, LogSettings};

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

/// Starts logging to standard error: for people in a terminal, as JSON lines
/// otherwise, unless the settings say which.
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
    let _ = if human {
        registry.with(fmt::layer().with_writer(std::io::stderr).with_target(false)).try_init()
    } else {
        let json = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
        registry.with(json.with_writer(std::io::stderr)).try_init()
    };
    Ok(())
}

/// Whether a line of a library is to be left out, whatever the filter says: it may hold the
/// payload of an event, which is personal data (what RabbitMQ returned as a whole, frames as they
/// come and go), or says what its caller says in better words (that a channel was closed).
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
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds)?
        .install_recorder()?)
}

#[cfg(test)]
mod tests {
    use super::*;

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
