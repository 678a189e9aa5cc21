//! The stop of a process: its signals and its time limit.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use upshot_runtime::Settings;

/// How long a service without handlers may take to stop: to finish a batch or the requests in
/// flight, and to disconnect from servers that may be frozen.
pub const SERVICE: Duration = Duration::from_secs(15);
/// How much longer than `executor.shutdown_grace` an executor may take.
const MARGIN: Duration = Duration::from_secs(1);
/// How long private servers may take at least.
const LEAST_FOR_SERVERS: Duration = Duration::from_secs(2);

/// A token that fires at the first SIGINT or SIGTERM. A second signal ends the process at once.
pub fn on_signal() -> anyhow::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let fired = stop.clone();
    tokio::spawn(async move {
        for last in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if last {
                std::process::exit(130);
            }
            tracing::info!("stopping; a second signal stops at once");
            fired.cancel();
        }
    });
    Ok(stop)
}

/// How long an executor may take to stop. With the default of `executor.shutdown_grace`, every
/// service ends within 25 s, because orchestrators kill after 30.
pub fn of_executor(settings: &Settings) -> Duration {
    settings.executor.shutdown_grace + MARGIN
}

/// How long private servers may still take, this long after the stop.
pub fn of_servers(settings: &Settings, elapsed: Duration) -> Duration {
    let all = of_executor(settings).max(SERVICE) + LEAST_FOR_SERVERS;
    all.saturating_sub(elapsed).max(LEAST_FOR_SERVERS)
}

/// Runs a service to its end. `None` if the service has not ended this long after the stop, because
/// Redis or RabbitMQ may not answer.
pub async fn within<T>(
    name: &str,
    stop: &CancellationToken,
    limit: Duration,
    service: impl Future<Output = T>,
) -> Option<T> {
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(limit).await;
    };
    tokio::select! {
        ended = service => Some(ended),
        () = late => {
            tracing::warn!(
                service = name,
                ?limit,
                "not stopped in time, and ended as it is: what it had not written comes again from RabbitMQ, \
                 or is reclaimed when leases expire"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_everything_has_stopped_within_25_s() {
        let settings = Settings::default();
        let most = Duration::from_secs(25);
        assert!(of_executor(&settings) <= most && SERVICE <= most);
        let elapsed = of_executor(&settings);
        assert!(elapsed + of_servers(&settings, elapsed) <= most);
    }

    #[tokio::test]
    async fn a_service_that_hangs_is_given_up() {
        let (stop, limit) = (CancellationToken::new(), Duration::from_millis(10));
        assert_eq!(within("quick", &stop, limit, async { 1 }).await, Some(1));
        stop.cancel();
        assert_eq!(within("frozen", &stop, limit, std::future::pending::<()>()).await, None);
    }
}
