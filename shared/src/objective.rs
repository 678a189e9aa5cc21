//! The share of a route's outcomes that should be achieved in time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Millionths of a whole.
const WHOLE: u32 = 1_000_000;

/// An objective, such as 0.999: of 1,000 outcomes at most one may be late or missed. The rest is the
/// budget of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Objective {
    /// The share that need not be achieved in time, in millionths; 1 to 999,999.
    allowed: u32,
}

/// A number that is no objective.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`objective` is {0}: use a share above 0 and below 1 with up to six decimals, such as 0.999; leave it out for none"
)]
pub struct Unusable(pub String);

impl Objective {
    /// The share that should be achieved in time, above 0 and below 1.
    pub fn share(self) -> f64 {
        f64::from(WHOLE - self.allowed) / f64::from(WHOLE)
    }

    /// The share that need not be: the budget.
    pub fn allowed(self) -> f64 {
        f64::from(self.allowed) / f64::from(WHOLE)
    }
}

impl TryFrom<f64> for Objective {
    type Error = Unusable;

    fn try_from(share: f64) -> Result<Self, Unusable> {
        let millionths = share * f64::from(WHOLE);
        let whole = millionths.round();
        let is_possible = (1.0..f64::from(WHOLE)).contains(&whole) && (millionths - whole).abs() < 1e-6;
        // Within the bounds of the check above, so nothing is cut off.
        if is_possible {
            Ok(Self { allowed: WHOLE - whole as u32 })
        } else {
            Err(Unusable(share.to_string()))
        }
    }
}

impl From<Objective> for f64 {
    fn from(objective: Objective) -> Self {
        objective.share()
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.share().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_share_is_refused() {
        for number in [0.0, 1.0, -0.5, 1.5, 99.9, 0.000_000_1, 0.999_999_9, f64::NAN, f64::INFINITY] {
            let said = Objective::try_from(number).unwrap_err().to_string();
            assert!(said.contains("such as 0.999"), "{said}");
        }
        assert_eq!(Objective::try_from(0.999).unwrap().allowed(), 0.001);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(millionths in 1..WHOLE) {
            let share = f64::from(millionths) / f64::from(WHOLE);
            let objective = Objective::try_from(share).unwrap();
            prop_assert_eq!(objective.share(), share);
            prop_assert_eq!(Objective::try_from(f64::from(objective)), Ok(objective));
            prop_assert_eq!(objective.to_string().parse::<f64>().unwrap(), share);
        }
    }
}
