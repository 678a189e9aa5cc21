//! Renders the page of a problem: the few forms of Markdown that `docs/problems/` uses.

use std::fmt::Write;

use super::Code;

/// The page of a problem as HTML: without styles and scripts, so the strictest policy fits.
pub fn html(code: Code) -> String {
    let (name, _, title) = code.parts();
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n</head>\n<body id=\"{name}\">\n",
        escaped(title)
    );
    let mut in_list = false;
    for line in code.page().lines().filter(|line| !line.is_empty()) {
        let (tag, text) = form(line);
        if in_list != (tag == "li") {
            html.push_str(if in_list { "</ul>\n" } else { "<ul>\n" });
            in_list = !in_list;
        }
        // Writing to a string does not fail.
        let _ = writeln!(html, "<{tag}>{}</{tag}>", inline(text));
    }
    if in_list {
        html.push_str("</ul>\n");
    }
    html.push_str("</body>\n</html>\n");
    html
}

/// The element of a line, and its text.
fn form(line: &str) -> (&'static str, &str) {
    [("# ", "h1"), ("## ", "h2"), ("- ", "li")]
        .into_iter()
        .find_map(|(begin, tag)| line.strip_prefix(begin).map(|text| (tag, text)))
        .unwrap_or(("p", line))
}

/// A text whose parts between backticks are code.
fn inline(text: &str) -> String {
    let part = |(at, part): (usize, &str)| match at % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    };
    text.split('`').enumerate().map(part).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    #[test]
    fn every_page_names_a_code_and_has_cause_and_remedy() {
        for code in Code::ALL {
            let (name, status, title) = code.parts();
            let begin = format!("# {title}\n\n`{name}`, HTTP status {}\n\n## Cause\n\n", status.as_u16());
            let page = code.page();
            assert!(page.starts_with(&begin), "{name}: begin with\n{begin}");
            let (cause, remedy) = page[begin.len()..].split_once("\n\n## Remedy\n\n").unwrap();
            assert!(cause.len() > 30 && remedy.lines().all(|line| line.starts_with("- ")), "{name}");
            assert!(page.lines().count() <= 20 && page.matches('`').count() % 2 == 0, "{name}");
            assert!(page.is_ascii() && !page.contains('|') && page.ends_with(".\n"), "{name}");
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/problems");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let found: BTreeSet<String> = files.map(|name| name.into_string().unwrap()).collect();
        let expected: BTreeSet<String> =
            Code::ALL.iter().map(|code| format!("{}.md", code.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_page_is_escaped_html() {
        let page = html(Code::NotACloudEvent);
        for part in [
            "<title>This is no CloudEvent</title>",
            "<h1>This is no CloudEvent</h1>",
            "<h2>Remedy</h2>\n<ul>\n<li>",
            "<code>content-type: application/cloudevents+json</code>",
            "</li>\n</ul>\n</body>",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert_eq!(inline("a `<b>` & \"c\""), "a <code>&lt;b&gt;</code> &amp; &quot;c&quot;");
    }
}
