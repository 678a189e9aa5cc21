//! Decimals in JSON: as strings, so that no reader rounds them.

use std::fmt;

use rust_decimal::Decimal;
use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

/// For `#[serde(with = "amount")]`: a decimal string.
pub(super) fn serialize<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Accepts a decimal string, and an integer where the contract allows one. To
/// JSON Schema `2.0` and `1e2` are integers too. A JSON number with a fraction
/// is refused: it has already been rounded.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    deserializer.deserialize_any(AmountVisitor)
}

struct AmountVisitor;

impl Visitor<'_> for AmountVisitor {
    type Value = Decimal;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a decimal string such as \"12.50\", or an integer")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Decimal, E> {
        parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Decimal, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Decimal, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Decimal, E> {
        if number.fract() == 0.0 && number.abs() <= LAST_WHOLE {
            return Ok(Decimal::from(number as i64));
        }
        Err(E::invalid_value(serde::de::Unexpected::Float(number), &self))
    }
}

/// Up to 2^53 each whole number is a float of its own.
const LAST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Digits, with at most one point between them and a minus before them, and no
/// more of them than a `Decimal` holds. The parser of `Decimal` alone would
/// also take `+1`, `1_000` and `.5`.
fn parse(text: &str) -> Option<Decimal> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    Decimal::from_str_exact(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Amount(#[serde(deserialize_with = "deserialize")] Decimal);

    fn read(json: &str) -> Result<String, serde_json::Error> {
        serde_json::from_str(json).map(|Amount(amount)| amount.to_string())
    }

    #[test]
    fn a_whole_number_is_an_integer_however_it_is_written() {
        for (json, amount) in [
            ("2", "2"),
            ("2.0", "2"),
            ("1e2", "100"),
            ("-1.5E1", "-15"),
            ("-0.0", "0"),
            ("9007199254740992.0", "9007199254740992"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(read(json).unwrap(), amount, "{json}");
        }
        for json in ["2.5", "1e-1", "9007199254740994.0", "1e300", "true", "null", "[]"] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn only_plain_decimals_are_read() {
        for good in ["0", "12", "-1", "12.50", "0.0001", "-0.5", "007"] {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in ["", "-", ".", ".5", "5.", "+1", "1_000", "1,5", "1e3", "--1", "1.2.3", " 1", "٣", "NaN"]
        {
            assert!(parse(bad).is_none(), "{bad}");
        }
        assert!(parse(&"9".repeat(40)).is_none());
        assert!(parse(&format!("0.{}", "1".repeat(40))).is_none());
    }
}
