//! Errors of settings, without the secrets in them.

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("settings file `{path}` cannot be read: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or holds an unknown key or an impossible value.
    #[error(
        "settings file `{path}`, line {line}, column {column}: {why}; see `upshot settings` for all keys and their defaults"
    )]
    File {
        /// Which.
        path: String,
        /// Where, counted from 1. The line itself may hold a password.
        line: usize,
        /// Where in the line, in characters from 1.
        column: usize,
        /// What is wrong.
        why: String,
    },
    /// A variable names no key, or has an impossible value.
    #[error("environment variable {name}={value}: {why}; see `upshot settings` for all keys")]
    Variable {
        /// Which.
        name: String,
        /// Its value, unless it may be secret.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// The defaults that the program brings cannot be used together with these settings.
    #[error("the program's own default settings do not fit: {why}")]
    Defaults {
        /// What is wrong.
        why: String,
    },
    /// Keys that contradict each other, or a value out of range.
    #[error("`{key}` is {value}: {remedy}")]
    Impossible {
        /// Which.
        key: String,
        /// Its value.
        value: String,
        /// What to do.
        remedy: String,
    },
}

impl Error {
    /// What is wrong with the text of a file.
    pub(super) fn in_file(path: &str, text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        Self::File {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.chars().rev().take_while(|char| *char != '\n').count() + 1,
            why: without_value(error.message()),
        }
    }
}

/// serde's message without the value. If a URL stands instead of a section, the value holds a
/// password.
pub(super) fn without_value(message: &str) -> String {
    for problem in ["invalid type: ", "invalid value: "] {
        let parts = message.strip_prefix(problem).and_then(|rest| rest.rsplit_once(", expected "));
        if let Some((found, expected)) = parts {
            let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
            return format!("{problem}{kind}, expected {expected}");
        }
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_s_messages_lose_the_value_and_keep_the_rest() {
        for (message, expected) in [
            (
                "invalid type: string \"a, expected b\", expected usize",
                "invalid type: string, expected usize",
            ),
            ("invalid value: integer `-1`, expected u16", "invalid value: integer, expected u16"),
            ("invalid type: map, expected a string", "invalid type: map, expected a string"),
            ("unknown field `prefech`, expected `prefetch`", "unknown field `prefech`, expected `prefetch`"),
        ] {
            assert_eq!(without_value(message), expected);
        }
    }
}
