//! What a provider says of a person.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// All claims by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Claims(Map<String, Value>);

#[cfg(feature = "oidc")]
impl openidconnect::AdditionalClaims for Claims {}

impl Claims {
    /// All claims of a token, those with a field of their own and the others.
    pub(super) fn all_of(claims: &impl Serialize) -> Self {
        match serde_json::to_value(claims) {
            Ok(Value::Object(claims)) => Self(claims),
            _ => Self::default(),
        }
    }

    /// Adds claims that are not there yet.
    pub(super) fn add(&mut self, more: Self) {
        for (name, value) in more.0 {
            self.0.entry(name).or_insert(value);
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The texts of a claim: a list of texts, or one text.
    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        match self.get(name) {
            Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(text)) => vec![text.as_str()],
            _ => Vec::new(),
        }
    }

    /// A claim by its name, or by a JSON pointer: `/realm_access/roles`.
    fn get(&self, name: &str) -> Option<&Value> {
        match name.strip_prefix('/') {
            None => self.0.get(name),
            Some(path) => {
                let (first, rest) =
                    path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
                let first = self.0.get(&first.replace("~1", "/").replace("~0", "~"))?;
                rest.map_or(Some(first), |rest| first.pointer(&format!("/{rest}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_found_by_name_and_by_pointer() {
        let claims = Claims::all_of(&json!({
            "groups": ["a", 1, "b"], "one": "a", "realm": {"roles": ["ops"]}, "https://x/y": ["z"],
        }));
        assert_eq!(claims.texts("groups"), ["a", "b"]);
        assert_eq!(claims.texts("one"), ["a"]);
        assert_eq!(claims.texts("/realm/roles"), ["ops"]);
        assert_eq!(claims.texts("/https:~1~1x~1y"), ["z"]);
        assert_eq!(claims.texts("https://x/y"), ["z"]);
        assert!(claims.texts("/realm/other").is_empty() && !claims.has("none"));
    }
}
