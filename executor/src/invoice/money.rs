//! Arithmetic of money that is exact or refuses, and the one place that rounds.
//!
//! `Decimal` holds 28 digits and rounds silently when a result has more. A sum
//! rounded there and then again to cents can be a cent off, so that every
//! operation here returns `None` instead of a rounded result.

use rust_decimal::{Decimal, RoundingStrategy};

use super::currency::Currency;

/// One percent.
const PERCENT: Decimal = Decimal::from_parts(1, 0, 0, false, 2);

/// The exact product, or `None` if it has too many digits.
pub(super) fn product(a: Decimal, b: Decimal) -> Option<Decimal> {
    if a.is_zero() || b.is_zero() {
        return Some(Decimal::ZERO);
    }
    let product = a.checked_mul(b)?;
    // A product that was rounded to fit has lost decimals.
    (product.scale() == a.scale() + b.scale()).then_some(product)
}

/// The exact sum, or `None` if it has too many digits.
pub(super) fn sum(amounts: impl IntoIterator<Item = Decimal>) -> Option<Decimal> {
    amounts.into_iter().try_fold(Decimal::ZERO, |sum, amount| {
        let scale = sum.scale().max(amount.scale());
        let sum = sum.checked_add(amount)?;
        (sum.is_zero() || sum.scale() == scale).then_some(sum)
    })
}

/// `amount` × `rate` / 100, exact, or `None` if it has too many digits.
pub(super) fn percent(amount: Decimal, rate: Decimal) -> Option<Decimal> {
    product(amount, product(rate, PERCENT)?)
}

/// Rounds to the minor unit of the currency, halves away from zero.
pub(super) fn round(amount: Decimal, currency: Currency) -> Decimal {
    amount.round_dp_with_strategy(currency.minor_units(), RoundingStrategy::MidpointAwayFromZero)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::from_str_exact(text).unwrap()
    }

    #[test]
    fn halves_go_away_from_zero() {
        let eur = Currency::of("EUR").unwrap();
        for (exact, rounded) in
            [("2.345", "2.35"), ("-2.345", "-2.35"), ("2.3449999", "2.34"), ("0.005", "0.01"), ("1", "1")]
        {
            assert_eq!(round(decimal(exact), eur), decimal(rounded), "{exact}");
        }
        assert_eq!(round(decimal("0.5"), Currency::of("JPY").unwrap()), decimal("1"));
        assert_eq!(round(decimal("0.0005"), Currency::of("KWD").unwrap()), decimal("0.001"));
    }

    #[test]
    fn a_product_is_exact_or_none() {
        assert_eq!(
            product(decimal("999999999.9999"), decimal("999999999.999999")),
            Some(decimal("999999999999899000.0000000001"))
        );
        assert_eq!(product(decimal("0.000000000000001"), decimal("0.000000000000001")), None);
        assert_eq!(product(Decimal::MAX, decimal("1.1")), None);
        assert_eq!(product(decimal("0.000000000000001"), Decimal::ZERO), Some(Decimal::ZERO));
    }

    #[test]
    fn a_sum_is_exact_or_none() {
        assert_eq!(sum([decimal("0.10"), decimal("0.2")]), Some(decimal("0.30")));
        assert_eq!(sum([decimal("0.10"), decimal("-0.1")]), Some(Decimal::ZERO));
        assert_eq!(sum([Decimal::MAX, decimal("0.01")]), None);
        assert_eq!(sum([]), Some(Decimal::ZERO));
    }

    #[test]
    fn vat_is_a_hundredth_of_the_rate() {
        assert_eq!(percent(decimal("100.10"), decimal("19")), Some(decimal("19.019")));
        assert_eq!(percent(decimal("-50"), decimal("7.7")), Some(decimal("-3.85")));
    }
}
