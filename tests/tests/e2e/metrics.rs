//! `/metrics` of every service, as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};

use upshot_tests::{Stage, orders::order};

/// What a service says of itself: metrics with help and type, and their samples.
#[derive(Debug, Default)]
struct Exposition {
    help: BTreeMap<String, String>,
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

async fn fetch(port: u16) -> Exposition {
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await.unwrap();
    let types: Vec<_> = answer.headers().get_all("content-type").iter().cloned().collect();
    assert_eq!(types, ["text/plain; version=0.0.4; charset=utf-8"]);
    let text = answer.text().await.unwrap();
    let mut found = Exposition::default();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            assert!(found.help.insert(name.to_owned(), help.to_owned()).is_none(), "help of {name} twice");
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            assert!(found.kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "type of {name} twice");
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let again = found.samples.insert(sample.to_owned(), value.parse().unwrap());
            assert!(again.is_none(), "{sample} twice");
        }
    }
    found
}

impl Exposition {
    /// The metric of a sample: of a histogram without its suffix.
    fn metric(&self, sample: &str) -> String {
        let name = sample.split('{').next().unwrap();
        let parts = ["_bucket", "_sum", "_count"].into_iter().filter_map(|suffix| name.strip_suffix(suffix));
        let histogram =
            parts.into_iter().find(|base| self.kinds.get(*base).is_some_and(|kind| kind == "histogram"));
        histogram.unwrap_or(name).to_owned()
    }

    /// Holds what is true of all metrics, and returns their names.
    fn check(&self, service: &str) -> BTreeSet<String> {
        for sample in self.samples.keys() {
            let name = self.metric(sample);
            let help = self.help.get(&name).unwrap_or_else(|| panic!("{service}: {name} has no help"));
            assert!(help.ends_with('.'), "{service}: {name}: {help}");
            let kind = self.kinds.get(&name).unwrap_or_else(|| panic!("{service}: {name} has no type"));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{service}: {name} is a {kind}");
        }
        let version = format!("upshot_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        assert_eq!(self.samples.get(&version), Some(&1.0), "{service}");
        self.help.keys().cloned().collect()
    }

    fn starts_at_zero(&self, samples: &[&str]) {
        for sample in samples {
            assert_eq!(self.samples.get(*sample), Some(&0.0), "{sample}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_has_help_and_is_documented_and_known_labels_start_at_zero() {
    let stage = Stage::new().await;
    let mut ports = Vec::new();
    for _ in 0..3 {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        ports.push(free.local_addr().unwrap().port());
    }
    let listen = |port: u16| format!("127.0.0.1:{port}");
    let bridge = stage.start("bridge", &[("UPSHOT_PROBES__LISTEN", listen(ports[0]))]).await;
    let executor = stage.start("executor", &[("UPSHOT_PROBES__LISTEN", listen(ports[1]))]).await;
    let api = stage.start("api", &[("UPSHOT_API__LISTEN", listen(ports[2]))]).await;
    fetch(ports[0]).await.starts_at_zero(&[
        "upshot_bridge_quarantined_total{reason=\"oversize\"}",
        "upshot_bridge_quarantined_total{reason=\"conflicting_duplicate\"}",
        "upshot_bridge_jobs_total{queue=\"invoices\",result=\"inserted\"}",
        "upshot_bridge_jobs_total{queue=\"invoices\",result=\"conflict\"}",
        "upshot_log_lines_lost_total",
    ]);
    fetch(ports[1]).await.starts_at_zero(&[
        "upshot_executor_attempts_total{kind=\"invoice.issue\",result=\"failed\"}",
        "upshot_store_swept_total{what=\"draft\"}",
        "job_queue_claimed_total{queue=\"invoices\"}",
        "job_queue_reclaimed_total{queue=\"invoices\"}",
        "job_queue_refused_total{queue=\"invoices\"}",
        "job_queue_repaired_total{queue=\"invoices\"}",
    ]);
    fetch(ports[2]).await.starts_at_zero(&[
        "upshot_api_events_total{result=\"accepted\"}",
        "upshot_api_events_total{result=\"contract_violation\"}",
        "upshot_queue_jobs{queue=\"invoices\",state=\"dead\"}",
        "upshot_queue_transitions_total{queue=\"invoices\",transition=\"dead\"}",
        "upshot_redis_installation_lost",
    ]);

    let event = order(1);
    let posted = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{}/v1/events", ports[2]))
        .header("content-type", "application/cloudevents+json")
        .body(event.to_string());
    assert!(posted.send().await.unwrap().status().is_success());
    stage.succeeded(&stage.job_of(&event)).await;
    // The scrape of queues is used again for a second; this one is of this process.
    let mut names = BTreeSet::new();
    for (service, port) in [("bridge", ports[0]), ("executor", ports[1]), ("api", ports[2])] {
        names.extend(fetch(port).await.check(service));
    }
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(names, documented, "docs/metrics.md lists other metrics than there are");
    for process in [bridge, executor, api] {
        process.stop().await;
    }
    stage.finish().await;
}
