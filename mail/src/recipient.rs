//! The recipient of a mail.

use lettre::{Address, message::Mailbox};
use upshot_queue::Failure;
use upshot_shared::email::EmailAddress;

/// A name and an address that every mail server can take.
#[derive(Clone)]
pub struct Recipient(Mailbox);

/// A recipient is a person, so a log line hides the name.
impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recipient").finish_non_exhaustive()
    }
}

impl Recipient {
    /// Reads an address; its domain is converted to ASCII.
    ///
    /// # Errors
    /// A permanent failure: the text is not an address, or few servers take it.
    pub fn new(name: &str, address: &str) -> Result<Self, Failure> {
        let refused = |why: &dyn std::fmt::Display| {
            // Without the address, which is personal and stands in the job's arguments.
            Failure::permanent(format!("the recipient's address cannot be mailed to: {why}"))
        };
        let parsed = EmailAddress::parse(address).map_err(|why| refused(&why))?;
        if !parsed.is_ascii() {
            return Err(refused(
                &"it has letters beyond ASCII before the `@`, which few mail servers take (SMTPUTF8); use another",
            ));
        }
        let address = Address::new(parsed.local(), parsed.domain()).map_err(|why| refused(&why))?;
        Ok(Self(Mailbox::new(Some(name.to_owned()), address)))
    }

    /// The same name and address, with the domain in ASCII if it has that form.
    pub(super) fn in_ascii(mut mailbox: Mailbox) -> Mailbox {
        if let Ok(parsed) = EmailAddress::parse(mailbox.email.as_ref())
            && let Ok(address) = Address::new(parsed.local(), parsed.domain())
        {
            mailbox.email = address;
        }
        mailbox
    }

    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mailed_to(address: &str) -> Result<String, String> {
        match Recipient::new("Ada", address) {
            Ok(recipient) => Ok(recipient.mailbox().email.to_string()),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn a_domain_with_letters_beyond_ascii_is_converted() {
        assert_eq!(mailed_to("ada@bücher.example").unwrap(), "ada@xn--bcher-kva.example");
        assert_eq!(mailed_to("Ada@mail.example").unwrap(), "Ada@mail.example");
    }

    #[test]
    fn a_sender_is_written_in_ascii_too() {
        let from: Mailbox = "Käthe <billing@bücher.example>".parse().unwrap();
        let from = Recipient::in_ascii(from);
        assert_eq!(from.email.to_string(), "billing@xn--bcher-kva.example");
        assert_eq!(from.name.as_deref(), Some("Käthe"));
    }

    #[test]
    fn what_cannot_be_mailed_to_is_named() {
        for (address, word) in [
            ("john..doe@mail.example", "before the `@`"),
            ("ada@.x", "behind the `@`"),
            ("käthe@mail.example", "SMTPUTF8"),
        ] {
            let said = mailed_to(address).unwrap_err();
            assert!(said.contains(word) && !said.contains(address), "{said}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// The contract's format and the mail library accept the same addresses.
        #[test]
        fn an_ascii_address_is_one_for_the_mail_library(
            local in prop_oneof!["[!-~]{1,70}", "[a-z.]{1,8}", ".{1,10}"],
            domain in prop_oneof!["[a-z0-9.-]{1,40}", "[a-zü例ß0-9.\u{3002}_-]{1,70}", ".{1,12}", "(xn--)?[a-z0-9-]{1,12}\\.[a-z]{2}"],
        ) {
            let text = format!("{local}@{domain}");
            if let Ok(parsed) = EmailAddress::parse(&text) {
                if parsed.is_ascii() {
                    let mailed = mailed_to(&text).map_err(TestCaseError::fail)?;
                    prop_assert!(mailed.is_ascii());
                    prop_assert_eq!(mailed, parsed.to_string());
                }
                // An address in ASCII form is its own form.
                prop_assert_eq!(EmailAddress::parse(&parsed.to_string()), Ok(parsed));
            }
        }
    }
}
