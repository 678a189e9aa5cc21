//! What a caller of the renderer, and a person who edits templates, can rely on.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use upshot_document::{Builtin, Error, MAX_DATA, Renderer};

/// The templates of the shipped handlers.
const SHIPPED: &[Builtin] = &[
    Builtin { path: "invoice.typ", content: include_bytes!("../../handlers/templates/invoice.typ") },
    Builtin {
        path: "fonts/Inter-Regular.otf",
        content: include_bytes!("../../handlers/templates/fonts/Inter-Regular.otf"),
    },
    Builtin {
        path: "fonts/Inter-SemiBold.otf",
        content: include_bytes!("../../handlers/templates/fonts/Inter-SemiBold.otf"),
    },
];

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// Renders a folder's `letter.typ`.
fn render(files: &[(&str, &str)], data: &Value) -> Result<Vec<u8>, Error> {
    Renderer::new(SHIPPED, Some(folder(files).path()))?.render("letter.typ", data)
}

fn failure(template: &str) -> String {
    render(&[("letter.typ", template)], &json!({ "name": "Ada" })).unwrap_err().to_string()
}

fn invoice(customer: &str) -> Value {
    let line = |description: &str| {
        json!({ "sku": null, "description": description, "quantity": "1", "unit_price": "1.00",
                "vat_rate": "19%", "net": "1.00" })
    };
    json!({
        "number": "INV-1042", "order_number": "1042", "issue_date": "2026-03-14", "due_date": "2026-03-28",
        "currency": "EUR",
        "seller": { "name": "Morgenrot", "address": ["Berlin"], "email": "a@b.example", "vat_id": null,
                    "iban": "DE89 3704 0044 0532 0130 00", "bic": null },
        "customer": { "name": customer, "address": [], "email": "ada@b.example", "vat_id": null },
        "lines": vec![line("Beans"); 40],
        "vat": [{ "rate": "19%", "taxable": "€40.00", "vat": "€7.60" }],
        "net_total": "€40.00", "vat_total": "€7.60", "gross_total": "€47.60", "note": null,
    })
}

fn contains(pdf: &[u8], text: &str) -> bool {
    pdf.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn the_same_data_gives_the_same_bytes_in_every_renderer_and_thread() {
    let hash = |renderer: &Renderer, customer| {
        Sha256::digest(renderer.render("invoice.typ", &invoice(customer)).unwrap())
    };
    let renderer = Renderer::new(SHIPPED, None).unwrap();
    let first = hash(&renderer, "Ada");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(hash(&renderer.clone(), "Ada"), first);
                }
            });
        }
    });
    assert_eq!(hash(&Renderer::new(SHIPPED, None).unwrap(), "Ada"), first);
    assert_ne!(hash(&renderer, "Eve"), first);
}

#[test]
fn the_invoice_is_pdf_a_and_pdf_ua() {
    let renderer = Renderer::new(SHIPPED, None).unwrap();
    let long_word = "W".repeat(300);
    for customer in ["Ada", "Zoë Ærøskøbing-Łukasz", "Ελένη", "Наталья", &long_word] {
        let pdf = renderer.render("invoice.typ", &invoice(customer)).unwrap();
        for claim in ["<pdfaid:part>2<", "<pdfaid:conformance>A<", "<pdfuaid:part>1<"] {
            assert!(contains(&pdf, claim), "{customer}: {claim}");
        }
    }
}

#[test]
fn a_character_that_no_font_has_is_named_with_its_field() {
    let mut data = invoice("李\u{7} Łukasz");
    data["lines"][1]["description"] = json!("\u{1f384} 李");
    let error = Renderer::new(SHIPPED, None).unwrap().render("invoice.typ", &data).unwrap_err();
    let Error::MissingGlyphs { missing, .. } = &error else { panic!("{error}") };
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["U+674E (/customer/name, /lines/1/description)", "U+1F384 (/lines/1/description)"]);
    let said = error.to_string();
    for word in [&missing[0], &missing[1], "invoice.typ", "fonts-noto-cjk", "templates.fonts"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    // Many are counted.
    let many: String = ('\u{4e00}'..'\u{4e14}').collect();
    let error =
        Renderer::new(SHIPPED, None).unwrap().render("invoice.typ", &invoice(&many)).unwrap_err().to_string();
    assert!(error.contains("U+4E07 (/customer/name) and 12 more"), "{error}");
    // Of the template itself.
    let error = render(&[("letter.typ", "李")], &json!({})).unwrap_err().to_string();
    assert!(error.contains("U+674E (the template)"), "{error}");
    let error = render(&[("letter.typ", "#\"a\\u{7}b\"")], &json!({})).unwrap_err().to_string();
    assert!(error.contains("U+0007 (the template)"), "{error}");
}

#[test]
fn more_data_than_a_document_is_made_of_is_refused() {
    let data = json!({ "name": "x".repeat(MAX_DATA) });
    let error = render(&[("letter.typ", "Dear")], &data).unwrap_err();
    assert!(matches!(&error, Error::TooLarge { bytes, .. } if *bytes > MAX_DATA), "{error}");
}

#[test]
fn a_template_that_declares_nothing_is_a_plain_pdf() {
    let pdf = render(&[("letter.typ", "Dear #json(\"data.json\").name")], &json!({ "name": "Ada" })).unwrap();
    assert!(contains(&pdf, "%PDF-1.7") && !contains(&pdf, "pdfaid"));
    assert!(failure("#metadata(\"a-9z\") <pdf-standards>").contains("a-9z"));
}

#[test]
fn a_mistake_is_named_with_its_place() {
    assert_eq!(failure("Dear\n  #nmae"), "template `letter.typ`, line 2, column 4: unknown variable: nmae");
    let missing = failure("#let data = json(\"data.json\")\n#data.nmae");
    assert!(missing.starts_with("template `letter.typ`, line 2, column 7: "), "{missing}");
    assert!(missing.contains("nmae"), "{missing}");
}

#[test]
fn a_mistake_in_an_included_file_is_named_there() {
    let files =
        [("letter.typ", "#import \"parts.typ\": greet\n#greet()"), ("parts.typ", "#let greet() = oops")];
    let error = render(&files, &json!({})).unwrap_err().to_string();
    assert_eq!(error, "template `parts.typ`, line 1, column 16: unknown variable: oops");
}

#[test]
fn a_syntax_error_is_found_before_anything_is_rendered() {
    let folder = folder(&[("other.typ", "fine\n#let x = (")]);
    let error = Renderer::new(SHIPPED, Some(folder.path())).err().unwrap().to_string();
    assert_eq!(error, "template `other.typ`, line 2, column 10: unclosed delimiter");
}

#[test]
fn a_template_reaches_nothing_outside_its_folder() {
    for (reach, said) in [
        ("#read(\"/etc/hostname\")", "is not among the templates"),
        ("#read(\"../letter.typ\")", ""),
        ("#read(\"etc/hostname\")", "is not among the templates"),
        ("#image(\"/dev/zero\")", "is not among the templates"),
        ("#include \"/secret.typ\"", "is not among the templates"),
        ("#import \"@preview/example:0.1.0\": *", "packages are not available"),
        ("#import \"@local/example:0.1.0\": *", "packages are not available"),
        ("#datetime.today()", "date"),
    ] {
        let error = failure(reach);
        assert!(
            error.starts_with("template `letter.typ`, line 1") && error.contains(said),
            "{reach}: {error}"
        );
    }
}

#[test]
fn a_folder_overrides_by_file_name_and_keeps_the_rest() {
    let folder = folder(&[
        ("invoice.typ", "#set page(width: 10cm, height: 10cm)\n#read(\"terms.txt\")"),
        ("terms.txt", "30 days"),
        (".hidden.typ", "#let ("),
        ("fonts/LICENCE.txt", "not a font, and not taken for one"),
        ("sub/other.typ", "#let ("),
    ]);
    let renderer = Renderer::new(SHIPPED, Some(folder.path())).unwrap();
    let own = renderer.render("invoice.typ", &json!({})).unwrap();
    assert!(!contains(&own, "pdfaid"));

    let empty = tempfile::tempdir().unwrap();
    let built_in =
        Renderer::new(SHIPPED, Some(empty.path())).unwrap().render("invoice.typ", &invoice("Ada")).unwrap();
    assert!(contains(&built_in, "pdfaid"));
}

#[test]
fn the_repositorys_folder_is_the_built_in_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../handlers/templates");
    let data = invoice("Ada");
    assert_eq!(
        Renderer::new(SHIPPED, Some(&folder)).unwrap().render("invoice.typ", &data).unwrap(),
        Renderer::new(SHIPPED, None).unwrap().render("invoice.typ", &data).unwrap()
    );
}

#[test]
fn what_is_missing_or_broken_is_named() {
    let unknown =
        Renderer::new(SHIPPED, None).unwrap().render("reminder.typ", &json!({})).unwrap_err().to_string();
    assert_eq!(unknown, "there is no template `reminder.typ`; the templates are `invoice.typ`");

    let broken = folder(&[("fonts/Mine.ttf", "no font")]);
    let error = Renderer::new(SHIPPED, Some(broken.path())).err().unwrap();
    assert!(matches!(&error, Error::NotAFont { path } if path == "fonts/Mine.ttf"), "{error}");

    let missing = broken.path().join("missing");
    let error = Renderer::new(SHIPPED, Some(&missing)).err().unwrap();
    assert!(matches!(&error, Error::Folder { path, .. } if *path == missing), "{error}");

    fs::write(broken.path().join("latin1.typ"), b"caf\xe9").unwrap();
    fs::remove_file(broken.path().join("fonts/Mine.ttf")).unwrap();
    let error = Renderer::new(SHIPPED, Some(broken.path())).err().unwrap();
    assert!(matches!(&error, Error::NotUtf8 { path } if path == "latin1.typ"), "{error}");
}

#[test]
fn a_renderer_can_be_shared() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn carried<T: std::error::Error + Send + Sync + 'static>() {}
    shared::<Renderer>();
    carried::<Error>();
}
