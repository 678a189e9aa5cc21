//! `[app.…]`: the program's own sections, which its own types check.

use std::{collections::BTreeSet, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use toml::{Table, Value};

use super::{
    Error, Settings,
    env::{Override, is_secretive},
    error::without_value,
};
use crate::secret::MASK;

/// The name of the table that holds them.
pub(super) const APP: &str = "app";

/// The program's own sections. A value whose key suggests a secret is masked in every output.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct App(Table);

impl Serialize for App {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        masked(&self.0).serialize(serializer)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        masked(&self.0).fmt(formatter)
    }
}

/// The table with masked values for keys that suggest a secret.
fn masked(table: &Table) -> Table {
    fn mask(key: &str, value: &Value) -> Value {
        match value {
            _ if is_secretive(key) => Value::String(MASK.to_owned()),
            Value::Table(table) => Value::Table(masked(table)),
            Value::Array(values) => Value::Array(values.iter().map(|value| mask(key, value)).collect()),
            other => other.clone(),
        }
    }
    table.iter().map(|(key, value)| (key.clone(), mask(key, value))).collect()
}

/// The sources of `[app.…]`, so that an error names the place.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Sources {
    /// The file, as it is shown, and its text.
    pub(super) file: Option<(String, String)>,
    /// The variables that set a key of `[app.…]`, sorted by name.
    pub(super) variables: Vec<Override>,
}

impl fmt::Debug for Sources {
    /// Without the text, which may hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map(|(path, _)| path);
        formatter.debug_struct("Sources").field("file", &file).finish_non_exhaustive()
    }
}

impl Settings {
    /// The section `[app.NAME]`, as the program's own type reads it. A type that denies unknown
    /// fields makes an unknown key an error; a missing section is an empty one.
    ///
    /// # Errors
    /// What is wrong, with its line in the file or its variable.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, Error> {
        if let Some((path, text)) = &self.sources.file {
            // The source is read again, because a merged table has no lines.
            let read =
                toml::Deserializer::parse(text).and_then(|file| At::<T>::new(&[APP, name]).deserialize(file));
            if let Err(error) = read
                && !is_missing(&error)
            {
                return Err(Error::in_file(path, text, &error));
            }
        }
        let of = |table: &Table| {
            let section = table.get(APP).and_then(|app| app.get(name)).cloned();
            section.unwrap_or_else(|| Value::Table(Table::new()))
        };
        let mut table = Table::from_iter([(APP.to_owned(), Value::Table(self.app.0.clone()))]);
        // They are there with a type that was guessed; each gets its own below.
        for variable in &self.sources.variables {
            variable.remove_from(&mut table);
        }
        for variable in self.sources.variables.iter().filter(|variable| variable.is_below(&[APP, name])) {
            variable.apply_as(&mut table, |table| of(table).try_into::<T>().map(drop), is_missing)?;
        }
        of(&table).try_into().map_err(|error| Error::Impossible {
            key: format!("[{APP}.{name}]"),
            value: "not as this program needs it".to_owned(),
            remedy: without_value(error.message()),
        })
    }

    /// The section `[app.NAME]`, where there is one.
    ///
    /// # Errors
    /// As [`Settings::section`].
    pub fn optional_section<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        self.app.0.contains_key(name).then(|| self.section(name)).transpose()
    }

    /// Refuses sections of `[app.…]` that the program did not request.
    ///
    /// # Errors
    /// The first of them, with the known ones.
    pub fn refuse_other_sections(&self, known: &BTreeSet<String>) -> Result<(), Error> {
        let Some(unknown) = self.app.0.keys().find(|name| !known.contains(*name)) else { return Ok(()) };
        let remedy = match known.iter().map(|name| format!("[{APP}.{name}]")).collect::<Vec<_>>() {
            known if known.is_empty() => "remove it: this program has no sections of its own".to_owned(),
            known => format!("remove it, or write {}", known.join(" or ")),
        };
        Err(Error::Impossible {
            key: format!("[{APP}.{unknown}]"),
            value: "a section that this program does not know".to_owned(),
            remedy,
        })
    }
}

/// Whether a part of the settings only lacks a key, which another source may bring.
fn is_missing(error: &toml::de::Error) -> bool {
    error.message().starts_with("missing field")
}

/// Reads the value at a path of tables, and skips everything else.
struct At<'p, T> {
    path: &'p [&'p str],
    read: std::marker::PhantomData<T>,
}

impl<'p, T> At<'p, T> {
    fn new(path: &'p [&'p str]) -> Self {
        Self { path, read: std::marker::PhantomData }
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for At<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.path.is_empty() {
            return T::deserialize(deserializer).map(drop);
        }
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for At<'_, T> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.path.split_first() else { return Ok(()) };
        while let Some(key) = map.next_key::<String>()? {
            if key == *first {
                map.next_value_seed(At::<T>::new(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Program, *};

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Carrier {
        url: String,
        #[serde(default)]
        depots: Vec<String>,
    }

    const ROUTE: &str = "[[routes]]\nevent = 'a.v1'\njob = 'a'\nqueue = 'a'\nwithin = '1m'\n";

    fn load(text: &str, variables: &[(&str, &str)]) -> Settings {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{ROUTE}{text}")).unwrap();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings::load(&Program::default(), Some(file.path()), variables.iter().map(owned)).unwrap()
    }

    #[test]
    fn a_section_comes_from_the_file_and_from_variables() {
        let variables = [("UPSHOT_APP__CARRIER__DEPOTS", "1, 2"), ("UPSHOT_APP__OTHER__URL", "x")];
        let carrier: Carrier = load("[app.carrier]\nurl = 'u'", &variables).section("carrier").unwrap();
        assert_eq!(carrier, Carrier { url: "u".into(), depots: vec!["1".into(), "2".into()] });
        // Each value gets its own type, whatever the others look like.
        let variables = [("UPSHOT_APP__CARRIER__DEPOTS", "a, b"), ("UPSHOT_APP__CARRIER__URL", "17")];
        let carrier = load("", &variables).section::<Carrier>("carrier").unwrap();
        assert_eq!((carrier.url.as_str(), carrier.depots.len()), ("17", 2));
        let variables = [("UPSHOT_APP__CARRIER__URL", "17")];
        assert_eq!(load("", &variables).section::<Carrier>("carrier").unwrap().url, "17");
    }

    #[test]
    fn what_is_wrong_names_its_place() {
        let said = |text: &str, variables: &[(&str, &str)]| {
            load(text, variables).section::<Carrier>("carrier").unwrap_err().to_string()
        };
        for (text, variables, words) in [
            ("[app.carrier]\nurl = 'u'\ndepot = []", &[][..], ["line 8", "depot", "`depots`"]),
            ("[app.carrier]\nurl = 5", &[], ["line 7", "integer", "string"]),
            ("", &[], ["[app.carrier]", "missing field", "`url`"]),
            (
                "[app.carrier]\nurl = 'u'",
                &[("UPSHOT_APP__CARRIER__DEPOT", "a")],
                ["UPSHOT_APP__CARRIER__DEPOT", "depot", "`depots`"],
            ),
        ] {
            let said = said(text, variables);
            for word in words {
                assert!(said.contains(word), "`{word}` is not in: {said}");
            }
        }
    }

    #[test]
    fn an_optional_section_may_be_missing_and_no_part_of_one_may() {
        assert_eq!(load("", &[]).optional_section::<Carrier>("carrier").unwrap(), None);
        let partial = load("[app.carrier]\ndepots = []", &[]).optional_section::<Carrier>("carrier");
        assert!(partial.unwrap_err().to_string().contains("`url`"));
    }

    #[test]
    fn a_section_that_no_program_asked_for_is_refused() {
        let settings = load("[app.carier]\nurl = 'u'", &[]);
        let known = BTreeSet::from(["carrier".to_owned()]);
        let said = settings.refuse_other_sections(&known).unwrap_err().to_string();
        assert!(said.contains("[app.carier]") && said.contains("[app.carrier]"), "{said}");
        let known = BTreeSet::from(["carier".to_owned()]);
        assert!(settings.refuse_other_sections(&known).is_ok());
    }

    #[test]
    fn a_section_is_printed_without_its_secrets() {
        let settings = load(
            "[app.carrier]\napi_token = 's3cret'\nAPI_KEY = 's3cret'\nsigningKey = 's3cret'\ndepots = ['a']\n\
             [app.carrier.credentials]\npin = 's3cret'",
            &[],
        );
        let printed = toml::to_string(&settings).unwrap();
        assert!(printed.contains("depots") && !printed.contains("s3cret"), "{printed}");
    }
}
