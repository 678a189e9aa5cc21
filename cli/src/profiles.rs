//! The profiles of a person: servers, each with the token for it.
//!
//! A file of the person's own holds them: `$XDG_CONFIG_HOME/upshot/profiles.toml`, or
//! `~/.config/upshot/profiles.toml`. `upshot login` writes it, readable by its owner only.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, anyhow};
use serde::Deserialize;
use toml::{Table, Value};
use upshot_runtime::secret::{Secret, SecretUrl};

use crate::{exit::Exit, output::note};

/// The profile that is meant where none is named.
pub const DEFAULT: &str = "default";
/// The most characters of a name.
const NAME: usize = 64;
const HEADER: &str = "# Written by `upshot login`. It holds API tokens: keep it from others.\n\n";

/// The name of a profile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

/// A server, and what a command shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The address of its API.
    pub api: SecretUrl,
    /// The API token; none where the API asks for no authentication.
    pub token: Option<Secret>,
    /// Whether the token may go over plain HTTP to another machine.
    #[serde(default)]
    pub token_over_http: bool,
}

/// All profiles of a person.
#[derive(Debug)]
pub struct Profiles {
    /// `None` where the person has no home folder.
    path: Option<PathBuf>,
    known: BTreeMap<String, Profile>,
}

impl Profiles {
    /// Reads the profiles of the person who runs the command. Without a file there are none.
    pub fn read() -> anyhow::Result<Self> {
        Self::of(path(|name| std::env::var_os(name)))
    }

    fn of(path: Option<PathBuf>) -> anyhow::Result<Self> {
        let text = match path.as_deref().map(fs::read_to_string) {
            None => String::new(),
            // A service's user may have a home folder that is none, such as /dev/null.
            Some(Err(error))
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                String::new()
            }
            // The home folder of another user, which `sudo` may leave in place.
            Some(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                note(format_args!(
                    "warning: there are no profiles, because {} cannot be read",
                    shown(path.as_deref())
                ));
                String::new()
            }
            Some(read) => read.with_context(|| format!("{} cannot be read", shown(path.as_deref())))?,
        };
        let known = toml::from_str(&text).map_err(|error| unreadable(path.as_deref(), &text, &error))?;
        Ok(Self { path, known })
    }

    /// The profile of this name, if there is one.
    pub fn get(&self, name: &str) -> Option<&Profile> {
        self.known.get(name)
    }

    /// The profile of this name.
    pub fn find(&self, name: &Name) -> anyhow::Result<&Profile> {
        self.get(name.as_str()).ok_or_else(|| {
            let known: Vec<&str> = self.known.keys().map(String::as_str).collect();
            let known = match known.as_slice() {
                [] => "there are none".to_owned(),
                known => format!("there are {}", known.join(", ")),
            };
            Exit::NotFound.because(format!(
                "no profile has the name `{name}` ({known}): `upshot login --api URL --as {name}` makes it"
            ))
        })
    }

    /// The profiles, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Profile)> {
        self.known.iter().map(|(name, profile)| (name.as_str(), profile))
    }

    /// Keeps a profile under a name, in the place of an earlier one.
    pub fn keep(&mut self, name: &Name, profile: Profile) -> anyhow::Result<()> {
        self.known.insert(name.0.clone(), profile);
        self.write()
    }

    /// Forgets a profile.
    pub fn forget(&mut self, name: &Name) -> anyhow::Result<Profile> {
        self.find(name)?;
        let forgotten = self.known.remove(name.as_str());
        self.write()?;
        forgotten.ok_or_else(|| anyhow!("no profile has the name `{name}`"))
    }

    /// What to do where others may read the file.
    pub fn warning(&self) -> Option<String> {
        let path = self.path.as_deref().filter(|path| is_open(path))?;
        let path = path.display();
        Some(format!("warning: other users may read {path}, which holds API tokens: run `chmod 600 {path}`"))
    }

    /// Writes the file beside its place and puts it there, so that no reader finds half of it.
    fn write(&self) -> anyhow::Result<()> {
        let path = self.path.as_deref().ok_or_else(|| {
            Exit::Usage.because("there is no place for profiles: set HOME, or XDG_CONFIG_HOME to a folder")
        })?;
        let folder = path.parent().unwrap_or(path);
        let put = || {
            fs::create_dir_all(folder)?;
            let beside = path.with_extension(format!("{}.new", std::process::id()));
            // A file that a killed command of the same number left behind.
            let _ = fs::remove_file(&beside);
            let mut file = private(&beside)?;
            let written = file.write_all(self.text().as_bytes()).and_then(|()| file.sync_all());
            written.and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
                // It holds tokens, and is of no use.
                let _ = fs::remove_file(&beside);
            })
        };
        put().with_context(|| format!("{} cannot be written", path.display()))
    }

    fn text(&self) -> String {
        let table = |profile: &Profile| {
            let mut table = Table::from_iter([("api".to_owned(), profile.api.expose().into())]);
            if let Some(token) = &profile.token {
                table.insert("token".to_owned(), token.expose().into());
            }
            if profile.token_over_http {
                table.insert("token_over_http".to_owned(), true.into());
            }
            Value::Table(table)
        };
        let all: Table = self.known.iter().map(|(name, profile)| (name.clone(), table(profile))).collect();
        format!("{HEADER}{all}")
    }
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Name {
    fn default() -> Self {
        Self(DEFAULT.to_owned())
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not the name of a profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a profile's name has 1 to {NAME} letters, digits, `-`, `_` or `.`")]
pub struct BadName;

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let is_allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
        let is_name = (1..=NAME).contains(&text.len()) && text.chars().all(is_allowed);
        is_name.then(|| Self(text.to_owned())).ok_or(BadName)
    }
}

/// The place of the file, by the variables of the environment (XDG Base Directory Specification).
fn path(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?;
    Some(config.join("upshot").join("profiles.toml"))
}

fn shown(path: Option<&Path>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

/// Names the line, and nothing of what it says: it may be a token.
fn unreadable(path: Option<&Path>, text: &str, error: &toml::de::Error) -> anyhow::Error {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.lines().count().max(1);
    Exit::Usage.because(format!(
        "{}, line {line}: this is no profile: correct the line, or remove the file and log in again",
        shown(path)
    ))
}

#[cfg(unix)]
fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open(_: &Path) -> bool {
    false
}

#[cfg(unix)]
fn private(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn private(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Profiles that stand in no file.
    pub fn profiles(known: &[(&str, &str, Option<&str>)]) -> Profiles {
        let profile = |(name, api, token): &(&str, &str, Option<&str>)| {
            let profile =
                Profile { api: (*api).into(), token: token.map(Secret::from), token_over_http: false };
            ((*name).to_owned(), profile)
        };
        Profiles { path: None, known: known.iter().map(profile).collect() }
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn profiles_are_read_as_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upshot/profiles.toml");
        let mut kept = Profiles::of(Some(path.clone())).unwrap();
        let one =
            Profile { api: "https://a.example".into(), token: Some("upk_1".into()), token_over_http: false };
        let other = Profile { api: "http://b.example:8080".into(), token: None, token_over_http: true };
        kept.keep(&name("prod.eu"), one.clone()).unwrap();
        kept.keep(&name(DEFAULT), other.clone()).unwrap();
        let mut read = Profiles::of(Some(path.clone())).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), [(DEFAULT, &other), ("prod.eu", &one)]);
        assert!(!format!("{read:?}").contains("upk_1"), "{read:?}");
        assert_eq!(read.forget(&name("prod.eu")).unwrap(), one);
        let why = Profiles::of(Some(path)).unwrap().find(&name("prod.eu")).unwrap_err();
        assert_eq!(Exit::of(&why), Exit::NotFound);
        assert!(why.to_string().contains("there are default") && why.to_string().contains("upshot login"));
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_the_owners_alone_and_an_open_file_is_told() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upshot/profiles.toml");
        let mut kept = Profiles::of(Some(path.clone())).unwrap();
        kept.keep(&name("a"), Profile { api: "http://h".into(), token: None, token_over_http: false })
            .unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(kept.warning(), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(kept.warning().unwrap().contains("chmod 600"));
        // Writing it again closes it.
        kept.forget(&name("a")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_named_without_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profiles.toml");
        for text in
            ["[a]\napi = \"http://h\"\ntoken = s3cr3t", "[a]\napi = \"http://h\"\ns3cr3t = \"s3cr3t\""]
        {
            fs::write(&path, text).unwrap();
            let why = Profiles::of(Some(path.clone())).unwrap_err();
            let said = format!("{why:#} {why:?}");
            assert!(said.contains("profiles.toml, line ") && said.contains("log in again"), "{said}");
            assert!(!said.contains("s3cr3t"), "{said}");
        }
    }

    #[test]
    fn a_home_folder_that_is_none_has_no_profiles() {
        for place in ["/dev/null/upshot/profiles.toml", "/nonexistent/upshot/profiles.toml"] {
            assert_eq!(Profiles::of(Some(place.into())).unwrap().iter().count(), 0);
        }
    }

    #[test]
    fn the_place_follows_the_variables() {
        let of = |variables: &[(&str, &str)]| {
            path(|name| Some(variables.iter().find(|(other, _)| *other == name)?.1.into()))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("HOME", "/home/a")]), Some("/home/a/.config/upshot/profiles.toml".into()));
        let both = [("HOME", "/home/a"), ("XDG_CONFIG_HOME", "/etc/a")];
        assert_eq!(of(&both), Some("/etc/a/upshot/profiles.toml".into()));
        // A relative folder does not count.
        let both = [("HOME", "/home/a"), ("XDG_CONFIG_HOME", "a")];
        assert_eq!(of(&both), Some("/home/a/.config/upshot/profiles.toml".into()));
    }

    proptest! {
        #[test]
        fn whatever_a_profile_holds_is_read_back(token in "[!-~]{1,90}", api in "\\PC{0,60}", over in any::<bool>()) {
            let profile = Profile { api: api.as_str().into(), token: Some(token.as_str().into()), token_over_http: over };
            let kept = Profiles { path: None, known: [("a.b".to_owned(), profile.clone())].into() };
            let read: BTreeMap<String, Profile> = toml::from_str(&kept.text()).unwrap();
            prop_assert_eq!(&read["a.b"], &profile);
        }
    }
}
