//! Memory of each service, as the real process, after load.

use std::{slice::from_mut, time::Duration};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::{Client, StatusCode};
use upshot_queue::State;
use upshot_shared::event::STRUCTURED;

use super::bridge::transitions;
use crate::{
    arguments::Amounts,
    drain,
    figures::Figures,
    load::{self, Producer},
    service::Service,
    stage::Stage,
    usage::Memory,
};

/// Requests under way at a time.
const CLIENTS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(120);

/// One load for all: a backlog for the bridge, invoices for the executor,
/// requests for the API.
pub async fn measure(stage: &Stage, amounts: Amounts, figures: &mut Figures) -> anyhow::Result<()> {
    stage.flush().await?;
    let producer = Producer::connect(&stage.amqp()).await?;
    producer.publish_many(amounts.events).await?;
    producer.close().await?;
    let mut bridge = stage.upshot("bridge", &[]).await?;
    let done = transitions(stage, "enqueued")?;
    drain::watch(stage, from_mut(&mut bridge), &stage.servers(), &done, amounts.events).await?;

    let mut executor = stage.upshot("executor", &[]).await?;
    invoices(stage, &mut executor, amounts.invoices).await?;
    let api = stage.upshot("api", &[]).await?;
    let answered = requests(stage, amounts.requests).await;

    for (name, peak, service) in [
        ("rss_mb.bridge", "rss_peak_mb.bridge", &bridge),
        ("rss_mb.executor", "rss_peak_mb.executor", &executor),
        ("rss_mb.api", "rss_peak_mb.api", &api),
    ] {
        let memory = Memory::of(service.pid())?;
        println!("{name}: {:.1} MB, at most {:.1} MB", memory.now, memory.peak);
        figures.add(name, memory.now);
        figures.add(peak, memory.peak);
    }
    answered?;
    for service in [api, executor, bridge] {
        service.stop().await?;
    }
    Ok(())
}

/// Orders that become invoices, mailed and stored.
async fn invoices(stage: &Stage, executor: &mut Service, n: usize) -> anyhow::Result<()> {
    let count = n.to_string();
    let mut orders = stage.upshot("demo-orders", &["--count", &count, "--rate", "1000"]).await?;
    let queue = upshot_queue::Client::new(&stage.connector()?, "invoices".parse()?)?;
    let delivered = async {
        while queue.counts().await?.of(State::Succeeded) < n as u64 {
            executor.check()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    let waited = tokio::time::timeout(PATIENCE, delivered).await;
    waited.with_context(|| format!("{n} invoices were not delivered: {:?}", orders.check()))??;
    orders.stop().await
}

/// Events and questions by HTTP, in turns.
async fn requests(stage: &Stage, n: usize) -> anyhow::Result<()> {
    let (client, base) = (Client::new(), format!("http://{}", stage.api));
    let ready = async {
        while !client.get(format!("{base}/readyz")).send().await.is_ok_and(|it| it.status() == StatusCode::OK)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.context("the API is not ready")?;
    stream::iter(0..n)
        .map(|number| request(&client, &base, number))
        .buffer_unordered(CLIENTS)
        .try_for_each(|()| async { Ok(()) })
        .await
}

async fn request(client: &Client, base: &str, number: usize) -> anyhow::Result<()> {
    let request = match number % 3 {
        0 => client.get(format!("{base}/v1/jobs?queue=invoices&limit=20")),
        1 => client.get(format!("{base}/v1/jobs?subject=order-{number}")),
        _ => {
            let event = client.post(format!("{base}/v1/events")).header("content-type", STRUCTURED);
            event.body(load::event(number).body)
        }
    };
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "the API answered {status}: {text}");
    Ok(())
}
