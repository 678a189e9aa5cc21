//! Writes an error and its causes in one line, each once.

use std::error::Error;

/// An error and its causes, joined by colons. Some errors repeat their cause in their own text:
/// such a cause is left out.
pub fn once(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !text.is_empty() && !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failed {
        #[error("`a` cannot be read: {source}")]
        Repeats { source: io::Error },
        #[error("`a` cannot be read")]
        Leaves { source: io::Error },
    }

    #[test]
    fn a_cause_is_said_once() {
        let source = || io::Error::other("no such file");
        for error in [Failed::Repeats { source: source() }, Failed::Leaves { source: source() }] {
            assert_eq!(once(&error), "`a` cannot be read: no such file");
        }
    }
}
