//! The API token that a command sends, and where it came from.

use std::{
    ffi::OsString,
    fmt,
    io::{IsTerminal, Read},
    path::PathBuf,
};

use anyhow::Context;
use upshot_runtime::secret::Secret;

use super::server::Server;
use crate::{
    arguments::ApiAddress,
    exit::Exit,
    output::note,
    profiles::{Name, Profiles},
};

/// The variable that holds a token. There is no option for it: other users of the machine see the
/// options of a command.
const VARIABLE: &str = "UPSHOT_TOKEN";
/// More than any token has, in bytes.
const MOST: u64 = 64 * 1024;

/// A token, and where it came from.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The token.
    pub token: Secret,
    /// Where it came from.
    pub source: Source,
}

/// Where a token came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file that the command line or a variable names.
    File(PathBuf),
    /// The variable `UPSHOT_TOKEN`.
    Variable,
    /// A profile.
    Profile(Name),
    /// Standard input.
    StandardInput,
    /// A login that has just succeeded.
    Login,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Variable => f.write_str(VARIABLE),
            Self::Profile(name) => write!(f, "the profile `{name}`"),
            Self::StandardInput => f.write_str("standard input"),
            Self::Login => f.write_str("the login"),
        }
    }
}

impl Credential {
    /// The token of a file, of the variable, or of the server's profile, in this order; none if there
    /// is no token.
    pub fn of(given: &ApiAddress, server: &Server, profiles: &Profiles) -> anyhow::Result<Option<Self>> {
        let credential = match Self::told(given, std::env::var_os(VARIABLE))? {
            Some(told) => told,
            None => {
                let Some((name, profile)) = &server.profile else { return Ok(None) };
                let Some(token) = profile.token.clone() else { return Ok(None) };
                profiles.warning().iter().for_each(note);
                Self { token, source: Source::Profile(name.clone()) }
            }
        };
        credential.source.permit(server, given)?;
        Ok(Some(credential))
    }

    /// The token that the command line or the environment gives.
    pub fn told(given: &ApiAddress, variable: Option<OsString>) -> anyhow::Result<Option<Self>> {
        if let Some(file) = given.token_file.as_ref().filter(|file| !file.as_os_str().is_empty()) {
            let read = std::fs::File::open(file).and_then(text);
            let text = read.with_context(|| format!("the token file {} cannot be read", file.display()))?;
            return Self::new(&text, Source::File(file.clone())).map(Some);
        }
        match variable.filter(|value| !value.is_empty()) {
            Some(value) => Self::new(&value.to_string_lossy(), Source::Variable).map(Some),
            None => Ok(None),
        }
    }

    /// The token on standard input.
    pub fn of_stdin() -> anyhow::Result<Self> {
        if std::io::stdin().is_terminal() {
            note("Paste the token, and press Enter and Ctrl-D:");
        }
        let text = text(std::io::stdin()).context("standard input cannot be read")?;
        Self::new(&text, Source::StandardInput)
    }

    /// A token without the blanks around it. An error does not show it.
    fn new(text: &str, source: Source) -> anyhow::Result<Self> {
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let what = if token.is_empty() { "is empty" } else { "is no API token" };
            return Err(Exit::Usage.because(format!(
                "{source} {what}: it must hold one token and nothing else, as `upshot token create` prints it"
            )));
        }
        Ok(Self { token: token.into(), source })
    }
}

impl Source {
    /// Checks that a token from here may go to the server.
    ///
    /// # Errors
    /// When others could read it on the way, or the address has a login in its place.
    pub fn permit(&self, server: &Server, given: &ApiAddress) -> anyhow::Result<()> {
        if server.has_login() {
            return Err(Exit::Usage.because(format!(
                "the address of the API has a login, and {self} gives a token: a request takes one of the two"
            )));
        }
        let is_agreed = given.token_over_http
            || matches!(self, Self::Profile(_))
                && server.profile.as_ref().is_some_and(|(_, profile)| profile.token_over_http);
        if server.is_readable_on_the_way() && !is_agreed {
            return Err(Exit::Usage.because(format!(
                "the token of {self} would go to {} unencrypted, where others can read it: use https://, or add \
                 --token-over-http if you trust the network in between",
                server.base
            )));
        }
        Ok(())
    }
}

fn text(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{commands::client::server::address, profiles::Profile};

    fn given(file: Option<PathBuf>, token_over_http: bool) -> ApiAddress {
        ApiAddress { api: None, profile: None, token_file: file, token_over_http }
    }

    fn server(api: &str, profile: Option<Profile>) -> Server {
        Server { base: address("--api", api).unwrap(), profile: profile.map(|of| (Name::default(), of)) }
    }

    #[test]
    fn a_file_wins_over_the_variable() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "upk_of_file\n").unwrap();
        let told = |file: Option<PathBuf>, variable: Option<&str>| {
            let told = Credential::told(&given(file, false), variable.map(OsString::from)).unwrap();
            told.map(|told| told.token.expose().to_owned())
        };
        assert_eq!(told(Some(file), Some("upk_of_variable")).as_deref(), Some("upk_of_file"));
        // An empty file name and an empty variable are as none.
        assert_eq!(told(Some("".into()), Some(" upk_of_variable ")).as_deref(), Some("upk_of_variable"));
        assert_eq!(told(None, Some("")), None);
        assert_eq!(told(None, None), None);
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for (text, words) in
            [("", "is empty"), ("s3cr3t s3cr3t", "no API token"), ("s3cr3t\u{e9}", "no API token")]
        {
            std::fs::write(&file, text).unwrap();
            let why = Credential::told(&given(Some(file.clone()), false), None).unwrap_err();
            let said = format!("{why:#}");
            assert!(said.contains(words) && said.contains("token") && !said.contains("s3cr3t"), "{said}");
            assert_eq!(Exit::of(&why), Exit::Usage);
        }
        let why = Credential::told(&given(Some(folder.path().join("none")), false), None).unwrap_err();
        assert!(format!("{why:#}").contains("cannot be read"));
    }

    #[test]
    fn a_token_goes_unencrypted_to_this_machine_only_unless_agreed() {
        let own = |over| Profile { api: "http://h".into(), token: Some("t".into()), token_over_http: over };
        let of = |source| Credential { token: "s3cr3t".into(), source };
        let check = |credential: &Credential, server: &Server, agreed| {
            credential.source.permit(server, &given(None, agreed))
        };
        let (variable, profile) = (of(Source::Variable), of(Source::Profile(Name::default())));
        for here in ["https://h", "127.0.0.1:8080", "http://localhost:8080", "http://[::1]"] {
            check(&variable, &server(here, None), false).unwrap();
        }
        let why = check(&variable, &server("http://h:8080", None), false).unwrap_err();
        let said = why.to_string();
        assert!(said.contains("https://") && said.contains("--token-over-http"), "{said}");
        assert!(!said.contains("s3cr3t") && Exit::of(&why) == Exit::Usage, "{said}");
        check(&variable, &server("http://h:8080", None), true).unwrap();
        // What was agreed to at the login counts for the profile's token.
        check(&profile, &server("http://h", Some(own(true))), false).unwrap();
        assert!(check(&variable, &server("http://h", Some(own(true))), false).is_err());
        assert!(check(&profile, &server("http://h", Some(own(false))), false).is_err());
        assert!(check(&variable, &server("https://a:b@h", None), false).is_err());
    }
}
