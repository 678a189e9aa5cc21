//! Escapes text from outside, so that a person sees all of it.
//!
//! Names, subjects and error messages come from producers, brokers and mail servers. A control
//! character in them could move a terminal's cursor, hide text, change the reading direction, or
//! start a line that Upshot never wrote. So text logs and the command line write a character
//! without a shape as `\n` or `\u{202e}`, and JSON as `\u202e`. Typographic blanks stay.

use std::{borrow::Cow, fmt::Write};

/// Everyday typography that is a blank: no-break space, narrow no-break space, ideographic space.
const BLANKS: [char; 3] = ['\u{a0}', '\u{202f}', '\u{3000}'];

/// Whether a character is shown unescaped.
///
/// The standard library's `escape_debug` knows Unicode's categories. It escapes controls, formats
/// (bidi marks among them), separators and unassigned characters. It takes Hangul fillers and some
/// marks as letters, although they are invisible.
pub fn is_shown(char: char) -> bool {
    match char {
        ' '..='~' => true,
        '\0'..='\u{9f}' => false,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' => false,
        '\u{3164}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}' => false,
        _ if BLANKS.contains(&char) => true,
        _ => {
            // After another character, where combining marks belong.
            let mut buffer = [b'a'; 5];
            let [_, rest @ ..] = &mut buffer;
            let length = char.encode_utf8(rest).len();
            let text = buffer.get(..=length).and_then(|bytes| std::str::from_utf8(bytes).ok());
            text.is_some_and(|text| text.escape_debug().nth(1) == Some(char))
        }
    }
}

/// The text on one line, with Rust's escapes for characters that are not shown.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, is_shown, |escaped, char| escaped.extend(char.escape_default()))
}

/// The text of a JSON document, with `\u` escapes for characters that are not shown. Serialised
/// JSON has them only within strings; its own line breaks stay.
pub fn json_visible(json: &str) -> Cow<'_, str> {
    let is_kept = |char| char == '\n' || is_shown(char);
    escaped(json, is_kept, |escaped, char| {
        for unit in char.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    })
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool, escape: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let Some(first) = text.find(|char| !is_kept(char)) else { return Cow::Borrowed(text) };
    let (kept, rest) = text.split_at(first);
    let mut escaped = kept.to_owned();
    for char in rest.chars() {
        if is_kept(char) {
            escaped.push(char);
        } else {
            escape(&mut escaped, char);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What must never reach a terminal, whatever a library takes for visible.
    fn is_raw(char: char) -> bool {
        char.is_control()
            || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}')
            || matches!(char, '\u{61c}' | '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{ad}' | '\u{3164}')
            || matches!(char, '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e0fff}' | '\u{fff9}'..='\u{fffb}')
    }

    #[test]
    fn each_character_that_has_no_shape_is_escaped() {
        for char in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            assert!(!(is_raw(char) && is_shown(char)), "{char:?} is shown");
        }
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in [
            "order-1042",
            "Zoë Ångström",
            "e\u{301}",
            "10\u{a0}€",
            "注文　完了",
            "שלום",
            "سلام",
            "☕️ 🎉",
            "C:\\x\"'",
        ] {
            assert_eq!(visible(text), text);
            assert!(matches!(visible(text), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn escapes_say_which_character_stands_there() {
        assert_eq!(visible("a\nb\t\u{1b}[31m\u{202e}\u{9b}"), "a\\nb\\t\\u{1b}[31m\\u{202e}\\u{9b}");
        assert_eq!(json_visible("{\n\"\u{7f}\u{e0041}\"}"), "{\n\"\\u007f\\udb40\\udc41\"}");
    }

    proptest! {
        #[test]
        fn nothing_raw_comes_out_and_nothing_is_lost(text in any::<String>()) {
            let shown = visible(&text);
            prop_assert!(!shown.contains(is_raw), "{shown:?}");
            let json = serde_json::to_string(&text).unwrap();
            let escaped = json_visible(&json);
            prop_assert!(!escaped.contains(is_raw), "{escaped:?}");
            prop_assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        }
    }
}
