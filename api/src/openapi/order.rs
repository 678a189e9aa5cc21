//! Orders the extensions of the document. The library keeps them in a hash map, so their order would
//! differ from process to process.

/// The beginning of an extension in indented JSON, whose value takes one line.
const EXTENSION: &str = "\"x-";

/// The document with each run of extensions in the order of their names.
pub fn ordered(text: &str) -> String {
    let mut ordered: Vec<String> = Vec::new();
    let mut run: Vec<&str> = Vec::new();
    for line in text.lines() {
        if is_extension(line) {
            run.push(line);
            continue;
        }
        end(&mut run, &mut ordered);
        ordered.push(line.to_owned());
    }
    end(&mut run, &mut ordered);
    ordered.push(String::new());
    ordered.join("\n")
}

fn is_extension(line: &str) -> bool {
    line.trim_start().starts_with(EXTENSION) && !line.ends_with(['{', '['])
}

/// Adds a run. The last line of a run has a comma if other members follow it.
fn end(run: &mut Vec<&str>, ordered: &mut Vec<String>) {
    let Some(last) = run.last() else { return };
    let (count, is_followed) = (run.len(), last.ends_with(','));
    let mut lines: Vec<&str> = run.drain(..).map(|line| line.trim_end_matches(',')).collect();
    lines.sort_unstable();
    let written = lines.iter().enumerate().map(|(at, line)| {
        let comma = if at + 1 < count || is_followed { "," } else { "" };
        format!("{line}{comma}")
    });
    ordered.extend(written);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_in_order_and_the_rest_stays() {
        let text = "{\n  \"b\": 1,\n  \"x-scope\": \"s\",\n  \"x-right\": \"r\"\n}\n{\n  \"x-b\": 1,\n  \"x-a\": 2,\n  \"a\": 3\n}\n";
        let expected = "{\n  \"b\": 1,\n  \"x-right\": \"r\",\n  \"x-scope\": \"s\"\n}\n{\n  \"x-a\": 2,\n  \"x-b\": 1,\n  \"a\": 3\n}\n";
        assert_eq!(ordered(text), expected);
        assert_eq!(ordered(expected), expected);
    }

    #[test]
    fn the_document_is_the_same_each_time() {
        let first = crate::openapi();
        assert!((0..8).all(|_| crate::openapi() == first));
        serde_json::from_str::<serde_json::Value>(&first).unwrap();
    }
}
