//! Normalises messages, so that messages with the same cause become equal.
//!
//! Dead jobs are grouped by class, kind and normalised message. [`VARIES`] replaces every part that
//! differs from failure to failure: numbers with their units, ids, dates, addresses, quoted values.
//! So a thousand jobs that died of one cause are one group. All values share one placeholder,
//! because a hexadecimal id may look like a number. Neighbouring placeholders are joined, because a
//! date may be one word or six. A number never tells two causes apart, not even a status: a message
//! is written for people, and 404 may be a row number.
//!
//! The rules are part of the fingerprint: a change splits existing groups.

use std::net::Ipv6Addr;

/// The part of a message that tells causes apart, in characters.
const MOST: usize = 200;
/// How much more is read, because a later character may change the earlier result.
const AHEAD: usize = 64;
/// The placeholder for a value.
const VARIES: &str = "<*>";
/// Characters that may separate two parts of one value, and their largest number.
const JOINTS: &str = " \t,.:;/-_+'()[]";
const JOINTS_AT_MOST: usize = 3;
/// Words of dates, which belong to the neighbouring numbers.
const OF_DATES: [&str; 44] = [
    "Mon",
    "Tue",
    "Wed",
    "Thu",
    "Fri",
    "Sat",
    "Sun",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
    "January",
    "February",
    "March",
    "April",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
    "AM",
    "PM",
    "am",
    "pm",
    "UTC",
    "GMT",
    "Z",
];
/// Words that are numbers.
const NUMBERS: [&str; 5] = ["NaN", "nan", "inf", "Infinity", "infinity"];
/// The longest unit after a number, in letters.
const UNIT: usize = 3;
/// Hexadecimal words of this length are ids, with or without a digit.
const HEX: usize = 8;
/// Words of this length are ids if they have a digit.
const ID: usize = 16;
/// Words of this length are ids in any case.
const NO_WORD: usize = 24;

/// The message without the parts that differ from failure to failure.
pub fn normalise(message: &str) -> String {
    let mut form = Form::default();
    let mut rest = message.trim_start();
    while let Some(c) = rest.chars().next() {
        // The first line; a quoted value may have more.
        if c == '\n' || form.text.len() >= MOST + AHEAD {
            break;
        }
        let taken = if let Some(n) = quoted(rest, form.last) {
            form.value();
            n + domain(rest.get(n..).unwrap_or_default())
        } else if let Some(n) = ipv6(rest).filter(|_| !form.is_in_word()) {
            form.value();
            n
        } else if let Some(n) = address(rest).or_else(|| uuid(rest)).filter(|_| !form.is_in_word()) {
            form.value();
            n
        } else if c.is_alphanumeric() {
            form.word(rest)
        } else {
            form.char(c);
            c.len_utf8()
        };
        let (read, behind) = rest.split_at(taken.max(c.len_utf8()).min(rest.len()));
        form.last = read.chars().next_back();
        rest = behind;
    }
    form.text.trim_end().chars().take(MOST).collect()
}

/// The normalised message under construction.
#[derive(Default)]
struct Form {
    text: String,
    /// Where the last placeholder ends.
    value_ends: Option<usize>,
    /// The last character that was read.
    last: Option<char>,
}

impl Form {
    fn is_in_word(&self) -> bool {
        self.last.is_some_and(char::is_alphanumeric)
    }

    fn char(&mut self, c: char) {
        let before = self.text.len().checked_sub(VARIES.len() + 1);
        if c == ']'
            && self.value_ends == Some(self.text.len())
            && let Some(open) =
                before.filter(|open| self.text.get(*open..).is_some_and(|end| end.starts_with('[')))
        {
            // An address with colons has brackets; one with points has none.
            self.text.remove(open);
            self.value_ends = Some(self.text.len());
        } else if !c.is_whitespace() {
            self.text.push(c);
        } else if !self.text.ends_with(' ') {
            self.text.push(' ');
        }
    }

    fn take_back(&mut self, c: char) {
        if self.text.ends_with(c) && self.value_ends.is_none_or(|end| end < self.text.len()) {
            self.text.pop();
        }
    }

    /// Writes a placeholder, or adds the value to the previous one.
    fn value(&mut self) {
        if self.value_ends == Some(self.text.len()) {
            return;
        }
        // A sign, and words of the date that begins here.
        if let Some(sign) = self.text.chars().next_back().filter(|c| matches!(c, '+' | '-')) {
            let before = self.text.chars().rev().nth(1);
            if before.is_none_or(|c| !c.is_alphanumeric()) {
                self.take_back(sign);
            }
        }
        while let Some(start) = self.date_word() {
            self.text.truncate(start);
        }
        if let Some(end) = self.value_ends
            && is_joint(self.text.get(end..).unwrap_or_default())
        {
            self.text.truncate(end);
            return;
        }
        self.text.push_str(VARIES);
        self.value_ends = Some(self.text.len());
    }

    /// The start of a date's word at the end of the text, with any separator after it.
    fn date_word(&self) -> Option<usize> {
        let end = self.value_ends.unwrap_or(0);
        let behind = self.text.get(end..)?;
        let word_and_before = behind.trim_end_matches(|c| JOINTS.contains(c));
        if !is_joint(behind.get(word_and_before.len()..)?) {
            return None;
        }
        let before = word_and_before.trim_end_matches(char::is_alphanumeric);
        OF_DATES.contains(&word_and_before.get(before.len()..)?).then_some(end + before.len())
    }

    /// Writes the word that the rest begins with, and returns its length.
    fn word(&mut self, rest: &str) -> usize {
        let length = run(rest, char::is_alphanumeric);
        let word = rest.get(..length).unwrap_or_default();
        let has_digit = word.contains(char::is_numeric);
        let is_hex = word.len() >= HEX && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_id = is_hex || word.len() >= NO_WORD || has_digit && word.len() >= ID;
        if self.is_in_word() || is_id && !begins_with_number(word) || NUMBERS.contains(&word) {
            self.value();
            return length;
        }
        if begins_with_number(word) {
            return self.number(rest, length);
        }
        let name = run(word, |c| !c.is_numeric());
        if !has_digit {
            if OF_DATES.contains(&word)
                && self.value_ends.is_some_and(|end| is_joint(self.text.get(end..).unwrap_or_default()))
            {
                // The date continues.
                self.value();
            } else {
                self.text.push_str(word);
            }
        } else if word.get(name..).unwrap_or_default().chars().all(char::is_numeric) {
            self.text.push_str(word.get(..name).unwrap_or_default());
            self.value();
        } else {
            self.value();
        }
        length
    }

    /// Writes a word that begins with a digit. `length` counts its letters and digits.
    fn number(&mut self, rest: &str, length: usize) -> usize {
        self.value();
        let n = number(rest);
        let suffix = rest.get(n..).unwrap_or_default();
        let letters = run(suffix, char::is_alphanumeric);
        let suffix = suffix.get(..letters).unwrap_or_default();
        if n + letters > length && suffix.contains(char::is_numeric) {
            // `1.2a3`: another word begins after the point.
            return length;
        }
        let is_word = suffix.chars().count() > UNIT
            && !suffix.contains(char::is_numeric)
            && n + letters < ID
            && !suffix.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !rest.starts_with("0x");
        if is_word {
            // `5seconds`: a word directly after the number.
            self.text.push_str(suffix);
        }
        n + letters
    }
}

fn begins_with_number(word: &str) -> bool {
    word.starts_with(char::is_numeric)
}

fn is_joint(text: &str) -> bool {
    text.chars().count() <= JOINTS_AT_MOST && text.chars().all(|c| JOINTS.contains(c))
}

/// The bytes of the leading characters that match.
fn run(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c| !wanted(c)).unwrap_or(text.len())
}

/// Bytes of the number, time or date that a text begins with.
fn number(text: &str) -> usize {
    let mut end = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let goes_on = match c {
            _ if c.is_numeric() => true,
            '.' | ',' | ':' | '\'' | '_' | '/' | '+' | '-' | 'T' | 't' => next.is_some_and(char::is_numeric),
            'e' | 'E' => {
                let behind = text.get(at + 1..).unwrap_or_default();
                behind.trim_start_matches(['+', '-']).starts_with(char::is_numeric)
            }
            // The sign of an exponent belongs to the number.
            _ => false,
        };
        if !goes_on {
            break;
        }
        end = at + c.len_utf8();
        if matches!(c, 'e' | 'E') && next.is_some_and(|next| matches!(next, '+' | '-')) {
            chars.next();
            end += 1;
        }
    }
    end
}

/// Bytes of the quoted value that a text begins with, quotes included.
fn quoted(text: &str, before: Option<char>) -> Option<usize> {
    let open = text.chars().next()?;
    let closes: &[char] = match open {
        // An apostrophe within a word opens nothing.
        '"' | '`' | '\'' if before.is_none_or(|c| !c.is_alphanumeric()) => &[open],
        '“' => &['”'],
        '„' => &['“', '”'],
        '‘' => &['’'],
        '«' => &['»'],
        _ => return None,
    };
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if closes.contains(&c) {
            let in_word =
                matches!(c, '\'' | '’') && chars.peek().is_some_and(|(_, next)| next.is_alphanumeric());
            if !in_word {
                return Some(at + c.len_utf8());
            }
        }
    }
    None
}

/// Bytes of a mail address that a text begins with.
fn address(text: &str) -> Option<usize> {
    let local = run(text, |c| c.is_alphanumeric() || ".!#$%*+-^_~".contains(c));
    let domain = domain(text.get(local..)?);
    (local > 0 && domain > 0).then_some(local + domain)
}

/// Bytes of an `@` and the domain behind it.
fn domain(text: &str) -> usize {
    let Some(behind) = text.strip_prefix('@') else { return 0 };
    if behind.starts_with('[') {
        return behind.find(']').map_or(0, |end| end + 2);
    }
    let name = run(behind, |c| c.is_alphanumeric() || matches!(c, '.' | '-'));
    let name = behind.get(..name).unwrap_or_default().trim_end_matches(['.', '-']).len();
    if name == 0 { 0 } else { name + 1 }
}

/// Bytes of an IPv6 address that a text begins with.
fn ipv6(text: &str) -> Option<usize> {
    let mut length = run(text, |c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'));
    // Punctuation at its end belongs to the sentence.
    for _ in 0..3 {
        let part = text.get(..length)?;
        if part.matches(':').count() >= 2 && part.parse::<Ipv6Addr>().is_ok() {
            let behind = text.get(length..).unwrap_or_default();
            let is_whole = !behind.starts_with(char::is_alphanumeric);
            return is_whole.then_some(length);
        }
        length = part.strip_suffix([':', '.'])?.len();
    }
    None
}

/// Bytes of a UUID with hyphens that a text begins with.
fn uuid(text: &str) -> Option<usize> {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let length = GROUPS.iter().sum::<usize>() + 4;
    let groups = text.get(..length)?.split('-');
    let behind = text.get(length..).unwrap_or_default();
    let is_hex = |group: &str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = groups.clone().map(str::len).eq(GROUPS) && groups.clone().all(is_hex);
    (fits && !behind.starts_with(char::is_alphanumeric)).then_some(length)
}

#[cfg(test)]
mod tests;
