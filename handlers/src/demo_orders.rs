//! `upshot demo-orders`: the orders of a made-up shop.

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{SecondsFormat, Utc};
use rand::{Rng, seq::IndexedRandom};
use serde_json::{Value, json};
use upshot_queue::{Connector, Queue, State};
use upshot_runtime::Settings;
use upshot_shared::Event;

use super::{publish, stop};
use crate::{arguments::DemoOrders, output::Output, running::Running};

const FIRST: &[&str] =
    &["Ada", "Grace", "Edsger", "Barbara", "Alan", "Radia", "Donald", "Frances", "Niklaus", "Hedy"];
const LAST: &[&str] =
    &["Vogel", "Okafor", "Lindqvist", "Moreau", "Tanaka", "Silva", "Novak", "Haddad", "Byrne", "Rossi"];
const CITIES: &[&str] =
    &["10115 Berlin", "20095 Hamburg", "50667 Köln", "80331 München", "04109 Leipzig", "01067 Dresden"];
const GOODS: &[(&str, &str, &str, &str)] = &[
    ("TEA-01", "Darjeeling first flush, 250 g", "18.90", "7"),
    ("CUP-04", "Porcelain cup, hand painted", "24.50", "19"),
    ("BOK-11", "The Book of Tea, hardcover", "16.00", "7"),
    ("KET-02", "Cast-iron kettle, 1.2 l", "89.00", "19"),
    ("FIL-30", "Paper filters, 100 pieces", "4.20", "19"),
    ("HON-05", "Linden honey, 500 g", "9.80", "7"),
    ("SRV-01", "Engraving", "12.00", "19"),
];
const TENANTS: &[&str] = &["berlin", "hamburg", "leipzig"];

/// Publishes orders at a rate and reports their results.
pub async fn run(mut settings: Settings, demo: &DemoOrders, out: &mut Output) -> anyhow::Result<()> {
    Running::fill(&mut settings);
    let publisher = publish::publisher(&settings)?;
    let stop = stop::on_signal()?;
    let intake = upshot_shared::Intake::new(settings.intake())?;
    let route = intake
        .routes("order.completed.v1")
        .first()
        .context("no route for order.completed.v1 in the settings")?;
    let queue = Queue::new(&Connector::new(settings.redis.options())?, route.queue.clone())?;
    let before = ended(&queue).await.context("redis.url: cannot count jobs")?;
    // Order numbers that no earlier run has used.
    let first = Utc::now().timestamp_millis() as u64 / 10 % 10_000_000_000;
    let pause = Duration::from_secs_f64(1.0 / demo.rate);
    let mut next = tokio::time::interval(pause);
    next.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut said = Instant::now();
    let mut published = 0;
    while demo.count == 0 || published < demo.count {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = next.tick() => {}
        }
        let text = order(first + published, &mut rand::rng()).to_string();
        let event = Event::decode_structured(&text.clone().into())?;
        publisher
            .publish_event(&event, text.as_bytes())
            .await
            .with_context(|| format!("order {}", first + published))?;
        published += 1;
        if said.elapsed() >= Duration::from_secs(2) {
            say(out, published, before, ended(&queue).await?)?;
            said = Instant::now();
        }
    }
    publisher.close().await;
    loop {
        let now = ended(&queue).await?;
        let done = now.0 + now.1 >= before.0 + before.1 + published;
        if done || !demo.wait || said.elapsed() >= Duration::from_secs(2) {
            say(out, published, before, now)?;
            said = Instant::now();
        }
        if done || !demo.wait {
            return Ok(());
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
}

/// Outcomes achieved and missed so far.
async fn ended(queue: &Queue) -> anyhow::Result<(u64, u64)> {
    let counts = queue.counts().await?;
    Ok((counts.of(State::Succeeded), counts.of(State::Dead)))
}

fn say(out: &mut Output, published: u64, before: (u64, u64), now: (u64, u64)) -> anyhow::Result<()> {
    let (achieved, missed) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
    let open = published.saturating_sub(achieved + missed);
    let value = json!({ "published": published, "achieved": achieved, "open": open, "missed": missed });
    out.item(&value, |page| {
        page.text(format!(
            "{published} orders published: {achieved} invoices delivered, {open} open, {missed} missed"
        ));
    })?;
    Ok(())
}

fn order(number: u64, random: &mut impl Rng) -> Value {
    let pick = |from: &'static [&'static str], random: &mut _| -> &'static str {
        from.choose(random).copied().unwrap_or_default()
    };
    let (first, last) = (pick(FIRST, random), pick(LAST, random));
    let tenant = pick(TENANTS, random);
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let kinds = random.random_range(1..=5);
    let chosen: Vec<_> = GOODS.choose_multiple(random, kinds).collect();
    let lines: Vec<Value> = chosen
        .into_iter()
        .map(|(sku, description, price, vat)| {
            json!({"sku": sku, "description": description, "quantity": random.random_range(1..=4), "unit_price": price, "vat_rate": vat})
        })
        .collect();
    json!({
        "specversion": "1.0",
        "id": format!("order-{number}-completed"),
        "source": format!("/shops/{tenant}"),
        "type": "order.completed.v1",
        "subject": format!("order-{number}"),
        "time": now,
        "datacontenttype": "application/json",
        "tenant": tenant,
        "traceparent": format!("00-{:032x}-{:016x}-01", random.random::<u128>().max(1), random.random::<u64>().max(1)),
        "data": {
            "order_number": number.to_string(),
            "completed_at": now,
            "currency": "EUR",
            "customer": {
                "name": format!("{first} {last}"),
                "email": format!("{}.{}@customers.example", first.to_lowercase(), last.to_lowercase()),
                "address": [format!("Lindenstraße {}", random.random_range(1..200)), pick(CITIES, random), "Germany"],
            },
            "lines": lines,
        },
    })
}

#[cfg(test)]
mod tests {
    use upshot_shared::{Intake, event::{Envelope, STRUCTURED}};

    use super::*;

    #[test]
    fn orders_keep_to_the_contract() {
        let intake = Intake::new(&Settings::default()).unwrap();
        let envelope = Envelope { content_type: Some(STRUCTURED.into()), ..Envelope::default() };
        for number in 0..200 {
            let event = order(number, &mut rand::rng()).to_string();
            intake.accept(&envelope, &event.into()).unwrap();
        }
    }
}
