//! Arithmetic of money in whole minor units (cents, yen), and the one place that rounds.
//!
//! Every amount is counted as an integer of the currency's minor unit, so a sum
//! cannot lose a digit and its order cannot matter: an amount has 96 bits at
//! most, a sum of them is made with 128. A result that does not fit is `None`
//! and never a rounded number.

use rust_decimal::Decimal;

use super::currency::Currency;

/// `a` × `b`, rounded once to the minor unit; `None` if it is too large.
pub(super) fn product(a: Decimal, b: Decimal, currency: Currency) -> Option<Decimal> {
    let (a, b) = (a.normalize(), b.normalize());
    let exact = a.mantissa().checked_mul(b.mantissa())?;
    amount(rounded(exact, a.scale() + b.scale(), currency.minor_units())?, currency)
}

/// The sum of amounts; `None` if it is too large.
pub(super) fn sum(amounts: impl IntoIterator<Item = Decimal>, currency: Currency) -> Option<Decimal> {
    let sum = amounts.into_iter().try_fold(0, |sum: i128, amount| sum.checked_add(units(amount, currency)?));
    amount(sum?, currency)
}

/// `of` × `rate` / 100, rounded once to the minor unit; `None` if it is too large.
pub(super) fn percent(of: Decimal, rate: Decimal, currency: Currency) -> Option<Decimal> {
    let rate = rate.normalize();
    let exact = units(of, currency)?.checked_mul(rate.mantissa())?;
    amount(rounded(exact, rate.scale() + 2, 0)?, currency)
}

/// An amount in minor units; `None` for one that has a fraction of them.
fn units(amount: Decimal, currency: Currency) -> Option<i128> {
    let amount = amount.normalize();
    let zeros = currency.minor_units().checked_sub(amount.scale())?;
    amount.mantissa().checked_mul(10_i128.checked_pow(zeros)?)
}

fn amount(units: i128, currency: Currency) -> Option<Decimal> {
    Decimal::try_from_i128_with_scale(units, currency.minor_units()).ok()
}

/// A number of `scale` decimals as one of `decimals`: halves go away from zero.
fn rounded(number: i128, scale: u32, decimals: u32) -> Option<i128> {
    let Some(dropped) = scale.checked_sub(decimals) else {
        return number.checked_mul(10_i128.checked_pow(decimals - scale)?);
    };
    // The smallest power that does not fit is more than twice any number that does.
    let Some(divisor) = 10_i128.checked_pow(dropped) else { return Some(0) };
    let (whole, rest) = (number / divisor, (number % divisor).abs());
    Some(if rest >= divisor - rest { whole + number.signum() } else { whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::from_str_exact(text).unwrap()
    }

    fn currency(code: &str) -> Currency {
        Currency::of(code).unwrap()
    }

    #[test]
    fn halves_go_away_from_zero() {
        for (code, exact, rounded) in [
            ("EUR", "2.345", "2.35"),
            ("EUR", "-2.345", "-2.35"),
            ("EUR", "2.3449999", "2.34"),
            ("EUR", "0.005", "0.01"),
            ("EUR", "1", "1"),
            ("EUR", "0.004999999999999999999999999", "0"),
            ("JPY", "0.5", "1"),
            ("KWD", "0.0005", "0.001"),
        ] {
            let product = product(decimal(exact), Decimal::ONE, currency(code));
            assert_eq!(product, Some(decimal(rounded)), "{exact} {code}");
        }
    }

    #[test]
    fn a_product_is_exact_or_none() {
        let eur = currency("EUR");
        assert_eq!(
            product(decimal("999999999.9999"), decimal("999999999.999999"), eur),
            Some(decimal("999999999999899000.00"))
        );
        let least = decimal("0.0000000000000000000000000001");
        assert_eq!(product(least, least, eur), Some(Decimal::ZERO));
        assert_eq!(product(Decimal::MAX, decimal("1.1"), eur), None);
        assert_eq!(product(Decimal::MAX, Decimal::MAX, eur), None);
        assert_eq!(product(decimal("0.000000000000001"), Decimal::ZERO, eur), Some(Decimal::ZERO));
    }

    /// A zero has a scale of its own, which no sum takes on.
    #[test]
    fn a_zero_of_any_scale_changes_no_sum() {
        for code in ["EUR", "JPY", "KWD"] {
            let currency = currency(code);
            for scale in 0..=28 {
                let zero = Decimal::try_from_i128_with_scale(0, scale).unwrap();
                for sign in [zero, -zero] {
                    assert_eq!(sum([decimal("10"), sign], currency), Some(decimal("10")));
                    assert_eq!(sum([sign, decimal("10")], currency), Some(decimal("10")));
                    assert_eq!(sum([sign, sign], currency), Some(Decimal::ZERO));
                    assert_eq!(percent(sign, decimal("19"), currency), Some(Decimal::ZERO));
                    assert_eq!(product(sign, decimal("1.5"), currency), Some(Decimal::ZERO));
                }
            }
        }
    }

    #[test]
    fn a_sum_depends_on_no_order_and_is_exact_or_none() {
        let jpy = currency("JPY");
        assert_eq!(sum([Decimal::MAX, Decimal::ONE, Decimal::MIN], jpy), Some(Decimal::ONE));
        assert_eq!(sum([Decimal::MAX, Decimal::MIN, Decimal::ONE], jpy), Some(Decimal::ONE));
        assert_eq!(sum([Decimal::MAX, Decimal::ONE], jpy), None);
        assert_eq!(sum([], jpy), Some(Decimal::ZERO));
        assert_eq!(sum([decimal("0.10"), decimal("0.2")], currency("EUR")), Some(decimal("0.30")));
        assert_eq!(sum([decimal("0.5")], jpy), None);
    }

    #[test]
    fn vat_is_a_hundredth_of_the_rate() {
        let eur = currency("EUR");
        assert_eq!(percent(decimal("100.10"), decimal("19"), eur), Some(decimal("19.02")));
        assert_eq!(percent(decimal("-50"), decimal("7.7"), eur), Some(decimal("-3.85")));
        assert_eq!(percent(decimal("0.50"), decimal("1.00"), eur), Some(decimal("0.01")));
    }
}
