//! Who sends the invoices, from the settings.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The seller on every invoice.
///
/// There is no default for a single field: half of the made-up shop, its bank
/// account above all, must never complete a real one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Seller {
    /// The company's name, also the holder of the account.
    pub name: String,
    /// The lines of the postal address below the name.
    pub address: Vec<String>,
    /// Where questions about an invoice go.
    pub email: String,
    /// Left out by a small business that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat_id: Option<String>,
    /// The account to pay to.
    pub iban: Iban,
    /// Needed only by banks outside the euro area.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bic: Option<String>,
    /// Days from the date of issue to the due date.
    pub payment_days: u16,
}

/// A made-up shop, so that a first try needs no settings.
impl Default for Seller {
    fn default() -> Self {
        Self {
            name: "Morgenrot Coffee Roasters GmbH".to_owned(),
            address: ["Lindenallee 14", "10115 Berlin", "Germany"].map(str::to_owned).to_vec(),
            email: "billing@morgenrot.example".to_owned(),
            vat_id: Some("DE123456789".to_owned()),
            // The account number that examples of IBANs use.
            iban: Iban("DE89370400440532013000".to_owned()),
            bic: Some("COBADEFFXXX".to_owned()),
            payment_days: 14,
        }
    }
}

/// A bank account whose check digits are right, without spaces.
///
/// A mistyped account in the settings is refused at the start, not found by the
/// customers who paid into nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Iban(String);

/// A text that is no IBAN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a valid IBAN: its check digits do not match; look for a mistyped digit")]
pub struct IbanError(String);

impl TryFrom<String> for Iban {
    type Error = IbanError;

    fn try_from(text: String) -> Result<Self, IbanError> {
        let compact: String = text.chars().filter(|char| *char != ' ').collect();
        if is_iban(&compact) { Ok(Self(compact)) } else { Err(IbanError(text)) }
    }
}

impl From<Iban> for String {
    fn from(iban: Iban) -> Self {
        iban.0
    }
}

/// In groups of four, as ISO 13616 has it on paper.
impl fmt::Display for Iban {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, char) in self.0.chars().enumerate() {
            if index > 0 && index % 4 == 0 {
                formatter.write_str(" ")?;
            }
            write!(formatter, "{char}")?;
        }
        Ok(())
    }
}

/// ISO 13616: the first four characters moved to the end, letters read as 10 to
/// 35, the number is 1 modulo 97 (ISO 7064 MOD 97-10).
fn is_iban(text: &str) -> bool {
    let bytes = text.as_bytes();
    if !(15..=34).contains(&bytes.len())
        || !bytes[..2].iter().all(u8::is_ascii_uppercase)
        || !bytes[2..4].iter().all(u8::is_ascii_digit)
    {
        return false;
    }
    let mut remainder: u32 = 0;
    for &byte in bytes[4..].iter().chain(&bytes[..4]) {
        let (value, base) = match byte {
            b'0'..=b'9' => (u32::from(byte - b'0'), 10),
            b'A'..=b'Z' => (u32::from(byte - b'A') + 10, 100),
            _ => return false,
        };
        remainder = (remainder * base + value) % 97;
    }
    remainder == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iban(text: &str) -> Result<Iban, IbanError> {
        Iban::try_from(text.to_owned())
    }

    #[test]
    fn check_digits_are_checked() {
        for good in [
            "DE89 3704 0044 0532 0130 00",
            "GB82WEST12345698765432",
            "NO9386011117947",
            "MT84MALT011000012345MTLCAST001S",
        ] {
            assert!(iban(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "DE",
            "DE88370400440532013000",
            "DE89370400440532013001",
            "de89370400440532013000",
            "DE89-3704",
            "ÄÖ89370400440532013000",
        ] {
            assert!(iban(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_iban_is_shown_in_groups() {
        assert_eq!(iban("DE89370400440532013000").unwrap().to_string(), "DE89 3704 0044 0532 0130 00");
    }

    #[test]
    fn the_default_seller_could_be_a_setting() {
        let seller = Seller::default();
        let written = serde_json::to_value(&seller).unwrap();
        assert_eq!(serde_json::from_value::<Seller>(written).unwrap(), seller);
    }

    #[test]
    fn an_unknown_or_a_missing_setting_is_refused() {
        let mut unknown = serde_json::to_value(Seller::default()).unwrap();
        unknown["fax"] = "1".into();
        assert!(serde_json::from_value::<Seller>(unknown).unwrap_err().to_string().contains("fax"));

        let mut missing = serde_json::to_value(Seller::default()).unwrap();
        missing.as_object_mut().unwrap().remove("iban");
        assert!(serde_json::from_value::<Seller>(missing).unwrap_err().to_string().contains("iban"));
    }
}
