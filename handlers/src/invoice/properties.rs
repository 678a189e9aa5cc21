//! What holds for every order that the contract allows, and for many that it does not.

use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::order::tests::{example, kept};
use super::{Currency, Invoice, InvoiceError, Order, Seller};

/// Lines as the contract allows them, often with figures that end in halves.
fn line() -> impl Strategy<Value = Value> {
    let quantity = prop_oneof![
        3 => (0..20_i64).prop_map(|quantity| json!(quantity)),
        1 => (-999_999_999..=999_999_999_i64).prop_map(|quantity| json!(quantity)),
        2 => "[0-9]{1,3}\\.(5|25|125|[0-9]{4})".prop_map(|quantity| json!(quantity)),
        1 => "-?[0-9]{1,9}(\\.[0-9]{1,4})?".prop_map(|quantity| json!(quantity)),
    ];
    let price = prop_oneof!["[0-9]{1,3}\\.[0-9]{2}", "[0-9]{1,2}\\.[0-9]{2}5", "[0-9]{1,9}(\\.[0-9]{1,6})?"];
    let rate = prop_oneof![
        "0|5|7|7\\.0|7\\.7|8\\.1|19|19\\.00|20|25\\.5",
        "[0-9]{1,2}(\\.[0-9]{1,2})?",
        "100(\\.00)?"
    ];
    (quantity, price, rate, "\\PC{1,40}").prop_map(|(quantity, unit_price, vat_rate, description)| {
        json!({ "description": description, "quantity": quantity, "unit_price": unit_price, "vat_rate": vat_rate })
    })
}

fn order_data() -> impl Strategy<Value = Value> {
    let currency = prop_oneof![
        "EUR|USD|GBP|CHF",
        "JPY|KWD",
        prop::sample::select(Currency::codes().map(str::to_owned).collect::<Vec<_>>())
    ];
    let completed_at = "[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])";
    (currency, completed_at, prop::collection::vec(line(), 1..30)).prop_map(
        |(currency, completed_at, lines)| {
            let mut data = example();
            data["currency"] = json!(currency);
            data["completed_at"] = json!(completed_at);
            data["lines"] = json!(lines);
            data
        },
    )
}

/// `value` in units of 10^-`decimals`, by integers alone.
fn units(value: Decimal, decimals: u32) -> i128 {
    let scale = value.scale();
    if scale <= decimals {
        value.mantissa() * 10_i128.pow(decimals - scale)
    } else {
        let divisor = 10_i128.pow(scale - decimals);
        assert_eq!(value.mantissa() % divisor, 0, "{value} has more than {decimals} decimals");
        value.mantissa() / divisor
    }
}

/// Division that rounds halves away from zero: the rule, written a second time
/// without the library that the code under test uses.
fn divide(dividend: i128, divisor: i128) -> i128 {
    let half = divisor / 2 * dividend.signum();
    (dividend + half) / divisor
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn totals_agree_and_vat_follows_the_rule(data in order_data()) {
        let order: Order = serde_json::from_value(data).unwrap();
        let invoice = match Invoice::of(&order, &Seller::default()) {
            Ok(invoice) => invoice,
            // What the contract allows and an invoice does not.
            Err(InvoiceError::Negative { .. }) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let minor = invoice.currency().minor_units();

        let mut nets = 0;
        for (line, ordered) in invoice.lines().iter().zip(&order.lines) {
            let exact = units(ordered.quantity, 4) * units(ordered.unit_price, 6);
            prop_assert_eq!(units(line.net, minor), divide(exact, 10_i128.pow(10 - minor)));
            nets += units(line.net, minor);
        }
        prop_assert_eq!(invoice.lines().len(), order.lines.len());
        prop_assert_eq!(nets, units(invoice.net_total(), minor));

        let mut taxable = 0;
        let mut vat = 0;
        for group in invoice.vat() {
            let of_rate = invoice.lines().iter().filter(|line| line.vat_rate == group.rate);
            prop_assert_eq!(units(group.taxable, minor), of_rate.map(|line| units(line.net, minor)).sum::<i128>());
            // BR-CO-17, in minor units and hundredths of a percent.
            prop_assert_eq!(units(group.vat, minor), divide(units(group.taxable, minor) * units(group.rate, 2), 10_000));
            taxable += units(group.taxable, minor);
            vat += units(group.vat, minor);
        }
        prop_assert!(invoice.vat().is_sorted_by(|a, b| a.rate < b.rate));
        prop_assert_eq!(taxable, nets);
        prop_assert_eq!(vat, units(invoice.vat_total(), minor));
        prop_assert_eq!(nets + vat, units(invoice.gross_total(), minor));
        prop_assert!(invoice.data().is_object());
    }

    /// Anything the model can hold, whether or not the contract allows it.
    #[test]
    fn no_order_panics(
        number in ".{0,40}",
        quantity in any::<(i64, u32)>(),
        price in any::<(i128, u32)>(),
        rate in any::<(i64, u32)>(),
        count in 0..5_usize,
        payment_days in any::<u16>(),
    ) {
        let decimal = |mantissa: i128, scale: u32| {
            let mantissa = mantissa % (1 << 95);
            Decimal::try_from_i128_with_scale(mantissa, scale % 29).unwrap()
        };
        let mut order: Order = serde_json::from_value(example()).unwrap();
        order.order_number = number;
        let mut line = order.lines[0].clone();
        line.quantity = decimal(quantity.0.into(), quantity.1);
        line.unit_price = decimal(price.0, price.1);
        line.vat_rate = decimal(rate.0.into(), rate.1);
        order.lines = vec![line; count];
        let seller = Seller { payment_days, ..Seller::default() };
        if let Ok(invoice) = Invoice::of(&order, &seller) {
            prop_assert!(invoice.data().is_object());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_order_of_lines_changes_no_total(data in order_data(), turn in any::<prop::sample::Index>()) {
        let mut order: Order = serde_json::from_value(data).unwrap();
        let totals = |order: &Order| match Invoice::of(order, &Seller::default()) {
            Ok(invoice) => Ok((invoice.vat().to_vec(), invoice.net_total(), invoice.gross_total())),
            Err(error) => Err(error.to_string()),
        };
        let before = totals(&order);
        let turn = turn.index(order.lines.len());
        order.lines.rotate_left(turn);
        prop_assert_eq!(&totals(&order), &before);
        order.lines.reverse();
        prop_assert_eq!(&totals(&order), &before);
    }

    #[test]
    fn the_orders_tested_here_keep_the_contract(data in order_data()) {
        prop_assert_eq!(kept(&data), Ok(()));
    }
}

#[test]
fn a_line_of_less_than_a_cent_is_invoiced() {
    let mut data = example();
    data["lines"] = json!([
        { "description": "a", "quantity": 1, "unit_price": "10", "vat_rate": "19" },
        { "description": "b", "quantity": "0.001", "unit_price": "1.00", "vat_rate": "19" },
    ]);
    let invoice = Invoice::of(&serde_json::from_value(data).unwrap(), &Seller::default()).unwrap();
    assert_eq!(invoice.data()["gross_total"], "€11.90");
}

/// The largest order of the contract: a thousand lines of the largest figures.
#[test]
fn the_largest_order_of_the_contract_is_exact() {
    let line = json!({ "description": "all", "quantity": "999999999.9999", "unit_price": "999999999.999999", "vat_rate": "99.99" });
    let mut data = example();
    data["lines"] = json!(vec![line; 1000]);
    assert_eq!(kept(&data), Ok(()));
    let invoice = Invoice::of(&serde_json::from_value(data).unwrap(), &Seller::default()).unwrap();
    assert_eq!(invoice.net_total().to_string(), "999999999999899000000.00");
    assert_eq!(invoice.gross_total(), invoice.net_total() + invoice.vat_total());
}

#[test]
fn orders_that_cannot_be_invoiced_are_refused_by_name() {
    let order = || serde_json::from_value::<Order>(example()).unwrap();
    let refusal = |change: &dyn Fn(&mut Order)| {
        let mut order = order();
        change(&mut order);
        Invoice::of(&order, &Seller::default()).unwrap_err()
    };
    assert!(matches!(refusal(&|o| o.order_number = "../1".to_owned()), InvoiceError::OrderNumber { .. }));
    assert!(matches!(refusal(&|o| o.order_number = String::new()), InvoiceError::OrderNumber { .. }));
    assert!(matches!(refusal(&|o| o.currency = "XAU".to_owned()), InvoiceError::Currency { .. }));
    assert!(matches!(refusal(&|o| o.lines.clear()), InvoiceError::NoLines));
    assert!(matches!(
        refusal(&|o| o.lines[1].unit_price = Decimal::NEGATIVE_ONE),
        InvoiceError::Price { line: 2 }
    ));
    assert!(matches!(
        refusal(&|o| o.lines[1].vat_rate = Decimal::ONE_THOUSAND),
        InvoiceError::VatRate { line: 2, .. }
    ));
    assert!(matches!(
        refusal(&|o| o.lines[0].quantity = Decimal::MAX),
        InvoiceError::LineTooLarge { line: 1 }
    ));
    assert!(matches!(
        refusal(&|o| o.lines[0].quantity = Decimal::from(-1000)),
        InvoiceError::Negative { .. }
    ));
}
