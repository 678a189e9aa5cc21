//! Finds the properties of a message that an AMQP client cannot parse.
//!
//! RabbitMQ passes the properties of a message on as the producer wrote them. lapin parses them by
//! recursion, so deep nesting overflows its stack. lapin also takes short strings as UTF-8, so one
//! byte ends the connection. This walk finds both, and lapin parses everything that passes. Types
//! and lengths follow AMQP 0-9-1, section 4.2.5, with the letters that RabbitMQ and lapin agree on.

/// Tables and lists may be nested this deep.
const DEEPEST: usize = 64;

/// Why a client cannot parse a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// A short string or a name is not UTF-8.
    Text,
    /// Tables or lists are nested too deep.
    Depth,
    /// The type of a value is unknown.
    Type,
    /// A length does not fit the data.
    Length,
    /// An attribute of the event appears twice.
    Twice,
}

impl Damage {
    /// The damage in words, with the remedy.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Text => "is not UTF-8: encode it as UTF-8",
            Self::Depth => "is nested deeper than 64 levels: put nested data into the body",
            Self::Type => {
                "has a value of a type that AMQP 0-9-1 clients do not know: use strings, numbers or booleans"
            }
            Self::Twice => "stands there twice: send it once",
            Self::Length => "does not fit its length: the producer's client is broken",
        }
    }
}

/// Takes `n` bytes off the front.
pub(super) fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8], Damage> {
    let (taken, rest) = bytes.split_at_checked(n).ok_or(Damage::Length)?;
    *bytes = rest;
    Ok(taken)
}

/// Takes a short string of any bytes off the front.
pub(super) fn short<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Damage> {
    let length = take(bytes, 1)?;
    take(bytes, usize::from(length[0]))
}

/// Takes the bytes that a four-byte length announces off the front.
pub(super) fn long<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Damage> {
    let length = take(bytes, 4)?.try_into().map_err(|_| Damage::Length)?;
    take(bytes, u32::from_be_bytes(length) as usize)
}

/// Takes a value with its type off the front, unread.
pub(super) fn value<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Damage> {
    let whole = *bytes;
    match take(bytes, 1)?[0] {
        b'V' => {}
        b't' | b'b' | b'B' => drop(take(bytes, 1)?),
        b's' | b'U' | b'u' => drop(take(bytes, 2)?),
        b'I' | b'i' | b'f' => drop(take(bytes, 4)?),
        b'L' | b'l' | b'd' | b'T' => drop(take(bytes, 8)?),
        b'D' => drop(take(bytes, 5)?),
        b'S' | b'x' | b'A' | b'F' => drop(long(bytes)?),
        _ => return Err(Damage::Type),
    }
    Ok(&whole[..whole.len() - bytes.len()])
}

/// Checks a value with its type, as [`value`] returns it.
pub(super) fn check(value: &[u8]) -> Result<(), Damage> {
    check_at(value, 0)
}

fn check_at(one: &[u8], depth: usize) -> Result<(), Damage> {
    let Some((kind @ (b'A' | b'F'), mut inside)) = one.split_first() else { return Ok(()) };
    if depth == DEEPEST {
        return Err(Damage::Depth);
    }
    let mut inside = long(&mut inside)?;
    while !inside.is_empty() {
        if *kind == b'F' {
            utf8(short(&mut inside)?)?;
        }
        check_at(value(&mut inside)?, depth + 1)?;
    }
    Ok(())
}

/// Checks a short string.
pub(super) fn utf8(text: &[u8]) -> Result<(), Damage> {
    std::str::from_utf8(text).map(drop).map_err(|_| Damage::Text)
}
