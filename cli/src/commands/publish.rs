//! `upshot publish`: events from files, with publisher confirms.

use std::{io::Read, path::Path, time::Duration};

use anyhow::{Context, bail};
use lapin::BasicProperties;
use serde_json::{Value, value::RawValue};
use upshot_shared::{
    Event, Intake, Settings,
    amqp::{EVENTS, Publisher, short_string},
    event::STRUCTURED,
};

use crate::{arguments::Publish, running::Running};

/// How long RabbitMQ may take to confirm an event.
const CONFIRM: Duration = Duration::from_secs(10);

/// Publishes every event of every file, or says which one could not be.
pub async fn run(mut settings: Settings, publish: &Publish) -> anyhow::Result<()> {
    Running::fill(&mut settings);
    let publisher = publisher(&settings)?;
    let intake = Intake::new(&settings)?;
    for file in &publish.files {
        let shown = file.display();
        let events = split(&read(file).with_context(|| format!("{shown} cannot be read"))?)
            .with_context(|| format!("{shown} holds neither a CloudEvent nor several"))?;
        for (place, text) in events.iter().enumerate() {
            let event = send(&publisher, text.get())
                .await
                .with_context(|| format!("{shown}, event {}", place + 1))?;
            println!("published {} {} from {}", event.kind, event.id, event.source);
            match intake.jobs(&event) {
                Ok(jobs) => {
                    for (queue, job) in jobs {
                        println!("  job {} in queue {queue}", job.id);
                    }
                }
                Err(rejection) => println!("  {rejection}; the bridge will put it into quarantine"),
            }
            if intake.routes(&event.kind).is_empty() {
                println!("  no route here knows this type: the bridge will put it into quarantine");
            }
        }
    }
    publisher.close().await;
    Ok(())
}

/// A publisher for these settings, as a producer has it: it declares nothing.
pub fn publisher(settings: &Settings) -> anyhow::Result<Publisher> {
    if settings.amqp.url.is_empty() {
        bail!(
            "amqp.url is empty and no `upshot up` runs in `{}`: start one, or set UPSHOT_AMQP_URL",
            settings.data_dir
        );
    }
    Ok(Publisher::new(&settings.amqp, "upshot-publish", false, CONFIRM))
}

/// Publishes one event given as JSON text. Its envelope is checked, because the
/// routing key is its type; its data is the bridge's business.
pub async fn send(publisher: &Publisher, text: &str) -> anyhow::Result<Event> {
    let event = Event::decode_structured(&text.to_owned().into())?;
    let properties = BasicProperties::default()
        .with_content_type(STRUCTURED.into())
        .with_message_id(short_string(&event.id));
    publisher.publish(EVENTS, &event.kind, text.as_bytes(), properties, true).await?;
    Ok(event)
}

fn read(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

/// One event, a JSON list of events, or one event a line.
fn split(text: &str) -> serde_json::Result<Vec<Box<RawValue>>> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text);
    }
    let values = serde_json::Deserializer::from_str(text).into_iter::<Box<RawValue>>();
    let events = values.collect::<serde_json::Result<Vec<_>>>()?;
    for event in &events {
        serde_json::from_str::<serde_json::Map<String, Value>>(event.get())?;
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_one_event_or_several() {
        assert_eq!(split("{\"a\":1}").unwrap().len(), 1);
        assert_eq!(split(" [{\"a\":1}, {\"b\":2}]").unwrap().len(), 2);
        assert_eq!(split("{\"a\":1}\n{\"b\":2}\n").unwrap().len(), 2);
        assert!(split("hello").is_err());
        assert!(split("7").is_err());
    }
}
