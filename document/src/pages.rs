//! Checks the layout of the built-in invoice for any order.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use typst::layout::{Frame, FrameItem, Point, Transform};

use crate::glyphs;
use crate::renderer::Renderer;
use crate::{Error, Missing};

/// A4 and the margins of the template, in points.
const LEFT: f64 = 56.69;
const RIGHT: f64 = 538.58;
const HEIGHT: f64 = 841.89;
/// Rounding, and a glyph that leans over its own width.
const SLACK: f64 = 0.6;

/// A run of text: its page, its edges, and what it says.
#[derive(Clone, Debug)]
struct Run {
    page: usize,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    text: String,
}

impl Run {
    fn overlaps(&self, other: &Self) -> bool {
        self.page == other.page
            && self.left.max(other.left) + SLACK < self.right.min(other.right)
            && self.top.max(other.top) + SLACK < self.bottom.min(other.bottom)
    }
}

fn runs_of(frame: &Frame, page: usize, at: Transform, runs: &mut Vec<Run>) {
    for (position, item) in frame.items() {
        match item {
            FrameItem::Group(group) => {
                let moved = at.pre_concat(Transform::translate(position.x, position.y));
                runs_of(&group.frame, page, moved.pre_concat(group.transform), runs);
            }
            FrameItem::Text(text) => {
                // A space at the end of a line may hang out of it.
                let said = text.text.trim_end();
                let drawn = text.glyphs.iter().filter(|glyph| usize::from(glyph.range.start) < said.len());
                let width: f64 = drawn.map(|glyph| glyph.x_advance.at(text.size).to_pt()).sum();
                let start = Point::new(position.x, position.y).transform(at);
                let (left, bottom) = (start.x.to_pt(), start.y.to_pt());
                // As high as small letters are: lines are set closer than their highest glyphs.
                let top = bottom - text.size.to_pt() * 0.5;
                if !said.is_empty() {
                    runs.push(Run { page, left, right: left + width, top, bottom, text: said.to_owned() });
                }
            }
            _ => {}
        }
    }
}

fn runs(renderer: &Renderer, data: &Value) -> Result<Vec<Run>, Error> {
    let pages = renderer.pages("invoice.typ", data)?;
    let mut runs = Vec::new();
    for (page, laid_out) in pages.document.pages().iter().enumerate() {
        runs_of(&laid_out.frame, page, Transform::identity(), &mut runs);
    }
    Ok(runs)
}

/// What is wrong with the places of the runs.
fn faults(runs: &[Run]) -> Vec<String> {
    let mut faults = Vec::new();
    for run in runs {
        if run.left < LEFT - SLACK || run.right > RIGHT + SLACK || run.top < 0.0 || run.bottom > HEIGHT {
            faults.push(format!("past the margin: {run:?}"));
        }
    }
    for (index, one) in runs.iter().enumerate() {
        // In the order in which they were set, so that only near ones can overlap within a page.
        for other in runs.iter().skip(index + 1).filter(|other| one.overlaps(other)) {
            faults.push(format!("printed over each other: {one:?} and {other:?}"));
        }
    }
    let page_of = |text: &str| runs.iter().find(|run| run.text.contains(text)).map(|run| run.page);
    if page_of("Payment details") != page_of("Net total") || page_of("Net total").is_none() {
        faults.push("the payment box stands without the totals".to_owned());
    }
    faults
}

fn money(digits: usize) -> impl Strategy<Value = String> {
    "[1-9][0-9]{2}(,[0-9]{3}){0,7}\\.[0-9]{2}"
        .prop_map(move |text| text.chars().rev().take(digits).collect::<Vec<_>>().iter().rev().collect())
}

/// Words as they come: short ones, part numbers, links, and those of the widest letters.
fn text(most: usize) -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => "[a-zA-Zäßéøž]{1,12}",
        1 => "[A-Z0-9-]{10,40}",
        1 => "https://[a-z.]{5,30}/[a-z0-9/?=&%._-]{0,60}",
        1 => "(W{1,200}|i{1,200}|m{1,60})",
        1 => "[α-ωА-я]{1,30}",
    ];
    prop::collection::vec(word, 1..8)
        .prop_map(move |words| words.join(" ").chars().take(most).collect::<String>().trim().to_owned())
}

prop_compose! {
    fn line()(
        sku in prop::option::of(text(64)),
        description in text(500),
        quantity in "[0-9]{1,3}|999,999,999\\.9999",
        unit_price in prop_oneof![3 => money(9), 1 => "999,999,999\\.999999"],
        net in prop_oneof![3 => money(12), 1 => money(27)],
    ) -> Value {
        json!({ "sku": sku, "description": description, "quantity": quantity, "unit_price": unit_price,
                "vat_rate": "19.75%", "net": net })
    }
}

prop_compose! {
    fn invoices()(
        number in "[A-Za-z0-9][A-Za-z0-9._-]{0,31}|W{32}",
        names in prop::collection::vec(text(200), 2),
        addresses in prop::collection::vec(prop::collection::vec(text(200), 1..4), 2),
        email in "[a-z]{1,60}@[a-z]{1,60}\\.example",
        bic in prop::option::of("[A-Z]{11}"),
        iban in select(vec!["DE89 3704 0044 0532 0130 00", "MT84 MALT 0110 0001 2345 MTLC AST0 01S"]),
        lines in prop::collection::vec(line(), 1..40),
        rates in prop::collection::vec(money(30), 1..40),
        totals in prop::collection::vec(prop_oneof![2 => money(9), 1 => money(30)], 3),
        note in prop::option::of(text(1000)),
    ) -> Value {
        let vat: Vec<Value> = rates.iter().map(|rate| json!({ "rate": "19.75%", "taxable": rate, "vat": rate })).collect();
        json!({
            "number": format!("INV-{number}"), "order_number": number,
            "issue_date": "2026-09-30", "due_date": "2026-12-31", "currency": "EUR",
            "seller": { "name": names[0], "address": addresses[0], "email": email, "vat_id": "DE123456789",
                        "iban": iban, "bic": bic },
            "customer": { "name": names[1], "address": addresses[1], "email": email, "vat_id": null },
            "lines": lines, "vat": vat,
            "net_total": totals[0], "vat_total": totals[1], "gross_total": totals[2], "note": note,
        })
    }
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, max_shrink_iters: 64, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn no_text_leaves_its_margins_or_is_printed_over_another(data in invoices()) {
        let renderer = Renderer::new(crate::builtin::SHIPPED, None).unwrap();
        let runs = runs(&renderer, &data).unwrap();
        let faults = faults(&runs);
        prop_assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

/// An invoice of one line, with `text` as the customer's name.
fn invoice(text: &str, lines: usize) -> Value {
    json!({
        "number": "INV-1", "order_number": "1", "issue_date": "2026-03-14", "due_date": "2026-03-28",
        "currency": "EUR",
        "seller": { "name": "Morgenrot", "address": ["Berlin"], "email": "a@b.example", "vat_id": null,
                    "iban": "DE89 3704 0044 0532 0130 00", "bic": null },
        "customer": { "name": text, "address": ["Berlin"], "email": "a@b.example", "vat_id": null },
        "lines": vec![json!({ "sku": null, "description": "Beans", "quantity": "1", "unit_price": "1.00",
                              "vat_rate": "19%", "net": "1.00" }); lines],
        "vat": [{ "rate": "19%", "taxable": "€1.00", "vat": "€0.19" }],
        "net_total": "€1.00", "vat_total": "€0.19", "gross_total": "€1.19", "note": null,
    })
}

/// Each number of lines ends at another place of its last page.
#[test]
fn the_payment_box_never_stands_alone() {
    let renderer = Renderer::new(crate::builtin::SHIPPED, None).unwrap();
    for lines in 1..70 {
        let faults = faults(&runs(&renderer, &invoice("Ada", lines)).unwrap());
        assert!(faults.is_empty(), "{lines}: {}", faults.join("\n"));
    }
}

/// Text of any script: letters, marks, what is not assigned, what is not visible.
fn any_script() -> impl Strategy<Value = String> {
    let block = |from: u32, to: u32| {
        prop::collection::vec((from..to).prop_filter_map("no character", char::from_u32), 1..12)
            .prop_map(String::from_iter)
    };
    prop_oneof![
        ".{1,20}",
        "\\PC{1,20}",
        block(0x0000, 0x00a0),
        block(0x0300, 0x0370),
        block(0x0590, 0x0e80),
        block(0x1000, 0x2000),
        block(0x2000, 0x2070),
        block(0x2190, 0x2c00),
        block(0x3000, 0x3200),
        block(0x4e00, 0xa000),
        block(0xac00, 0xd7a4),
        block(0xe000, 0xe100),
        block(0xfe00, 0xffff),
        block(0x1f300, 0x1fb00),
        block(0xe0000, 0xe01f0),
    ]
}

proptest! {
    #![proptest_config(cases(256))]

    /// With the fonts of this machine, few or many, and without.
    #[test]
    fn a_text_is_drawn_or_its_characters_are_named(text in any_script(), with_fonts in any::<bool>()) {
        thread_local! {
            static ALL: Renderer = Renderer::new(crate::builtin::SHIPPED, None).unwrap().with_fonts(vec!["/usr/share/fonts".into()]);
            static OWN: Renderer = Renderer::new(crate::builtin::SHIPPED, None).unwrap();
        }
        let renderer = if with_fonts { ALL.with(Clone::clone) } else { OWN.with(Clone::clone) };
        match renderer.pages("invoice.typ", &invoice(&text, 1)) {
            Ok(pages) => prop_assert!(glyphs::missing(&pages.document, pages.world.fonts.book()).is_empty()),
            Err(Error::MissingGlyphs { missing, .. }) => {
                for Missing { char, places } in missing {
                    prop_assert!(text.contains(char), "U+{:X} is not in the text", u32::from(char));
                    prop_assert!(!glyphs::is_blank(char), "U+{:X} has no picture", u32::from(char));
                    prop_assert_eq!(&places, &["/customer/name"]);
                }
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
        comemo::evict(0);
    }
}

#[test]
fn a_mark_that_no_font_has_together_with_its_letter_is_named_alone() {
    let renderer = Renderer::new(crate::builtin::SHIPPED, None).unwrap();
    // U+0DCA, a mark of Sinhala, on a digit that stands in the dates as well.
    match renderer.pages("invoice.typ", &invoice("0\u{dca}", 1)).err() {
        Some(Error::MissingGlyphs { missing, .. }) => {
            let named: Vec<char> = missing.iter().map(|missing| missing.char).collect();
            assert_eq!(named, ['\u{dca}']);
            assert_eq!(missing[0].places, ["/customer/name"]);
        }
        other => panic!("{other:?}"),
    }
}
