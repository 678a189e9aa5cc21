//! Reports whether the workers go by the configuration of their queues.

use tokio::sync::watch;
use upshot_queue::{Following, QueueName};
use upshot_runtime::Health;

/// The part of an executor's health that says whether it goes by the configuration of a queue.
pub(crate) fn part(queue: &QueueName) -> String {
    format!("configuration.{queue}")
}

/// Keeps the part up to date until the worker ends.
pub(crate) async fn report(part: String, mut following: watch::Receiver<Following>, health: Health) {
    loop {
        match &*following.borrow_and_update() {
            Following::Unread => {}
            Following::Followed => health.up(&part),
            Following::Failing(why) => health.down(&part, why),
        }
        if following.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_executor_that_cannot_follow_says_why_it_is_not_ready() {
        let (following, health) = (watch::Sender::default(), Health::default());
        let part = part(&"invoices".parse().unwrap());
        health.need(&part);
        assert!(health.missing().contains_key("configuration.invoices"));
        let reported = tokio::spawn(report(part, following.subscribe(), health.clone()));
        following.send_replace(Following::Followed);
        health.wait_for(&["configuration.invoices"]).await;
        assert!(health.missing().is_empty());
        following.send_replace(Following::Failing("rate 0 cannot be kept".to_owned()));
        drop(following);
        reported.await.unwrap();
        assert_eq!(health.missing()["configuration.invoices"], "rate 0 cannot be kept");
    }
}
