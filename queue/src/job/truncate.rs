//! Texts that are kept with a job, cut to a length.

/// A text of at most 2,000 bytes, cut at a character.
pub(crate) fn truncate(text: &str) -> String {
    truncate_to(text, 2_000)
}

/// A text of at most this many bytes and an ellipsis, cut at a character.
pub(crate) fn truncate_to(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let cut = truncate(&"ä".repeat(5_000));
        assert!(cut.len() <= 2_004 && cut.ends_with('…'));
        assert_eq!(truncate_to("äöü", 3), "ä…");
        assert_eq!(truncate_to("äöü", 6), "äöü");
    }
}
