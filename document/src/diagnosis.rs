//! From typst's diagnostics to an error that names the place.

use typst::diag::SourceDiagnostic;
use typst::syntax::{DiagSpanKind, FileId, Source};

use crate::error::Error;

/// The first diagnostic as an error; `source` finds the file it points into.
pub(crate) fn diagnosis(
    template: &str,
    diagnostics: impl IntoIterator<Item = SourceDiagnostic>,
    source: impl Fn(FileId) -> Option<Source>,
) -> Error {
    let mut diagnostics = diagnostics.into_iter();
    let Some(first) = diagnostics.next() else {
        return Error::Document {
            template: template.to_owned(),
            message: "failed without a reason".to_owned(),
        };
    };
    let mut message = first.message.to_string();
    for hint in &first.hints {
        message.push_str("; hint: ");
        message.push_str(&hint.v);
    }
    match diagnostics.count() {
        0 => {}
        more => message.push_str(&format!(" (and {more} more)")),
    }
    match place(&first, source) {
        Some((template, line, column)) => Error::Template { template, line, column, message },
        None => Error::Document { template: template.to_owned(), message },
    }
}

/// The file, line and column a diagnostic points at. For a mistake within
/// typst's own functions that is the call in the template.
fn place(
    diagnostic: &SourceDiagnostic,
    source: impl Fn(FileId) -> Option<Source>,
) -> Option<(String, usize, usize)> {
    let (id, offset) = match diagnostic.span.get() {
        DiagSpanKind::Detached => return None,
        DiagSpanKind::Number { id, num, sub_range } => (id, source(id)?.range(num, sub_range)?.start),
        DiagSpanKind::Range { id, range } => (id, range.start),
    };
    let (line, column) = source(id)?.lines().byte_to_line_column(offset)?;
    Some((id.vpath().get_without_slash().to_owned(), line + 1, column + 1))
}
