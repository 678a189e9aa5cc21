//! Currencies: their minor units, and how their amounts are written.

use std::fmt;

use rust_decimal::Decimal;

/// A currency of ISO 4217 that is in circulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency {
    code: &'static str,
    minor_units: u32,
}

/// The codes of ISO 4217, list one, by their number of decimals (the minor
/// unit). Funds, metals and test codes are left out: nobody pays with them.
const BY_MINOR_UNITS: [(u32, &[&str]); 3] = [
    (
        0,
        &[
            "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF",
            "XOF", "XPF",
        ],
    ),
    (
        2,
        &[
            "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BGN", "BMD",
            "BND", "BOB", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CNY", "COP", "CRC",
            "CUP", "CVE", "CZK", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL",
            "GHS", "GIP", "GMD", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "IRR", "JMD",
            "KES", "KGS", "KHR", "KPW", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "MAD", "MDL", "MGA",
            "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO",
            "NOK", "NPR", "NZD", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "QAR", "RON", "RSD", "RUB", "SAR",
            "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL",
            "THB", "TJS", "TMT", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "USD", "UYU", "UZS", "VED", "VES",
            "WST", "XCD", "XCG", "YER", "ZAR", "ZMW", "ZWG",
        ],
    ),
    (3, &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]),
];

impl Currency {
    /// The currency with this ISO 4217 code.
    pub fn of(code: &str) -> Option<Self> {
        BY_MINOR_UNITS.iter().find_map(|&(minor_units, codes)| {
            codes.iter().find(|known| **known == code).map(|&code| Self { code, minor_units })
        })
    }

    /// The codes of all currencies.
    #[cfg(test)]
    pub(super) fn codes() -> impl Iterator<Item = &'static str> {
        BY_MINOR_UNITS.iter().flat_map(|(_, codes)| codes.iter().copied())
    }

    /// The ISO 4217 code, such as `EUR`.
    pub fn code(self) -> &'static str {
        self.code
    }

    /// The number of decimals of its amounts: 2 for the euro, 0 for the yen.
    pub fn minor_units(self) -> u32 {
        self.minor_units
    }

    /// An amount as people read it: `€1,234.50`, `CHF 1,234.50`, `−$5.00`.
    pub fn text(self, amount: Decimal) -> String {
        let (sign, digits) = sign_and_digits(amount, self.minor_units);
        format!("{sign}{}{digits}", self.mark())
    }

    /// What stands before an amount: a symbol where it is understood without
    /// the code, else the code and a space that does not break.
    fn mark(self) -> String {
        match self.code {
            "EUR" => "€".to_owned(),
            "GBP" => "£".to_owned(),
            "JPY" => "¥".to_owned(),
            "USD" => "$".to_owned(),
            code => format!("{code}\u{a0}"),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code)
    }
}

/// A number as people read it, with no fewer than `decimals` decimals and no
/// trailing zeros beyond them: `1,234.50`.
pub(super) fn number(value: Decimal, decimals: u32) -> String {
    let (sign, digits) = sign_and_digits(value, decimals);
    format!("{sign}{digits}")
}

fn sign_and_digits(value: Decimal, decimals: u32) -> (&'static str, String) {
    let value = value.normalize();
    let sign = if value.is_sign_negative() && !value.is_zero() { "−" } else { "" };
    let plain = value.abs().to_string();
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));

    let mut digits = String::with_capacity(plain.len() * 2);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            digits.push(',');
        }
        digits.push(digit);
    }
    let decimals = fraction.len().max(decimals as usize);
    if decimals > 0 {
        digits.push('.');
        digits.push_str(&format!("{fraction:0<decimals$}"));
    }
    (sign, digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(code: &str, amount: &str) -> String {
        Currency::of(code).unwrap().text(Decimal::from_str_exact(amount).unwrap())
    }

    #[test]
    fn minor_units_are_those_of_iso_4217() {
        for (code, units) in [("EUR", 2), ("USD", 2), ("GBP", 2), ("CHF", 2), ("JPY", 0), ("KWD", 3)] {
            assert_eq!(Currency::of(code).unwrap().minor_units(), units, "{code}");
        }
        for unknown in ["", "eur", "XAU", "XXX", "DEM", "EURO"] {
            assert_eq!(Currency::of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn no_code_is_listed_twice() {
        let mut codes: Vec<_> = Currency::codes().collect();
        let count = codes.len();
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }

    #[test]
    fn amounts_are_written_for_people() {
        assert_eq!(text("EUR", "1234567.5"), "€1,234,567.50");
        assert_eq!(text("EUR", "0"), "€0.00");
        assert_eq!(text("EUR", "-0.00"), "€0.00");
        assert_eq!(text("USD", "-999"), "−$999.00");
        assert_eq!(text("GBP", "1000"), "£1,000.00");
        assert_eq!(text("CHF", "12.3"), "CHF\u{a0}12.30");
        assert_eq!(text("JPY", "123456"), "¥123,456");
        assert_eq!(text("KWD", "1.2"), "KWD\u{a0}1.200");
    }

    #[test]
    fn a_price_keeps_its_decimals() {
        let number = |value, decimals| number(Decimal::from_str_exact(value).unwrap(), decimals);
        assert_eq!(number("0.0035", 2), "0.0035");
        assert_eq!(number("24.900", 2), "24.90");
        assert_eq!(number("3.50", 0), "3.5");
        assert_eq!(number("-1", 0), "−1");
        assert_eq!(number("1000", 0), "1,000");
    }
}
