//! The invoice of an order: numbers, dates and money, computed without a float or a side effect.
//!
//! # The rules, and where they come from
//!
//! All of them are from EN 16931-1, the European norm for invoices:
//!
//! - A line's net amount is quantity × unit price, rounded (BT-131, BR-DEC-23).
//! - The net total is the sum of the lines' rounded net amounts (BR-CO-10).
//! - Lines of one VAT rate form a group. The group's taxable amount is the sum
//!   of its lines' net amounts (BR-S-08), and its VAT is the taxable amount ×
//!   rate / 100, **rounded once per group, not per line** (BR-CO-17).
//! - The VAT total is the sum of the groups' VAT (BR-CO-14), and the gross
//!   total is net total + VAT total (BR-CO-15).
//!
//! Halves are rounded away from zero (2.345 becomes 2.35 and −2.345 becomes
//! −2.35), as trade does. The norm says two decimals; we round to the minor
//! unit of the currency, which is two decimals for the euro and none for the yen.
//!
//! Every intermediate result is exact: amounts are counted in whole minor units.
//! Every order that keeps the contract is computed; one whose figures are too
//! large for the integers is refused rather than rounded twice.

#[cfg(test)]
mod against_python;
#[cfg(test)]
mod agreement;
mod amount;
mod currency;
pub mod delivery;
mod error;
pub mod issue;
mod money;
mod order;
#[cfg(test)]
mod properties;
mod seller;
mod view;

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate};
use rust_decimal::Decimal;

#[cfg(test)]
pub(crate) use order::tests;

pub use currency::Currency;
pub use error::InvoiceError;
pub use order::{Customer, Order, OrderLine};
pub use seller::{Iban, IbanError, Seller};

/// What an order number becomes when it is invoiced.
const NUMBER_PREFIX: &str = "INV-";

/// An invoice, computed and consistent in itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Invoice {
    number: String,
    order_number: String,
    issue_date: NaiveDate,
    due_date: NaiveDate,
    currency: Currency,
    seller: Seller,
    customer: Customer,
    lines: Vec<InvoiceLine>,
    vat: Vec<VatGroup>,
    net_total: Decimal,
    vat_total: Decimal,
    gross_total: Decimal,
    note: Option<String>,
}

/// One line of an invoice.
#[derive(Clone, Debug, PartialEq)]
pub struct InvoiceLine {
    /// The shop's number of the article.
    pub sku: Option<String>,
    /// What was bought.
    pub description: String,
    /// How many; negative for what is taken off.
    pub quantity: Decimal,
    /// Net price of one, in the invoice's currency.
    pub unit_price: Decimal,
    /// In percent.
    pub vat_rate: Decimal,
    /// Quantity × unit price, rounded to the minor unit.
    pub net: Decimal,
}

/// What is owed in VAT at one rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VatGroup {
    /// In percent, without trailing zeros.
    pub rate: Decimal,
    /// The sum of the net amounts of the lines with this rate.
    pub taxable: Decimal,
    /// Taxable × rate / 100, rounded to the minor unit.
    pub vat: Decimal,
}

impl Invoice {
    /// The invoice by which `seller` bills `order`.
    ///
    /// It is dated with the day in `completed_at`, as written there (in its own
    /// offset), so that an invoice rendered again tomorrow is the same invoice.
    ///
    /// # Errors
    /// If the order cannot be invoiced as it is; trying again will not help.
    pub fn of(order: &Order, seller: &Seller) -> Result<Self, InvoiceError> {
        // The number becomes part of file names and mail headers, so that it is
        // checked here too and not only by the event's schema.
        if !order::is_order_number(&order.order_number) {
            return Err(InvoiceError::OrderNumber { number: order.order_number.clone() });
        }
        let currency = Currency::of(&order.currency)
            .ok_or_else(|| InvoiceError::Currency { code: order.currency.clone() })?;
        if order.lines.is_empty() {
            return Err(InvoiceError::NoLines);
        }

        let lines = (1..)
            .zip(&order.lines)
            .map(|(position, line)| InvoiceLine::of(position, line, currency))
            .collect::<Result<Vec<_>, _>>()?;
        let vat = VatGroup::summary(&lines, currency)?;

        let net_total = money::sum(lines.iter().map(|line| line.net), currency)
            .ok_or(InvoiceError::TooLarge { what: "net total" })?;
        let vat_total = money::sum(vat.iter().map(|group| group.vat), currency)
            .ok_or(InvoiceError::TooLarge { what: "VAT total" })?;
        let gross_total = money::sum([net_total, vat_total], currency)
            .ok_or(InvoiceError::TooLarge { what: "gross total" })?;
        if gross_total < Decimal::ZERO {
            return Err(InvoiceError::Negative { gross: currency.text(gross_total) });
        }

        let issue_date = order.completed_at.date_naive();
        // ISO 8601, and so the template, has years of four digits.
        let due_date = issue_date
            .checked_add_days(Days::new(seller.payment_days.into()))
            .filter(|due| issue_date.year() >= 1 && due.year() <= 9999)
            .ok_or(InvoiceError::DueDate { issued: issue_date, days: seller.payment_days })?;
        Ok(Self {
            number: format!("{NUMBER_PREFIX}{}", order.order_number),
            order_number: order.order_number.clone(),
            issue_date,
            due_date,
            currency,
            seller: seller.clone(),
            customer: order.customer.clone(),
            lines,
            vat,
            net_total,
            vat_total,
            gross_total,
            note: order.note.clone(),
        })
    }

    /// What the template `invoice.typ` shows, as its `data.json`.
    pub fn data(&self) -> serde_json::Value {
        view::data(self)
    }

    /// The invoice's number, such as `INV-1042`. Safe in a file name.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// The day the invoice is dated with.
    pub fn issue_date(&self) -> NaiveDate {
        self.issue_date
    }

    /// The last day to pay.
    pub fn due_date(&self) -> NaiveDate {
        self.due_date
    }

    /// The currency of every amount.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// Who pays.
    pub fn customer(&self) -> &Customer {
        &self.customer
    }

    /// Who is paid.
    pub fn seller(&self) -> &Seller {
        &self.seller
    }

    /// The lines, in the order's order.
    pub fn lines(&self) -> &[InvoiceLine] {
        &self.lines
    }

    /// The VAT by rate, lowest rate first.
    pub fn vat(&self) -> &[VatGroup] {
        &self.vat
    }

    /// The sum of the lines.
    pub fn net_total(&self) -> Decimal {
        self.net_total
    }

    /// The sum of the VAT of all rates.
    pub fn vat_total(&self) -> Decimal {
        self.vat_total
    }

    /// What is to be paid.
    pub fn gross_total(&self) -> Decimal {
        self.gross_total
    }

    /// What is to be paid, as people read it: `€1,469.06`.
    pub fn gross_text(&self) -> String {
        self.currency.text(self.gross_total)
    }
}

impl InvoiceLine {
    fn of(position: usize, line: &OrderLine, currency: Currency) -> Result<Self, InvoiceError> {
        // EN 16931 BR-27: what is taken off has a negative quantity.
        if line.unit_price < Decimal::ZERO {
            return Err(InvoiceError::Price { line: position });
        }
        if !(Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&line.vat_rate) {
            return Err(InvoiceError::VatRate { line: position, rate: line.vat_rate });
        }
        let net = money::product(line.quantity, line.unit_price, currency)
            .ok_or(InvoiceError::LineTooLarge { line: position })?;
        Ok(Self {
            sku: line.sku.clone(),
            description: line.description.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price,
            vat_rate: line.vat_rate.normalize(),
            net,
        })
    }
}

impl VatGroup {
    /// Groups the lines by rate; `19` and `19.00` are one rate.
    fn summary(lines: &[InvoiceLine], currency: Currency) -> Result<Vec<Self>, InvoiceError> {
        let mut nets: BTreeMap<Decimal, Vec<Decimal>> = BTreeMap::new();
        for line in lines {
            nets.entry(line.vat_rate).or_default().push(line.net);
        }
        nets.into_iter()
            .map(|(rate, nets)| {
                let taxable = money::sum(nets, currency)?;
                Some(Self { rate, taxable, vat: money::percent(taxable, rate, currency)? })
            })
            .collect::<Option<Vec<_>>>()
            .ok_or(InvoiceError::TooLarge { what: "VAT summary" })
    }
}
