//! Names with places that are filled in from an event: `bank:{tenant}`.

use std::{borrow::Cow, cell::OnceCell, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use upshot_queue::{BadCondition, Condition, job::MAX_NAME};

use crate::{
    event::Event,
    rejection::{Reason, Rejection},
};

/// The placeholders of a template.
const REMEDY: &str =
    "write {tenant}, {subject}, or a JSON pointer into the event's data such as {/customer/id}";

/// A name with places that are filled in from an event: `{tenant}`, `{subject}`,
/// and JSON pointers (RFC 6901) into its data, such as `{/customer/id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Tenant,
    Subject,
    /// A JSON pointer into the data.
    Data(String),
}

/// A text that is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Empty, or longer than a name may be.
    #[error("`{text}` has {bytes} bytes: use 1 to {MAX_NAME}")]
    Length {
        /// The text, or its beginning.
        text: String,
        /// How long it is.
        bytes: usize,
    },
    /// An unmatched brace.
    #[error("`{text}` has a `{brace}` too many: {REMEDY}")]
    Brace {
        /// The text.
        text: String,
        /// Which.
        brace: char,
    },
    /// A placeholder that no event can fill.
    #[error("`{{{name}}}` in `{text}` is nothing that can be filled in: {REMEDY}")]
    Place {
        /// The text.
        text: String,
        /// The text between the braces.
        name: String,
    },
    /// A `~` in a pointer that escapes nothing.
    #[error(
        "`{{{name}}}` in `{text}` is no JSON pointer: in a member's name write `~0` for `~` and `~1` for `/`"
    )]
    Pointer {
        /// The text.
        text: String,
        /// The text between the braces.
        name: String,
    },
}

/// Why an event does not fill in a template. `place` is a JSON pointer into the
/// event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfilled {
    /// The event has no value there.
    Missing {
        /// Where.
        place: String,
    },
    /// The value cannot be part of a name.
    NoName {
        /// Where.
        place: String,
        /// The kind of the value.
        what: &'static str,
    },
    /// The name would be longer than one may be.
    TooLong {
        /// Where the last value stands that is filled in.
        place: String,
    },
    /// The data is not JSON.
    NotJson {
        /// What the parser says.
        why: String,
    },
}

/// The values for templates. The data is parsed at most once, and only if a template points into
/// it.
#[derive(Debug)]
pub struct Values<'a> {
    event: &'a Event,
    data: OnceCell<Value>,
}

impl Template {
    /// The name for an event.
    ///
    /// # Errors
    /// When the event lacks a value, or has one that cannot be part of a name.
    pub fn fill(&self, values: &Values<'_>) -> Result<String, Unfilled> {
        self.join(values, "")
    }

    /// The same for a name that must tell events apart: different values never give the same name.
    /// A control character separates the parts, because no value has one.
    ///
    /// # Errors
    /// Those of [`Self::fill`].
    pub fn fill_apart(&self, values: &Values<'_>) -> Result<String, Unfilled> {
        self.join(values, "\u{1f}")
    }

    fn join(&self, values: &Values<'_>, between: &str) -> Result<String, Unfilled> {
        let mut name = String::with_capacity(self.text.len());
        for (i, part) in self.parts.iter().enumerate() {
            if i > 0 {
                name.push_str(between);
            }
            let value = match part {
                Part::Text(text) => Cow::Borrowed(text.as_str()),
                Part::Tenant => values.attribute("tenant", values.event.tenant.as_deref())?,
                Part::Subject => values.attribute("subject", values.event.subject.as_deref())?,
                Part::Data(pointer) => values.data(pointer)?,
            };
            name.push_str(&value);
        }
        if name.len() <= MAX_NAME {
            return Ok(name);
        }
        // A template without placeholders is short enough.
        Err(Unfilled::TooLong { place: self.place() })
    }

    /// Where in the event its last value stands; empty without placeholders.
    pub(crate) fn place(&self) -> String {
        self.parts.iter().rev().map(Part::place).find(|place| !place.is_empty()).unwrap_or_default()
    }

    /// The condition that a tenant's jobs wait for, with this template as its key. `needs` says what
    /// takes the key, `of` names what may be mended instead of the event.
    pub(crate) fn fill_key(
        &self,
        tenant: Option<&str>,
        values: &Values<'_>,
        needs: &str,
        of: &str,
    ) -> Result<Condition, Rejection> {
        let key = self.fill(values).map_err(|unfilled| unfilled.rejection(needs, of))?;
        Condition::new(tenant, &key).map_err(|why| {
            let place = match why {
                BadCondition::Tenant(_) => "/tenant".to_owned(),
                _ => self.place(),
            };
            Rejection::new(Reason::InvalidValue, place, format!("{needs}, and {why}"))
        })
    }

    /// The event's subject.
    pub(crate) fn subject() -> Self {
        Self { text: "{subject}".to_owned(), parts: vec![Part::Subject] }
    }

    /// A text for people: a value that the event lacks is `-`, and a value of any kind counts. Has at
    /// most `most` bytes.
    pub(crate) fn say(&self, values: &Values<'_>, most: usize) -> String {
        let mut said = String::new();
        for part in &self.parts {
            let value = match part {
                Part::Text(text) => Some(Cow::Borrowed(text.as_str())),
                Part::Tenant => values.event.tenant.as_deref().map(Cow::Borrowed),
                Part::Subject => values.event.subject.as_deref().map(Cow::Borrowed),
                Part::Data(pointer) => values.any(pointer),
            };
            said.push_str(value.as_deref().filter(|value| !value.is_empty()).unwrap_or("-"));
        }
        if said.len() > most {
            let end = (0..=most).rev().find(|end| said.is_char_boundary(*end)).unwrap_or(0);
            said.truncate(end);
        }
        said
    }
}

impl Unfilled {
    /// The rejection of an event that does not fill in a template. `needs` says what takes the value,
    /// `of` names what may be mended instead of the event.
    pub(crate) fn rejection(self, needs: &str, of: &str) -> Rejection {
        match self {
            Self::Missing { place } => {
                let detail = format!("{needs}, and the event has no value: add it, or mend the {of}");
                Rejection::new(Reason::MissingValue, place, detail)
            }
            Self::NoName { place, what } => {
                let detail = format!(
                    "{needs}, and {what} stands here: a text, a whole number or a boolean is expected"
                );
                Rejection::new(Reason::InvalidValue, place, detail)
            }
            Self::TooLong { place } => {
                let detail =
                    format!("{needs}, and it would be longer than {MAX_NAME} bytes: shorten the value");
                Rejection::new(Reason::InvalidValue, place, detail)
            }
            Self::NotJson { why } => {
                Rejection::new(Reason::MalformedJson, "/data", format!("not JSON: {why}"))
            }
        }
    }
}

impl FromStr for Template {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if !(1..=MAX_NAME).contains(&text.len()) {
            let shown = text.chars().take(80).collect();
            return Err(Malformed::Length { text: shown, bytes: text.len() });
        }
        let stray = |brace| Malformed::Brace { text: text.to_owned(), brace };
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}').ok_or_else(|| stray('{'))?;
            literal(&mut parts, before).ok_or_else(|| stray('}'))?;
            parts.push(Part::parse(text, name)?);
            rest = after;
        }
        literal(&mut parts, rest).ok_or_else(|| stray('}'))?;
        Ok(Self { text: text.to_owned(), parts })
    }
}

impl TryFrom<String> for Template {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.text
    }
}

/// Adds the text between placeholders; `None` for an unmatched closing brace.
fn literal(parts: &mut Vec<Part>, text: &str) -> Option<()> {
    if text.contains('}') {
        return None;
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Some(())
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Part {
    fn parse(text: &str, name: &str) -> Result<Self, Malformed> {
        match name {
            "tenant" => Ok(Self::Tenant),
            "subject" => Ok(Self::Subject),
            _ if !name.starts_with('/') => {
                Err(Malformed::Place { text: text.to_owned(), name: name.to_owned() })
            }
            _ if name.split('~').skip(1).any(|escaped| !escaped.starts_with(['0', '1'])) => {
                Err(Malformed::Pointer { text: text.to_owned(), name: name.to_owned() })
            }
            _ => Ok(Self::Data(name.to_owned())),
        }
    }

    /// Where in the event it comes from; empty for a text.
    fn place(&self) -> String {
        match self {
            Self::Text(_) => String::new(),
            Self::Tenant => "/tenant".to_owned(),
            Self::Subject => "/subject".to_owned(),
            Self::Data(pointer) => format!("/data{pointer}"),
        }
    }
}

impl<'a> Values<'a> {
    /// Those of an event.
    pub fn of(event: &'a Event) -> Self {
        Self { event, data: OnceCell::new() }
    }

    fn attribute(&self, name: &str, value: Option<&'a str>) -> Result<Cow<'a, str>, Unfilled> {
        value.map(Cow::Borrowed).ok_or_else(|| Unfilled::Missing { place: format!("/{name}") })
    }

    /// The text of a value for a name. A number must be whole. A fraction can be written in several
    /// ways and large numbers are rounded, so two customers could share a name.
    fn data(&self, pointer: &str) -> Result<Cow<'_, str>, Unfilled> {
        let place = || format!("/data{pointer}");
        let no_name = |what| Err(Unfilled::NoName { place: place(), what });
        match self.parsed()?.pointer(pointer) {
            // Null counts as absent, as it does among the attributes.
            None | Some(Value::Null) => Err(Unfilled::Missing { place: place() }),
            Some(Value::String(text)) if text.is_empty() => no_name("an empty text"),
            Some(Value::String(text)) if text.contains(char::is_control) => {
                no_name("a text with control characters")
            }
            Some(Value::String(text)) => Ok(Cow::Borrowed(text)),
            Some(Value::Bool(yes)) => Ok(Cow::Owned(yes.to_string())),
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => {
                Ok(Cow::Owned(number.to_string()))
            }
            Some(Value::Number(_)) => no_name("a number that is not whole or too large"),
            Some(Value::Array(_)) => no_name("a list"),
            Some(Value::Object(_)) => no_name("an object"),
        }
    }

    /// The text of a value of any kind, if there is one.
    fn any(&self, pointer: &str) -> Option<Cow<'_, str>> {
        match self.parsed().ok()?.pointer(pointer)? {
            Value::Null => None,
            Value::String(text) => Some(Cow::Borrowed(text)),
            other => Some(Cow::Owned(other.to_string())),
        }
    }

    fn parsed(&self) -> Result<&Value, Unfilled> {
        if let Some(data) = self.data.get() {
            return Ok(data);
        }
        let data: Value = serde_json::from_slice(&self.event.data)
            .map_err(|error| Unfilled::NotJson { why: error.to_string() })?;
        Ok(self.data.get_or_init(|| data))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn event(data: &Value) -> Event {
        Event {
            id: "1".into(),
            source: "/s".into(),
            kind: "t.v1".into(),
            subject: Some("order-1042".into()),
            time: None,
            tenant: Some("acme".into()),
            idempotency_key: None,
            trace: None,
            data: Bytes::from(data.to_string()),
        }
    }

    fn fill(template: &str, event: &Event) -> Result<String, Unfilled> {
        template.parse::<Template>().unwrap().fill(&Values::of(event))
    }

    #[test]
    fn values_of_the_event_are_filled_in() {
        let data = json!({"customer": {"id": 77, "a/b": "slash", "m~n": true}, "lines": ["first", "second"]});
        let event = event(&data);
        for (template, name) in [
            ("smtp", "smtp"),
            ("bank:{tenant}", "bank:acme"),
            ("{subject}", "order-1042"),
            ("{tenant}{/customer/id}", "acme77"),
            ("c:{/customer/a~1b}:{/customer/m~0n}!", "c:slash:true!"),
            ("{/lines/1}", "second"),
        ] {
            assert_eq!(fill(template, &event).as_deref(), Ok(name), "{template}");
        }
    }

    #[test]
    fn a_text_for_people_lacks_no_value() {
        let event = event(&json!({"a": "no\nbox", "n": 1.5, "list": [1], "long": "é".repeat(40)}));
        let say = |template: &str| template.parse::<Template>().unwrap().say(&Values::of(&event), 20);
        assert_eq!(say("{/a} at {/n}: {/list}"), "no\nbox at 1.5: [1]");
        assert_eq!(say("{/b}, {subject}"), "-, order-1042");
        assert_eq!(say("x{/long}"), format!("x{}", "é".repeat(9)));
    }

    #[test]
    fn a_colon_within_a_value_is_none_between_two() {
        let template: Template = "{/x}:{/y}".parse().unwrap();
        let [one, other] = [("a:b", "c"), ("a", "b:c")].map(|(x, y)| event(&json!({"x": x, "y": y})));
        let (one, other) = (Values::of(&one), Values::of(&other));
        assert_eq!(template.fill(&one), template.fill(&other), "as a limit key they share the limit");
        assert_ne!(template.fill_apart(&one), template.fill_apart(&other));
    }

    #[test]
    fn what_an_event_lacks_is_named_with_its_place() {
        let missing = |place: &str| Err(Unfilled::Missing { place: place.into() });
        let no_name = |place: &str, what| Err(Unfilled::NoName { place: place.into(), what });
        let event =
            event(&json!({"n": null, "e": "", "c": "a\u{7}", "f": 1.5, "l": [], "o": {}, "big": 1e30}));
        assert_eq!(fill("{/customer/id}", &event), missing("/data/customer/id"));
        assert_eq!(fill("x{/n}", &event), missing("/data/n"));
        assert_eq!(fill("{/l/0}", &event), missing("/data/l/0"));
        assert_eq!(fill("{/e}", &event), no_name("/data/e", "an empty text"));
        assert_eq!(fill("{/c}", &event), no_name("/data/c", "a text with control characters"));
        assert_eq!(fill("{/f}", &event), no_name("/data/f", "a number that is not whole or too large"));
        assert_eq!(fill("{/big}", &event), no_name("/data/big", "a number that is not whole or too large"));
        assert_eq!(fill("{/l}", &event), no_name("/data/l", "a list"));
        assert_eq!(fill("{/o}", &event), no_name("/data/o", "an object"));
        let nobody = Event { tenant: None, subject: None, ..event.clone() };
        assert_eq!(fill("{tenant}", &nobody), missing("/tenant"));
        assert_eq!(fill("{subject}", &nobody), missing("/subject"));
        let broken = Event { data: Bytes::from_static(b"{"), ..event };
        assert!(matches!(fill("{/a}", &broken), Err(Unfilled::NotJson { .. })));
        assert_eq!(fill("{tenant}", &broken).as_deref(), Ok("acme"), "the data is not needed");
    }

    #[test]
    fn a_name_is_never_longer_than_one_may_be() {
        let event = event(&json!({"long": "x".repeat(MAX_NAME)}));
        let too_long = |place: &str| Err(Unfilled::TooLong { place: place.into() });
        assert_eq!(fill("{/long}", &event).map(|name| name.len()), Ok(MAX_NAME));
        assert_eq!(fill("c{/long}", &event), too_long("/data/long"));
        assert_eq!(fill("{/long}c", &event), too_long("/data/long"));
        assert_eq!(fill("{/long}{tenant}", &event), too_long("/tenant"));
        // Each template can be filled in by some event.
        let fixed = "x".repeat(MAX_NAME).parse::<Template>().unwrap();
        assert_eq!(fixed.fill_apart(&Values::of(&event)).map(|name| name.len()), Ok(MAX_NAME));
    }

    #[test]
    fn what_is_no_template_says_why() {
        for (text, words) in [
            ("", ["0 bytes", "1 to 512"]),
            ("bank:{tenant", ["`{` too many", "{/customer/id}"]),
            ("bank:tenant}", ["`}` too many", "{/customer/id}"]),
            ("{{tenant}}", ["`{{tenant}`", "{subject}"]),
            ("{tenent}", ["`{tenent}`", "{tenant}"]),
            ("{}", ["`{}`", "{tenant}"]),
            ("{customer/id}", ["`{customer/id}`", "{/customer/id}"]),
            ("{/a~2b}", ["`{/a~2b}`", "~1"]),
            ("{/a~}", ["`{/a~}`", "~0"]),
        ] {
            let message = text.parse::<Template>().unwrap_err().to_string();
            for word in words {
                assert!(message.contains(word), "`{word}` is not in: {message}");
            }
        }
        assert!("x".repeat(MAX_NAME + 1).parse::<Template>().is_err());
    }

    /// A part as it is written, and what it becomes.
    fn part() -> impl Strategy<Value = (String, String)> {
        prop_oneof![
            "[^{}]{1,9}".prop_map(|text| (text.clone(), text)),
            Just(("{tenant}".to_owned(), "acme".to_owned())),
            Just(("{subject}".to_owned(), "order-1042".to_owned())),
            Just(("{/a/b~1c}".to_owned(), "deep".to_owned())),
            Just(("{/n}".to_owned(), "-7".to_owned())),
        ]
    }

    proptest! {
        #[test]
        fn a_template_is_its_parts_one_after_another(parts in prop::collection::vec(part(), 1..9)) {
            let (text, name): (String, String) = parts.into_iter().unzip();
            let template: Template = text.parse().unwrap();
            let event = event(&json!({"a": {"b/c": "deep"}, "n": -7}));
            prop_assert_eq!(template.to_string(), text);
            prop_assert_eq!(template.fill(&Values::of(&event)), Ok(name));
        }

        #[test]
        fn names_that_must_tell_events_apart_do(
            text in "a?\\{/x\\}:?\\{/y\\}a?",
            one in ("a?:?a", "a:?a?"),
            other in ("a?:?a", "a:?a?"),
        ) {
            let template: Template = text.parse().unwrap();
            let key = |(x, y): &(String, String)| {
                template.fill_apart(&Values::of(&event(&json!({"x": x, "y": y})))).unwrap()
            };
            prop_assert_eq!(key(&one) == key(&other), one == other);
        }

        #[test]
        fn whatever_is_written_it_is_refused_or_gives_a_name_that_a_queue_takes(
            text in "[{}/~01a-c]{0,12}|\\PC{0,40}|(\\{(tenant|subject|/a|/a/0|/)\\}){1,4}",
            value in "\\PC{0,600}",
        ) {
            let Ok(template) = text.parse::<Template>() else { return Ok(()) };
            prop_assert_eq!(template.to_string(), text);
            for data in [json!(value), json!({"a": value}), json!({"a": [value]}), json!({"": value})] {
                if let Ok(name) = template.fill(&Values::of(&event(&data))) {
                    prop_assert!((1..=MAX_NAME).contains(&name.len()), "{}", name);
                }
            }
        }
    }
}
