//! Settings from environment variables: `UPSHOT_BRIDGE__PREFETCH=500`.

use toml::{Table, Value};

use super::{Error, Settings, error::without_value};
use crate::secret::MASK;

/// A key with one of these in its name may be meant for a secret, even an unknown key.
const SECRETIVE: [&str; 15] = [
    "url",
    "uri",
    "pass",
    "pwd",
    "secret",
    "token",
    "login",
    "credential",
    "key",
    "auth",
    "bearer",
    "dsn",
    "private",
    "signature",
    "cookie",
];

/// A variable that sets a key.
#[derive(Clone, PartialEq)]
pub(super) struct Override {
    name: String,
    value: String,
    path: Vec<String>,
}

/// The variables that set keys, sorted by name, so that the result does not depend on the order in
/// which the environment lists them. A variable with a single underscore where a key needs two is
/// refused. Ignoring it would, for example, send mail to the default server.
pub(super) fn overrides(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<Override>, Error> {
    let variables: Vec<(String, String)> = variables.into_iter().collect();
    let defaults: Table = super::DEFAULTS.parse().unwrap_or_default();
    for (name, _) in &variables {
        if let Some(meant) = near_miss(name, &defaults) {
            let why = format!("it is ignored as it stands: did you mean {meant}?");
            return Err(Error::Variable { name: name.clone(), value: MASK.to_owned(), why });
        }
    }
    let mut overrides: Vec<Override> = variables
        .into_iter()
        .filter_map(|(name, value)| Some(Override { path: path(&name)?, name, value }))
        .collect();
    overrides.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(overrides)
}

/// The intended name, if one more underscore makes this name a key.
fn near_miss(name: &str, defaults: &Table) -> Option<String> {
    if path(name).is_some() {
        return None;
    }
    let (section, key) = name.strip_prefix("UPSHOT_")?.split_once('_')?;
    let (lower_section, lower_key) = (section.to_lowercase(), key.to_lowercase());
    defaults.get(&lower_section)?.as_table()?.get(&lower_key)?;
    Some(format!("UPSHOT_{section}__{key}"))
}

fn path(name: &str) -> Option<Vec<String>> {
    match name {
        "UPSHOT_DATA_DIR" => return Some(vec!["data_dir".to_owned()]),
        "UPSHOT_AMQP_URL" => return Some(vec!["amqp".to_owned(), "url".to_owned()]),
        "UPSHOT_REDIS_URL" => return Some(vec!["redis".to_owned(), "url".to_owned()]),
        _ => {}
    }
    // A variable without a double underscore has another purpose.
    let key = name.strip_prefix("UPSHOT_").filter(|key| key.contains("__"))?;
    Some(key.split("__").map(str::to_lowercase).collect())
}

impl Override {
    /// Whether the variable sets a key below this path.
    pub(super) fn is_below(&self, path: &[&str]) -> bool {
        self.path.len() > path.len() && self.path.iter().zip(path).all(|(own, other)| own == other)
    }

    /// Takes the key out of the table.
    pub(super) fn remove_from(&self, table: &mut Table) {
        let Some((last, above)) = self.path.split_last() else { return };
        let mut at = Some(table);
        for key in above {
            at = at.and_then(|table| table.get_mut(key)).and_then(Value::as_table_mut);
        }
        if let Some(table) = at {
            table.remove(last);
        }
    }

    /// Puts the value into the table and reads the settings again.
    pub(super) fn apply(&self, table: &mut Table) -> Result<(), Error> {
        self.apply_as(table, |table| table.clone().try_into::<Settings>().map(drop), |_| false)
    }

    /// Puts the value into the table. A TOML value (a number, a boolean, a list) counts as such if
    /// `read` accepts it. Otherwise the value is a list written `a,b`, or a string. Errors about
    /// other keys are `passable`.
    pub(super) fn apply_as(
        &self,
        table: &mut Table,
        read: impl Fn(&Table) -> Result<(), toml::de::Error>,
        passable: impl Fn(&toml::de::Error) -> bool,
    ) -> Result<(), Error> {
        let as_toml = format!("x = {}", self.value).parse::<Table>().ok();
        let mut candidates: Vec<Value> =
            as_toml.and_then(|mut parsed| parsed.remove("x")).into_iter().collect();
        candidates.push(Value::String(self.value.clone()));
        let list = self.value.split(',').map(|part| Value::String(part.trim().to_owned())).collect();
        candidates.push(Value::Array(list));
        let mut why: Option<String> = None;
        for value in candidates {
            let mut with = table.clone();
            set(&mut with, &self.path, value);
            match read(&with) {
                Ok(()) => {
                    *table = with;
                    return Ok(());
                }
                Err(error) if passable(&error) => {
                    *table = with;
                    return Ok(());
                }
                // An error about a value of the right type says more than an error about a wrong
                // type.
                Err(error) if why.as_ref().is_none_or(|why| why.starts_with("invalid type")) => {
                    let said = error.message();
                    if why.is_none() || !said.starts_with("invalid type") {
                        why = Some(without_value(said));
                    }
                }
                Err(_) => {}
            }
        }
        let why = why.unwrap_or_default();
        let value = if self.may_be_secret(&why) { MASK.to_owned() } else { self.value.clone() };
        Err(Error::Variable { name: self.name.clone(), value, why })
    }

    /// Whether the value may be a password, or a URL with one. The purpose of an unknown key is
    /// unknown too.
    fn may_be_secret(&self, why: &str) -> bool {
        let secretive = self.path.iter().any(|key| is_secretive(key));
        why.starts_with("unknown field") || self.value.contains('@') || secretive
    }
}

/// Whether a key may hold a secret, by its name.
pub(super) fn is_secretive(key: &str) -> bool {
    let key = key.to_lowercase();
    SECRETIVE.iter().any(|word| key.contains(word))
}

fn set(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let below = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(below) = below {
                set(below, rest, value);
            }
        }
    }
}
