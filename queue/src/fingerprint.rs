//! What messages of the same cause have in common.
//!
//! Dead jobs are grouped by class, kind and normalised message. Whatever
//! differs from one failure to the next (numbers, ids, addresses, quoted
//! values) is replaced, so that a thousand jobs that died of the same cause are
//! one group. The order of the rules is part of the fingerprint: changing it
//! splits groups that exist.

/// No more of a message than this tells one cause from another.
const MOST: usize = 200;

/// The message without what differs from one failure to the next.
pub fn normalise(message: &str) -> String {
    let first = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut text = String::with_capacity(first.len());
    let mut rest = first.trim();
    while let Some(c) = rest.chars().next() {
        if matches!(c, '"' | '`' | '\'') {
            let after = rest.get(c.len_utf8()..).unwrap_or_default();
            // An apostrophe within a word opens nothing.
            let opens = !text.ends_with(char::is_alphanumeric);
            if let Some(end) = after.find(c).filter(|_| opens) {
                text.push_str("<value>");
                rest = after.get(end + c.len_utf8()..).unwrap_or_default();
                continue;
            }
            text.push(c);
            rest = after;
        } else if c.is_alphanumeric() {
            let end =
                rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ':' | '/')));
            let (token, after) = rest.split_at(end.unwrap_or(rest.len()));
            // Punctuation at the end belongs to the sentence.
            let word = token.trim_end_matches(['.', ':', '-', '/']);
            text.push_str(class_of(word).unwrap_or(word));
            text.push_str(token.get(word.len()..).unwrap_or_default());
            rest = after;
        } else {
            if !(c.is_whitespace() && text.ends_with(' ')) {
                text.push(if c.is_whitespace() { ' ' } else { c });
            }
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
        if text.len() >= MOST {
            break;
        }
    }
    text.chars().take(MOST).collect()
}

/// What a word stands for, when it differs from one failure to the next.
fn class_of(word: &str) -> Option<&'static str> {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if word.contains('@') && word.contains('.') {
        return Some("<address>");
    }
    if digits == 0 {
        return None;
    }
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    if letters == 0 || letters <= 2 && digits >= letters {
        // 42, 3.14, 10.0.0.1:6379, 12ms. Three digits alone may be a status.
        return if word.len() == 3 && digits == 3 { None } else { Some("<n>") };
    }
    // Ids: long, with digits among the letters; or a word with a number behind it.
    if word.len() >= 16 || word.contains(['-', '_', '/', ':']) {
        return Some("<id>");
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_cause_looks_the_same() {
        let pairs = [
            ("timeout after 5012 ms", "timeout after 499321 ms"),
            ("no customer `c-81`", "no customer `c-99912`"),
            ("connect to 10.0.0.1:6379 refused", "connect to 10.0.0.27:6380 refused"),
            ("order-1042 not found", "order-7 not found"),
            ("user a.b@shop.example is unknown", "user c@other.example is unknown"),
            (
                "job 5d0a1c0e-2f5b-4f0a-9a53-6a1f3c1b7e42 gone",
                "job 77aa1c0e-2f5b-4f0a-9a53-6a1f3c1b7e42 gone",
            ),
        ];
        for (one, other) in pairs {
            assert_eq!(normalise(one), normalise(other));
        }
    }

    #[test]
    fn different_causes_look_different() {
        assert_ne!(normalise("HTTP 503 from the bank"), normalise("HTTP 404 from the bank"));
        assert_ne!(normalise("connection refused"), normalise("connection reset"));
        assert_eq!(normalise("the customer's card isn't valid"), "the customer's card isn't valid");
        assert_eq!(normalise("first\nsecond"), "first");
    }

    proptest! {
        #[test]
        fn any_message_has_a_short_form(message in ".{0,600}") {
            let once = normalise(&message);
            prop_assert!(once.chars().count() <= MOST);
            prop_assert!(!once.contains('\n'));
        }

        #[test]
        fn numbers_do_not_tell_causes_apart(a in 1000u64.., b in 1000u64..) {
            prop_assert_eq!(normalise(&format!("{a} bytes left")), normalise(&format!("{b} bytes left")));
        }
    }
}
