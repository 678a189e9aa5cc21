//! The short stored form of a W3C `traceparent`.
//!
//! Every waiting job carries one. As text it is 55 characters of hexadecimal
//! (Trace Context, section 3.2); its 25 bytes in base64 are 34.

use data_encoding::{BASE64_NOPAD, HEXLOWER};

/// The stored form; another text is kept unchanged.
pub(crate) fn pack(traceparent: &str) -> String {
    let parts: Vec<&str> = traceparent.split('-').collect();
    let ["00", trace, parent, flags] = parts.as_slice() else { return traceparent.to_owned() };
    if (trace.len(), parent.len(), flags.len()) != (32, 16, 2) {
        return traceparent.to_owned();
    }
    let hex = format!("{trace}{parent}{flags}");
    match HEXLOWER.decode(hex.as_bytes()) {
        Ok(bytes) => BASE64_NOPAD.encode(&bytes),
        Err(_) => traceparent.to_owned(),
    }
}

/// The original text.
pub(crate) fn unpack(stored: &str) -> String {
    // A traceparent never has 34 characters without a hyphen, so no other text is mistaken for a
    // packed one.
    let bytes = BASE64_NOPAD.decode(stored.as_bytes()).ok().filter(|bytes| bytes.len() == 25);
    let Some(hex) = bytes.map(|bytes| HEXLOWER.encode(&bytes)) else { return stored.to_owned() };
    match (hex.get(..32), hex.get(32..48), hex.get(48..)) {
        (Some(trace), Some(parent), Some(flags)) => format!("00-{trace}-{parent}-{flags}"),
        _ => stored.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_traceparent_comes_back(trace in "[0-9a-f]{32}", parent in "[0-9a-f]{16}", flags in "[0-9a-f]{2}") {
            let text = format!("00-{trace}-{parent}-{flags}");
            prop_assert_eq!(pack(&text).len(), 34);
            prop_assert_eq!(unpack(&pack(&text)), text);
        }

        #[test]
        fn anything_with_a_hyphen_comes_back(text in ".{0,30}-.{0,30}") {
            prop_assert_eq!(unpack(&pack(&text)), text);
        }
    }
}
