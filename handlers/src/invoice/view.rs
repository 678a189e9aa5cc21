//! What the invoice's template sees: texts only, ready to print.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::currency::number;
use super::{Invoice, InvoiceLine, VatGroup};

/// The `data.json` of the template `invoice.typ`.
///
/// Amounts are formatted here and not in the template, because here they are
/// tested. Dates stay ISO 8601: how they read depends on the template's language.
pub(super) fn data(invoice: &Invoice) -> Value {
    let currency = invoice.currency;
    let line = |line: &InvoiceLine| {
        json!({
            "sku": line.sku,
            "description": line.description,
            "quantity": number(line.quantity, 0),
            "unit_price": number(line.unit_price, currency.minor_units()),
            "vat_rate": percent(line.vat_rate),
            "net": number(line.net, currency.minor_units()),
        })
    };
    let group = |group: &VatGroup| {
        json!({
            "rate": percent(group.rate),
            "taxable": currency.text(group.taxable),
            "vat": currency.text(group.vat),
        })
    };
    json!({
        "number": invoice.number,
        "order_number": invoice.order_number,
        "issue_date": invoice.issue_date.to_string(),
        "due_date": invoice.due_date.to_string(),
        "currency": currency.code(),
        "seller": {
            "name": invoice.seller.name,
            "address": invoice.seller.address,
            "email": invoice.seller.email,
            "vat_id": invoice.seller.vat_id,
            "iban": invoice.seller.iban.to_string(),
            "bic": invoice.seller.bic,
        },
        "customer": {
            "name": invoice.customer.name,
            "email": invoice.customer.email,
            "address": invoice.customer.address,
            "vat_id": invoice.customer.vat_id,
        },
        "lines": invoice.lines.iter().map(line).collect::<Vec<_>>(),
        "vat": invoice.vat.iter().map(group).collect::<Vec<_>>(),
        "net_total": currency.text(invoice.net_total),
        "vat_total": currency.text(invoice.vat_total),
        "gross_total": currency.text(invoice.gross_total),
        "note": invoice.note.as_deref().map(lines_of),
    })
}

/// A text with one kind of line break, whichever it came with.
fn lines_of(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn percent(rate: Decimal) -> String {
    format!("{}%", number(rate, 0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::order::tests::example;
    use super::super::{Invoice, Seller};

    #[test]
    fn the_example_is_printed_as_an_accountant_would() {
        let order = serde_json::from_value(example()).unwrap();
        let invoice = Invoice::of(&order, &Seller::default()).unwrap();
        let data = invoice.data();

        assert_eq!(invoice.number(), "INV-1042");
        assert_eq!(data["issue_date"], "2026-03-14");
        assert_eq!(data["due_date"], "2026-03-28");
        assert_eq!(data["seller"]["iban"], "DE89 3704 0044 0532 0130 00");
        let nets: Vec<_> = data["lines"].as_array().unwrap().iter().map(|line| &line["net"]).collect();
        assert_eq!(nets, ["298.80", "178.00", "332.50", "−12.50"]);
        assert_eq!(
            data["vat"],
            json!([
                { "rate": "7%", "taxable": "€286.30", "vat": "€20.04" },
                { "rate": "19%", "taxable": "€510.50", "vat": "€97.00" },
            ])
        );
        assert_eq!(data["net_total"], "€796.80");
        assert_eq!(data["vat_total"], "€117.04");
        assert_eq!(data["gross_total"], "€913.84");
        assert_eq!(invoice.gross_text(), "€913.84");
    }

    #[test]
    fn a_note_has_one_kind_of_line_break() {
        let mut data = example();
        data["note"] = json!("one\r\ntwo\rthree\nfour\n\r\nfive");
        let invoice = Invoice::of(&serde_json::from_value(data).unwrap(), &Seller::default()).unwrap();
        assert_eq!(invoice.data()["note"], "one\ntwo\nthree\nfour\n\nfive");
    }

    #[test]
    fn a_day_is_the_shops_day() {
        let mut data = example();
        data["completed_at"] = json!("2026-12-31T23:30:00-05:00");
        let invoice = Invoice::of(&serde_json::from_value(data).unwrap(), &Seller::default()).unwrap();
        assert_eq!(invoice.issue_date().to_string(), "2026-12-31");
        assert_eq!(invoice.due_date().to_string(), "2027-01-14");
    }
}
