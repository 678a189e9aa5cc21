//! Sizes in settings: `65536`, `64KiB`, `1MiB`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub usize);

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(usize),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => parse(&text).map(Self).ok_or_else(|| {
                D::Error::custom(format!("`{text}` is not a size: write it like 65536, 64KiB, 1MiB"))
            }),
        }
    }
}

fn parse(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)? {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.trim().parse::<usize>().ok()?.checked_mul(unit)
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0 as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_understood() {
        assert_eq!(parse("64KiB"), Some(65536));
        assert_eq!(parse("12"), Some(12));
        assert_eq!(parse("1 MiB"), Some(1 << 20));
        for bad in ["", "KiB", "64kb", "-1", "99999999999999999999GiB"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
