//! Query parameters: named ones only, each at most once, errors with a remedy.

use std::{fmt::Display, str::FromStr};

use chrono::DateTime;
use url::form_urlencoded;

use crate::problem::Problem;

/// The last ms of the year 9999.
const LATEST: i64 = 253_402_300_799_999;

/// The parameters of one request.
#[derive(Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads a query string.
    ///
    /// # Errors
    /// A parameter that is not among `known`, or comes twice. A misspelt filter must not select
    /// everything.
    pub fn parse(raw: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        Self::parse_with_list(raw, known, None).map(|(query, _)| query)
    }

    /// The same where one parameter, `list`, may be given several times. Returns its values apart.
    ///
    /// # Errors
    /// Those of [`Self::parse`].
    pub fn parse_with_list(
        raw: Option<&str>,
        known: &[&str],
        list: Option<&str>,
    ) -> Result<(Self, Vec<String>), Problem> {
        let (mut pairs, mut values): (Vec<(String, String)>, Vec<String>) = (Vec::new(), Vec::new());
        for (name, value) in form_urlencoded::parse(raw.unwrap_or_default().as_bytes()).into_owned() {
            if !known.contains(&name.as_str()) {
                let remedy = match known {
                    [] => "this address takes no parameters".to_owned(),
                    known => format!("it is not known; the parameters are {}", known.join(", ")),
                };
                return Err(Problem::parameter(&name, &value, remedy));
            }
            if list == Some(name.as_str()) {
                values.push(value);
                continue;
            }
            if pairs.iter().any(|(seen, _)| *seen == name) {
                return Err(Problem::parameter(&name, &value, "it is given twice: give it once"));
            }
            pairs.push((name, value));
        }
        Ok((Self { pairs }, values))
    }

    /// Whether a query string names a parameter.
    pub fn names(raw: Option<&str>, name: &str) -> bool {
        form_urlencoded::parse(raw.unwrap_or_default().as_bytes()).any(|(each, _)| each == name)
    }

    /// A parameter's text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    /// A parameter's text, where it is 1 to 512 characters long.
    ///
    /// # Errors
    /// When it is not.
    pub fn name(&self, name: &str) -> Result<Option<String>, Problem> {
        match self.text(name) {
            None => Ok(None),
            Some(text) if text.is_empty() || text.len() > 512 || text.contains(char::is_control) => {
                let remedy =
                    "1 to 512 characters without control characters are expected; leave it out for all";
                Err(Problem::parameter(name, text, remedy))
            }
            Some(text) => Ok(Some(text.to_owned())),
        }
    }

    /// A parameter's number, where it is `least` to `most`.
    ///
    /// # Errors
    /// When it is not.
    pub fn within(&self, name: &str, least: usize, most: usize) -> Result<Option<usize>, Problem> {
        let read = |text: &str| {
            let number = text.parse().ok().filter(|number| (least..=most).contains(number));
            number.ok_or_else(|| Problem::parameter(name, text, format!("{least} to {most} is expected")))
        };
        self.text(name).map(read).transpose()
    }

    /// Whether a parameter is `true`; `false` if it is left out.
    ///
    /// # Errors
    /// When it is neither.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Problem::parameter(name, other, "`true` or `false` is expected")),
        }
    }

    /// A parameter's time, UTC ms.
    ///
    /// # Errors
    /// When the text is not a time as RFC 3339 writes it, or lies outside of the years 1970 to 9999.
    pub fn moment(&self, name: &str) -> Result<Option<i64>, Problem> {
        let read = |text: &str| {
            // In a query a plus sign means a blank.
            let time = DateTime::parse_from_rfc3339(&text.replace(' ', "+")).ok();
            let ms = time.map(|time| time.timestamp_millis()).filter(|ms| (0..=LATEST).contains(ms));
            let remedy = "a time such as 2026-03-14T09:30:00Z is expected (RFC 3339, from 1970 to 9999)";
            ms.ok_or_else(|| Problem::parameter(name, text, remedy))
        };
        self.text(name).map(read).transpose()
    }

    /// The beginning and the end of a period, `from` and `to`.
    ///
    /// # Errors
    /// When one is not a time, or the end is before the beginning.
    pub fn period(&self) -> Result<(Option<i64>, Option<i64>), Problem> {
        let (from, to) = (self.moment("from")?, self.moment("to")?);
        if let (Some(begin), Some(end)) = (from, to)
            && end < begin
        {
            let text = self.text("to").unwrap_or_default();
            return Err(Problem::parameter("to", text, "it is before `from`: exchange the two"));
        }
        Ok((from, to))
    }

    /// The query of the next page: these parameters in their order, and another cursor.
    pub fn next(&self, known: &[&str], cursor: &str) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for name in known.iter().filter(|name| **name != "cursor") {
            if let Some(value) = self.text(name) {
                pairs.append_pair(name, value);
            }
        }
        pairs.append_pair("cursor", cursor).finish()
    }

    /// A parameter's value.
    ///
    /// # Errors
    /// When the text is not such a value.
    pub fn value<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let parse = |text: &str| text.parse().map_err(|why| Problem::parameter(name, text, why));
        self.text(name).map(parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use upshot_queue::State;

    use super::*;

    #[test]
    fn values_are_decoded_and_read() {
        let query = Query::parse(Some("state=dead&subject=a%20b+c"), &["state", "subject"]).unwrap();
        assert_eq!(query.value("state").unwrap(), Some(State::Dead));
        assert_eq!(query.name("subject").unwrap().as_deref(), Some("a b c"));
        assert_eq!(query.text("kind"), None);
    }

    #[test]
    fn periods_are_read() {
        let query = |raw| Query::parse(Some(raw), &["from", "to"]).unwrap().period();
        let found = query("from=2026-03-14T09:26:53Z&to=2026-03-14T10:26:53%2B01:00").unwrap();
        assert_eq!(found, (Some(1_773_480_413_000), Some(1_773_480_413_000)));
        // A plus sign that is not escaped.
        assert_eq!(query("to=2026-03-14T10:26:53+01:00").unwrap().1, Some(1_773_480_413_000));
        for bad in [
            "from=yesterday",
            "from=1969-12-31T23:59:59Z",
            "from=2026-03-15T00:00:00Z&to=2026-03-14T00:00:00Z",
        ] {
            assert!(query(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_unknown_repeated_or_empty_is_refused() {
        for raw in ["stat=dead", "state=dead&state=dead"] {
            assert!(Query::parse(Some(raw), &["state"]).is_err(), "{raw}");
        }
        let query = Query::parse(Some("state=done&tenant="), &["state", "tenant"]).unwrap();
        assert!(query.value::<State>("state").is_err());
        assert!(query.name("tenant").is_err());
    }
}
