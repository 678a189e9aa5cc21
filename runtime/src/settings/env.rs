//! Settings from environment variables: `UPSHOT_BRIDGE__PREFETCH=500`.
//!
//! With `_FILE` at the end of its name, a variable names the file that holds the value:
//! `UPSHOT_REDIS_URL_FILE=/run/secrets/redis-url`. If the name with `_file` is itself a key
//! (`UPSHOT_REDIS__CA_FILE`), the variable sets that key.

use std::path::Path;

use toml::{Table, Value};

use super::{Error, Settings, error::without_value};
use crate::secret::{
    MASK,
    file::{self, is_path},
};

/// The end of the name of a variable that names a file.
const FILE: &str = "_FILE";

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
    /// The key whose value the named file holds, unless `path` is itself a key.
    of_file: Option<OfFile>,
}

/// What a variable means that names a file.
#[derive(Clone, PartialEq)]
struct OfFile {
    /// The key.
    path: Vec<String>,
    /// A variable that sets the same key.
    twin: Option<String>,
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
    let mut overrides: Vec<Override> =
        variables.into_iter().filter_map(|(name, value)| Override::new(name, value)).collect();
    overrides.sort_by(|a, b| a.name.cmp(&b.name));
    let plain: Vec<(Vec<String>, String, bool)> = overrides
        .iter()
        .map(|variable| (variable.path.clone(), variable.name.clone(), variable.value.is_empty()))
        .collect();
    for of_file in overrides.iter_mut().filter_map(|variable| variable.of_file.as_mut()) {
        // An empty variable sets nothing beside a file: Compose passes unset variables on like that.
        let twin = plain.iter().find(|(path, _, empty)| *path == of_file.path && !empty);
        of_file.twin = twin.map(|(_, name, _)| name.clone());
    }
    let from_files: Vec<Vec<String>> =
        overrides.iter().filter_map(|variable| Some(variable.of_file.as_ref()?.path.clone())).collect();
    overrides.retain(|variable| !(variable.value.is_empty() && from_files.contains(&variable.path)));
    Ok(overrides)
}

/// The intended name, if one more underscore makes this name a key.
fn near_miss(name: &str, defaults: &Table) -> Option<String> {
    let (name, end) = name.strip_suffix(FILE).map_or((name, ""), |name| (name, FILE));
    if path(name).is_some() {
        return None;
    }
    let (section, key) = name.strip_prefix("UPSHOT_")?.split_once('_')?;
    let (lower_section, lower_key) = (section.to_lowercase(), key.to_lowercase());
    defaults.get(&lower_section)?.as_table()?.get(&lower_key)?;
    Some(format!("UPSHOT_{section}__{key}{end}"))
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
    /// The variable, if its name is that of a key. An empty variable names no file.
    fn new(name: String, value: String) -> Option<Self> {
        let of_file = name.strip_suffix(FILE).and_then(path).map(|path| OfFile { path, twin: None });
        let own = match (path(&name), &of_file) {
            (Some(path), _) => path,
            // UPSHOT_REDIS_URL_FILE
            (None, Some(OfFile { path, .. })) => {
                let (last, above) = path.split_last()?;
                above.iter().cloned().chain([format!("{last}_file")]).collect()
            }
            (None, None) => return None,
        };
        (of_file.is_none() || !value.is_empty()).then_some(Self { name, value, path: own, of_file })
    }

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
    /// other keys are `passable`. If the variable names a file instead of a key, its content is the
    /// value; a secret gets the file itself, to read it again.
    pub(super) fn apply_as(
        &self,
        table: &mut Table,
        read: impl Fn(&Table) -> Result<(), toml::de::Error>,
        passable: impl Fn(&toml::de::Error) -> bool,
    ) -> Result<(), Error> {
        let unknown = self.path.last().map(|key| format!("unknown field `{key}`"));
        match (self.put(&self.path, forms(&self.value), table, &read, &passable), &self.of_file) {
            (Ok(()), _) => Ok(()),
            (Err(why), Some(of_file)) if unknown.is_some_and(|unknown| why.starts_with(&unknown)) => {
                let content = self.content(of_file)?;
                let file = Table::from_iter([("file".to_owned(), self.value.clone().into())]);
                // Only a secret is a table that names a file.
                if self.put(&of_file.path, vec![file.into()], table, &read, &passable).is_ok() {
                    return Ok(());
                }
                let values = forms(&content);
                let put = self.put(&of_file.path, values, table, &read, &passable);
                put.map_err(|why| self.wrong(self.shown_path(), why.replace(&content, MASK)))
            }
            (Err(why), _) => {
                let value = if self.may_be_secret(&why) { MASK.to_owned() } else { self.value.clone() };
                Err(self.wrong(value, why))
            }
        }
    }

    /// The content of the file that the variable names.
    fn content(&self, of_file: &OfFile) -> Result<String, Error> {
        if let Some(twin) = &of_file.twin {
            let why = format!("{twin} sets the same key: remove one of the two variables");
            return Err(self.wrong(self.shown_path(), why));
        }
        file::read(Path::new(&self.value)).map_err(|error| {
            let why = if is_path(&self.value) {
                error.to_string()
            } else {
                "the file cannot be used: write its path from `/`; another text is not shown here, as it may \
                 be the secret itself"
                    .to_owned()
            };
            self.wrong(self.shown_path(), why)
        })
    }

    fn shown_path(&self) -> String {
        if is_path(&self.value) { self.value.clone() } else { MASK.to_owned() }
    }

    fn wrong(&self, value: String, why: String) -> Error {
        Error::Variable { name: self.name.clone(), value, why }
    }

    /// Puts the first value into the table that `read` accepts there; otherwise says why not.
    fn put(
        &self,
        path: &[String],
        values: Vec<Value>,
        table: &mut Table,
        read: impl Fn(&Table) -> Result<(), toml::de::Error>,
        passable: impl Fn(&toml::de::Error) -> bool,
    ) -> Result<(), String> {
        let mut why: Option<String> = None;
        for value in values {
            let mut with = table.clone();
            set(&mut with, path, value);
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
        Err(why.unwrap_or_default())
    }

    /// Whether the value may be a password, or a URL with one. The purpose of an unknown key is
    /// unknown too.
    fn may_be_secret(&self, why: &str) -> bool {
        let secretive = self.path.iter().any(|key| is_secretive(key));
        why.starts_with("unknown field") || self.value.contains('@') || secretive
    }
}

/// What a text may mean, in the order of trial.
fn forms(text: &str) -> Vec<Value> {
    let as_toml = format!("x = {text}").parse::<Table>().ok();
    let mut forms: Vec<Value> = as_toml.and_then(|mut parsed| parsed.remove("x")).into_iter().collect();
    forms.push(Value::String(text.to_owned()));
    forms.push(Value::Array(text.split(',').map(|part| Value::String(part.trim().to_owned())).collect()));
    forms
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

#[cfg(test)]
mod tests {
    use super::{super::Program, *};

    const PROGRAM: Program = Program {
        name: "",
        version: "",
        defaults: "[[routes]]\nevent = 'a.v1'\njob = 'a'\nqueue = 'a'\nwithin = '1m'",
        contracts: &[],
    };

    fn load(variables: &[(&str, &str)]) -> Result<Settings, Error> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings::load(&PROGRAM, None, variables.iter().map(owned))
    }

    #[test]
    fn a_variable_may_name_the_file_of_a_value() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        let (amqp, redis) = (file("amqp", "amqp://u:p@h/v\n"), file("redis", "redis+sentinel://:p@h/m"));
        let (smtp, password) = (file("smtp", "smtp://u:p@localhost"), file("password", "s3cr3t"));
        let (batch, hosts) = (file("batch", "64"), file("hosts", "a,b"));
        let settings = load(&[
            ("UPSHOT_AMQP_URL_FILE", &amqp),
            ("UPSHOT_AMQP_URL", ""),
            ("UPSHOT_REDIS_URL_FILE", &redis),
            ("UPSHOT_REDIS__SENTINEL_PASSWORD_FILE", &password),
            ("UPSHOT_SMTP__URL_FILE", &smtp),
            ("UPSHOT_STORE__CA_FILE", "ca.pem"),
            ("UPSHOT_STORE__URL_FILE", ""),
            ("UPSHOT_BRIDGE__BATCH_FILE", &batch),
            ("UPSHOT_API__HOSTS_FILE", &hosts),
        ])
        .unwrap();
        assert_eq!(settings.amqp.url.expose(), "amqp://u:p@h/v");
        assert_eq!(settings.amqp.url.file(), Some(Path::new(&amqp)));
        assert_eq!(settings.redis.url.expose(), "redis+sentinel://:p@h/m");
        let password = settings.redis.sentinel_password.unwrap();
        assert_eq!((password.expose(), password.file().is_some()), ("s3cr3t", true));
        assert_eq!(settings.smtp.url.expose(), "smtp://u:p@localhost");
        assert_eq!(settings.store.ca_file, Some("ca.pem".into()));
        assert_eq!((settings.bridge.batch, settings.api.hosts), (64, vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn a_section_of_a_program_may_come_from_files() {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Carrier {
            token: crate::secret::Secret,
            login: String,
            list_file: String,
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cr3t").unwrap();
        let path = file.path().display().to_string();
        let carrier: Carrier = load(&[
            ("UPSHOT_APP__CARRIER__TOKEN_FILE", &path),
            ("UPSHOT_APP__CARRIER__LOGIN_FILE", &path),
            ("UPSHOT_APP__CARRIER__LIST_FILE", "/etc/list"),
        ])
        .unwrap()
        .section("carrier")
        .unwrap();
        assert_eq!((carrier.token.expose(), carrier.login.as_str()), ("s3cr3t", "s3cr3t"));
        assert_eq!((carrier.token.file(), carrier.list_file.as_str()), (Some(file.path()), "/etc/list"));
    }

    #[test]
    fn what_is_wrong_with_a_file_names_the_variable_and_no_content() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "http://u:m4rker@h").unwrap();
        let path = file.path().display().to_string();
        let path = path.as_str();
        for (variables, words) in [
            (
                &[("UPSHOT_REDIS_URL_FILE", path), ("UPSHOT_REDIS_URL", "redis://:m4rker@h")][..],
                ["UPSHOT_REDIS_URL_FILE", "UPSHOT_REDIS_URL sets the same key", "remove one"],
            ),
            (
                &[("UPSHOT_REDIS__URL_FILE", path), ("UPSHOT_REDIS_URL", "redis://:m4rker@h")],
                ["UPSHOT_REDIS__URL_FILE", "UPSHOT_REDIS_URL sets", "remove one"],
            ),
            (
                &[("UPSHOT_REDIS_URL_FILE", "/run/none")],
                ["UPSHOT_REDIS_URL_FILE=/run/none", "cannot be read", "may read"],
            ),
            (
                &[("UPSHOT_REDIS_URL_FILE", "redis://:m4rker@h")],
                ["UPSHOT_REDIS_URL_FILE=…", "path", "not shown"],
            ),
            (&[("UPSHOT_REDIS__SENTINEL_PASSWORD_FILE", "m4rker")], ["PASSWORD_FILE=…", "path", "not shown"]),
            (&[("UPSHOT_REDIS_URL_FILE", path)], ["`redis.url`", "http://…@h", "redis+sentinel"]),
            (
                &[("UPSHOT_SMTP_URL_FILE", path)],
                ["UPSHOT_SMTP_URL_FILE", "UPSHOT_SMTP__URL_FILE", "did you mean"],
            ),
            (
                &[("UPSHOT_REDIS__PASSWORT_FILE", path)],
                ["UPSHOT_REDIS__PASSWORT_FILE", "unknown field `passwort`", "expected"],
            ),
            (&[("UPSHOT_BRIDGE__MAX_EVENT_BYTES_FILE", path)], ["MAX_EVENT_BYTES_FILE", path, "64KiB"]),
        ] {
            let said = load(variables).unwrap_err().to_string();
            assert!(words.iter().all(|word| said.contains(word)), "{variables:?}: {said}");
            assert!(!said.contains("m4rker"), "{said}");
        }
    }
}
