//! `upshot demo-orders`: the orders of a made-up shop.

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{SecondsFormat, Utc};
use clap::{Args, FromArgMatches};
use rand::{Rng, seq::IndexedRandom};
use serde_json::{Value, json};
use upshot::{
    Call,
    queue::{Client, Connector, State},
    shared::{Event, Intake},
};

/// The command's name.
pub const NAME: &str = "demo-orders";

/// The slowest rate: one order a day.
const SLOWEST: f64 = 1.0 / 86_400.0;
/// The most orders a second.
const MOST_ORDERS: f64 = 100_000.0;

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

#[derive(Debug, Args)]
struct DemoOrders {
    /// How many orders; 0 continues until interrupted.
    #[arg(long, default_value_t = 200)]
    count: u64,
    /// Orders a second.
    #[arg(long, default_value_t = 20.0, value_parser = orders_a_second, allow_hyphen_values = true)]
    rate: f64,
    /// Return only when every order has its invoice.
    #[arg(long)]
    wait: bool,
}

/// The command line of `demo-orders`.
pub fn command() -> clap::Command {
    DemoOrders::augment_args(clap::Command::new(NAME).about("Publish the orders of a made-up shop"))
}

/// The rate at which orders are published.
fn orders_a_second(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (SLOWEST..=MOST_ORDERS).contains(&rate) => Ok(rate),
        Ok(rate) if rate > 0.0 && rate < SLOWEST => {
            Err(format!("it is slower than one a day: use {SLOWEST:.6} (a second) at least"))
        }
        _ => Err(format!("use a number above 0 and up to {MOST_ORDERS} (a second)")),
    }
}

/// Publishes orders at a rate and reports their results.
///
/// # Errors
/// When an order cannot be published, or Redis does not tell what became of them.
pub async fn run(mut call: Call) -> anyhow::Result<()> {
    let demo = DemoOrders::from_arg_matches(&call.matches)?;
    let publisher = call.publisher()?;
    let stop = call.stop.clone();
    let settings = &call.settings;
    let intake = Intake::new(settings.intake())?;
    let route = intake
        .routes("order.completed.v1")
        .first()
        .context("no route for order.completed.v1 in the settings")?;
    let queue = Client::new(&Connector::new(settings.redis.options())?, route.queue.clone())?;
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
            say(&mut call, published, before, ended(&queue).await?)?;
            said = Instant::now();
        }
    }
    publisher.close().await;
    loop {
        let now = ended(&queue).await?;
        let done = now.0 + now.1 >= before.0 + before.1 + published;
        if done || !demo.wait || said.elapsed() >= Duration::from_secs(2) {
            say(&mut call, published, before, now)?;
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
async fn ended(queue: &Client) -> anyhow::Result<(u64, u64)> {
    let counts = queue.counts().await?;
    Ok((counts.of(State::Succeeded), counts.of(State::Dead)))
}

fn say(call: &mut Call, published: u64, before: (u64, u64), now: (u64, u64)) -> anyhow::Result<()> {
    let (achieved, missed) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
    let open = published.saturating_sub(achieved + missed);
    let value = json!({ "published": published, "achieved": achieved, "open": open, "missed": missed });
    call.say(
        &value,
        format!("{published} orders published: {achieved} invoices delivered, {open} open, {missed} missed"),
    )
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
    use upshot::{
        runtime::Settings,
        shared::event::{Envelope, STRUCTURED},
    };

    use super::*;
    use crate::program::PROGRAM;

    #[test]
    fn orders_keep_to_the_contract() {
        let intake = Intake::new(Settings::of(&PROGRAM).unwrap().intake()).unwrap();
        let envelope = Envelope { content_type: Some(STRUCTURED.into()), ..Envelope::default() };
        for number in 0..200 {
            let event = order(number, &mut rand::rng()).to_string();
            intake.accept(&envelope, &event.into()).unwrap();
        }
    }

    #[test]
    fn a_rate_that_cannot_be_meant_is_named() {
        for (rate, words) in [("nan", "100000"), ("1e-300", "one a day"), ("-1", "above 0")] {
            let line = [NAME, "--rate", rate];
            let said = command().try_get_matches_from(line).unwrap_err().to_string();
            assert!(said.contains(rate) && said.contains(words), "{said}");
        }
    }
}
