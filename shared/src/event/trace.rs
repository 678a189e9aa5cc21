//! The W3C trace context of an event.

/// Whether a text is a `traceparent` (Trace Context, section 3.2.2). Versions to come may have
/// more parts; none is longer than this.
pub fn is_traceparent(text: &str) -> bool {
    const LONGEST: usize = 256;
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |part: &str, length| is_hex(part, length) && part.bytes().any(|byte| byte != b'0');
    let mut parts = text.splitn(5, '-');
    let mut next = || parts.next().unwrap_or_default();
    let (version, trace, parent, flags) = (next(), next(), next(), next());
    is_hex(version, 2)
        && version != "ff"
        && is_id(trace, 32)
        && is_id(parent, 16)
        && is_hex(flags, 2)
        && (parts.next().is_none() || version != "00")
        && text.len() <= LONGEST
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_w3c_form_is_a_traceparent() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_traceparent(good));
        assert!(is_traceparent(&good.replacen("00", "cc", 1)));
        assert!(is_traceparent(&(good.replacen("00", "cc", 1) + "-what-comes")));
        for bad in [
            "",
            "x",
            &"a".repeat(513),
            &good.to_uppercase(),
            &format!("{good}-more"),
            &good.replacen("00", "ff", 1),
            &good.replace("b7ad6b7169203331", "0000000000000000"),
            &good.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &(good.replacen("00", "cc", 1) + "-" + &"x".repeat(400)),
            &(good.replacen("00", "cc", 1) + "-é"),
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}
