//! Mail addresses. Mail can be sent to every address that a contract's `format` accepts.
//!
//! The grammar is the `Mailbox` of RFC 5321, section 4.1.2, with the letters of
//! RFC 6531, without the two forms that mail systems hardly ever take: quoted
//! local parts (`"ada l"@x.example`) and address literals (`ada@[192.0.2.1]`).
//! The domain is converted to ASCII as UTS 46 says, because DNS and most mail
//! servers know it only in that form. A local part has no ASCII form: a mail
//! server either takes it as it is (SMTPUTF8) or does not.

use std::fmt;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// RFC 5321, section 4.5.3.1: octets of a local part.
const MAX_LOCAL: usize = 64;
/// The same of a whole address: a path has 256 with its angle brackets.
const MAX_ADDRESS: usize = 254;
/// No text of more bytes has an address of [`MAX_ADDRESS`] as its ASCII form.
const MAX_TEXT: usize = 4 * MAX_ADDRESS;

/// A mail address whose domain has its ASCII form.
///
/// `Display` writes the address for a mail server. `Debug` hides it, because an address is
/// personal.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress {
    local: String,
    domain: String,
}

/// A text that is not a mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// There is no `@`.
    #[error("it has no `@`")]
    NoAt,
    /// The part before the `@` cannot be one.
    #[error(
        "the part before the `@` must be 1 to 64 bytes of letters, digits and !#$%&'*+-/=?^_`{{|}}~, \
         with single dots between them only"
    )]
    Local,
    /// The part behind the `@` cannot be one.
    #[error("the part behind the `@` must be the name of a host, like mail.example or bücher.example")]
    Domain,
    /// It is too long.
    #[error("it has more than {MAX_ADDRESS} bytes")]
    TooLong,
}

impl EmailAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it; the error does not repeat the address.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        if text.len() > MAX_TEXT {
            return Err(EmailError::TooLong);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError::NoAt)?;
        let atoms = local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_of_atom));
        if !atoms || local.len() > MAX_LOCAL {
            return Err(EmailError::Local);
        }
        let domain = Uts46::new()
            .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
            .map_err(|_| EmailError::Domain)?;
        // An IP address without its brackets: no top-level domain is a number (RFC 3696, section 2).
        let top = domain.rsplit('.').next().unwrap_or_default();
        if top.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(EmailError::Domain);
        }
        if local.len() + 1 + domain.len() > MAX_ADDRESS {
            return Err(EmailError::TooLong);
        }
        Ok(Self { local: local.to_owned(), domain: domain.into_owned() })
    }

    /// The part before the `@`.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The part behind the `@`, in ASCII.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Whether every mail server can take it. The domain is always ASCII.
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii()
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailAddress").finish_non_exhaustive()
    }
}

/// The `atext` of RFC 5322, section 3.2.3, and of RFC 6532, section 3.2.
pub(crate) fn is_of_atom(char: char) -> bool {
    if char.is_ascii() {
        return char.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(char);
    }
    !char.is_control() && !char.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        EmailAddress::parse(text).unwrap_or_else(|why| panic!("{text}: {why}")).to_string()
    }

    #[test]
    fn a_domain_is_converted_to_ascii() {
        for (text, ascii) in [
            ("ada@bücher.example", "ada@xn--bcher-kva.example"),
            ("ada@BÜCHER.Example", "ada@xn--bcher-kva.example"),
            ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
            ("ada@例え.テスト", "ada@xn--r8jz45g.xn--zckzah"),
            ("O'Hara+tag@mail.example", "O'Hara+tag@mail.example"),
            ("a@3com.example", "a@3com.example"),
            ("a@localhost", "a@localhost"),
        ] {
            assert_eq!(written(text), ascii);
            assert!(EmailAddress::parse(text).unwrap().is_ascii());
        }
        let unicode = EmailAddress::parse("käthe@bücher.example").unwrap();
        assert!(!unicode.is_ascii());
        assert_eq!(unicode.to_string(), "käthe@xn--bcher-kva.example");
        assert!(!format!("{unicode:?}").contains("käthe"));
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        let long_local = format!("{}@mail.example", "a".repeat(65));
        let long_label = format!("ada@{}.example", "a".repeat(64));
        let long = format!("ada@{}example", "a.".repeat(130));
        let longest = format!("ada@{}", "ü".repeat(600));
        for (text, why) in [
            ("ada", EmailError::NoAt),
            ("", EmailError::NoAt),
            ("@mail.example", EmailError::Local),
            ("john.doe.@mail.example", EmailError::Local),
            ("john..doe@mail.example", EmailError::Local),
            (".john@mail.example", EmailError::Local),
            ("\"ada l\"@mail.example", EmailError::Local),
            ("ada l@mail.example", EmailError::Local),
            ("ada\u{a0}l@mail.example", EmailError::Local),
            ("a@b@mail.example", EmailError::Local),
            ("a,b@mail.example", EmailError::Local),
            ("ada\r\n@mail.example", EmailError::Local),
            (&long_local, EmailError::Local),
            ("ada@", EmailError::Domain),
            ("ada@.x", EmailError::Domain),
            ("ada@b..x", EmailError::Domain),
            ("ada@x.", EmailError::Domain),
            ("ada@-x.example", EmailError::Domain),
            ("ada@x-.example", EmailError::Domain),
            ("ada@x_y.example", EmailError::Domain),
            ("ada@x y.example", EmailError::Domain),
            ("ada@[192.0.2.1]", EmailError::Domain),
            ("ada@192.0.2.1", EmailError::Domain),
            ("ada@xn--0.example", EmailError::Domain),
            ("ada@mail.example\r\nBcc: b@mail.example", EmailError::Local),
            (&long_label, EmailError::Domain),
            (&long, EmailError::Domain),
            (&longest, EmailError::TooLong),
        ] {
            assert_eq!(EmailAddress::parse(text), Err(why), "{text}");
        }
    }
}
