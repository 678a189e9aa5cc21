//! Lists that the API returns page by page.

use anyhow::bail;
use serde_json::Value;
use url::form_urlencoded;

use super::client::Client;
use crate::{arguments::Paging, output};

/// The most that a page holds.
const PAGE: u64 = 200;

/// A list of the API.
pub struct List {
    /// Its path.
    pub path: &'static str,
    /// The member of a page that holds the entries.
    pub entries: &'static str,
    /// The parameter for the beginning of a page.
    pub cursor: &'static str,
}

impl List {
    /// Reads page after page and passes each on, until enough entries are shown. A page may be
    /// empty without being the last, because it examines a bounded number of entries. Prints how to
    /// continue if there are more.
    pub async fn follow(
        &self,
        client: &Client,
        query: &[(&str, String)],
        paging: &Paging,
        mut show: impl FnMut(&[Value]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut left = if paging.all { u64::MAX } else { paging.limit };
        let mut cursor = paging.cursor.clone();
        loop {
            let mut asked = query.to_vec();
            asked.push(("limit", left.min(PAGE).to_string()));
            asked.extend(cursor.clone().map(|cursor| (self.cursor, cursor)));
            let page = client.read(self.path, &asked).await?;
            let found = page.get(self.entries).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            left = left.saturating_sub(found.len() as u64);
            show(found)?;
            let Some(next) = page.get("next").and_then(Value::as_str) else { return Ok(()) };
            let next = self.cursor_of(next);
            if next.is_none() || next == cursor {
                bail!("the API does not say where the list continues: does it have another version?");
            }
            if left == 0 {
                let next = next.unwrap_or_default();
                output::note(format_args!("there are more: add --all, or --cursor {next} to continue"));
                return Ok(());
            }
            cursor = next;
        }
    }

    /// The cursor in the address of the next page.
    fn cursor_of(&self, next: &str) -> Option<String> {
        let (_, query) = next.split_once('?')?;
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == self.cursor).map(|(_, value)| value.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_part_of_the_next_address() {
        let list = List { path: "/v1/jobs", entries: "jobs", cursor: "cursor" };
        for (next, cursor) in [
            ("http://h/v1/jobs?state=dead&cursor=a%7E4.1", Some("a~4.1")),
            ("/v1/jobs?cursor=b", Some("b")),
            ("/v1/jobs?skip=20", None),
            ("/v1/jobs", None),
        ] {
            assert_eq!(list.cursor_of(next).as_deref(), cursor, "{next}");
        }
    }
}
