//! Progress: at most four writes a second, however often a handler reports.
//!
//! A report that comes too soon after the last write waits; a later one replaces it. The last one is
//! always written. Within an attempt the percentage never falls.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use upshot_queue::{Progress, Stop};

use super::{Context, over};

/// The shortest time between two writes.
const APART: Duration = Duration::from_millis(250);

/// What an attempt has reported.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    reported: Mutex<Reported>,
    waits: Notify,
}

#[derive(Debug, Default)]
struct Reported {
    percent: u8,
    written: Option<Instant>,
    /// The last report, while it is not written, and its number.
    waiting: Option<(u64, Progress)>,
    count: u64,
}

impl Reported {
    /// Takes a report. Returns what is to be written now.
    fn take(&mut self, now: Instant, percent: Option<u8>, report: Progress) -> Option<Progress> {
        self.percent = percent.unwrap_or_default().max(self.percent);
        let report = Progress { percent: self.percent, ..report };
        if self.due().is_some_and(|due| now < due) {
            self.count += 1;
            self.waiting = Some((self.count, report));
            return None;
        }
        (self.written, self.waiting) = (Some(now), None);
        Some(report)
    }

    /// When the next write may be.
    fn due(&self) -> Option<Instant> {
        self.written.map(|written| written + APART)
    }

    /// What waits, to be written now. It waits until [`Self::flushed`].
    fn flush(&mut self, now: Instant) -> Option<(u64, Progress)> {
        let waiting = self.waiting.clone()?;
        self.written = Some(now);
        Some(waiting)
    }

    /// The report of this number is written.
    fn flushed(&mut self, number: u64) {
        self.waiting.take_if(|(waiting, _)| *waiting == number);
    }
}

impl Reporter {
    fn reported(&self) -> MutexGuard<'_, Reported> {
        // Every statement leaves it whole.
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when a report has waited for long enough.
    async fn due(&self) {
        loop {
            // Subscribes before the look, so that no report is missed.
            let waits = self.waits.notified();
            let due = {
                let reported = self.reported();
                reported.waiting.as_ref().and(reported.due())
            };
            match due {
                Some(due) => return tokio::time::sleep_until(due).await,
                None => waits.await,
            }
        }
    }
}

impl<S> Context<S> {
    /// Runs the work of this attempt, and meanwhile writes progress that waits.
    pub async fn run<T>(&self, work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
        let late = async {
            loop {
                self.reporter.due().await;
                if let Err(stop) = self.flush().await {
                    return stop;
                }
            }
        };
        // The work goes on during a write.
        let result = tokio::select! {
            biased;
            result = work => result,
            stop = late => return Err(stop),
        };
        // The end of the work does not wait for a Redis that is slow.
        let flushed = timeout(APART, self.flush()).await.unwrap_or(Ok(()));
        result.and_then(|done| flushed.map(|()| done))
    }

    /// Reports the job's progress to its watchers: at most four times a second, the last report always.
    /// Within an attempt the percentage does not fall.
    ///
    /// # Errors
    /// When another worker has the job. While Redis is away, progress is dropped without an error.
    pub async fn progress(&self, percent: u8, message: impl Into<String>) -> Result<(), Stop> {
        let message = Some(message.into());
        self.report(Some(percent.min(100)), Progress { percent: 0, step: None, message }).await
    }

    /// Reports the start of a step, with the percentage of its position.
    pub(super) async fn begins(&self, name: &str) -> Result<(), Stop> {
        let place = self.order.iter().position(|step| *step == name);
        let percent = place.map(|place| (place * 100 / self.order.len()) as u8);
        self.report(percent, Progress { percent: 0, step: Some(name.to_owned()), message: None }).await
    }

    async fn report(&self, percent: Option<u8>, report: Progress) -> Result<(), Stop> {
        let now = self.reporter.reported().take(Instant::now(), percent, report);
        match now {
            Some(progress) => self.lease.progress(&progress).await.map_err(over),
            None => {
                self.reporter.waits.notify_one();
                Ok(())
            }
        }
    }

    async fn flush(&self) -> Result<(), Stop> {
        let waiting = self.reporter.reported().flush(Instant::now());
        if let Some((number, progress)) = waiting {
            self.lease.progress(&progress).await.map_err(over)?;
            self.reporter.reported().flushed(number);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Reports at any times: writes are apart, percentages do not fall, and the last one is written.
        #[test]
        fn writes_are_few_monotone_and_end_with_the_last_report(
            reports in prop::collection::vec((0_u64..400, prop::option::of(0_u8..=100)), 1..60),
        ) {
            let (mut reported, mut now) = (Reported::default(), Instant::now());
            let mut writes: Vec<(Instant, Progress)> = Vec::new();
            for (n, (wait, percent)) in reports.iter().enumerate() {
                let until = now + Duration::from_millis(*wait);
                // What waits is written as soon as it is due.
                if let Some(due) = reported.due().filter(|due| *due <= until)
                    && let Some((number, progress)) = reported.flush(due)
                {
                    reported.flushed(number);
                    writes.push((due, progress));
                }
                now = until;
                let report = Progress { percent: 0, step: None, message: Some(n.to_string()) };
                writes.extend(reported.take(now, *percent, report).map(|progress| (now, progress)));
            }
            writes.extend(reported.flush(now).map(|(_, progress)| (now + APART, progress)));
            prop_assert!(writes.windows(2).all(|two| two[1].0 >= two[0].0 + APART));
            prop_assert!(writes.windows(2).all(|two| two[1].1.percent >= two[0].1.percent));
            let (last, highest) = (&writes.last().unwrap().1, reports.iter().filter_map(|(_, percent)| *percent).max());
            prop_assert_eq!(last.message.clone(), Some((reports.len() - 1).to_string()));
            prop_assert_eq!(last.percent, highest.unwrap_or_default());
        }
    }
}
