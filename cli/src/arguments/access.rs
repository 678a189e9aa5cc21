//! Arguments of commands on logins, profiles and API tokens.

use std::str::FromStr;

use clap::{ArgGroup, Args, Subcommand};
use upshot_access::{Right, Role};

use super::{ApiAddress, values::duration};
use crate::profiles;

/// The most bytes of a token's name, and of a name in a scope.
const NAME: usize = 100;
const SCOPE_NAME: usize = 512;
/// The digits of a token's id.
const ID: usize = 12;

#[derive(Debug, Args)]
pub struct Login {
    /// Read an API token from standard input, as `upshot token create` prints it.
    #[arg(long)]
    pub token_stdin: bool,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Logout {
    /// The profile to forget; `default` if left out.
    #[arg(id = "profile", long = "as", env = "UPSHOT_PROFILE", hide_env_values = true, value_name = "NAME")]
    pub profile: Option<profiles::Name>,
}

#[derive(Debug, Args)]
pub struct Me {
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct Token {
    #[command(subcommand)]
    pub what: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make an API token for a service, and print it. This is the only time that it is shown.
    ///
    /// Standard output gets the token alone: TOKEN=$(upshot token create shop --role producer ...).
    Create(TokenCreate),
    /// List API tokens, without their secrets.
    List(TokenList),
    /// Give an API token another secret, and print it. The old secret is taken a while longer.
    Rotate(TokenRotate),
    /// End an API token at once.
    Revoke(TokenRevoke),
}

/// Where tokens are changed.
#[derive(Debug, Args)]
pub struct Place {
    /// Work on Redis itself, with the settings of the server: for the first administrator, and when
    /// the last one is lost. No API is asked then.
    #[arg(long)]
    pub local: bool,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("tenants").required(true))]
pub struct TokenCreate {
    /// Its name, for people.
    #[arg(value_parser = name)]
    pub name: String,
    /// producer, viewer, operator or administrator.
    #[arg(long)]
    pub role: Role,
    /// A tenant whose jobs it sees, and for which it publishes; may be repeated.
    #[arg(long, value_name = "T", group = "tenants", value_parser = scope_name)]
    pub tenant: Vec<String>,
    /// All tenants, and jobs without a tenant.
    #[arg(long, group = "tenants")]
    pub all_tenants: bool,
    /// A queue whose jobs it sees; all if left out; may be repeated.
    #[arg(long, value_name = "QUEUE", value_parser = scope_name)]
    pub queue: Vec<String>,
    /// A source of events that it publishes, and whose jobs it sees; may be repeated. A producer
    /// needs it (`*` for all sources); all for other roles if left out.
    #[arg(long, value_name = "SOURCE", required_if_eq("role", "producer"), value_parser = scope_name)]
    pub source: Vec<String>,
    /// A right beside those of the role, such as see-arguments; may be repeated.
    #[arg(long, value_name = "RIGHT")]
    pub right: Vec<Right>,
    /// A right of the role that it lacks; may be repeated.
    #[arg(long, value_name = "RIGHT")]
    pub without: Vec<Right>,
    /// How long it is taken, such as 90d; for ever if left out.
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    pub expires_in: Option<String>,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Args)]
pub struct TokenList {
    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Args)]
pub struct TokenRotate {
    /// The id of the token; `upshot token list` shows it.
    pub id: TokenId,
    /// How long the old secret is taken beside the new one, 30d at most; 0s ends it at once.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = overlap)]
    pub overlap: String,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Args)]
pub struct TokenRevoke {
    /// The id of the token; `upshot token list` shows it.
    pub id: TokenId,
    #[command(flatten)]
    pub place: Place,
}

/// The id of an API token. A whole token stands for its id, so that a slip shows no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenId(String);

impl TokenId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = text.strip_prefix("upk_").map_or(text, |rest| rest.split('_').next().unwrap_or_default());
        let is_id = id.len() == ID && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let expected = || format!("an id has {ID} digits of 0-9 and a-f: `upshot token list` shows the ids");
        is_id.then(|| Self(id.to_owned())).ok_or_else(expected)
    }
}

fn name(text: &str) -> Result<String, String> {
    let is_name = !text.trim().is_empty() && text.len() <= NAME && !text.contains(char::is_control);
    is_name
        .then(|| text.to_owned())
        .ok_or_else(|| format!("1 to {NAME} bytes are expected, not only blanks, and no control characters"))
}

fn scope_name(text: &str) -> Result<String, String> {
    let is_name = (1..=SCOPE_NAME).contains(&text.len()) && !text.contains(char::is_control);
    is_name
        .then(|| text.to_owned())
        .ok_or_else(|| format!("1 to {SCOPE_NAME} bytes are expected, and no control characters"))
}

/// Checks a duration of a second at least.
fn lifetime(text: &str) -> Result<String, String> {
    let read = upshot_shared::duration::parse(text)?;
    if read < std::time::Duration::from_secs(1) {
        return Err("use at least 1s".to_owned());
    }
    Ok(text.to_owned())
}

/// Checks a duration of 30 days at most.
fn overlap(text: &str) -> Result<String, String> {
    let text = duration(text)?;
    let longest = std::time::Duration::from_secs(30 * 24 * 3_600);
    if upshot_shared::duration::parse(&text)? > longest {
        return Err("use at most 30d".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_token_stands_for_its_id() {
        let id: TokenId = "0f3a5b7c9d1e".parse().unwrap();
        assert_eq!("upk_0f3a5b7c9d1e_secret".parse(), Ok(id));
        for text in ["", "shop", "0F3A5B7C9D1E", "upk_", "0f3a5b7c9d1e0"] {
            assert!(text.parse::<TokenId>().is_err_and(|why| why.contains("upshot token list")), "{text}");
        }
    }
}
