//! Follows the configuration that is stored with the queue.

use std::{sync::Arc, time::Duration};

use super::{core::Core, following::Following, in_force::InForce};
use crate::{
    client::{
        configuration::{Configured, StoredConfiguration},
        operator::Operator,
    },
    error::Error,
    policy::configuration::Configuration,
    redis::connect::{Backoff, Cause},
};

/// How often the worker reads the version, because the message about a new one may be lost.
const LOOK: Duration = Duration::from_secs(5);

/// The most differences that the log names.
const NAMED: usize = 10;

/// Seeds a queue that has no configuration, and follows the stored one until the worker ends. The
/// first claim waits for it.
pub(super) async fn run(core: Arc<Core>) {
    let Some(seed) = &core.options.seed else {
        core.options.following.send_replace(Following::Followed);
        core.configured.cancel();
        return;
    };
    let mut backoff = Backoff::default();
    loop {
        match look(&core, seed).await {
            Ok(()) => {
                if core.outages.configuration.ends() {
                    tracing::info!(queue = %core.options.queue, "the queue's configuration is followed again");
                }
                core.options.following.send_replace(Following::Followed);
                core.configured.cancel();
                backoff.reset();
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = core.reconfigure.notified() => {}
                }
            }
            Err(error) => {
                if core.outages.configuration.begins(error.cause()) {
                    let queue = &core.options.queue;
                    if core.configured.is_cancelled() {
                        tracing::warn!(%queue, %error, "the queue's configuration is not read, or its limits are not all set");
                    } else {
                        tracing::warn!(%queue, %error, "nothing claimed until the queue's configuration is read");
                    }
                }
                // A Redis that is away does not say that the configuration is another one.
                if error.cause() != Cause::Away {
                    core.options.following.send_replace(Following::Failing(error.to_string()));
                }
                // The others are set, and waiting sets no limit that cannot be kept.
                if matches!(error, Error::Limit(_)) {
                    core.configured.cancel();
                }
                backoff.wait().await;
            }
        }
    }
}

async fn look(core: &Core, seed: &Configuration) -> Result<(), Error> {
    let client = core.renewals.client();
    let operator = Operator::new(client.clone());
    let mut state = client.configuration_state().await?;
    if state.version.0 == 0 {
        let by = format!("worker {}", core.worker());
        // Where there is a conflict another worker was first.
        if let Configured::Stored(version) = operator.store_configuration(seed, 0, &by).await? {
            tracing::info!(queue = %core.options.queue, version, "the queue had no configuration: seeded");
        }
        state = client.configuration_state().await?;
    }
    // Followed first: a limit that cannot be set keeps no version from being followed.
    let is_new = state.version != core.leases.policy().version;
    let stored = if is_new { client.configuration().await? } else { None };
    if let Some(stored) = &stored {
        core.leases.follow(InForce::of_stored(stored.clone()));
    }
    let set = if state.set.is_some() { operator.finish_configuration().await } else { Ok(()) };
    if let Some(stored) = &stored {
        tell(core, seed, stored);
    }
    set
}

/// Logs which version the worker follows, and where its own settings differ.
fn tell(core: &Core, seed: &Configuration, stored: &StoredConfiguration) {
    let (queue, version, by) = (&core.options.queue, stored.version, &stored.by);
    let differences = seed.differences(&stored.configuration);
    tracing::info!(%queue, version, by, "working by this configuration of the queue");
    if !differences.is_empty() {
        let shown: Vec<String> = differences.iter().take(NAMED).map(ToString::to_string).collect();
        tracing::warn!(
            %queue, version, differences = differences.len(), named = shown.join("; "),
            "the settings of this process differ from the queue's configuration, which counts"
        );
    }
    let name = queue.to_string();
    metrics::gauge!("job_queue_configuration_version", "queue" => name.clone()).set(version as f64);
    metrics::gauge!("job_queue_configuration_differences", "queue" => name).set(differences.len() as f64);
}
