//! Reads server-sent events, as little of it as the tests need.

use futures::{Stream, StreamExt};
use reqwest::{Response, header};
use serde_json::Value;

use crate::fixture::{Fixture, PATIENCE};

/// One event.
#[derive(Debug)]
pub struct Message {
    pub name: String,
    pub id: String,
    pub data: Value,
}

/// The events of one answer.
pub struct Messages {
    bytes: std::pin::Pin<Box<dyn Stream<Item = Vec<u8>> + Send>>,
    buffer: String,
}

impl Messages {
    /// Watches a job, after the revision `last` where one is given.
    pub async fn open(fixture: &Fixture, id: &str, last: Option<&str>) -> Self {
        Self::of(request(fixture, id, last).await)
    }

    /// Follows a link.
    pub async fn follow(fixture: &Fixture, link: &str) -> Self {
        Self::of(fixture.get(link).await)
    }

    /// Opens a stream at an address, after the event `last` where one is given.
    pub async fn at(fixture: &Fixture, path: &str, last: Option<&str>) -> Self {
        Self::of(get(fixture, path, last).await)
    }

    pub fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        let bytes = response.bytes_stream().map(|part| part.unwrap().to_vec());
        Self { bytes: Box::pin(bytes), buffer: String::new() }
    }

    /// The next event, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Message> {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("no event and no end")
    }

    async fn read(&mut self) -> Option<Message> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let message = parse(block);
                self.buffer = rest.to_owned();
                if message.is_some() {
                    return message;
                }
                continue;
            }
            let part = self.bytes.next().await?;
            self.buffer.push_str(std::str::from_utf8(&part).unwrap());
        }
    }

    /// The next event for which `wanted` holds; others are skipped.
    pub async fn until(&mut self, wanted: impl Fn(&Message) -> bool) -> Message {
        loop {
            let message = self.next().await.expect("the stream ended");
            if wanted(&message) {
                return message;
            }
        }
    }
}

/// Asks for a job's progress.
pub async fn request(fixture: &Fixture, id: &str, last: Option<&str>) -> Response {
    get(fixture, &format!("/v1/jobs/{id}/progress"), last).await
}

/// Asks for a stream.
pub async fn get(fixture: &Fixture, path: &str, last: Option<&str>) -> Response {
    let mut request = fixture.client.get(fixture.url(path));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    request.send().await.unwrap()
}

/// A block of lines; `None` for a heartbeat.
fn parse(block: &str) -> Option<Message> {
    let field = |name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim_start().to_owned())
    };
    let data = serde_json::from_str(&field("data")?).unwrap();
    Some(Message { name: field("event").unwrap(), id: field("id").unwrap_or_default(), data })
}
