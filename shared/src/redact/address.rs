//! Shortens mail addresses: `ada@lindqvist.example` becomes `a…@lindqvist.example`.
//!
//! The domain stays, because an operator needs it: one mail server refuses, and another does not.
//! Whatever looks like an address is shortened, a login in a URL included: hiding too much is
//! harmless. The Message-ID of a mail that Upshot sends is no address of a person, and an operator
//! needs it for a signal: it begins with the id of a job, and stays.

use std::borrow::Cow;

use upshot_queue::JobId;

use super::MASK;
use crate::email::is_of_atom;

/// The two ways to write an `@`: plain, and percent-encoded in a URL.
const SIGNS: [&str; 2] = ["@", "%40"];

/// The text with shortened mail addresses. Of the part before the `@` stay its first letter or
/// digit, and the punctuation before that. A text without addresses stays as it is.
///
/// One pass over the text: the time is in proportion to its length.
pub fn shorten(text: &str) -> Cow<'_, str> {
    let mut locals: Vec<(usize, usize)> = Vec::new();
    let mut seen = Seen::default();
    let mut resume = 0;
    for (at, char) in text.char_indices() {
        if at < resume {
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) else {
            seen.pass(at, char);
            continue;
        };
        resume = at + sign.len();
        let (from, to) = seen.local(at);
        let local = text.get(from..to).unwrap_or_default();
        let domain = text.get(resume..).unwrap_or_default();
        if !local.is_empty() && is_domain(domain) && !is_of_mail(local) {
            // A quoted local part may hold what looks like an address.
            while locals.last().is_some_and(|(inner, _)| *inner >= from) {
                locals.pop();
            }
            locals.push((from, to));
        }
        seen.run = resume;
        seen.escaped = false;
    }
    if locals.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut short = String::with_capacity(text.len());
    let mut copied = 0;
    for (from, to) in locals {
        short.push_str(text.get(copied..from).unwrap_or_default());
        push_marked(&mut short, text.get(from..to).unwrap_or_default());
        copied = to;
    }
    short.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(short)
}

/// What stands before the current place of a text.
#[derive(Default)]
struct Seen {
    /// Where the present run of characters begins that a local part may have.
    run: usize,
    /// The last quotation mark, and where the run before it began.
    closing: Option<(usize, usize)>,
    /// The quotation mark before that.
    opening: Option<usize>,
    /// Whether a backslash stands before the current place.
    escaped: bool,
}

impl Seen {
    fn pass(&mut self, at: usize, char: char) {
        if char == '"' && !self.escaped {
            self.opening = self.closing.map(|(closing, _)| closing);
            self.closing = Some((at, self.run));
        }
        self.escaped = char == '\\' && !self.escaped;
        if !is_of_atom(char) && char != '.' {
            self.run = at + char.len_utf8();
        }
    }

    /// The local part that ends before an `@`, without its quotation marks.
    fn local(&self, at: usize) -> (usize, usize) {
        match (self.closing, self.opening) {
            (Some((closing, run)), opening) if closing + 1 == at => {
                (opening.map_or(run, |opening| opening + 1), closing)
            }
            _ => (self.run, at),
        }
    }
}

/// Whether a domain begins here: a name, or an address in brackets. A number alone is a version, as
/// in `invoice.issue@2`.
fn is_domain(rest: &str) -> bool {
    let rest = rest.strip_prefix('[').unwrap_or(rest);
    if !rest.starts_with(char::is_alphanumeric) {
        return false;
    }
    let mut behind = rest.trim_start_matches(|char: char| char.is_ascii_digit()).chars();
    match behind.next() {
        Some('.' | '-' | '_' | ':') => behind.next().is_some_and(char::is_alphanumeric),
        Some(char) => char.is_alphanumeric(),
        None => false,
    }
}

/// Whether a local part is that of a Message-ID of Upshot.
fn is_of_mail(local: &str) -> bool {
    local.split('.').next().is_some_and(|first| first.parse::<JobId>().is_ok())
}

/// Adds what stays of a local part.
fn push_marked(short: &mut String, local: &str) {
    let is_letter = |char: char| {
        char.is_alphanumeric() || !char.is_ascii() && !char.is_whitespace() && !MASK.contains(char)
    };
    if let Some((at, char)) = local.char_indices().find(|(_, char)| is_letter(*char)) {
        short.push_str(local.get(..at + char.len_utf8()).unwrap_or_default());
    }
    short.push_str(MASK);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_an_address_stay_its_first_letter_and_its_domain() {
        for (text, short) in [
            ("ada@lindqvist.example", "a…@lindqvist.example"),
            ("to <ada.l+x@bücher.example>, b@x", "to <a…@bücher.example>, b…@x"),
            ("550 no such mailbox: ada@x.example.", "550 no such mailbox: a…@x.example."),
            ("'ada@x.example' `ada@x`", "'a…@x.example' `a…@x`"),
            ("\"ada lovelace\"@x.example", "\"a…\"@x.example"),
            ("\"a\\\"b c\"@x.example", "\"a…\"@x.example"),
            ("\"ada@home x\"@x.example", "\"a…\"@x.example"),
            ("{\\\"to\\\":\\\"ada@x.example\\\"}", "{\\\"to\\\":\\\"a…@x.example\\\"}"),
            ("https://x/?to=ada%40x.example&b=1", "https://x…%40x.example&b=1"),
            ("ada@[192.0.2.1] ada@[IPv6:::1] ada@192.0.2.1", "a…@[192.0.2.1] a…@[IPv6:::1] a…@192.0.2.1"),
            ("käthe@例え.テスト", "k…@例え.テスト"),
            ("a@b@c.example", "a…@b…@c.example"),
            ("--@x.example", "…@x.example"),
            ("amqp://me:pw@host", "amqp://me:p…@host"),
            ("é\u{301}a@x", "é…@x"),
            ("ada@3com.example", "a…@3com.example"),
        ] {
            assert_eq!(shorten(text), short, "{text}");
        }
    }

    #[test]
    fn a_text_without_addresses_stays() {
        for text in [
            "",
            "kind invoice.issue@2",
            "a @ b",
            "@ada",
            "ada@",
            "ada@ x",
            "100% @home",
            "\"x\" @",
            "x@-y",
            "delivered mrtu2hq6wcbcvkoxmzkhxbs7da.2.invoice@upshot.example",
            "<mrtu2hq6wcbcvkoxmzkhxbs7da.invoice@upshot.example>",
        ] {
            assert!(
                matches!(shorten(text), Cow::Borrowed(same) if same == text),
                "{text}: {}",
                shorten(text)
            );
        }
    }

    /// A local part: of atoms, or quoted.
    fn local() -> impl Strategy<Value = (String, String)> {
        let atoms = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~éü例-]{1,20}(\\.[a-z0-9é]{1,20}){0,2}";
        let quoted = "[a-z @.,<>()é]{1,20}".prop_map(|text| (text.clone(), format!("\"{text}\"")));
        let whole = |(local, _): &(String, String)| !is_of_mail(local) && !local.contains("%40");
        prop_oneof![3 => atoms.prop_map(|text| (text.clone(), text)), 1 => quoted]
            .prop_filter("a Message-ID or an encoded sign", whole)
    }

    proptest! {
        #[test]
        fn nothing_of_a_local_part_stays_beyond_its_first_letter(
            (bare, local) in local(),
            before in "([a-z]{0,5}[ <(:,]{1,2})?",
            domain in "[a-zéü][a-zé0-9.-]{0,10}",
            after in "([ >).,]{1,2}[a-z]{0,5})?",
        ) {
            let text = format!("{before}{local}@{domain}{after}");
            let short = shorten(&text);
            let stays = short.strip_prefix(&*before).and_then(|rest| rest.strip_suffix(&format!("@{domain}{after}")));
            let Some(stays) = stays else { panic!("{text}: {short}") };
            let letters = stays.chars().filter(|char| char.is_alphanumeric()).count();
            prop_assert!(letters <= 1, "{text}: {short}");
            let first = bare.chars().find(|char| char.is_alphanumeric());
            prop_assert_eq!(stays.chars().find(|char| char.is_alphanumeric()), first);
            prop_assert!(stays.contains(MASK));
        }

        #[test]
        fn shortening_again_changes_nothing(text in "([a-c\".@ \\\\é…%40<>-]|%40|\"@){0,24}") {
            let short = shorten(&text).into_owned();
            prop_assert_eq!(shorten(&short), short.as_str(), "{}", text);
        }

        #[test]
        fn any_text_can_be_shortened_and_keeps_its_signs(text in any::<String>()) {
            let short = shorten(&text).into_owned();
            prop_assert_eq!(shorten(&short), short.as_str());
            if !text.contains(['@', '%']) {
                prop_assert_eq!(short, text);
            }
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// A test that took quadratic time would not end.
        #[test]
        fn hostile_texts_take_linear_time(part in "([a\"@.\\\\1]|%40|%4){1,6}") {
            let text = part.repeat(200_000);
            prop_assert!(shorten(&text).len() <= 3 * text.len());
        }
    }
}
