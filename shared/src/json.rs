//! Reads JSON one way for intake, contracts and handlers (RFC 8259, as narrow as I-JSON, RFC 7493).
//! It refuses JSON that readers could understand differently.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor},
};

/// Objects and lists may be nested this deep; serde_json reads no deeper.
pub const DEEPEST: usize = 127;

/// What is wrong with a JSON text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at `{place}`")]
pub struct Violation {
    /// Where: a JSON pointer (RFC 6901).
    pub place: String,
    /// What.
    pub what: String,
}

/// Checks that a text is JSON which all readers understand alike: no name twice in an object, no
/// half of a surrogate pair, no number beyond a double's range, no nesting beyond [`DEEPEST`].
///
/// # Errors
/// The first violation and its place.
pub fn check(text: &[u8]) -> Result<(), Violation> {
    let mut path = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(text);
    let walked = Walk(&mut path).deserialize(&mut reader).and_then(|()| reader.end());
    walked.map_err(|error| {
        let said = error.to_string();
        if said.starts_with("recursion limit") {
            // The place has as many parts, and says nothing.
            let what = format!("nested deeper than {DEEPEST} levels: put nested data into fewer levels");
            return Violation { place: String::new(), what };
        }
        // What Walk says; serde_json adds the line.
        let own = || said.split(" at line ").next().unwrap_or_default().to_owned();
        let what = if error.is_data() { own() } else { format!("not JSON: {said}") };
        Violation { place: path.iter().map(ToString::to_string).collect(), what }
    })
}

/// A step of a path. It becomes text only for an error, because every event is walked.
enum Part<'de> {
    Member(Cow<'de, str>),
    Place(usize),
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
            Self::Place(place) => write!(f, "/{place}"),
        }
    }
}

/// The names of an object so far: few are compared one by one, as a set costs more than that.
#[derive(Default)]
struct Names<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    const FEW: usize = 12;

    /// False where the name is there already.
    fn add(&mut self, name: Cow<'de, str>) -> bool {
        if self.few.contains(&name) {
            return false;
        }
        if self.few.len() < Self::FEW {
            self.few.push(name);
            return true;
        }
        self.many.insert(name)
    }
}

/// Walks through a value; the path stays at an error.
struct Walk<'p, 'de>(&'p mut Vec<Part<'de>>);

impl<'de> Walk<'_, 'de> {
    fn below<R, E>(
        &mut self,
        part: Part<'de>,
        walk: impl FnOnce(Walk<'_, 'de>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.0.push(part);
        let walked = walk(Walk(self.0))?;
        self.0.pop();
        Ok(walked)
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A name that is borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Walk<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        for place in 0.. {
            let walked = self.below(Part::Place(place), |walk| list.next_element_seed(walk))?;
            if walked.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        let mut names = Names::default();
        while let Some(Name(name)) = object.next_key::<Name<'de>>()? {
            let is_new = names.add(name.clone());
            self.below(Part::Member(name), |walk| {
                if !is_new {
                    return Err(A::Error::custom("the same name stands twice in an object: send it once"));
                }
                object.next_value_seed(walk)
            })?;
        }
        Ok(())
    }
}

/// Whether two texts are the same value: members in any order, numbers by value, strings by
/// characters. A text that is not JSON equals only itself.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    if one == other {
        return true;
    }
    match (canonical(one), canonical(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// One canonical text for all texts of the same value; `None` if it is not JSON. Numbers are
/// compared as decimals, digit by digit, because a double would take different numbers as equal.
pub fn canonical(text: &[u8]) -> Option<String> {
    check(text).ok()?;
    let mut out = String::with_capacity(text.len());
    let rest = write(std::str::from_utf8(text).ok()?.trim_start(), &mut out)?;
    rest.trim().is_empty().then_some(out)
}

/// Writes the value at the front of a text that was checked, and returns what follows.
fn write<'a>(text: &'a str, out: &mut String) -> Option<&'a str> {
    match text.chars().next()? {
        '{' => {
            let mut members = Vec::new();
            let mut rest = text[1..].trim_start();
            while !rest.starts_with('}') {
                let (mut name, mut value) = (String::new(), String::new());
                rest = write(rest, &mut name)?.trim_start().strip_prefix(':')?.trim_start();
                rest = write(rest, &mut value)?.trim_start();
                members.push((name, value));
                rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            }
            members.sort();
            out.push('{');
            for (name, value) in members {
                out.extend([&name, ":", &value, ","]);
            }
            out.push('}');
            rest.strip_prefix('}')
        }
        '[' => {
            let mut rest = text[1..].trim_start();
            out.push('[');
            while !rest.starts_with(']') {
                rest = write(rest, out)?.trim_start();
                rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
                out.push(',');
            }
            out.push(']');
            rest.strip_prefix(']')
        }
        '"' => {
            let bytes = text.as_bytes();
            let mut end = 1;
            while *bytes.get(end)? != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            let string: String = serde_json::from_str(text.get(..=end)?).ok()?;
            out.push_str(&serde_json::to_string(&string).ok()?);
            text.get(end + 1..)
        }
        't' | 'f' | 'n' => {
            let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
            out.push_str(&text[..end]);
            text.get(end..)
        }
        _ => {
            let is_part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
            let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
            out.push_str(&number(&text[..end])?);
            text.get(end..)
        }
    }
}

/// A number as `digits` times ten to a power, without zeros at the ends of the digits.
fn number(text: &str) -> Option<String> {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let short = digits.trim_end_matches('0');
    if short.is_empty() {
        return Some("0".to_owned());
    }
    // A power that does not fit is too small for a double to differ from zero.
    let power: i64 = power.parse().unwrap_or(i64::MIN / 2);
    let power =
        power.saturating_sub(fraction.len() as i64).saturating_add((digits.len() - short.len()) as i64);
    Some(format!("{sign}{short}e{power}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn violation(text: &str) -> (String, String) {
        let Violation { place, what } = check(text.as_bytes()).unwrap_err();
        (place, what)
    }

    #[test]
    fn what_readers_understand_differently_is_refused_with_its_place() {
        for (text, place, words) in [
            (r#"{"a":1,"a":2}"#, "/a", "stands twice"),
            (r#"{"a":1,"\u0061":2}"#, "/a", "stands twice"),
            (r#"{"x":[{"b/c":{"d":1,"d":1}}]}"#, "/x/0/b~1c/d", "stands twice"),
            (r#"{"a":["\ud800"]}"#, "/a/0", "not JSON"),
            (r#"{"a":"\udc00\ud800"}"#, "/a", "not JSON"),
            (r#"{"a":[1,1e999]}"#, "/a/1", "not JSON: number out of range"),
            (r#"{"a":1} x"#, "", "trailing"),
            ("", "", "not JSON"),
            ("[NaN]", "/0", "not JSON"),
        ] {
            let (at, said) = violation(text);
            assert_eq!(at, place, "{text}: {said}");
            assert!(said.contains(words), "{text}: {said}");
        }
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert_eq!(check(nested(DEEPEST).as_bytes()), Ok(()));
        let (_, said) = violation(&nested(DEEPEST + 1));
        assert!(said.contains("nested deeper than 127"), "{said}");
        assert!(check(b"\"\xff\"").is_err());
    }

    #[test]
    fn what_says_the_same_is_the_same() {
        for (one, other) in [
            (r#"{"a":1,"b":[2,3]}"#, " { \"b\" : [ 2.0 , 30e-1 ] , \"a\" : 1 } "),
            (r#"["\u00e9\n"]"#, "[\"é\\u000a\"]"),
            ("[0, -0, 0.00]", "[0e5,0,0]"),
            ("[100]", "[1E2]"),
            ("nonsense", "nonsense"),
        ] {
            assert!(same(one.as_bytes(), other.as_bytes()), "{one} and {other}");
        }
        for (one, other) in [
            ("98730000000000000000001", "98730000000000000000002"),
            ("[1,2]", "[2,1]"),
            ("1", "-1"),
            ("\"1\"", "1"),
            ("{}", "[]"),
            ("1e-400", "0"),
            ("nonsense", "other"),
        ] {
            assert!(!same(one.as_bytes(), other.as_bytes()), "{one} and {other}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((".{0,5}", inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    #[test]
    fn a_name_that_stands_twice_is_found_among_many() {
        for n in [2, 12, 13, 14, 40] {
            let mut members: Vec<String> = (0..n).map(|i| format!("\"m{i}\":{i}")).collect();
            assert_eq!(check(format!("{{{}}}", members.join(",")).as_bytes()), Ok(()), "{n}");
            for again in [0, n - 1] {
                members.push(format!("\"m{again}\":0"));
                let (place, said) = violation(&format!("{{{}}}", members.join(",")));
                assert_eq!(place, format!("/m{again}"), "{n}: {said}");
                members.pop();
            }
        }
    }

    proptest! {
        #[test]
        fn what_serde_writes_is_accepted_and_equals_itself_indented(value in value()) {
            let short = serde_json::to_vec(&value).unwrap();
            let long = serde_json::to_vec_pretty(&value).unwrap();
            prop_assert_eq!(check(&short), Ok(()));
            prop_assert_eq!(canonical(&short), canonical(&long));
            prop_assert!(canonical(&short).is_some());
        }

        #[test]
        fn what_is_accepted_every_reader_here_reads(text in "[\\[\\]{}:,\"\\\\a1eE.+\\-0 ut]{0,24}") {
            if check(text.as_bytes()).is_ok() {
                prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
                prop_assert!(canonical(text.as_bytes()).is_some());
            }
        }
    }
}
