//! Where two JSON documents differ, as JSON pointers (RFC 6901), and their digests. Values are not
//! told.

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Pointers at most, and the bytes of each.
const MOST: usize = 40;
const BYTES: usize = 120;
/// Levels that are compared; a difference further down is told as one at this depth.
const DEPTH: usize = 8;

/// The pointers to what differs. Of arguments that are not JSON, only that they differ.
pub fn changed(before: &[u8], after: &[u8]) -> Vec<String> {
    let (Ok(before), Ok(after)) = (serde_json::from_slice(before), serde_json::from_slice(after)) else {
        return if before == after { Vec::new() } else { vec![String::new()] };
    };
    let mut found = Vec::new();
    compare(&before, &after, &mut String::new(), DEPTH, &mut found);
    found
}

/// The digest of arguments: SHA-256, in lower-case hexadecimal digits.
pub fn digest(args: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(args))
}

fn compare(before: &Value, after: &Value, at: &mut String, depth: usize, found: &mut Vec<String>) {
    if found.len() >= MOST || before == after {
        return;
    }
    let mut note = |at: &str| {
        let end = at.floor_char_boundary(BYTES);
        found.push(at.get(..end).unwrap_or_default().to_owned());
    };
    match (before, after) {
        (Value::Object(before), Value::Object(after)) if depth > 0 => {
            let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
            for name in names {
                let length = at.len();
                at.push('/');
                at.push_str(&name.replace('~', "~0").replace('/', "~1"));
                let (one, other) = (before.get(name), after.get(name));
                compare_members(one, other, at, depth - 1, found);
                at.truncate(length);
            }
        }
        (Value::Array(before), Value::Array(after)) if depth > 0 => {
            for place in 0..before.len().max(after.len()) {
                let length = at.len();
                at.push_str(&format!("/{place}"));
                compare_members(before.get(place), after.get(place), at, depth - 1, found);
                at.truncate(length);
            }
        }
        _ => note(at),
    }
}

fn compare_members(
    before: Option<&Value>,
    after: Option<&Value>,
    at: &mut String,
    depth: usize,
    found: &mut Vec<String>,
) {
    match (before, after) {
        (Some(before), Some(after)) => compare(before, after, at, depth, found),
        // Null stands for what is not there; the other one is something.
        (None, Some(Value::Null)) | (Some(Value::Null), None) => {
            compare(&Value::Bool(true), &Value::Bool(false), at, 0, found);
        }
        (one, other) => {
            compare(one.unwrap_or(&Value::Null), other.unwrap_or(&Value::Null), at, 0, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(before: &Value, after: &Value) -> Vec<String> {
        changed(before.to_string().as_bytes(), after.to_string().as_bytes())
    }

    #[test]
    fn differences_are_told_by_their_place() {
        let before =
            json!({"order": "1042", "customer": {"name": "ann", "a/b": 1}, "lines": [1, 2], "gone": null});
        let after =
            json!({"order": "1042", "customer": {"name": "bob", "a/b": 2}, "lines": [1, 3, 4], "new": 1});
        assert_eq!(
            pointers(&before, &after),
            ["/customer/a~1b", "/customer/name", "/gone", "/lines/1", "/lines/2", "/new"]
        );
        assert_eq!(pointers(&before, &before), [""; 0]);
        assert_eq!(pointers(&json!(1), &json!({"a": 1})), [""]);
        assert_eq!(changed(b"{", b"["), [""]);
    }

    #[test]
    fn what_is_told_is_bounded() {
        let long = |value: u32| {
            Value::Object((0..100).map(|n| (format!("{n}{}", "x".repeat(500)), json!(value))).collect())
        };
        let found = pointers(&long(1), &long(2));
        assert!(found.len() == MOST && found.iter().all(|pointer| pointer.len() <= BYTES));
        let deep = |value: u32| (0..100).fold(json!(value), |inner, _| json!([inner]));
        assert_eq!(pointers(&deep(1), &deep(2)), ["/0/0/0/0/0/0/0/0"]);
    }
}
