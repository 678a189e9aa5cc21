//! What commands write: over all of them, whatever stands in it and whatever becomes of it.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use lapin::BasicProperties;
use serde_json::{Deserializer, Value, json};
use tokio::{net::TcpStream, process::Command};
use upshot_queue::{Account, Deadline, Expect, GroupFilter, Job, JobId, Late, NewJob, State};
use upshot_servers::signal::{self, Signal};
use upshot_shared::{event::STRUCTURED, visible::is_shown};
use upshot_tests::{PATIENCE, Process, Stage, orders::order, process::binary};

/// An escape sequence, a bell, a line break and a forged line, a C1 control, bidi marks,
/// separators and what is invisible.
const HOSTILE: &str =
    "a\u{1b}[31m\u{7}\r\nerror: forged\u{9b}2J\u{7f}\u{202e}\u{2066}\u{61c}\u{200f}\u{2028}\u{feff}z";
/// The same without controls, which an event's attributes may not have.
const SLY: &str = "a\u{202e}\u{2066}\u{61c}\u{200f}\u{2028}\u{feff}z";
/// A route. It stands in commands that the overview proposes, which are not broken into lines.
const SLY_ROUTE: &str = "a\u{202e}z";
const SERVICES: [&str; 4] = ["up", "bridge", "executor", "api"];

/// The commands, as the help lists them. A test of the CLI holds that it lists all.
async fn commands() -> Vec<String> {
    let (succeeded, help) = Process::output(&["help"], &[]).await;
    assert!(succeeded);
    let groups = help.split("\n\n").take_while(|group| !group.starts_with("Options:"));
    let lines = groups.flat_map(|group| group.lines().filter_map(|line| line.strip_prefix("  ")));
    let words = lines.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_whitespace().next());
    let commands: Vec<String> = words.map(str::to_owned).collect();
    assert!(
        commands.len() > 20 && SERVICES.iter().all(|name| commands.iter().any(|each| each == name)),
        "{help}"
    );
    commands
}

/// The properties of an event in structured mode.
fn structured() -> BasicProperties {
    BasicProperties::default().with_content_type(STRUCTURED.into())
}

/// A job that waits, with hostile bytes in all its names.
async fn job(stage: &Stage, kind: &str, wanted: State) -> JobId {
    let id = JobId::random();
    let mut job = NewJob::new(id.clone(), kind, format!("{{\"x\": \"{SLY}\"}}"));
    job.subject = Some(HOSTILE.to_owned());
    job.tenant = Some(HOSTILE.to_owned());
    job.labels = ["id", "source", "type"].map(|name| (name.to_owned(), HOSTILE.to_owned())).into();
    match wanted {
        State::Scheduled => job.delay = Duration::from_secs(3600),
        State::Dead => {
            job.deadline = Some(Deadline { within: Duration::from_millis(1), then: Late::Expires })
        }
        _ => {}
    }
    stage.queue.enqueue(&[job]).await.unwrap();
    stage.until(&id, |job| job.state == wanted).await;
    id
}

/// The id of the message in quarantine, once it has a row.
async fn quarantined(stage: &Stage) -> String {
    let of_queue = stage.queue.keys().control().replace("{invoices}", "{@ledger}");
    let mut read = redis::cmd("ZRANGE");
    read.arg(format!("{of_queue}:quarantine")).arg(0).arg(0);
    loop {
        let found: Vec<String> = read.query_async(&mut stage.redis_connection()).await.unwrap();
        if let Some(id) = found.into_iter().next() {
            return id;
        }
    }
}

/// A job of a hostile route, which is soon overdue, with hostile bytes in all its names.
async fn expected(stage: &Stage) -> JobId {
    let job = NewJob {
        subject: Some(HOSTILE.to_owned()),
        tenant: Some(HOSTILE.to_owned()),
        delay: Duration::from_secs(3600),
        expect: Some(Expect::new(SLY_ROUTE, Duration::from_millis(1))),
        ..NewJob::new(JobId::random(), "invoice.issue", "{}")
    };
    stage.queue.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let is_overdue = |job: &Job| job.expectation.is_some_and(|expected| expected.account == Account::Overdue);
    stage.until(&job.id, is_overdue).await;
    job.id
}

/// How a command is run so that it succeeds, as often as it is asked.
async fn arguments(stage: &Stage, address: &str, command: &str, order_file: &Path) -> Vec<Vec<String>> {
    let words = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let unknown = format!("unknown.{SLY}");
    match command {
        "alarms" | "audit" | "audit-log" | "doctor" | "queues" | "objectives" | "openapi" | "asyncapi"
        | "help" => {
            vec![words(command.to_owned())]
        }
        "publish" => vec![words(format!("publish {}", order_file.display()))],
        "demo-orders" => vec![words("demo-orders --count 1 --rate 100".to_owned())],
        "jobs" => vec![words("jobs --all".to_owned()), words("jobs --limit 2".to_owned())],
        "job" => {
            let mut lines = Vec::new();
            for state in [State::Parked, State::Dead] {
                let id = job(stage, &unknown, state).await;
                lines.push(words(format!("job {id}")));
                lines.push(words(format!("job {id} --timeline")));
            }
            let ended = stage.job_of(&order(1));
            lines.push(words(format!("job {ended}")));
            lines.push(words(format!("job {ended} --follow")));
            lines
        }
        "quarantine" => {
            let id = quarantined(stage).await;
            ["quarantine".to_owned(), format!("quarantine {id}"), "quarantine --counts".to_owned()]
                .map(words)
                .into()
        }
        "why" => {
            let mut lines = Vec::new();
            for state in [State::Parked, State::Dead] {
                lines.push(words(format!("why {}", job(stage, &unknown, state).await)));
            }
            lines
        }
        "retry" => vec![words(format!("retry {}", job(stage, &unknown, State::Parked).await))],
        "cancel" => vec![words(format!("cancel {}", job(stage, "invoice.issue", State::Scheduled).await))],
        "reschedule" => {
            let id = job(stage, "invoice.issue", State::Scheduled).await;
            vec![words(format!("reschedule {id} --in 2h"))]
        }
        "prioritise" => {
            let id = job(stage, "invoice.issue", State::Scheduled).await;
            vec![words(format!("prioritise {id} high"))]
        }
        "pause" | "resume" => {
            let kind = ["--kind".to_owned(), SLY.to_owned()];
            vec![
                [words(format!("{command} invoices")), kind.into()].concat(),
                words("resume invoices".to_owned()),
            ]
        }
        "unpark" => vec![["unpark", "invoices", SLY].map(str::to_owned).into()],
        "signal" => {
            let payload = json!({ SLY: SLY }).to_string();
            let line = ["signal", "invoices", SLY, "--tenant", SLY, "--payload", &payload];
            vec![line.map(str::to_owned).into()]
        }
        "confirm" => {
            let fact = format!("{SLY}={SLY}");
            let line =
                ["confirm", "invoices", SLY, "--tenant", SLY, "--id", SLY, "--missed", SLY, "--fact", &fact];
            vec![line.map(str::to_owned).into()]
        }
        "schedule" => {
            let file = order_file.with_extension("schedules.toml");
            let weekly = "name = 'weekly'\nqueue = 'invoices'\njob = 'report.write'\ncron = '0 3 * * 1'";
            std::fs::write(&file, format!("[[schedules]]\n{weekly}\n")).unwrap();
            let create = "schedule create invoices daily --every 24h --job report.write --subject";
            let mut lines = vec![[&words(create.to_owned())[..], &[SLY.to_owned()]].concat()];
            for what in ["show", "pause", "resume", "run", "delete"] {
                if what == "delete" {
                    lines.push(words(format!("schedule apply {} invoices", file.display())));
                    lines.push(words("schedule list".to_owned()));
                }
                lines.push(words(format!("schedule {what} invoices daily")));
            }
            lines
        }
        "config" => {
            let file = order_file.with_extension("toml");
            std::fs::write(&file, "[queues.invoices]\nkeep_dead = \"9d\"\n").unwrap();
            let version = stage.queue.configuration().await.unwrap().map_or(0, |stored| stored.version);
            let apply = format!("config apply {} --expect-version {version} --by", file.display());
            vec![
                words("config show".to_owned()),
                words("config show invoices".to_owned()),
                words(format!("config diff {}", file.display())),
                [words(apply), vec![SLY.to_owned()]].concat(),
            ]
        }
        "limit" => {
            let key = format!("key:{SLY}");
            vec![["limit", "invoices", key.as_str(), "--rate", "5"].map(str::to_owned).into()]
        }
        "outcomes" => {
            expected(stage).await;
            ["outcomes", "outcomes --status missed", "outcomes --by tenant", "outcomes --by cause"]
                .map(|line| words(line.to_owned()))
                .into()
        }
        "tenants" => {
            expected(stage).await;
            vec![words("tenants".to_owned()), ["tenants", SLY].map(str::to_owned).into()]
        }
        "overdue" | "overview" => {
            expected(stage).await;
            vec![words(command.to_owned())]
        }
        "story" => [SLY, "order-1"].map(|subject| vec![command.to_owned(), subject.to_owned()]).into(),
        "waive" => {
            let id = expected(stage).await;
            let line = ["waive", id.as_str(), "--reason", SLY, "--by", SLY];
            vec![line.map(str::to_owned).into()]
        }
        "note" | "owner" => {
            let id = expected(stage).await;
            vec![[command, id.as_str(), SLY, "--by", SLY].map(str::to_owned).into()]
        }
        // Another subject: that of the message in quarantine is asked for behind it.
        "erase" => vec![vec![command.to_owned(), format!("{SLY}-other")]],
        "outbox-end" => {
            let key = stage.queue.keys().outbox();
            let mut create = redis::cmd("XGROUP");
            create.arg("CREATE").arg(key).arg(SLY).arg("0").arg("MKSTREAM");
            let () = create.query_async(&mut stage.redis_connection()).await.unwrap();
            vec![["outbox-end", "invoices", SLY].map(str::to_owned).into()]
        }
        "operation" => {
            let parked = job(stage, &unknown, State::Parked).await;
            let create = [
                "operation",
                "create",
                "invoices",
                "prioritise",
                "--priority",
                "high",
                "--id",
                parked.as_str(),
            ];
            let create: Vec<String> = [&create[..], &["--reason", SLY, "--by", SLY]]
                .concat()
                .into_iter()
                .map(str::to_owned)
                .collect();
            let line: Vec<&str> = create.iter().map(String::as_str).chain(["--json"]).collect();
            let mut ids = Vec::new();
            for _ in 0..2 {
                let variables = [("UPSHOT_API_URL".to_owned(), address.to_owned())];
                let (_, made) = Process::output(&line, &variables).await;
                let made: Value = serde_json::from_str(&made).unwrap();
                ids.push(made["id"].as_str().unwrap().to_owned());
            }
            let mut lines = vec![create];
            lines.extend(
                [
                    "operation list --limit 3".to_owned(),
                    format!("operation start {} --confirm 1", ids[0]),
                    format!("operation show {} --follow", ids[0]),
                    format!("operation show {}", ids[0]),
                    format!("operation show {} --refusals", ids[0]),
                    format!("operation abort {}", ids[1]),
                ]
                .map(words),
            );
            lines
        }
        "dead" => {
            job(stage, &unknown, State::Dead).await;
            let groups = stage.queue.dead_groups(&GroupFilter::default(), 1).await.unwrap();
            vec![words("dead".to_owned()), words(format!("dead {}", groups[0].fingerprint))]
        }
        "completion" => ["bash", "zsh", "fish"].map(|shell| words(format!("completion {shell}"))).into(),
        "login" | "me" => vec![words(command.to_owned())],
        "logout" | "profiles" => {
            let file = profiles(stage).join("upshot/profiles.toml");
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "[default]\napi = \"http://127.0.0.1\"\ntoken = \"upk_a_b\"\n").unwrap();
            vec![words(command.to_owned())]
        }
        "token" => {
            let create = ["token", "create", SLY, "--role", "viewer", "--tenant", SLY];
            let (_, made) =
                Process::output(&[&create[..], &["--local", "--json"]].concat(), &stage.variables()).await;
            let made: Value = serde_json::from_str(&made).unwrap();
            let id = made["id"].as_str().unwrap();
            let mut lines = vec![create.map(str::to_owned).to_vec(), words(format!("token rotate {id}"))];
            lines.extend(["token list", "token list --local"].map(|line| words(line.to_owned())));
            lines.push(words(format!("token revoke {id}")));
            lines
        }
        "link" => {
            let variables = [("UPSHOT_API_URL".to_owned(), address.to_owned())];
            let (_, made) = Process::output(&["link", "subject", "a", "--json"], &variables).await;
            let made: Value = serde_json::from_str(&made).unwrap();
            let id = job(stage, "invoice.issue", State::Scheduled).await;
            vec![
                words(format!("link job {id} --expires-in 1h")),
                ["link", "subject", SLY].map(str::to_owned).to_vec(),
                words(format!("link revoke {}", made["id"].as_str().unwrap())),
            ]
        }
        "settings" => vec![words("settings".to_owned()), words("settings --effective".to_owned())],
        other => panic!("say here how `upshot {other}` is run, so that its output is tested"),
    }
}

/// Where a person's profiles are.
fn profiles(stage: &Stage) -> PathBuf {
    Path::new(&stage.files()).with_file_name("config")
}

async fn run(arguments: &[String], variables: &[(String, String)], stdout: Stdio) -> Output {
    let mut command = Command::new(binary().await);
    command.args(arguments).env_clear().envs(variables.iter().cloned()).stdin(Stdio::null());
    let running = command.stdout(stdout).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let ended = tokio::time::timeout(PATIENCE, running.wait_with_output()).await;
    ended.unwrap_or_else(|_| panic!("`upshot {}` does not end", arguments.join(" "))).unwrap()
}

fn full() -> Stdio {
    std::fs::File::options().write(true).open("/dev/full").unwrap().into()
}

fn closed() -> Stdio {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn assert_visible(arguments: &[String], text: &str) {
    let raw = text.chars().find(|char| *char != '\n' && !is_shown(*char));
    assert!(raw.is_none(), "`upshot {}` writes {raw:?}: {text:?}", arguments.join(" "));
    let forged = text.lines().any(|line| line.starts_with("error: forged"));
    assert!(!forged, "`upshot {}` writes a forged line: {text}", arguments.join(" "));
}

/// Columns that a line takes; nothing here is wider than one.
fn columns(line: &str) -> usize {
    line.chars().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_writes_json_and_fits_80_columns_and_ends_in_good_order() {
    let stage = Stage::new().await;
    let bridge = stage.start("bridge", &[]).await;
    // Every invoice fails with a hostile message.
    let templates = stage.broken_templates();
    std::fs::write(Path::new(&templates).join("invoice.typ"), format!("#panic(\"{HOSTILE}\")")).unwrap();
    let executor = stage.start("executor", &[("UPSHOT_TEMPLATES__DIR", templates)]).await;
    let (api, address) = stage.start_api().await;
    let mut variables = stage.variables();
    variables.push(("UPSHOT_API_URL".to_owned(), address.clone()));
    variables.push(("XDG_CONFIG_HOME".to_owned(), profiles(&stage).display().to_string()));
    let order_file = Path::new(&stage.files()).with_file_name("order.json");
    let mut sly = order(2);
    sly["id"] = SLY.into();
    sly["subject"] = SLY.into();
    std::fs::write(&order_file, sly.to_string()).unwrap();
    let bad = json!({"specversion": HOSTILE, "id": SLY, "source": SLY, "type": SLY, "subject": SLY});
    stage.publish_raw("order.completed.v1", bad.to_string().as_bytes(), structured()).await;
    stage.publish(&order(1)).await;
    stage.until(&stage.job_of(&order(1)), |job| job.state == State::Dead).await;

    for command in commands().await.into_iter().filter(|name| !SERVICES.contains(&name.as_str())) {
        for line in arguments(&stage, &address, &command, &order_file).await {
            let narrow = [&variables[..], &[("COLUMNS".to_owned(), "80".to_owned())]].concat();
            let output = run(&line, &narrow, Stdio::piped()).await;
            let (said, beside) =
                (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            let shown = line.join(" ");
            assert!(output.status.success(), "`upshot {shown}`: {beside}");
            assert!(command == "jobs" || !said.is_empty(), "`upshot {shown}` says nothing");
            assert_visible(&line, &said);
            assert_visible(&line, &beside);
            // Documents have lines of their own, and neither links nor tokens are broken.
            let is_document =
                matches!(command.as_str(), "openapi" | "asyncapi" | "settings" | "completion" | "help");
            let is_whole = |line: &str| line.contains("://") || line.starts_with("upk_");
            let wide = said.lines().find(|line| columns(line) > 80 && !is_whole(line));
            assert!(
                is_document || wide.is_none(),
                "`upshot {shown}` writes a line of more than 80 columns: {wide:?}"
            );
        }
        for line in arguments(&stage, &address, &command, &order_file).await {
            if command == "help" {
                continue;
            }
            let line = [&line[..], &["--json".to_owned()]].concat();
            let output = run(&line, &variables, Stdio::piped()).await;
            let said = String::from_utf8(output.stdout).unwrap();
            let shown = line.join(" ");
            assert!(output.status.success(), "`upshot {shown}`: {:?}", output.stderr);
            assert_visible(&line, &said);
            let documents: Result<Vec<Value>, _> = Deserializer::from_str(&said).into_iter().collect();
            assert!(documents.is_ok_and(|documents| !documents.is_empty()), "`upshot {shown}`: {said}");
        }
        for (stdout, code, words) in [
            (closed as fn() -> Stdio, 141, ""),
            (full as fn() -> Stdio, 1, "standard output cannot be written"),
        ] {
            for line in arguments(&stage, &address, &command, &order_file).await {
                let output = run(&line, &variables, stdout()).await;
                let (said, shown) = (String::from_utf8(output.stderr).unwrap(), line.join(" "));
                assert_eq!(output.status.code(), Some(code), "`upshot {shown}`: {said}");
                assert!(said.contains(words) && !said.contains("panicked"), "`upshot {shown}`: {said}");
            }
        }
    }
    // A command line that is not understood.
    let output = run(&["jobs".to_owned(), HOSTILE.to_owned()], &variables, full()).await;
    assert_eq!(output.status.code(), Some(2));
    assert_visible(&["jobs".to_owned()], &String::from_utf8(output.stderr).unwrap());
    for process in [bridge, executor, api] {
        assert_visible(&["service".to_owned()], &process.stop_and_read().await);
    }
    stage.quarantined(1).await;
    stage.finish().await;
}

/// Whether a program answers at a port of this machine.
async fn answers(port: u16) {
    let reached = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("the service does not answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_goes_on_where_nobody_reads_its_log_or_the_disk_is_full() {
    let stage = Stage::new().await;
    for service in SERVICES {
        for (place, stdio) in [closed as fn() -> Stdio, full].into_iter().enumerate() {
            for format in ["human", "json"] {
                let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
                let listen = if ["up", "api"].contains(&service) {
                    "UPSHOT_API__LISTEN"
                } else {
                    "UPSHOT_PROBES__LISTEN"
                };
                let mut command = Command::new(binary().await);
                command.arg(service).env_clear().envs(stage.variables()).env(listen, free.to_string());
                command
                    .env("UPSHOT_LOG__FORMAT", format)
                    .env("UPSHOT_LOG__FILTER", "debug")
                    .stdin(Stdio::null());
                let mut running = command.stdout(stdio()).stderr(stdio()).kill_on_drop(true).spawn().unwrap();
                let case = format!("upshot {service}, case {place}, {format}");
                answers(free.port()).await;
                assert!(running.try_wait().unwrap().is_none(), "{case} ended");
                if service != "up" {
                    // Each request is a line that is lost.
                    let lost =
                        async { while metric(free.port(), "upshot_log_lines_lost_total").await == 0.0 {} };
                    tokio::time::timeout(PATIENCE, lost)
                        .await
                        .unwrap_or_else(|_| panic!("{case}: no line is lost"));
                }
                signal::send(running.id().unwrap(), Signal::Terminate).unwrap();
                let ended = tokio::time::timeout(PATIENCE, running.wait()).await;
                let status = ended.unwrap_or_else(|_| panic!("{case} does not stop")).unwrap();
                assert!(status.success(), "{case}: {status}");
            }
        }
    }
    stage.finish().await;
}

async fn metric(port: u16, name: &str) -> f64 {
    let text = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await.unwrap().text().await.unwrap();
    let line =
        text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_terminal_of_80_columns_is_measured() {
    // `script` gives the command a terminal.
    let binary = binary().await;
    let line = format!("stty cols 80; {} help; {} doctor", binary.display(), binary.display());
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env_clear().env("PATH", std::env::var("PATH").unwrap());
    command
        .env("UPSHOT_DATA_DIR", data.path())
        .env("UPSHOT_SMTP__URL", "smtp://127.0.0.1:1")
        .env("TERM", "xterm");
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let table = said.split("CHECK").nth(1).unwrap_or_else(|| panic!("{said}"));
    let wide = table.lines().find(|line| columns(line.trim_end()) > 80);
    assert!(wide.is_none() && table.contains("redis: reached"), "{wide:?} in {said}");
}
