//! From a template's name and its data to the bytes of a PDF.

use std::path::Path;
use std::sync::Arc;

use typst::foundations::{Bytes, Smart};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandards};

use crate::error::Error;
use crate::standards;
use crate::templates::Templates;
use crate::world::RenderWorld;

/// Renders documents. Cheap to clone and shared between threads.
#[derive(Clone)]
pub struct Renderer {
    templates: Arc<Templates>,
}

impl Renderer {
    /// Loads the built-in templates and, over them, the files of `templates`:
    /// `*.typ`, images and other files that templates read, and fonts in its
    /// folder `fonts/`. A file replaces the built-in one of the same name.
    ///
    /// Everything is read here and only here, so that a half-saved edit cannot
    /// spoil a running job; a changed template needs a new `Renderer`.
    ///
    /// # Errors
    /// If the folder cannot be read, a file in `fonts/` is no font, or a
    /// template has a syntax error.
    pub fn new(templates: Option<&Path>) -> Result<Self, Error> {
        Ok(Self { templates: Arc::new(Templates::load(templates)?) })
    }

    /// Renders `template` (such as `invoice.typ`) with `data` as its `data.json`.
    ///
    /// This keeps a CPU busy for milliseconds a page: call it from a blocking
    /// thread.
    ///
    /// The PDF is tagged, and conforms to the standards that the template
    /// declares (see the built-in `invoice.typ`). Where the data makes that
    /// impossible, most often by a character that no font has, the document is
    /// rendered all the same, without the claim to conform, and a warning is
    /// logged: an invoice that is not PDF/A is better than no invoice.
    ///
    /// # Errors
    /// If there is no such template, or it fails with this data.
    pub fn render(&self, template: &str, data: &serde_json::Value) -> Result<Vec<u8>, Error> {
        let pdf = self.compile(template, data);
        // Typst memoizes what it laid out and would keep it for ever; the next
        // document has other data, so that little could be used again.
        comemo::evict(0);
        pdf
    }

    fn compile(&self, template: &str, data: &serde_json::Value) -> Result<Vec<u8>, Error> {
        let world = self.world(template, data)?;
        let document = layout(template, &world)?;
        // The PDF's identifier is a hash of this; the text itself is not written.
        let ident = format!("{template}\n{data}");
        export(template, &world, &document, ident)
    }

    /// What `template` can see when it is rendered with `data`.
    fn world(&self, template: &str, data: &serde_json::Value) -> Result<RenderWorld<'_>, Error> {
        let Some(main) = self.templates.source(template) else {
            return Err(Error::UnknownTemplate { name: template.to_owned(), known: self.templates.names() });
        };
        let data = Bytes::from_string(data.to_string());
        Ok(RenderWorld { templates: &self.templates, main: main.id(), data })
    }
}

/// Runs the template and lays out its pages.
fn layout(template: &str, world: &RenderWorld<'_>) -> Result<PagedDocument, Error> {
    let compiled = typst::compile::<PagedDocument>(world);
    for warning in compiled.warnings {
        let warning = world.diagnosis(template, [warning]);
        tracing::warn!(template, %warning, "the template has a flaw");
    }
    compiled.output.map_err(|errors| world.diagnosis(template, errors))
}

/// Writes the pages as a PDF, to the standards the template declares if that can be.
fn export(
    template: &str,
    world: &RenderWorld<'_>,
    document: &PagedDocument,
    ident: String,
) -> Result<Vec<u8>, Error> {
    let standards = standards::declared(document)
        .map_err(|message| Error::Document { template: template.to_owned(), message })?;
    let mut options = PdfOptions {
        ident: Smart::Custom(ident),
        creator: Smart::Custom(Some("Upshot".to_owned())),
        tagged: true,
        ..PdfOptions::default()
    };
    if let Some(standards) = standards {
        options.standards = standards;
        match typst_pdf::pdf(document, &options) {
            Ok(pdf) => return Ok(pdf),
            // The reasons may quote the customer's data, so that only their
            // number is logged.
            Err(reasons) => tracing::warn!(
                template,
                reasons = reasons.len(),
                "the document cannot conform to the PDF standards its template declares; most often \
                 for a character that no font has: add a font to the folder fonts/ of the templates"
            ),
        }
        options.standards = PdfStandards::default();
    }
    typst_pdf::pdf(document, &options).map_err(|errors| world.diagnosis(template, errors))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use typst::layout::{Frame, FrameItem};

    use super::*;

    /// The invoice as the executor would send it, with `text` wherever a
    /// customer or a shop can write something.
    fn invoice(text: &str) -> Value {
        json!({
            "number": "INV-1", "order_number": text, "issue_date": "2026-03-14", "due_date": "2026-03-28",
            "currency": "EUR",
            "seller": { "name": text, "address": [text], "email": text, "vat_id": text, "iban": text, "bic": text },
            "customer": { "name": text, "address": [text, text], "email": text, "vat_id": text },
            "lines": [{ "sku": text, "description": text, "quantity": "1", "unit_price": "1.00",
                        "vat_rate": "19%", "net": "1.00" }],
            "vat": [{ "rate": "19%", "taxable": "€1.00", "vat": "€0.19" }],
            "net_total": "€1.00", "vat_total": "€0.19", "gross_total": "€1.19", "note": text,
        })
    }

    fn pages(data: &Value) -> Result<String, Error> {
        let renderer = Renderer::new(None)?;
        let document = layout("invoice.typ", &renderer.world("invoice.typ", data)?)?;
        let mut text = String::new();
        for page in document.pages() {
            collect(&page.frame, &mut text);
        }
        Ok(text)
    }

    fn collect(frame: &Frame, into: &mut String) {
        for (_, item) in frame.items() {
            match item {
                FrameItem::Group(group) => collect(&group.frame, into),
                FrameItem::Text(text) => into.push_str(&text.text),
                _ => {}
            }
        }
    }

    #[test]
    fn what_a_customer_wrote_is_text_and_never_markup() {
        for evil in [
            "*bold*",
            "_emph_",
            "$x^2$",
            "#panic()",
            "#read(\"data.json\")",
            "<label>",
            "@reference",
            "`raw`",
            "\\u{41}",
            "// comment",
            "/* comment",
            "= heading",
            "- item",
            "--- ...",
            "[x]",
            "https://a.example/#b",
            "\"quoted\" 'text'",
        ] {
            let text = pages(&invoice(evil)).unwrap_or_else(|error| panic!("{evil}: {error}"));
            // Twice the seller's block and footer, the customer's, the line, the note.
            let count = text.matches(evil).count();
            assert!(count >= 12, "`{evil}` appears {count} times in {text}");
        }
    }

    #[test]
    fn any_text_makes_a_document() {
        let renderer = Renderer::new(None).unwrap();
        let long = "W".repeat(300);
        for text in
            ["", " ", "\n", "a\nb", "\u{0}\u{7}\u{7f}", "\u{feff}\u{200b}\u{e000}", "李 العربية 😀", &long]
        {
            let pdf = renderer.render("invoice.typ", &invoice(text));
            assert!(pdf.is_ok_and(|pdf| pdf.starts_with(b"%PDF-1.7")), "{text:?}");
        }
    }
}
