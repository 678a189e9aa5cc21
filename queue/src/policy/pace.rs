//! Paces background work, so that Redis stays free for other callers.

use std::time::Duration;

/// The share of time that calls may take. After each call there is a pause that is longer by this
/// factor. A call takes longer while Redis is busy, and then the pause is longer too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    share: f64,
}

/// Longer pauses have no use.
const LONGEST: Duration = Duration::from_secs(1);

impl Pace {
    /// The release of jobs, which people wait for.
    pub(crate) const RELEASE: Self = Self { share: 0.1 };
    /// Retention, which must keep up with the jobs that end.
    pub(crate) const TRIM: Self = Self { share: 0.2 };
    /// The scrubber, which never ends.
    pub(crate) const SCRUB: Self = Self { share: 0.02 };

    /// How long to wait after calls of this duration.
    fn pause(self, took: Duration) -> Duration {
        took.mul_f64(1.0 / self.share - 1.0).min(LONGEST)
    }

    /// Waits after calls of this duration.
    pub(crate) async fn rest(self, took: Duration) {
        tokio::time::sleep(self.pause(took)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_leaves_the_rest_of_the_time() {
        let ms = Duration::from_millis;
        assert_eq!(Pace { share: 0.25 }.pause(ms(3)), ms(9));
        assert_eq!(Pace { share: 0.5 }.pause(Duration::ZERO), Duration::ZERO);
        assert_eq!(Pace::SCRUB.pause(ms(900)), LONGEST);
    }
}
