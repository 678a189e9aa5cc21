//! One reply of a mail server (RFC 5321, 4.2), read byte by byte.
//!
//! The three digits decide. The text is for people: it is decoded lossily, and text beyond [`KEPT`]
//! is read and dropped.

use std::fmt;

/// Bytes of a reply, of all its lines. It bounds the length of a line and the number of lines
/// as well. RFC 5321, 4.5.3.1.5 allows 512 for a line.
const MOST: usize = 64 << 10;
/// Bytes of a reply's text that are kept.
const KEPT: usize = 8 << 10;
/// Characters of the text that are shown.
const SHOWN: usize = 400;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The three digits.
    pub(super) code: u16,
    /// The lines, without digits and ends.
    pub(super) lines: Vec<String>,
    /// The server wrote more than allowed, so later data cannot be told apart from this reply.
    pub(super) cut: bool,
}

impl Reply {
    /// The first digit: 2 yes, 3 go on, 4 not now, 5 no.
    pub(super) fn class(&self) -> u16 {
        self.code / 100
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.lines.join(" ");
        let text = text.trim();
        write!(f, "{}", self.code)?;
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, " {}…", text.get(..end).unwrap_or_default())?,
            None if text.is_empty() => {}
            None => write!(f, " {text}")?,
        }
        if self.cut { write!(f, " (a reply of more than {MOST} bytes)") } else { Ok(()) }
    }
}

/// Input that is not a reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Nonsense {
    /// A line does not begin with three digits and a blank or a dash.
    #[error("its answer is not an SMTP reply: `{0}`")]
    NoCode(String),
    /// The lines have different digits.
    #[error("its reply says both {0} and {1}")]
    TwoCodes(u16, u16),
    /// The first line does not end.
    #[error("its answer goes on for more than {MOST} bytes without three digits and an end")]
    Endless,
}

/// A reply that is being read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The digits of earlier lines.
    code: Option<u16>,
    /// The digits of this line, up to the separator.
    head: Vec<u8>,
    /// This line is the last.
    is_last: bool,
    text: Vec<u8>,
    lines: Vec<String>,
    kept: usize,
    read: usize,
}

impl Reading {
    /// Takes received bytes, and returns the reply and how many bytes belong to it, or `None` while
    /// the reply continues.
    ///
    /// # Errors
    /// When the input is not a reply.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Option<(Reply, usize)>, Nonsense> {
        for (place, &byte) in bytes.iter().enumerate() {
            self.read += 1;
            let is_over = self.byte(byte)?;
            if is_over || self.read >= MOST {
                let Some(code) = self.code else { return Err(Nonsense::Endless) };
                if !is_over {
                    self.end_line();
                }
                let reply = Reply { code, lines: std::mem::take(&mut self.lines), cut: !is_over };
                return Ok(Some((reply, place + 1)));
            }
        }
        Ok(None)
    }

    /// Takes one byte; true when the reply ends with it.
    fn byte(&mut self, byte: u8) -> Result<bool, Nonsense> {
        if self.head.len() == 4 {
            if byte == b'\n' {
                self.end_line();
                return Ok(self.is_last);
            }
            if self.kept < KEPT {
                self.kept += 1;
                self.text.push(byte);
            }
            return Ok(false);
        }
        let place = self.head.len();
        self.head.push(byte);
        let fits = match place {
            0 => matches!(byte, b'2'..=b'5'),
            1 | 2 => byte.is_ascii_digit(),
            // A code alone on its line is the last line.
            _ => matches!(byte, b' ' | b'-' | b'\r' | b'\n'),
        };
        if !fits {
            return Err(Nonsense::NoCode(readable(&self.head)));
        }
        if place == 3 {
            let digits = self.head.iter().take(3).map(|digit| u16::from(digit - b'0'));
            let code = digits.fold(0, |sum, digit| sum * 10 + digit);
            match self.code {
                Some(before) if before != code => return Err(Nonsense::TwoCodes(before, code)),
                _ => self.code = Some(code),
            }
            self.is_last = byte != b'-';
            if byte == b'\n' {
                self.end_line();
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn end_line(&mut self) {
        self.head.clear();
        let text = std::mem::take(&mut self.text);
        // Lines beyond the kept text are dropped, not kept empty.
        if self.kept < KEPT || !text.is_empty() {
            self.kept += 1;
            self.lines.push(readable(&text));
        }
    }
}

/// The text without characters that change how a screen shows it.
fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_end_matches('\r').chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Nonsense> {
        Reading::default().take(bytes)
    }

    fn reply(bytes: &[u8]) -> Reply {
        read(bytes).unwrap().unwrap().0
    }

    #[test]
    fn the_digits_decide_whatever_the_text_is() {
        let ok = reply(b"250 Message accept\xe9 id=1\r\n");
        assert_eq!((ok.code, ok.to_string().as_str()), (250, "250 Message accept\u{fffd} id=1"));
        assert_eq!(reply(b"550 Bo\xeete pleine\r\n").class(), 5);
        assert_eq!(reply(b"354\r\n").code, 354);
        assert_eq!(reply(b"250 ok \x1b[31m\x00\r\n").to_string(), "250 ok \u{fffd}[31m\u{fffd}");
        let two = read(b"250-a\r\n250 b\r\n220 next").unwrap().unwrap();
        assert_eq!((two.0.lines, two.1), (vec!["a".to_owned(), "b".to_owned()], 14));
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bad in [&b"HTTP/1.1 400"[..], b"\x16\x03\x01", b"2x0 a\r\n", b"250_a\r\n", b"650 a\r\n", b"\r\n"]
        {
            assert!(matches!(read(bad), Err(Nonsense::NoCode(_))), "{bad:?}");
        }
        assert_eq!(read(b"250-a\r\n550 b\r\n"), Err(Nonsense::TwoCodes(250, 550)));
    }

    #[test]
    fn an_endless_reply_is_cut_and_its_digits_count() {
        let line = [b"250 ".to_vec(), vec![b'x'; 1 << 20]].concat();
        let lines = b"550-yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(1 << 14);
        for (bytes, code) in [(line, 250), (lines, 550)] {
            let (cut, used) = read(&bytes).unwrap().unwrap();
            assert_eq!((cut.code, cut.cut, used), (code, true, MOST));
            assert!(cut.lines.iter().map(String::len).sum::<usize>() <= 3 * KEPT && cut.lines.len() <= KEPT);
        }
        assert_eq!(read(&b"9".repeat(MOST)), Err(Nonsense::NoCode("9".to_owned())));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Any bytes in any pieces: no panic, bounded memory, one result.
        #[test]
        fn any_bytes_are_a_reply_or_are_none(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                prop::collection::vec(prop::sample::select(b"2350 -\r\nx".to_vec()), 0..300),
            ],
            piece in 1usize..50,
        ) {
            let whole = read(&bytes);
            let (mut reading, mut used) = (Reading::default(), 0);
            let mut pieces = Ok(None);
            for piece in bytes.chunks(piece) {
                pieces = reading.take(piece);
                match &pieces {
                    Ok(None) => used += piece.len(),
                    Ok(Some((_, n))) => { used += n; break }
                    Err(_) => break,
                }
            }
            match (whole, pieces) {
                (Ok(Some((whole, n))), Ok(Some((pieces, _)))) => {
                    prop_assert_eq!((&whole, n), (&pieces, used));
                    prop_assert!((200..600).contains(&whole.code));
                }
                (whole, pieces) => prop_assert_eq!(whole.map(drop), pieces.map(drop)),
            }
        }

        #[test]
        fn a_reply_is_read_back(
            code in 200u16..600,
            lines in prop::collection::vec("[ -~]{0,60}", 1..9),
            behind in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut bytes = Vec::new();
            for (n, line) in lines.iter().enumerate() {
                let mark = if n + 1 == lines.len() { ' ' } else { '-' };
                bytes.extend(format!("{code}{mark}{line}\r\n").into_bytes());
            }
            let length = bytes.len();
            bytes.extend(behind);
            let (reply, used) = read(&bytes).unwrap().unwrap();
            prop_assert_eq!((reply, used), (Reply { code, lines, cut: false }, length));
        }
    }
}
