//! Why an order cannot be invoiced.

use chrono::NaiveDate;
use rust_decimal::Decimal;

/// Why an order cannot be invoiced. The order must change first: none of these
/// goes away by trying again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvoiceError {
    /// The order number cannot be part of an invoice number.
    #[error(
        "the order number `{number}` cannot be part of an invoice number; use 1 to 32 letters, digits, \
         dots, dashes and underscores, and start with a letter or digit"
    )]
    OrderNumber {
        /// As it came.
        number: String,
    },

    /// There is nothing to bill.
    #[error("the order has no lines; an invoice needs at least one")]
    NoLines,

    /// No such currency, or none that can be paid in.
    #[error("the currency `{code}` is not an ISO 4217 code of a currency in circulation")]
    Currency {
        /// As it came.
        code: String,
    },

    /// A price below zero.
    #[error("line {line} has a negative unit price; give it a negative quantity instead (EN 16931 BR-27)")]
    Price {
        /// Counted from 1.
        line: usize,
    },

    /// A VAT rate that cannot be.
    #[error("line {line} has a VAT rate of {rate} percent; it must be from 0 to 100")]
    VatRate {
        /// Counted from 1.
        line: usize,
        /// In percent, as it came.
        rate: Decimal,
    },

    /// A line cannot be computed exactly.
    #[error(
        "quantity times unit price of line {line} has more digits than can be computed exactly; split the line"
    )]
    LineTooLarge {
        /// Counted from 1.
        line: usize,
    },

    /// A total cannot be computed exactly.
    #[error("the {what} has more digits than can be computed exactly; split the order")]
    TooLarge {
        /// Which figure.
        what: &'static str,
    },

    /// More is taken off than billed.
    #[error("the total is {gross}; that is a credit note, not an invoice")]
    Negative {
        /// The total, formatted.
        gross: String,
    },

    /// The due date is beyond the calendar.
    #[error(
        "the due date, {days} days after {issued}, is not in the years 1 to 9999; mend the order's `completed_at`"
    )]
    DueDate {
        /// The day of issue.
        issued: NaiveDate,
        /// The seller's payment term.
        days: u16,
    },
}
