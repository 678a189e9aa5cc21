//! The fields of a human log line, with text from outside escaped.
//!
//! The library's own formatter escapes some controls in messages and none in fields, so a subject
//! with a line break would start a line of its own.

use std::{error::Error, fmt};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, format::Writer},
};

use upshot_shared::visible::visible;

/// Writes fields as `message name=value`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visible;

impl<'writer> FormatFields<'writer> for Visible {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Visitor { writer, is_first: true, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Visitor<'writer> {
    writer: Writer<'writer>,
    is_first: bool,
    result: fmt::Result,
}

impl Visit for Visitor<'_> {
    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        self.record_debug(field, &format_args!("{}", upshot_shared::said::once(error)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Fields of the crate `log`, which appear elsewhere in the line.
        if self.result.is_ok() && !field.name().starts_with("log.") {
            self.result = self.write(field.name(), &visible(&format!("{value:?}")));
        }
    }
}

impl Visitor<'_> {
    fn write(&mut self, name: &str, value: &str) -> fmt::Result {
        if !self.is_first {
            self.writer.write_char(' ')?;
        }
        self.is_first = false;
        let name = name.strip_prefix("r#").unwrap_or(name);
        match name {
            "message" => self.writer.write_str(value),
            // Italic, then dimmed.
            _ if self.writer.has_ansi_escapes() => {
                write!(self.writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}")
            }
            _ => write!(self.writer, "{name}={value}"),
        }
    }
}
