//! The PDF standards a template asks for.
//!
//! A template declares them once, anywhere in its markup:
//!
//! ```typst
//! #metadata(("a-2a", "ua-1")) <pdf-standards>
//! ```
//!
//! The names are those of typst's command line (`a-1b` … `a-4e`, `ua-1`, `1.7`,
//! `2.0`). Without a declaration the document is a tagged PDF 1.7.

use typst::foundations::{Array, Label, Str, Value};
use typst::introspection::{Introspector as _, MetadataElem};
use typst_layout::PagedDocument;
use typst_pdf::{PdfStandard, PdfStandards};

/// The label under which a template declares its standards.
const LABEL: &str = "pdf-standards";

/// The standards of `document`, if its template declares any.
///
/// # Errors
/// In words for the person who edits the template.
pub(crate) fn declared(document: &PagedDocument) -> Result<Option<PdfStandards>, String> {
    let Ok(label) = Label::construct(Str::from(LABEL)) else { return Ok(None) };
    let introspector = document.introspector();
    if introspector.label_count(label) == 0 {
        return Ok(None);
    }
    let element = introspector.query_label(label).map_err(|message| message.to_string())?;
    let names = match element.to_packed::<MetadataElem>().map(|metadata| metadata.value.clone()) {
        Some(Value::Array(names)) => names,
        Some(name @ Value::Str(_)) => Array::from_iter([name]),
        _ => return Err(format!("<{LABEL}> must be metadata: a name or a list of names")),
    };
    let standards = names.iter().map(standard).collect::<Result<Vec<_>, _>>()?;
    PdfStandards::new(&standards).map(Some).map_err(|error| error.message().to_string())
}

fn standard(name: &Value) -> Result<PdfStandard, String> {
    serde_json::to_value(name)
        .and_then(serde_json::from_value)
        .map_err(|error| format!("<{LABEL}> names an unknown standard: {error}"))
}
