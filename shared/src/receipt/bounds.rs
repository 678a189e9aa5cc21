//! Bounds the size of a receipt: the outcome of a job may have a mebibyte.

use super::data::Data;
use crate::outcome::{Evidence, Part};

/// The most bytes of a text in JSON.
const MAX_TEXT: usize = 2 << 10;
/// The most bytes of the name of a fact or of an operator in JSON.
const MAX_NAME: usize = 256;
/// The most bytes of all evidence in JSON.
const MAX_EVIDENCE: usize = 16 << 10;
/// The most bytes of all parts in JSON.
const MAX_PARTS: usize = 8 << 10;
/// Behind a text that was cut.
const CUT: char = '…';

impl Data {
    /// The same data, cut to its bounds.
    pub(super) fn bounded(mut self) -> Self {
        let mut truncated = Vec::new();
        let mut cut = |text: &mut String, most, place| {
            if shorten(text, most) {
                truncated.push(place);
            }
        };
        if let Some(summary) = &mut self.summary {
            cut(summary, MAX_TEXT, "/summary");
        }
        if let Some(reason) = &mut self.reason {
            cut(&mut reason.message, MAX_TEXT, "/reason/message");
        }
        if let Some(decision) = &mut self.decision {
            if let Some(reason) = &mut decision.reason {
                cut(reason, MAX_TEXT, "/decision/reason");
            }
            if let Some(by) = &mut decision.by {
                cut(by, MAX_NAME, "/decision/by");
            }
        }
        let (evidence, is_cut) = evidence(std::mem::take(&mut self.evidence));
        if is_cut {
            truncated.push("/evidence");
        }
        let (parts, is_cut) = parts(std::mem::take(&mut self.parts));
        if is_cut {
            truncated.push("/parts");
        }
        Self { evidence, parts, truncated, ..self }
    }
}

/// The first parts, with shortened texts, and whether that is not everything.
fn parts(all: Vec<Part>) -> (Vec<Part>, bool) {
    let (mut kept, mut bytes, mut is_cut) = (Vec::new(), 0, false);
    for mut part in all {
        is_cut |= shorten(&mut part.name, MAX_NAME);
        if let Some(reason) = &mut part.reason {
            is_cut |= shorten(reason, MAX_NAME);
        }
        // Beside the texts there are the names of the members, and the weight.
        bytes += json_bytes(&part.name) + part.reason.as_deref().map_or(0, json_bytes) + 50;
        if bytes > MAX_PARTS {
            return (kept, true);
        }
        kept.push(part);
    }
    (kept, is_cut)
}

/// The first pieces of evidence, with shortened facts, and whether that is not everything.
fn evidence(all: Vec<Evidence>) -> (Vec<Evidence>, bool) {
    let (mut kept, mut bytes, mut is_cut) = (Vec::new(), 0, false);
    for mut piece in all {
        is_cut |= shorten(&mut piece.kind, MAX_NAME);
        let mut facts = std::collections::BTreeMap::new();
        for (mut name, mut fact) in std::mem::take(&mut piece.facts) {
            // The kind stands beside the facts.
            if name == "kind" {
                continue;
            }
            is_cut |= shorten(&mut name, MAX_NAME) | shorten(&mut fact, MAX_TEXT);
            bytes += json_bytes(&name) + json_bytes(&fact) + 2;
            if bytes > MAX_EVIDENCE {
                return (kept, true);
            }
            facts.insert(name, fact);
        }
        bytes += json_bytes(&piece.kind) + 10;
        if bytes > MAX_EVIDENCE {
            return (kept, true);
        }
        kept.push(Evidence { facts, ..piece });
    }
    (kept, is_cut)
}

/// Shortens a text to `most` bytes of JSON, at a character. Returns whether it did.
fn shorten(text: &mut String, most: usize) -> bool {
    let mut bytes = 2;
    let end = text.char_indices().find(|(_, char)| {
        bytes += json_bytes_of(*char);
        bytes > most
    });
    let Some((end, _)) = end else { return false };
    text.truncate(end);
    text.push(CUT);
    true
}

fn json_bytes(text: &str) -> usize {
    2 + text.chars().map(json_bytes_of).sum::<usize>()
}

/// The bytes of a character within a JSON text, as serde_json writes it.
fn json_bytes_of(char: char) -> usize {
    match char {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => char.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_are_counted_as_they_are_written(text in any::<String>()) {
            prop_assert_eq!(json_bytes(&text), serde_json::to_string(&text).unwrap().len());
        }

        #[test]
        fn a_text_is_cut_only_beyond_its_bound(text in any::<String>(), most in 4usize..60) {
            let mut cut = text.clone();
            let is_cut = shorten(&mut cut, most);
            prop_assert_eq!(is_cut, json_bytes(&text) > most);
            prop_assert!(json_bytes(&cut) <= most + CUT.len_utf8());
            prop_assert!(is_cut || cut == text);
        }
    }
}
