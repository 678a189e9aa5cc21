//! No password reaches a screen, a log, a figure or a probe, whatever goes wrong with it.

use std::process::Stdio;

use tokio::process::Command;
use upshot_tests::{PATIENCE, Process, Stage, process::binary};

const MARKER: &str = "m4rker";
/// Values that no command can use.
const IMPOSSIBLE: [(&str, &str); 13] = [
    ("UPSHOT_AMQP_URL", "amqp//u:m4rker@h"),
    ("UPSHOT_AMQP_URL", "amqp://u:m4rker@h:99999/v"),
    ("UPSHOT_AMQP_URL", "amqp://u:m4rker"),
    ("UPSHOT_REDIS_URL", "redis://:m4rker"),
    ("UPSHOT_REDIS_URL", "redis://:m4rker@h/x"),
    ("UPSHOT_REDIS__SENTINEL_PASSWORD", "m4rker"),
    ("UPSHOT_REDIS__SENTINEL_PASSWORT", "m4rker"),
    ("UPSHOT_REDIS__URI", "redis://:m4rker@h"),
    ("UPSHOT_SMTP_URL", "smtp://u:m4rker@h"),
    ("UPSHOT_SMTP__URL", "smtp://u:m4rker@mail.example:x"),
    ("UPSHOT_SMTP__URL", "u:m4rker@mail.example"),
    ("UPSHOT_STORE__URL", "s3://key:m4rker@bucket"),
    ("UPSHOT_BRIDGE__BATCH", "amqp://u:m4rker@h"),
];
/// Files that are no settings, and hold a secret before, at or behind the mistake.
const BROKEN: [&str; 5] = [
    "[amqp]\nurl = \"amqp://u:m4rker@h\n",
    "[redis]\nurl = \"redis://:m4rker@h\"\nprefix = 5\n",
    "batch = \n[redis]\nsentinel_password = \"m4rker\"\n",
    "[redis]\nsentinel_password = [\"m4rker\"]\n",
    "amqp = \"amqp://u:m4rker@h\"\n",
];

/// Runs a command to its end: whether it succeeded, and all that it wrote.
async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary().await);
    command.args(arguments).env_clear().envs(variables.iter().copied()).env("UPSHOT_DATA_DIR", data.path());
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, running).await.expect("the command does not end").unwrap();
    let both = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(both).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_cannot_be_used_is_refused_without_its_secret() {
    let amqp = ("UPSHOT_AMQP_URL", "amqp://127.0.0.1:1/v");
    let redis = ("UPSHOT_REDIS_URL", "redis://127.0.0.1:1");
    for (name, value) in IMPOSSIBLE {
        let mut variables = vec![amqp, redis, ("UPSHOT_SMTP__URL", "smtp://127.0.0.1:1")];
        variables.retain(|(other, _)| *other != name);
        variables.push((name, value));
        for command in ["doctor", "executor"] {
            // An executor needs no RabbitMQ, but looks at all settings.
            let (succeeded, said) = run(&[command], &variables).await;
            assert!(!succeeded && !said.contains(MARKER), "{command} {name}={value}: {said}");
        }
        for arguments in [&["settings", "--effective"][..], &["jobs"], &["settings", "--effective", "--json"]]
        {
            let (_, said) = run(arguments, &variables).await;
            assert!(!said.contains(MARKER), "{arguments:?} {name}={value}: {said}");
        }
    }
    for text in BROKEN {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let path = file.path().display().to_string();
        for command in ["doctor", "bridge", "settings"] {
            let arguments = ["--config", &path, command, "--json"];
            let arguments = if command == "settings" {
                [&arguments[..], &["--effective"]].concat()
            } else {
                arguments.into()
            };
            let (succeeded, said) = run(&arguments, &[]).await;
            assert!(!succeeded && !said.contains(MARKER) && said.contains("line"), "{text}: {said}");
        }
    }
    // An address of the API with a login.
    let (succeeded, said) = run(&["jobs", "--api", "http://u:m4rker@127.0.0.1:1"], &[]).await;
    assert!(!succeeded && !said.contains(MARKER) && said.contains("127.0.0.1:1"), "{said}");
    let (succeeded, said) = run(&["jobs", "--api", "ftp://u:m4rker@h"], &[]).await;
    assert!(!succeeded && !said.contains(MARKER) && said.contains("--api"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_in_force_are_shown_without_their_secrets() {
    let all = [
        ("UPSHOT_AMQP_URL", "amqps://u:m4rker@mq.example/v"),
        ("UPSHOT_REDIS_URL", "redis+sentinel://u:m4rker@a.example,b.example/master"),
        ("UPSHOT_REDIS__SENTINEL_PASSWORD", "m4rker"),
        ("UPSHOT_SMTP__URL", "smtps://u:m4rker@mail.example"),
        ("AWS_SECRET_ACCESS_KEY", "m4rker"),
        ("AWS_ACCESS_KEY_ID", "m4rker"),
    ];
    for arguments in [&["settings", "--effective"][..], &["settings", "--effective", "--json"]] {
        let (succeeded, said) = run(arguments, &all).await;
        assert!(succeeded && !said.contains(MARKER), "{said}");
        for shown in ["amqps://…@mq.example/v", "a.example,b.example/master", "smtps://…@mail.example"] {
            assert!(said.contains(shown), "{shown}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_is_reported_without_its_secret() {
    let stage = Stage::new().await;
    let amqp = stage.amqp.replace("amqp://upshot:", "amqp://upshot:m4rker-");
    assert_ne!(amqp, stage.amqp);
    let redis = stage.redis.replace("redis://", "redis://nobody:m4rker@");
    let variables = |listen: &'static str, port: u16| -> Vec<(String, String)> {
        let mut variables = stage.variables();
        variables.extend(
            [
                ("UPSHOT_AMQP_URL", amqp.clone()),
                ("UPSHOT_REDIS_URL", redis.clone()),
                ("UPSHOT_SMTP__URL", "smtp://u:m4rker@127.0.0.1:1".to_owned()),
                (listen, format!("127.0.0.1:{port}")),
                ("UPSHOT_LOG__FILTER", "debug".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "m4rker".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        variables
    };
    let (_, said) = Process::output(&["doctor"], &variables("UPSHOT_API__LISTEN", 0)).await;
    assert!(said.contains("login") && !said.contains(MARKER), "{said}");
    for (service, words) in [("bridge", &["rabbitmq"][..]), ("executor", &["redis"]), ("api", &["redis"])] {
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let listen = if service == "api" { "UPSHOT_API__LISTEN" } else { "UPSHOT_PROBES__LISTEN" };
        let process = Process::start(&[service], &variables(listen, port)).await;
        process.logged(&["WRONGPASS"]).await;
        for path in ["readyz", "metrics", "healthz"] {
            let said =
                reqwest::get(format!("http://127.0.0.1:{port}/{path}")).await.unwrap().text().await.unwrap();
            assert!(!said.contains(MARKER), "{service} /{path}: {said}");
            assert!(path != "readyz" || words.iter().all(|word| said.contains(word)), "{said}");
        }
        let log = process.stop_and_read().await;
        assert!(!log.contains(MARKER), "{service}: {log}");
    }
    stage.finish().await;
}
