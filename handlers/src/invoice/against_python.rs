//! Every total of 100,000 random orders, against Python's `decimal`.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use super::{Currency, Invoice, InvoiceError, Order, Seller};

const ORDERS: usize = 100_000;
const SEED: u64 = 16;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/totals.py");

/// Text of orders within the contract's ranges, with zeros of every scale and
/// figures that end in halves.
struct Orders {
    random: StdRng,
    currencies: Vec<&'static str>,
}

impl Orders {
    fn new() -> Self {
        Self { random: StdRng::seed_from_u64(SEED), currencies: Currency::codes().collect() }
    }

    fn next(&mut self) -> String {
        let currency = *self.currencies.choose(&mut self.random).unwrap();
        let rates: Vec<String> = (0..self.random.random_range(1..=3)).map(|_| self.rate()).collect();
        let count = if self.random.random_ratio(1, 500) { 200 } else { self.random.random_range(1..=7) };
        let lines: Vec<String> = (0..count).map(|_| self.line(&rates)).collect();
        format!(
            r#"{{"order_number":"1","completed_at":"2026-03-14T10:00:00Z","currency":"{currency}","customer":{{"name":"Ada","email":"ada@mail.example","address":["Street 5"]}},"lines":[{}]}}"#,
            lines.join(",")
        )
    }

    fn line(&mut self, rates: &[String]) -> String {
        let quantity = self.quantity();
        let price = self.decimal(9, 6);
        let rate = rates.choose(&mut self.random).unwrap();
        // One rate is written in several ways: all are one group.
        let rate = match self.random.random_range(0..3) {
            0 if !rate.contains('.') => format!("{rate}.0"),
            1 if !rate.contains('.') => format!("{rate}.00"),
            _ => rate.clone(),
        };
        format!(r#"{{"description":"a","quantity":{quantity},"unit_price":"{price}","vat_rate":"{rate}"}}"#)
    }

    fn rate(&mut self) -> String {
        const USUAL: [&str; 12] =
            ["0", "5", "7", "7.7", "8.1", "19", "20", "25.5", "5.5", "2.1", "100", "99.99"];
        match self.random.random_range(0..3) {
            0 => self.decimal(2, 2),
            _ => (*USUAL.choose(&mut self.random).unwrap()).to_owned(),
        }
    }

    fn quantity(&mut self) -> String {
        let sign = if self.random.random_ratio(1, 8) { "-" } else { "" };
        let small = self.random.random_range(0..30);
        match self.random.random_range(0..8) {
            0 => format!("{sign}{small}"),
            1 => format!("{sign}{small}.0"),
            2 => format!("{sign}{small}e{}", self.random.random_range(0..=7)),
            3 => format!("{sign}{}", self.random.random_range(0..=999_999_999)),
            4 => format!("{sign}{small}.50E+1"),
            _ => format!("\"{sign}{}\"", self.decimal(9, 4)),
        }
    }

    /// Up to so many digits before and behind the point, often zeros or a five at the end.
    fn decimal(&mut self, whole: usize, fraction: usize) -> String {
        let fraction = self.random.random_range(0..=fraction);
        let whole = if self.random.random_bool(0.6) { self.random.random_range(1..=2) } else { whole };
        let whole = self.random.random_range(1..=whole);
        if self.random.random_ratio(1, 6) {
            return point("0".repeat(whole), &"0".repeat(fraction));
        }
        let mut digits = |count: usize| -> String {
            (0..count).map(|_| char::from(b'0' + self.random.random_range(0..10))).collect()
        };
        let (whole, mut behind) = (digits(whole), digits(fraction));
        if self.random.random_ratio(1, 3) && behind.pop().is_some() {
            behind.push('5');
        }
        point(whole, &behind)
    }
}

fn point(whole: String, fraction: &str) -> String {
    if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
}

/// What the invoice of an order shows.
fn shown(order: &str) -> Value {
    let order: Order = serde_json::from_str(order).unwrap();
    let invoice = match Invoice::of(&order, &Seller::default()) {
        Ok(invoice) => invoice,
        Err(InvoiceError::Negative { gross }) => return json!({ "negative": gross }),
        Err(error) => return json!({ "refused": error.to_string() }),
    };
    let data = invoice.data();
    let list = |name: &str| data[name].as_array().unwrap().clone();
    json!({
        "lines": list("lines").iter().map(|line| line["net"].clone()).collect::<Vec<_>>(),
        "vat": list("vat").iter().map(|group| json!([group["rate"], group["taxable"], group["vat"]])).collect::<Vec<_>>(),
        "totals": [data["net_total"], data["vat_total"], data["gross_total"]],
    })
}

#[test]
fn all_totals_are_those_of_python() {
    let mut python = Command::new("python3")
        .args(["-I", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed for this test: apt-get install python3");
    let mut asked = python.stdin.take().unwrap();
    let asking = std::thread::spawn(move || {
        let mut orders = Orders::new();
        for _ in 0..ORDERS {
            writeln!(asked, "{}", orders.next()).unwrap();
        }
    });
    let (mut orders, mut compared, mut negative) = (Orders::new(), 0, 0);
    for answer in BufReader::new(python.stdout.take().unwrap()).lines() {
        let order = orders.next();
        let expected: Value = serde_json::from_str(&answer.unwrap()).unwrap();
        assert_eq!(shown(&order), expected, "order {compared} of seed {SEED}: {order}");
        negative += usize::from(expected.get("negative").is_some());
        compared += 1;
    }
    assert!(python.wait().unwrap().success());
    asking.join().unwrap();
    assert_eq!(compared, ORDERS);
    assert!(negative < ORDERS / 2, "{negative} orders have a negative total: too few totals are compared");
}

/// The orders above are within the contract.
#[test]
fn the_orders_keep_the_contract() {
    let mut orders = Orders::new();
    for _ in 0..2_000 {
        let order = orders.next();
        let data: Value = serde_json::from_str(&order).unwrap();
        assert_eq!(super::order::tests::kept(&data), Ok(()), "{order}");
    }
}
