//! From a template's name and its data to the bytes of a PDF.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use typst::foundations::{Bytes, Smart};
use typst_kit::fonts::FontStore;
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandards};

use crate::builtin::Builtin;
use crate::error::{Error, Missing};
use crate::fallback::Fallback;
use crate::glyphs;
use crate::standards;
use crate::templates::Templates;
use crate::world::RenderWorld;

/// The largest data of a document, as JSON. What a document costs grows with its data, and a
/// render cannot be stopped: this bounds its time and its memory. docs/performance.md has the
/// figures.
pub const MAX_DATA: usize = 512 << 10;

/// Renders documents. Cheap to clone and shared between threads.
#[derive(Clone)]
pub struct Renderer {
    templates: Arc<Templates>,
    fallback: Arc<Fallback>,
}

/// The pages of a document, and what they were made from.
pub(crate) struct Pages<'a> {
    pub(crate) document: PagedDocument,
    pub(crate) world: RenderWorld<'a>,
}

impl Renderer {
    /// Loads the templates that a program brings and, over them, the files of `templates`:
    /// `*.typ`, images and other files that templates read, and fonts in its
    /// folder `fonts/`. A file replaces the built-in one of the same name.
    ///
    /// Everything is read here and only here, so that a half-saved edit cannot
    /// spoil a running job; a changed template needs a new `Renderer`.
    ///
    /// # Errors
    /// If the folder cannot be read, a file in `fonts/` is no font, or a
    /// template has a syntax error.
    pub fn new(builtin: &[Builtin], templates: Option<&Path>) -> Result<Self, Error> {
        let fallback = Arc::new(Fallback::new(Vec::new()));
        Ok(Self { templates: Arc::new(Templates::load(builtin, templates)?), fallback })
    }

    /// Searches these folders, and the folders in them, for characters that the fonts of the
    /// templates lack. They are read when the first document needs them, and kept.
    #[must_use]
    pub fn with_fonts(self, folders: Vec<PathBuf>) -> Self {
        Self { fallback: Arc::new(Fallback::new(folders)), ..self }
    }

    /// Renders `template` (such as `invoice.typ`) with `data` as its `data.json`.
    ///
    /// This keeps a CPU busy for milliseconds a page, and nothing can stop it: call it from a
    /// blocking thread, and no more of them than there are cores.
    ///
    /// Control characters, spaces and format characters that no font has are left out. The PDF is
    /// tagged, and conforms to the standards that the template declares (see the built-in
    /// `invoice.typ`). Where the data makes that impossible, the document is rendered all the
    /// same, without the claim to conform, and a warning is logged: an invoice that is not PDF/A
    /// is better than no invoice.
    ///
    /// # Errors
    /// If there is no such template, or it fails with this data; if the data is larger than
    /// [`MAX_DATA`]; if no font has a character.
    pub fn render(&self, template: &str, data: &Value) -> Result<Vec<u8>, Error> {
        let pdf = self.compile(template, data);
        // Typst memoizes what it laid out and would keep it for ever; the next
        // document has other data, so that little could be used again.
        comemo::evict(0);
        pdf
    }

    fn compile(&self, template: &str, data: &Value) -> Result<Vec<u8>, Error> {
        let text = data.to_string();
        if text.len() > MAX_DATA {
            let (template, bytes) = (template.to_owned(), text.len());
            return Err(Error::TooLarge { template, bytes, limit: MAX_DATA });
        }
        let Pages { document, world } = self.pages(template, data)?;
        // The PDF's identifier is a hash of this; the text itself is not written.
        export(template, &world, &document, format!("{template}\n{text}"))
    }

    /// The pages without a character that no font has. A document that the templates' fonts
    /// suffice for is laid out once.
    pub(crate) fn pages(&self, template: &str, data: &Value) -> Result<Pages<'_>, Error> {
        let mut fonts = &self.templates.fonts;
        let mut searched = false;
        let mut blanks = BTreeSet::new();
        loop {
            let world = self.world(template, &glyphs::without(data, &blanks), fonts)?;
            let document = layout(template, &world)?;
            let missing = glyphs::missing(&document, fonts.book());
            if missing.is_empty() {
                return Ok(Pages { document, world });
            }
            let (blank, visible): (BTreeSet<char>, BTreeSet<char>) =
                missing.iter().copied().partition(|char| glyphs::is_blank(*char));
            let known = blanks.len();
            blanks.extend(blank);
            if !visible.is_empty() && !searched {
                searched = true;
                if let Some(all) = self.fallback.store(self.templates.all_fonts()) {
                    fonts = all;
                    // A joiner beside a letter that the first fonts lack is one that these have.
                    blanks.clear();
                    continue;
                }
            }
            // A blank that is left out and still there comes from the template.
            if !visible.is_empty() || blanks.len() == known {
                let places = glyphs::places(data, if visible.is_empty() { &missing } else { &visible });
                let missing = places.into_iter().map(|(char, places)| Missing { char, places }).collect();
                let folders = self.fallback.folders().to_vec();
                return Err(Error::MissingGlyphs { template: template.to_owned(), missing, folders });
            }
        }
    }

    /// What `template` can see when it is rendered with `data`.
    fn world<'a>(
        &'a self,
        template: &str,
        data: &Value,
        fonts: &'a FontStore,
    ) -> Result<RenderWorld<'a>, Error> {
        let Some(main) = self.templates.source(template) else {
            return Err(Error::UnknownTemplate { name: template.to_owned(), known: self.templates.names() });
        };
        let data = Bytes::from_string(data.to_string());
        Ok(RenderWorld { templates: &self.templates, fonts, main: main.id(), data })
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
                "the document cannot conform to the PDF standards its template declares"
            ),
        }
        options.standards = PdfStandards::default();
    }
    typst_pdf::pdf(document, &options).map_err(|errors| world.diagnosis(template, errors))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use typst::layout::{Frame, FrameItem};

    use super::*;
    use crate::builtin::SHIPPED;

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
        let renderer = Renderer::new(SHIPPED, None)?;
        let mut text = String::new();
        for page in renderer.pages("invoice.typ", data)?.document.pages() {
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
    fn characters_without_a_picture_and_long_words_make_a_document() {
        let renderer = Renderer::new(SHIPPED, None).unwrap();
        let long = "W".repeat(300);
        for text in [
            "",
            " ",
            "\n",
            "a\nb",
            "\u{0}\u{7}\u{7f}",
            "\u{feff}\u{200b}\u{85}\u{2028}\u{fff9}",
            "\u{ad}",
            &long,
        ] {
            let pdf = renderer.render("invoice.typ", &invoice(text));
            assert!(pdf.is_ok_and(|pdf| pdf.starts_with(b"%PDF-1.7")), "{text:?}");
        }
    }
}
