//! Settings that no screen shows: passwords, and URLs that may hold a login.
//!
//! A [`Secret`] and a [`SecretUrl`] mask themselves in `Debug`, `Display` and `Serialize`. So a log
//! line and `upshot settings --effective` need no special care. Only `expose` returns the value.
//!
//! Both may come from a [`file`]: `url = { file = "/run/secrets/redis-url" }`, or a variable whose
//! name ends in `_FILE`. `current` reads the file again, for each new connection.

pub mod file;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The text shown instead of a secret.
pub use upshot_shared::redact::MASK;

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Held);

/// A URL that is shown without its login.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretUrl(Held);

/// A value, and the file that it was read from.
#[derive(Clone, Default, PartialEq, Eq)]
struct Held {
    text: String,
    file: Option<PathBuf>,
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl SecretUrl {
    /// Whether the URL has a login.
    pub fn has_login(&self) -> bool {
        let rest = self.expose().split_once("://").map_or(self.expose(), |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
    }

    /// Whether no value is set.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(self.expose()))
    }
}

/// Both types mask themselves, and are read from a text only.
macro_rules! masking {
    ($name:ident, $expected:literal) => {
        impl $name {
            /// The value itself, for the server that asks for it. Of a file, the content when the
            /// settings were loaded.
            pub fn expose(&self) -> &str {
                &self.0.text
            }

            /// The content of a file. [`Self::current`] reads the file again.
            ///
            /// # Errors
            /// Why the file cannot be used.
            pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, file::FileError> {
                let path = path.into();
                Ok(Self(Held { text: file::read(&path)?, file: Some(path) }))
            }

            /// The file that the value was read from, if any.
            pub fn file(&self) -> Option<&Path> {
                self.0.file.as_deref()
            }

            /// The value for the next connection. Reads the file again, if there is one.
            ///
            /// # Errors
            /// Why the file cannot be used at the moment.
            pub fn current(&self) -> Result<Self, file::FileError> {
                self.file().map_or_else(|| Ok(self.clone()), Self::from_file)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Text($expected)).map(Self)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Held { text, file: None })
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                text.to_owned().into()
            }
        }
    };
}
masking!(Secret, "a secret in quotes");
masking!(SecretUrl, "a URL in quotes");

/// Reads a text, or a table that names a file. Its errors name no value. serde's own errors would,
/// for example for a password of digits without quotes.
struct Text(&'static str);

impl<'de> de::Visitor<'de> for Text {
    type Value = Held;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or {{ file = \"/path\" }}", self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Held, E> {
        Ok(Held { text: text.to_owned(), file: None })
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Held, E> {
        Err(self.wrong("a boolean"))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Held, E> {
        Err(self.wrong("a number"))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Held, E> {
        Err(self.wrong("a number"))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Held, E> {
        Err(self.wrong("a number"))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, _: A) -> Result<Held, A::Error> {
        Err(self.wrong("a list"))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Held, A::Error> {
        if map.next_key::<String>()?.as_deref() != Some("file") {
            return Err(self.wrong("a table or a date"));
        }
        let path: String =
            map.next_value().map_err(|_| self.wrong("a table without a path as its `file`"))?;
        if map.next_key::<String>()?.is_some() {
            return Err(self.wrong("a table with more than its `file`"));
        }
        let path = PathBuf::from(path);
        let text = file::read(&path).map_err(|error| match path.to_str().is_some_and(file::is_path) {
            true => de::Error::custom(error),
            false => self.wrong("a table whose `file` is not the path of a file, from its `/`"),
        })?;
        Ok(Held { text, file: Some(path) })
    }
}

impl Text {
    fn wrong<E: de::Error>(&self, found: &str) -> E {
        E::custom(format!("{found}, where {} or {{ file = \"/path\" }} is expected", self.0))
    }
}

/// The part of a URL that may be shown: nothing before its last `@`, and no values after a `?`.
/// Without an `@` and without a clear host, only the scheme, because the rest of a mistyped URL may
/// be a password.
pub fn masked(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    // A login may hold a `?`, a host holds no `@`.
    let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
    let (place, query) = place.split_once('?').map_or((place, ""), |(place, _)| (place, "?…"));
    let shown = match login {
        Some(_) => format!("{MASK}@{place}{query}"),
        None if is_place(scheme, place) => format!("{place}{query}"),
        None => MASK.to_owned(),
    };
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    match scheme {
        "" => shown,
        scheme if scheme.chars().all(is_scheme) => format!("{scheme}://{shown}"),
        _ => format!("{MASK}://{shown}"),
    }
}

/// Whether hosts, each with a port of digits or none, stand before the path.
fn is_place(scheme: &str, rest: &str) -> bool {
    let hosts = rest.split('/').next().unwrap_or_default();
    let is_host = |host: &str| {
        let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, port)) => (name, port.strip_prefix(':').unwrap_or(port)),
            None => host.split_once(':').unwrap_or((host, "")),
        };
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c))
            && port.bytes().all(|byte| byte.is_ascii_digit())
            // A single word may be a password in the wrong place.
            && !(scheme.is_empty() && port.is_empty())
    };
    // `file:///path` and an empty setting have no host.
    rest.is_empty() || (scheme == "file" && hosts.is_empty()) || hosts.split(',').all(is_host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::value::{Error, StringDeserializer};

    use super::*;

    #[test]
    fn a_url_is_shown_without_its_login() {
        for (url, shown) in [
            ("", ""),
            ("amqp://me:pw@h:5672/v", "amqp://…@h:5672/v"),
            ("amqp://me:p/w@x@h:5672/v", "amqp://…@h:5672/v"),
            ("redis://h:6379", "redis://h:6379"),
            ("redis+cluster://a:1,b:2", "redis+cluster://a:1,b:2"),
            ("redis://[::1]:7/0", "redis://[::1]:7/0"),
            ("mq.example:5672", "mq.example:5672"),
            ("file:///var/lib/upshot", "file:///var/lib/upshot"),
            ("s3://bucket/prefix", "s3://bucket/prefix"),
            ("amqp://h/v?password=pw", "amqp://h/v?…"),
            ("redis://:1?2@h", "redis://…@h"),
            // The host, the `@` or the scheme is missing.
            ("redis://:pw", "redis://…"),
            ("amqp://me:pw", "amqp://…"),
            ("me:pw", "…"),
            ("pw", "…"),
            ("p:w://h", "…://h"),
            ("pässwörd", "…"),
        ] {
            assert_eq!(masked(url), shown, "{url}");
        }
    }

    proptest! {
        #[test]
        fn a_login_is_never_shown(user in "[^@]*", password in "\\PC*", port in 0_u16.., scheme in "[a-z]{1,9}") {
            let marker = format!("x{password}-m4rker");
            let url = SecretUrl::from(format!("{scheme}://{user}:{marker}@host:{port}/v"));
            let shown = format!("{url} {url:?}");
            prop_assert!(!shown.contains("m4rker"), "{}", shown);
            let secret = Secret::from(marker.as_str());
            let read = Secret::deserialize(StringDeserializer::<Error>::new(marker)).unwrap();
            prop_assert_eq!(&read, &secret);
            prop_assert_eq!(format!("{secret} {secret:?}"), "… …");
            prop_assert_eq!(serde_json::to_string(&secret).unwrap(), "\"…\"");
        }
    }

    #[test]
    fn a_table_names_a_file_that_is_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "redis://:one@h").unwrap();
        let table = format!("a = {{ file = \"{}\" }}", file.path().display());
        let read: std::collections::BTreeMap<String, SecretUrl> = toml::from_str(&table).unwrap();
        let url = &read["a"];
        assert_eq!((url.expose(), url.file()), ("redis://:one@h", Some(file.path())));
        assert_eq!(url.to_string(), "redis://…@h");
        std::fs::write(file.path(), "redis://:two@h").unwrap();
        assert_eq!((url.expose(), url.current().unwrap().expose()), ("redis://:one@h", "redis://:two@h"));
        std::fs::write(file.path(), "").unwrap();
        assert!(url.current().unwrap_err().to_string().contains("is empty"));
    }

    #[test]
    fn a_secret_of_another_type_is_not_repeated() {
        for value in [
            "81726354",
            "8172.6354",
            "[\"81726354\"]",
            "{ a = \"81726354\" }",
            "{ file = 81726354 }",
            "{ file = \"81726354\" }",
            "true",
            "1979-05-27",
        ] {
            let error = toml::from_str::<std::collections::BTreeMap<String, Secret>>(&format!("a = {value}"));
            let said = error.unwrap_err().message().to_owned();
            assert!(said.contains("a secret in quotes") && !said.contains("81726354"), "{said}");
        }
    }
}
