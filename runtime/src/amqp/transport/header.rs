//! Content headers: leaves out what a client cannot parse, and notes that in the message.
//!
//! A content header (AMQP 0-9-1, section 4.2.6.1) is the class, a weight, the size of the
//! body, and the properties, each announced by a flag.

use super::table::{self, Damage};
use crate::amqp::names::{HEADER_RAW_PROPERTIES, HEADER_UNREADABLE};

/// Class, weight and size of the body.
const FIXED: usize = 12;
/// The bit of the first property.
const FIRST_FLAG: u16 = 15;
/// The bits that announce a property.
const KNOWN_FLAGS: u16 = !0b11;
/// The position of the headers among the properties.
const HEADERS: usize = 2;
/// The prefix of headers with an event's attributes.
const ATTRIBUTE: &[u8] = b"cloudEvents";
/// The message keeps its original properties up to this size, in bytes.
const RAW_AT_MOST: usize = 16 << 10;

/// A property: its name, and how it is written.
const PROPERTIES: [(&str, Written); 14] = [
    ("content_type", Written::Short),
    ("content_encoding", Written::Short),
    ("headers", Written::Table),
    ("delivery_mode", Written::Bytes(1)),
    ("priority", Written::Bytes(1)),
    ("correlation_id", Written::Short),
    ("reply_to", Written::Short),
    ("expiration", Written::Short),
    ("message_id", Written::Short),
    ("timestamp", Written::Bytes(8)),
    ("type", Written::Short),
    ("user_id", Written::Short),
    ("app_id", Written::Short),
    ("cluster_id", Written::Short),
];

#[derive(Clone, Copy)]
enum Written {
    Short,
    Table,
    Bytes(usize),
}

/// The size of the body that a content header announces.
pub(super) fn body_size(payload: &[u8]) -> u64 {
    payload.get(4..FIXED).and_then(|size| size.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// The content header in a form that a client can parse, at most `most` bytes long. `None` if a
/// client can parse it unchanged. `damage` is a problem of the message before its header. The
/// header [`HEADER_UNREADABLE`] says what was left out.
pub(super) fn digestible(payload: &[u8], damage: Option<&str>, most: usize) -> Option<Vec<u8>> {
    let read = Read::of(payload.get(FIXED..).unwrap_or_default());
    let wrong: Vec<&str> = damage.into_iter().chain(read.damage.as_deref()).collect();
    if wrong.is_empty() {
        return None;
    }
    let wrong = wrong.join("; ");
    let raw = payload.get(FIXED..).filter(|raw| raw.len() <= RAW_AT_MOST);
    let whole = read.write(payload, &wrong, raw);
    // In the largest frame the notes may not fit beside the headers.
    Some(if whole.len() <= most { whole } else { Read::default().write(payload, &wrong, None) })
}

/// The parsable part of properties.
#[derive(Default)]
struct Read<'a> {
    /// By place in [`PROPERTIES`], as they are written; of the headers see below.
    properties: Vec<(usize, &'a [u8])>,
    /// Entries of the headers: names and values, as they are written.
    headers: Vec<&'a [u8]>,
    /// What was first found to be wrong.
    damage: Option<String>,
}

impl<'a> Read<'a> {
    fn of(mut bytes: &'a [u8]) -> Self {
        let mut read = Self::default();
        if let Err(damage) = read.all(&mut bytes) {
            read.note("a property", damage);
        } else if !bytes.is_empty() {
            read.note("the list of properties", Damage::Length);
        }
        read
    }

    fn all(&mut self, bytes: &mut &'a [u8]) -> Result<(), Damage> {
        let flags = table::take(bytes, 2)?;
        let flags = u16::from_be_bytes([flags[0], flags[1]]);
        for (place, (name, written)) in PROPERTIES.into_iter().enumerate() {
            if flags & (1 << (FIRST_FLAG - place as u16)) == 0 {
                continue;
            }
            let whole = *bytes;
            match written {
                Written::Bytes(n) => drop(table::take(bytes, n)?),
                Written::Short => {
                    if let Err(damage) = table::utf8(table::short(bytes)?) {
                        self.note(&format!("property `{name}`"), damage);
                        continue;
                    }
                }
                Written::Table => {
                    let entries = table::long(bytes)?;
                    if let Err(damage) = self.entries(entries) {
                        self.note("a header", damage);
                    }
                    continue;
                }
            }
            self.properties.push((place, &whole[..whole.len() - bytes.len()]));
        }
        Ok(())
    }

    fn entries(&mut self, mut entries: &'a [u8]) -> Result<(), Damage> {
        let mut attributes: Vec<&[u8]> = Vec::new();
        while !entries.is_empty() {
            let whole = entries;
            let name = table::short(&mut entries)?;
            let shown = || format!("header `{}`", String::from_utf8_lossy(name));
            let value = table::value(&mut entries).inspect_err(|damage| self.note(&shown(), *damage))?;
            // A client keeps the last of two headers with one name, and the intended one is
            // unknown.
            let is_attribute = name.starts_with(ATTRIBUTE);
            let twice = is_attribute && attributes.contains(&name);
            attributes.extend(is_attribute.then_some(name));
            let checked = if twice { Err(Damage::Twice) } else { table::utf8(name) };
            match checked.and_then(|()| table::check(value)) {
                Ok(()) => self.headers.push(&whole[..whole.len() - entries.len()]),
                Err(damage) => self.note(&shown(), damage),
            }
        }
        Ok(())
    }

    fn note(&mut self, what: &str, damage: Damage) {
        self.damage.get_or_insert_with(|| format!("{what} {}", damage.words()));
    }

    /// A content header with the parsable part, and with what was wrong.
    fn write(&self, payload: &[u8], wrong: &str, raw: Option<&[u8]>) -> Vec<u8> {
        let mut headers: Vec<u8> = self.headers.concat();
        entry(&mut headers, HEADER_UNREADABLE, b'S', wrong.as_bytes());
        if let Some(raw) = raw {
            entry(&mut headers, HEADER_RAW_PROPERTIES, b'x', raw);
        }
        let mut written = payload.get(..FIXED).map_or_else(|| vec![0; FIXED], <[u8]>::to_vec);
        let mut flags = 1 << (FIRST_FLAG - HEADERS as u16);
        for (place, _) in &self.properties {
            flags |= 1 << (FIRST_FLAG - *place as u16);
        }
        written.extend_from_slice(&(flags & KNOWN_FLAGS).to_be_bytes());
        let (before, after) =
            self.properties.split_at(self.properties.partition_point(|(place, _)| *place < HEADERS));
        before.iter().for_each(|(_, bytes)| written.extend_from_slice(bytes));
        written.extend_from_slice(&(headers.len() as u32).to_be_bytes());
        written.extend_from_slice(&headers);
        after.iter().for_each(|(_, bytes)| written.extend_from_slice(bytes));
        written
    }
}

/// Writes an entry of a table whose value has a length of four bytes.
fn entry(table: &mut Vec<u8>, name: &str, kind: u8, value: &[u8]) {
    table.push(name.len() as u8);
    table.extend_from_slice(name.as_bytes());
    table.push(kind);
    table.extend_from_slice(&(value.len() as u32).to_be_bytes());
    table.extend_from_slice(value);
}
