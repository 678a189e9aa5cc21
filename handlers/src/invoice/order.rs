//! The order as the event `order.completed.v1` brings it.
//!
//! Its contract is `contracts/events/order.completed.v1.schema.json`; the tests
//! here keep the two in step.

use std::fmt;

use chrono::{DateTime, FixedOffset};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::amount;

/// A completed order: the `data` of the event `order.completed.v1`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Order {
    /// The shop's number of the order.
    pub order_number: String,
    /// When it was completed, in the shop's offset.
    pub completed_at: DateTime<FixedOffset>,
    /// The ISO 4217 code of every amount.
    pub currency: String,
    /// Who pays.
    pub customer: Customer,
    /// What was bought.
    pub lines: Vec<OrderLine>,
    /// A word to the customer, printed on the invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Who pays an order.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Customer {
    /// A person or a company.
    pub name: String,
    /// Where the invoice is sent.
    pub email: String,
    /// The lines of the postal address below the name.
    pub address: Vec<String>,
    /// Of a company that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat_id: Option<String>,
}

/// One article of an order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct OrderLine {
    /// The shop's number of the article.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// What was bought.
    pub description: String,
    /// How many; negative for what is returned or taken off.
    #[serde(with = "amount")]
    pub quantity: Decimal,
    /// Net price of one.
    #[serde(with = "amount")]
    pub unit_price: Decimal,
    /// In percent.
    #[serde(with = "amount")]
    pub vat_rate: Decimal,
}

/// A customer is a person: a log line says that there is one, not who.
impl fmt::Debug for Customer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Customer").finish_non_exhaustive()
    }
}

/// Whether the text can be part of an invoice number and of a file name.
pub(super) fn is_order_number(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 32
        && bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::LazyLock;

    use serde_json::{Value, json};
    use upshot_shared::contract::Contracts;

    use super::{super::Currency, *};

    const EXAMPLE: &str = include_str!("../../../contracts/events/examples/order.completed.v1.json");

    /// Whether the data keeps the contract, as the gate checks it; if not, where it does not.
    pub(crate) fn kept(data: &Value) -> Result<(), String> {
        static CONTRACTS: LazyLock<Contracts> =
            LazyLock::new(|| Contracts::load(crate::program::PROGRAM.contracts, None).unwrap());
        let checked = CONTRACTS.check("order.completed.v1", data.to_string().as_bytes());
        checked.map_err(|rejection| rejection.place)
    }

    pub(crate) fn example() -> Value {
        serde_json::from_str::<Value>(EXAMPLE).unwrap()["data"].take()
    }

    #[test]
    fn the_example_keeps_the_contract() {
        assert_eq!(kept(&example()), Ok(()));
    }

    #[test]
    fn the_model_reads_every_field_of_the_example() {
        let order: Order = serde_json::from_value(example()).unwrap();
        let mut written = serde_json::to_value(&order).unwrap();
        assert_eq!(kept(&written), Ok(()));

        // Quantities are written as strings, whichever of the two forms they came in.
        let mut example = example();
        for line in example["lines"].as_array_mut().unwrap() {
            if line["quantity"].is_i64() {
                line["quantity"] = json!(line["quantity"].to_string());
            }
        }
        assert_eq!(written.take(), example);
    }

    #[test]
    fn the_contract_refuses_what_would_be_misread() {
        let refused = |change: &dyn Fn(&mut Value)| {
            let mut data = example();
            change(&mut data);
            kept(&data).is_err()
        };
        assert!(refused(&|data| data["extra"] = json!(1)));
        assert!(refused(&|data| data["customer"]["extra"] = json!(1)));
        assert!(refused(&|data| data["lines"][0]["extra"] = json!(1)));
        assert!(refused(&|data| data["lines"][0]["unit_price"] = json!(12.5)));
        assert!(refused(&|data| data["lines"][0]["unit_price"] = json!("-12.50")));
        assert!(refused(&|data| data["lines"][0]["unit_price"] = json!("12,50")));
        assert!(refused(&|data| data["lines"][0]["quantity"] = json!(1.5)));
        assert!(refused(&|data| data["lines"][0]["vat_rate"] = json!("100.01")));
        assert!(refused(&|data| data["lines"] = json!([])));
        assert!(refused(&|data| data["lines"] = Value::Array(vec![data["lines"][0].clone(); 1001])));
        assert!(refused(&|data| data["currency"] = json!("eur")));
        assert!(refused(&|data| data["order_number"] = json!("../1042")));
        assert!(refused(&|data| data["completed_at"] = json!("2026-03-14")));
        assert!(refused(&|data| data["completed_at"] = json!("2026-02-30T10:00:00Z")));
        assert!(refused(&|data| data["customer"]["email"] = json!("ada")));
        assert!(refused(&|data| data["customer"]["email"] = json!("a@b.example\r\nBcc: c@d.example")));
        assert!(refused(&|data| data["customer"]["email"] = json!("a@b.example,c@d.example")));
        assert!(refused(&|data| data["customer"]["name"] = json!("Ada\nBcc: x")));
        assert!(refused(&|data| data["note"] = json!("\u{7}")));
        assert!(!refused(&|data| data["note"] = json!("one\ntwo *three*")));
        assert!(!refused(&|data| data["customer"]["email"] = json!("kathe+o'hara@bücher.example")));
        assert!(refused(&|data| data["customer"]["email"] = json!("käthe@bücher.example")));
        assert!(refused(&|data| data["customer"]["email"] = json!("ada@localhost")));
    }

    #[test]
    fn the_contract_lists_the_currencies_that_can_be_invoiced() {
        let schema = include_str!("../../../contracts/events/order.completed.v1.schema.json");
        let schema: Value = serde_json::from_str(schema).unwrap();
        let listed = schema["properties"]["currency"]["enum"].as_array().unwrap();
        let mut known: Vec<&str> = Currency::codes().collect();
        known.sort_unstable();
        assert_eq!(listed, &known);
    }

    #[test]
    fn a_number_with_a_fraction_is_not_an_amount() {
        let mut data = example();
        data["lines"][0]["unit_price"] = json!(12.5);
        let error = serde_json::from_value::<Order>(data).unwrap_err().to_string();
        assert!(error.contains("decimal string"), "{error}");
    }

    #[test]
    fn a_log_line_does_not_name_the_customer() {
        let order: Order = serde_json::from_value(example()).unwrap();
        let debug = format!("{order:?}");
        assert!(!debug.contains("Ada") && !debug.contains("lindqvist"), "{debug}");
    }
}
