//! Finds the characters of a laid-out document that no font has.
//!
//! The laid-out frames decide, because they hold what is drawn: shaping may compose a character
//! out of others or leave it out, so a font's table of characters alone says too little. A
//! character that no font has is drawn as the glyph 0 (`.notdef`), a black box.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use typst::layout::{Frame, FrameItem};
use typst::text::{FontBook, is_default_ignorable};
use typst_layout::PagedDocument;

/// Places that are kept of one character.
const PLACES: usize = 3;

/// The characters that are drawn as a black box, because none of `fonts` has them.
pub(crate) fn missing(document: &PagedDocument, fonts: &FontBook) -> BTreeSet<char> {
    let mut boxes = BTreeSet::new();
    for page in document.pages() {
        collect(&page.frame, &mut boxes);
    }
    let has = |char: char| {
        let faces = (0..).map_while(|index| fonts.info(index));
        faces.into_iter().any(|face| face.coverage.contains(u32::from(char)))
    };
    let of_box = |text: &String| {
        // Together with a mark that no font has, a letter is a black box too.
        let lacking: Vec<char> = text.chars().filter(|char| !has(*char)).collect();
        // All are there, and no font has all of them.
        if lacking.is_empty() { text.chars().collect() } else { lacking }
    };
    let mut named: BTreeSet<char> = boxes.iter().flat_map(of_box).collect();
    // Every template has the characters of ASCII. One is a black box only because of a mark behind
    // it, and stands in other places of the document as well: the mark is named alone.
    if named.iter().any(|char| !char.is_ascii()) {
        named.retain(|char| !char.is_ascii());
    }
    named
}

/// The texts that are drawn as a black box each.
fn collect(frame: &Frame, boxes: &mut BTreeSet<String>) {
    for (_, item) in frame.items() {
        match item {
            FrameItem::Group(group) => collect(&group.frame, boxes),
            FrameItem::Text(text) => {
                for glyph in text.glyphs.iter().filter(|glyph| glyph.id == 0) {
                    let drawn = text.text.get(glyph.range()).filter(|drawn| !drawn.is_empty());
                    boxes.insert(drawn.unwrap_or("\u{fffd}").into());
                }
            }
            _ => {}
        }
    }
}

/// Whether a character has no picture of its own: a space, a control or format character. A
/// document is complete without it.
pub(crate) fn is_blank(char: char) -> bool {
    char.is_control()
        || char.is_whitespace()
        || is_default_ignorable(char)
        // Marks of interlinear annotations: format characters that Unicode does not list as ignorable.
        || ('\u{fff9}'..='\u{fffb}').contains(&char)
}

/// The data with these blank characters replaced by spaces, or left out where they take no room.
pub(crate) fn without(data: &Value, blanks: &BTreeSet<char>) -> Value {
    match data {
        Value::String(text) => text
            .chars()
            .filter_map(
                |char| if blanks.contains(&char) { char.is_whitespace().then_some(' ') } else { Some(char) },
            )
            .collect::<String>()
            .into(),
        Value::Array(items) => items.iter().map(|item| without(item, blanks)).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (name.clone(), without(value, blanks)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

/// Where each of these characters stands in the data: JSON pointers (RFC 6901), the first few.
/// A character that stands nowhere comes from the template.
pub(crate) fn places(data: &Value, chars: &BTreeSet<char>) -> BTreeMap<char, Vec<String>> {
    let mut found = chars.iter().map(|char| (*char, Vec::new())).collect();
    find(data, "", &mut found);
    found
}

fn find(data: &Value, at: &str, found: &mut BTreeMap<char, Vec<String>>) {
    match data {
        Value::String(text) => {
            for (char, places) in found {
                if places.len() < PLACES && text.contains(*char) {
                    places.push(at.to_owned());
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find(item, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                find(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blanks_are_replaced_and_the_rest_stays() {
        let data = json!({ "a": ["x\u{7}y", "x\u{2003}y"], "b": 1, "c": null });
        let blanks = BTreeSet::from(['\u{7}', '\u{2003}']);
        assert!(blanks.iter().all(|char| is_blank(*char)));
        assert_eq!(without(&data, &blanks), json!({ "a": ["xy", "x y"], "b": 1, "c": null }));
        assert!(['a', '李', '\u{e000}', '\u{301}', '\u{600}'].iter().all(|char| !is_blank(*char)));
    }

    #[test]
    fn a_character_is_found_where_it_stands() {
        let data = json!({ "a/b": ["x", "李"], "c": "李李", "d": { "~": "李" }, "e": "李", "f": 1 });
        let found = places(&data, &BTreeSet::from(['李', '龍']));
        assert_eq!(found[&'李'], ["/a~1b/1", "/c", "/d/~0"]);
        assert_eq!(found[&'龍'], [""; 0]);
    }
}
