//! Arguments of commands on capability links.

use std::str::FromStr;

use clap::{Args, Subcommand};
use upshot_queue::JobId;

use super::{ApiAddress, values::duration};

/// What the token of a link begins with.
const TOKEN: &str = "upl_";

#[derive(Debug, Args)]
pub struct Link {
    #[command(subcommand)]
    pub what: LinkCommand,
}

#[derive(Debug, Subcommand)]
pub enum LinkCommand {
    /// Make a link that shows one job, and print it. This is the only time that it is shown.
    Job(LinkJob),
    /// Make a link that shows the jobs of one subject, and print it.
    Subject(LinkSubject),
    /// End a link at once, and what people see with it.
    Revoke(LinkRevoke),
}

#[derive(Debug, Args)]
pub struct LinkJob {
    /// The job. It need not be enqueued yet.
    pub id: JobId,
    #[command(flatten)]
    pub with: LinkWith,
}

#[derive(Debug, Args)]
pub struct LinkSubject {
    /// The business key.
    pub subject: String,
    #[command(flatten)]
    pub with: LinkWith,
}

/// What every new link has.
#[derive(Debug, Args)]
pub struct LinkWith {
    /// The tenant of the job or subject; needed if you see several tenants, but not all.
    #[arg(long, value_name = "T")]
    pub tenant: Option<String>,
    /// How long the link lasts, such as 7d; `api.links` has the usual and the longest time.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub expires_in: Option<String>,
    #[command(flatten)]
    pub api: ApiAddress,
}

#[derive(Debug, Args)]
pub struct LinkRevoke {
    /// The id of the link, which `upshot link job` and `subject` print beside the link.
    pub id: LinkId,
    #[command(flatten)]
    pub api: ApiAddress,
}

/// The id of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkId {
    /// The id.
    Id(String),
    /// A link instead. It is not kept, because an error would show it.
    Link,
}

impl FromStr for LinkId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(TOKEN) {
            return Ok(Self::Link);
        }
        let is_allowed = |char: char| char.is_ascii_hexdigit() || char == '-';
        let is_id = (1..=40).contains(&text.len()) && text.chars().all(is_allowed);
        is_id
            .then(|| Self::Id(text.to_owned()))
            .ok_or_else(|| "an id is written like 0f3a5b7c9d1e2f40-1773480413000".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_told_from_its_id() {
        assert_eq!("https://upshot.example/access#upl_abc".parse(), Ok(LinkId::Link));
        let id = "0f3a5b7c9d1e2f40-1773480413000";
        assert_eq!(id.parse(), Ok(LinkId::Id(id.to_owned())));
        assert!("order-1042".parse::<LinkId>().unwrap_err().contains("0f3a"));
    }
}
