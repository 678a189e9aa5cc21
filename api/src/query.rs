//! Query parameters: named ones only, each at most once, errors with a remedy.

use std::{fmt::Display, str::FromStr};

use chrono::DateTime;
use url::form_urlencoded;

use crate::problem::Problem;

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
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(raw.unwrap_or_default().as_bytes()).into_owned() {
            if !known.contains(&name.as_str()) {
                let remedy = match known {
                    [] => "this address takes no parameters".to_owned(),
                    known => format!("it is not known; the parameters are {}", known.join(", ")),
                };
                return Err(Problem::parameter(&name, &value, remedy));
            }
            if pairs.iter().any(|(seen, _)| *seen == name) {
                return Err(Problem::parameter(&name, &value, "it is given twice: give it once"));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
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

    /// A parameter's time, UTC ms.
    ///
    /// # Errors
    /// When it is not one.
    pub fn time(&self, name: &str) -> Result<Option<i64>, Problem> {
        let read = |text: &str| {
            let time = DateTime::parse_from_rfc3339(text).ok();
            let remedy = "a time like 2026-03-14T09:30:00Z is expected (RFC 3339; in a URL, `+` is %2B)";
            time.map(|time| time.timestamp_millis()).ok_or_else(|| Problem::parameter(name, text, remedy))
        };
        self.text(name).map(read).transpose()
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
    fn a_time_has_a_zone() {
        let query = Query::parse(Some("a=1970-01-01T01:00:01%2B01:00&b=1970-01-01"), &["a", "b"]).unwrap();
        assert_eq!(query.time("a").unwrap(), Some(1_000));
        assert!(query.time("b").is_err());
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
