//! The text of a capability link: `upl_<payload>.<HMAC-SHA256>`, both in base64url.
//!
//! The payload is JSON. What the scope does not narrow is left out, so that links stay short.

use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::{
    error::Refusal,
    scope::{Only, Scope, Target},
    token::random,
};

/// What a capability link begins with.
const PREFIX: &str = "upl_";
/// What is signed before the payload, so that the key can sign nothing else by mistake.
const DOMAIN: &[u8] = b"upshot capability link\n";
/// Characters of a link at most.
const LONGEST: usize = 4_096;
const ID_BYTES: usize = 8;

/// The id of a link: random digits, and when it expires. So a revocation knows how long it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkId {
    text: String,
    until: i64,
}

impl LinkId {
    pub(super) fn new(until: i64) -> Self {
        Self { text: format!("{}-{until}", random::<ID_BYTES>()), until }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// When the link expires, UTC ms.
    pub const fn until(&self) -> i64 {
        self.until
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for LinkId {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (random, until) = text.split_once('-').ok_or(Refusal::Form)?;
        let is_hex =
            random.len() == ID_BYTES * 2 && random.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        // 13 digits reach beyond the year 2280, and an f64 of Redis holds them exactly.
        let is_number = (1..=13).contains(&until.len()) && until.bytes().all(|b| b.is_ascii_digit());
        if !is_hex || !is_number || until.starts_with('0') {
            return Err(Refusal::Form);
        }
        let until = until.parse().map_err(|_| Refusal::Form)?;
        Ok(Self { text: text.to_owned(), until })
    }
}

/// A link as the end user has it. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkText(String);

impl LinkText {
    /// Reads a link.
    ///
    /// # Errors
    /// When the text has another form.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let link = Self(text.to_owned());
        (text.len() <= LONGEST && link.parts().is_some()).then_some(link).ok_or(Refusal::Form)
    }

    /// The whole text, for the end user.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The id, before the signature is verified.
    pub(super) fn id(&self) -> Option<LinkId> {
        let (payload, _) = self.parts()?;
        serde_json::from_slice::<Written>(&payload).ok()?.i.parse().ok()
    }

    /// The payload, if this key has signed it.
    pub(super) fn verify(&self, key: &str) -> Result<Payload, Refusal> {
        let (payload, signature) = self.parts().ok_or(Refusal::Form)?;
        hmac::verify(&signing(key), &signed(&payload), &signature).map_err(|_| Refusal::Unknown)?;
        let written: Written = serde_json::from_slice(&payload).map_err(|_| Refusal::Form)?;
        Payload::of(written)
    }

    fn parts(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let (payload, signature) = self.0.strip_prefix(PREFIX)?.split_once('.')?;
        let decode = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        Some((decode(payload)?, decode(signature)?))
    }
}

impl fmt::Debug for LinkText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}…")
    }
}

/// What a link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) id: LinkId,
    pub(super) scope: Scope,
}

/// The same as JSON: id, job or subject, tenants, queues, sources.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    i: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    j: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<Only>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    q: Option<Only>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    o: Option<Only>,
}

impl Payload {
    pub(super) fn sign(self, key: &str) -> LinkText {
        let Scope { tenants, queues, sources, target } = self.scope;
        let narrow = |only: Only| Some(only).filter(|only| !only.is_all());
        let (job, subject) = match target {
            Some(Target::Job(id)) => (Some(id), None),
            Some(Target::Subject(subject)) => (None, Some(subject)),
            None => (None, None),
        };
        let written = Written {
            i: self.id.text,
            j: job,
            s: subject,
            t: narrow(tenants),
            q: narrow(queues),
            o: narrow(sources),
        };
        // Strings and lists always serialise.
        let payload = serde_json::to_vec(&written).unwrap_or_default();
        let signature = hmac::sign(&signing(key), &signed(&payload));
        let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        LinkText(format!("{PREFIX}{}.{}", encode(&payload), encode(signature.as_ref())))
    }

    fn of(written: Written) -> Result<Self, Refusal> {
        let Written { i, j, s, t, q, o } = written;
        let target = match (j, s) {
            (Some(id), None) => Target::Job(id),
            (None, Some(subject)) => Target::Subject(subject),
            _ => return Err(Refusal::Form),
        };
        let all = |only: Option<Only>| only.unwrap_or(Only::All);
        let scope = Scope { tenants: all(t), queues: all(q), sources: all(o), target: Some(target) };
        Ok(Self { id: i.parse()?, scope })
    }
}

fn signing(key: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())
}

fn signed(payload: &[u8]) -> Vec<u8> {
    [DOMAIN, payload].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn payloads()(
            until in 1_i64..10_000_000_000_000,
            target in prop_oneof!["\\PC{0,20}".prop_map(Target::Job), "\\PC{0,20}".prop_map(Target::Subject)],
            tenants in prop::option::of(prop::collection::vec("\\PC{1,8}", 0..3)),
            sources in prop::option::of(prop::collection::vec("\\PC{1,8}", 0..3)),
        ) -> Payload {
            let only = |names: Option<Vec<String>>| names.map_or(Only::All, Only::of);
            let scope = Scope {
                tenants: only(tenants), sources: only(sources), target: Some(target), ..Scope::everything()
            };
            Payload { id: LinkId::new(until), scope }
        }
    }

    proptest! {
        #[test]
        fn a_link_is_read_as_it_was_signed_and_only_with_its_key(payload in payloads()) {
            let text = payload.clone().sign("key");
            prop_assert_eq!(text.id(), Some(payload.id.clone()));
            prop_assert_eq!(LinkText::parse(text.expose()).unwrap().verify("key").unwrap(), payload);
            prop_assert_eq!(text.verify("other").unwrap_err(), Refusal::Unknown);
        }

        #[test]
        fn a_changed_link_is_refused(payload in payloads(), at in any::<prop::sample::Index>(), to in any::<char>()) {
            let text = payload.sign("key").0;
            let mut chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len());
            prop_assume!(chars[at] != to);
            chars[at] = to;
            let changed: String = chars.into_iter().collect();
            let read = LinkText::parse(&changed).and_then(|link| link.verify("key"));
            prop_assert!(read.is_err(), "{} was taken for {}", changed, text);
        }

        #[test]
        fn other_texts_are_no_ids(text in "\\PC{0,40}|[0-9a-f]{14,18}-[0-9]{0,15}") {
            if let Ok(id) = text.parse::<LinkId>() {
                prop_assert_eq!(id.as_str(), &text);
                prop_assert_eq!(format!("{}-{}", &text[..16], id.until()), text);
            }
        }
    }
}
