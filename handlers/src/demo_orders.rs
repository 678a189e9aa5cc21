//! `upshot demo-orders`: the orders of a made-up shop.

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{SecondsFormat, Utc};
use clap::{Args, FromArgMatches};
use rand::{Rng, seq::IndexedRandom};
use serde_json::{Value, json};
use upshot::{
    Call,
    queue::{Account, Books, Client, Connector},
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
const DOMAINS: &[&str] = &["customers.example", "post.example", "letters.example"];

/// Of this many orders, one goes to a mailbox that is closed, and one to a provider that loses mail.
/// The demo's mail provider (`handlers/demo/provider.js`) knows both by their addresses.
const SOME: u64 = 20;
/// The place of the order whose mailbox is closed, among these.
const CLOSED: u64 = 6;
/// The place of the order whose mail is lost.
const LOST: u64 = 13;
/// The end of the name of a closed mailbox, which refuses all mail.
const CLOSED_MAILBOX: &str = ".closed";
/// The domain of the provider that accepts mail and drops it.
const LOSING_DOMAIN: &str = "lostmail.example";

#[derive(Debug, Args)]
struct DemoOrders {
    /// How many orders; 0 continues until interrupted.
    #[arg(long, default_value_t = 200)]
    count: u64,
    /// Orders a second.
    #[arg(long, default_value_t = 20.0, value_parser = orders_a_second, allow_hyphen_values = true)]
    rate: f64,
    /// Return only when no order is open: each is achieved, missed or overdue.
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
    let name = route.name.clone();
    let ledger = Ledger {
        before: queue.books().await.context("redis.url: cannot read the books")?,
        queue,
        route: name,
    };
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
        let text = order(first + published, Mailbox::of(published), &mut rand::rng()).to_string();
        let event = Event::decode_structured(&text.clone().into())?;
        publisher
            .publish_event(&event, text.as_bytes())
            .await
            .with_context(|| format!("order {}", first + published))?;
        published += 1;
        if said.elapsed() >= Duration::from_secs(2) {
            say(&mut call, published, &ledger.figures().await?)?;
            said = Instant::now();
        }
    }
    publisher.close().await;
    let mut last = None;
    loop {
        let figures = ledger.figures().await?;
        let done = figures.received >= published && figures.open == 0;
        let is_time = said.elapsed() >= Duration::from_secs(2) && last.as_ref() != Some(&figures);
        if done || !demo.wait || is_time {
            say(&mut call, published, &figures)?;
            said = Instant::now();
            last = Some(figures);
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

/// The books of the route of orders.
struct Ledger {
    queue: Client,
    route: String,
    /// At the start of this command.
    before: Books,
}

/// What the books say. All but `open` and `overdue` are counted from the start of this command.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    received: u64,
    achieved: u64,
    missed: u64,
    /// Without a verdict, and in time.
    open: u64,
    /// Without a verdict, and late.
    overdue: u64,
}

impl Ledger {
    async fn figures(&self) -> anyhow::Result<Figures> {
        let (names, books) = (self.queue.routes().await?, self.queue.books().await?);
        // A route has a number from its first job on.
        let number = names.into_iter().find(|(_, name)| *name == self.route).map(|(number, _)| number);
        Ok(number.map_or_else(Figures::default, |number| Figures::new(number, &books, &self.before)))
    }
}

impl Figures {
    fn new(route: u32, books: &Books, before: &Books) -> Self {
        let moved = books.since(before);
        let came = |accounts: [Account; 2]| accounts.map(|to| moved.arrivals(route, to)).iter().sum();
        let balance = |account| u64::try_from(books.balance(route, account)).unwrap_or(0);
        Self {
            received: moved.count(route, Account::Received, Account::Open)
                + moved.count(route, Account::Received, Account::Duplicate),
            achieved: came([Account::AchievedInTime, Account::AchievedLate]),
            missed: moved.arrivals(route, Account::Missed),
            open: balance(Account::Open),
            overdue: balance(Account::Overdue),
        }
    }
}

fn say(call: &mut Call, published: u64, figures: &Figures) -> anyhow::Result<()> {
    let Figures { achieved, missed, overdue, .. } = *figures;
    // Events that are still on their way are open too.
    let open = figures.open + published.saturating_sub(figures.received);
    let value = json!({
        "published": published, "achieved": achieved, "open": open, "overdue": overdue, "missed": missed,
    });
    call.say(
        &value,
        format!(
            "{published} orders published: {achieved} invoices delivered, {open} open, {overdue} overdue, \
             {missed} missed"
        ),
    )
}

/// What becomes of the mail to a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mailbox {
    Good,
    Closed,
    Lost,
}

impl Mailbox {
    /// That of the n-th order, from 0.
    fn of(n: u64) -> Self {
        match n % SOME {
            CLOSED => Self::Closed,
            LOST => Self::Lost,
            _ => Self::Good,
        }
    }

    fn address(self, first: &str, last: &str, domain: &str) -> String {
        let name = format!("{}.{}", first.to_lowercase(), last.to_lowercase());
        match self {
            Self::Good => format!("{name}@{domain}"),
            Self::Closed => format!("{name}{CLOSED_MAILBOX}@{domain}"),
            Self::Lost => format!("{name}@{LOSING_DOMAIN}"),
        }
    }
}

fn order(number: u64, mailbox: Mailbox, random: &mut impl Rng) -> Value {
    let pick = |from: &'static [&'static str], random: &mut _| -> &'static str {
        from.choose(random).copied().unwrap_or_default()
    };
    let (first, last) = (pick(FIRST, random), pick(LAST, random));
    let (tenant, domain) = (pick(TENANTS, random), pick(DOMAINS, random));
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
                "email": mailbox.address(first, last, domain),
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
            let event = order(number, Mailbox::of(number), &mut rand::rng()).to_string();
            intake.accept(&envelope, &event.into()).unwrap();
        }
    }

    #[test]
    fn few_mailboxes_are_closed_and_few_mails_are_lost() {
        let all: Vec<Mailbox> = (0..40).map(Mailbox::of).collect();
        let count = |mailbox| all.iter().filter(|each| **each == mailbox).count();
        assert_eq!((count(Mailbox::Closed), count(Mailbox::Lost)), (2, 2));
        let address = |mailbox: Mailbox| mailbox.address("Ada", "Vogel", "post.example");
        let addresses = [Mailbox::Good, Mailbox::Closed, Mailbox::Lost].map(address);
        assert_eq!(
            addresses,
            ["ada.vogel@post.example", "ada.vogel.closed@post.example", "ada.vogel@lostmail.example"]
        );
    }

    #[test]
    fn the_figures_are_those_since_the_start_and_what_is_open_now() {
        use Account::{AchievedInTime, AchievedLate, Duplicate, Missed, Open, Overdue, Received};
        let books = |moves: &[(Account, Account, u64)]| Books {
            moves: moves.iter().map(|(from, to, count)| ((1, *from, *to), *count)).collect(),
        };
        let before = books(&[(Received, Open, 10), (Open, AchievedInTime, 6), (Open, Overdue, 1)]);
        let now = books(&[
            (Received, Open, 30),
            (Received, Duplicate, 1),
            (Open, AchievedInTime, 20),
            (Open, Overdue, 3),
            (Overdue, AchievedLate, 1),
            (Open, Missed, 2),
        ]);
        let figures = Figures::new(1, &now, &before);
        assert_eq!(figures, Figures { received: 21, achieved: 15, missed: 2, open: 5, overdue: 2 });
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
