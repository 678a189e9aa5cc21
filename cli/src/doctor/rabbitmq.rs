//! RabbitMQ: reachability, version, and Upshot's exchanges and queues.

use std::time::Duration;

use lapin::{
    BasicProperties, Connection, ErrorKind, ExchangeKind,
    options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions},
    types::FieldTable,
};
use upshot_runtime::{
    Settings,
    amqp::{self, Address, History},
};

use super::{
    check::{Adding, Checks},
    is_here,
};

/// The exchanges that must be there.
const EXCHANGES: [&str; 3] = [amqp::EVENTS, amqp::CONFIRMATIONS, amqp::QUARANTINE];
/// The queues that must be there.
const QUEUES: [&str; 3] = [amqp::INTAKE, amqp::CONFIRMATIONS, amqp::QUARANTINE];
/// The check of the history of receipts.
const HISTORY_CHECK: &str = "stream upshot.outcomes.history";
/// How long a broker without an alarm takes to confirm.
const CONFIRM: Duration = Duration::from_secs(5);

pub(super) async fn examine(settings: &Settings) -> Checks {
    let mut all = Checks::default();
    let mut checks = all.of("rabbitmq");
    if settings.amqp.url.is_empty() {
        let seen = format!("`amqp.url` is empty and no `upshot up` runs in `{}`", settings.data_dir);
        checks.failed("reached", seen, "set UPSHOT_AMQP_URL, or start `upshot up`");
        return all;
    }
    let address = Address::from(&settings.amqp);
    match amqp::greeting(&address).await {
        Ok(greeting) => transport(&mut checks, &address, greeting),
        Err(error) => {
            let remedy = "see that RabbitMQ runs and that `amqp.url` leads to it";
            checks.failed("reached", format!("{address}: {error}"), remedy);
            return all;
        }
    }
    let connection = match amqp::connect(&address, "upshot-doctor", u64::MAX).await {
        Ok(connection) => connection,
        Err(error) => {
            let remedy = "see that user and password are right, the vhost of `amqp.url` exists, and the user may use it";
            checks.failed("login and vhost", error, remedy);
            return all;
        }
    };
    let vhost = connection.status().vhost();
    checks.ok("login and vhost", format!("user {} in vhost {vhost}", connection.status().username()));
    for name in EXCHANGES {
        exchange(&mut checks, &connection, name).await;
    }
    for name in QUEUES {
        queue(&mut checks, &connection, name).await;
    }
    if let Some(history) = History::of(&settings.outcomes) {
        exchange(&mut checks, &connection, amqp::OUTCOMES).await;
        stream(&mut checks, &connection, history).await;
    }
    alarms(&mut checks, &connection).await;
    connection.close().await;
    all
}

fn transport(checks: &mut Adding<'_>, address: &Address, greeting: amqp::Greeting) {
    let product = greeting.product.unwrap_or_else(|| "a broker".to_owned());
    let version = greeting.version.unwrap_or_else(|| "of unknown version".to_owned());
    let seen = format!("{product} {version} at {address}");
    let here = address.hosts().iter().all(|host| is_here(&host.name));
    if address.is_tls() {
        checks.ok("reached", format!("{seen}, over TLS"));
    } else if here {
        checks.ok("reached", format!("{seen}, on this machine"));
    } else {
        let remedy = "start `amqp.url` with amqps, unless the network between is trusted";
        checks.warning("reached", format!("{seen}, in plain text: login and events can be read"), remedy);
    }
}

async fn exchange(checks: &mut Adding<'_>, connection: &Connection, name: &str) {
    let declaring = async {
        // A separate channel, because a refusal closes it.
        let channel = connection.create_channel().await?;
        let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(name.into(), ExchangeKind::Topic, options, FieldTable::default()).await
    };
    match declaring.await {
        Ok(()) => checks.ok(format!("exchange {name}"), "it is there"),
        Err(error) => refused(checks, &format!("exchange {name}"), &error),
    }
}

async fn queue(checks: &mut Adding<'_>, connection: &Connection, name: &str) {
    let declaring = async {
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.into(), options, FieldTable::default()).await
    };
    let check = format!("queue {name}");
    match declaring.await {
        Ok(queue) => {
            let (waiting, consumers) = (queue.message_count(), queue.consumer_count());
            let seen = format!("{waiting} messages wait, {consumers} consumers");
            if name != amqp::QUARANTINE && consumers == 0 {
                checks.warning(check, seen, "start `upshot bridge`: nothing takes the messages over");
            } else if name == amqp::QUARANTINE && waiting > 0 {
                let remedy = "look at the headers of these messages: they say why they could not be accepted";
                checks.warning(check, seen, remedy);
            } else {
                checks.ok(check, seen);
            }
        }
        Err(error) => refused(checks, &check, &error),
    }
}

/// Receipts do not depend on their history, so what is wrong with it is a warning.
async fn stream(checks: &mut Adding<'_>, connection: &Connection, history: History) {
    match history.look(connection).await {
        Ok(None) => checks.ok(HISTORY_CHECK, "it is there"),
        Ok(Some(why)) => {
            let remedy = "set a policy (max-age, max-length-bytes), or delete it and start `upshot bridge`";
            checks.warning(HISTORY_CHECK, why, remedy);
        }
        Err(error) => checks.failed(HISTORY_CHECK, error, "see RabbitMQ's log"),
    }
}

fn refused(checks: &mut Adding<'_>, check: &str, error: &lapin::Error) {
    let code = match error.kind() {
        ErrorKind::ProtocolError(error) => error.get_id(),
        _ => 0,
    };
    match code {
        404 => {
            checks.failed(check, "it is not there", "start `upshot bridge` once: it declares what it needs")
        }
        403 => checks.failed(check, error, "give the user of `amqp.url` the right to use it"),
        _ => checks.failed(check, error, "see RabbitMQ's log"),
    }
}

/// A broker under an alarm (memory, disk) does not read from connections that publish. So the check
/// publishes a message to an exchange that drops it.
async fn alarms(checks: &mut Adding<'_>, connection: &Connection) {
    let check = "takes messages";
    let publishing = async {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let properties = BasicProperties::default();
        let options = BasicPublishOptions::default();
        channel.basic_publish(amqp::PROBE.into(), "".into(), options, b"", properties).await?.await
    };
    match tokio::time::timeout(CONFIRM, publishing).await {
        Ok(Ok(_)) => checks.ok(check, "yes, no alarm"),
        Ok(Err(error)) => {
            let remedy = "let the user write to upshot.probe, and start `upshot bridge` once, which declares it: an alarm is not visible otherwise";
            checks.warning(check, format!("not to be seen: {error}"), remedy);
        }
        Err(_) => {
            let blocked = connection.status().blocked();
            let why = if blocked { "it says that it is blocked" } else { "no confirm" };
            let remedy = "free memory or disk on the broker (`rabbitmq-diagnostics alarms`): it takes no events until then";
            checks.failed(check, format!("{why} within {CONFIRM:?}"), remedy);
        }
    }
}
