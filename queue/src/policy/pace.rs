//! Work in the background that leaves Redis to the others.

use std::time::Duration;

/// A share of the time that calls may take: after each one there is a pause that is as many times
/// longer. A call also takes long while Redis has much else to do, and then the pause is longer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    share: f64,
}

/// Longer pauses help nobody.
const LONGEST: Duration = Duration::from_secs(1);

impl Pace {
    /// Jobs that are let go: somebody waits for them.
    pub(crate) const RELEASE: Self = Self { share: 0.1 };
    /// Retention: it has to keep up with what ends.
    pub(crate) const TRIM: Self = Self { share: 0.2 };
    /// The scrubber, which never ends.
    pub(crate) const SCRUB: Self = Self { share: 0.02 };

    /// How long to wait after calls that took so long.
    fn pause(self, took: Duration) -> Duration {
        took.mul_f64(1.0 / self.share - 1.0).min(LONGEST)
    }

    /// Waits after calls that took so long.
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
