//! A message as it travels.

/// The message with line ends that every server reads the same way, and with doubled dots (RFC
/// 5321, 4.5.2). It ends with a line end. The final dot on the wire comes after it.
///
/// A bare CR or LF becomes a line end. Otherwise a sender could make some servers see an early end
/// of the message (CVE-2023-51764).
pub(super) fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(message.len() + message.len() / 64 + 2);
    let mut rest = message;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        let (line, behind) = rest.split_at(end);
        if line.starts_with(b".") {
            sent.push(b'.');
        }
        sent.extend_from_slice(line);
        sent.extend_from_slice(b"\r\n");
        rest = behind.strip_prefix(b"\r\n").unwrap_or_else(|| behind.get(1..).unwrap_or_default());
    }
    sent
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a server stores of the received data (RFC 5321, 4.5.2); `None` if the message ended
    /// early.
    fn received(sent: &[u8]) -> Option<Vec<u8>> {
        let mut kept = Vec::new();
        for line in sent.split_inclusive(|byte| *byte == b'\n') {
            if line == b".\r\n" {
                return None;
            }
            kept.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        Some(kept)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_message_arrives_as_it_was_and_ends_nowhere_early(
            message in prop::collection::vec(prop::sample::select(b".\r\na ".to_vec()), 0..80),
        ) {
            let sent = stuffed(&message);
            let kept = received(&sent);
            prop_assert!(kept.is_some(), "{:?}", sent);
            let lines = |bytes: &[u8]| {
                let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
                text.strip_suffix('\n').map_or_else(|| text.clone(), ToOwned::to_owned)
            };
            prop_assert_eq!(lines(&kept.unwrap_or_default()), lines(&message));
            prop_assert!(sent.is_empty() || sent.ends_with(b"\r\n"));
            let bare = sent.iter().enumerate().any(|(n, byte)| match byte {
                b'\r' => sent.get(n + 1) != Some(&b'\n'),
                b'\n' => n == 0 || sent[n - 1] != b'\r',
                _ => false,
            });
            prop_assert!(!bare, "{:?}", sent);
        }
    }
}
