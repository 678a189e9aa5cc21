//! A JSON pointer (RFC 6901) in which `*` names every element of a list and every member of an
//! object.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The segment that names all values of a list or an object.
const EACH: &str = "*";

/// A JSON pointer. The segment `*` names every element of a list and every member of an object, a
/// member of that name included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pointer {
    text: String,
    segments: Vec<String>,
}

/// A text that is not a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPointer {
    /// It does not begin with a slash.
    #[error("`{0}` is not a JSON pointer: begin it with `/`, such as `/customer/name`")]
    Slash(String),
    /// A `~` that escapes nothing.
    #[error("`{0}` is not a JSON pointer: in a member's name write `~0` for `~` and `~1` for `/`")]
    Escape(String),
}

impl Pointer {
    /// Calls `seen` with each value that the pointer names.
    pub fn visit(&self, value: &mut Value, seen: &mut impl FnMut(&mut Value)) {
        visit(value, &self.segments, seen);
    }
}

fn visit(value: &mut Value, segments: &[String], seen: &mut impl FnMut(&mut Value)) {
    let Some((first, rest)) = segments.split_first() else { return seen(value) };
    match value {
        Value::Array(values) if first == EACH => values.iter_mut().for_each(|each| visit(each, rest, seen)),
        Value::Object(members) if first == EACH => {
            members.values_mut().for_each(|each| visit(each, rest, seen));
        }
        Value::Array(values) => {
            if let Some(found) = index(first).and_then(|index| values.get_mut(index)) {
                visit(found, rest, seen);
            }
        }
        Value::Object(members) => {
            if let Some(found) = members.get_mut(first) {
                visit(found, rest, seen);
            }
        }
        _ => {}
    }
}

/// The index that a segment names. RFC 6901 allows digits without leading zeros.
fn index(segment: &str) -> Option<usize> {
    let is_whole = segment.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = is_whole && (segment == "0" || !segment.starts_with('0'));
    segment.parse().ok().filter(|_| is_plain)
}

impl FromStr for Pointer {
    type Err = BadPointer;

    fn from_str(text: &str) -> Result<Self, BadPointer> {
        let Some(rest) = text.strip_prefix('/') else {
            let is_whole = text.is_empty();
            return if is_whole {
                Ok(Self { text: String::new(), segments: Vec::new() })
            } else {
                Err(BadPointer::Slash(text.to_owned()))
            };
        };
        if text.split('~').skip(1).any(|escaped| !escaped.starts_with(['0', '1'])) {
            return Err(BadPointer::Escape(text.to_owned()));
        }
        let segments = rest.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
        Ok(Self { text: text.to_owned(), segments })
    }
}

impl TryFrom<String> for Pointer {
    type Error = BadPointer;

    fn try_from(text: String) -> Result<Self, BadPointer> {
        text.parse()
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> Self {
        pointer.text
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_a_pointer_is_refused_with_the_remedy() {
        for (text, remedy) in [("customer", "begin it with `/`"), ("/a~", "~0"), ("/a~2b", "`~1` for `/`")] {
            let said = text.parse::<Pointer>().unwrap_err().to_string();
            assert!(said.contains(remedy) && said.contains(&format!("`{text}`")), "{said}");
        }
        let pointer: Pointer = "/~01/a b/".parse().unwrap();
        assert_eq!(pointer.segments, ["~1", "a b", ""]);
    }

    proptest! {
        #[test]
        fn a_pointer_names_what_the_rfc_says(
            names in prop::collection::vec("[a-c0-2~/]{1,2}", 0..3),
            value in "[{}\\[\\]a-c0-2\":,~/]{0,30}",
        ) {
            let escaped = |name: &String| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            let text: String = names.iter().map(escaped).collect();
            let pointer: Pointer = text.parse().unwrap();
            prop_assert_eq!(&pointer.to_string(), &text);
            let nested = names.iter().rev().fold(Value::from(1), |inner, name| {
                Value::Object([(name.clone(), inner)].into_iter().collect())
            });
            for mut value in [serde_json::from_str(&value).unwrap_or(Value::Null), nested] {
                let expected = value.pointer(&text).cloned();
                let mut found = None;
                pointer.visit(&mut value, &mut |named| found = Some(named.clone()));
                prop_assert_eq!(found, expected);
            }
        }
    }
}
