//! Logins, profiles, API tokens and exit codes of the real command.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
};
use upshot_access::{
    Devices, Identity, Lengths, Login as SessionLogin, Principal, Role, Scope, Sessions, devices::TypedCode,
};
use upshot_queue::{JobId, NewJob};
use upshot_tests::{PATIENCE, Stage, orders::order, process::binary};

/// A person at a machine: variables, and a folder for profiles.
struct Shell {
    variables: Vec<(String, String)>,
    _folder: tempfile::TempDir,
    profiles: PathBuf,
}

/// How a command ended, and what it wrote.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Shell {
    fn new(variables: Vec<(String, String)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let profiles = folder.path().join("upshot/profiles.toml");
        let mut shell = Self { variables, profiles, _folder: folder };
        let config = shell.profiles.parent().and_then(Path::parent).unwrap().display().to_string();
        shell.set("XDG_CONFIG_HOME", &config);
        shell
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    fn unset(&mut self, name: &str) {
        self.variables.retain(|(other, _)| other != name);
    }

    async fn run(&self, line: &str) -> Ran {
        self.run_with(line, "").await
    }

    async fn run_with(&self, line: &str, stdin: &str) -> Ran {
        let mut command = Command::new(binary().await);
        command.args(line.split_whitespace()).env_clear().envs(self.variables.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut running = command.spawn().unwrap();
        let mut input = running.stdin.take().unwrap();
        // A command that does not read it may have ended.
        let _ = input.write_all(stdin.as_bytes()).await;
        drop(input);
        let ended = tokio::time::timeout(PATIENCE, running.wait_with_output()).await;
        let output = ended.unwrap_or_else(|_| panic!("`upshot {line}` does not end")).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// What a command writes that succeeds.
    async fn said(&self, line: &str) -> String {
        let ran = self.run(line).await;
        assert_eq!(ran.code, 0, "`upshot {line}`: {ran:?}");
        ran.out
    }

    /// The token that a command prints, alone on standard output.
    async fn token(&self, line: &str) -> String {
        let ran = self.run(line).await;
        assert_eq!(ran.code, 0, "`upshot {line}`: {ran:?}");
        let token = ran.out.strip_suffix('\n').unwrap();
        assert!(token.starts_with("upk_") && !token.contains(char::is_whitespace), "{ran:?}");
        assert!(ran.err.contains("not shown again") && !ran.err.contains(token), "{ran:?}");
        token.to_owned()
    }
}

fn secret_of(token: &str) -> &str {
    token.rsplit('_').next().unwrap()
}

fn id_of(token: &str) -> &str {
    token.split('_').nth(1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_what_happened() {
    let stage = Stage::new().await;
    let (api, address) = stage.start_api().await;
    let (guarded, guarded_address) =
        stage.start_api_with(&[("UPSHOT_API__AUTH", "required".to_owned())]).await;
    let (lost, lost_address) =
        stage.start_api_with(&[("UPSHOT_REDIS_URL", "redis://127.0.0.1:1".to_owned())]).await;
    let mut shell = Shell::new(stage.variables());
    let (waiting, unknown) = (NewJob::new(JobId::random(), "invoice.issue", "{}"), JobId::random());
    stage.queue.enqueue(std::slice::from_ref(&waiting)).await.unwrap();
    let viewer = shell.token("token create v --role viewer --all-tenants --local").await;
    let file = Path::new(&stage.files()).with_file_name("order.json");
    std::fs::write(&file, order(1).to_string()).unwrap();
    shell.set("UPSHOT_API_URL", &address);
    let waiting = &waiting.id;
    for (code, line) in [
        (0, "queues".to_owned()),
        (0, "help".to_owned()),
        (1, format!("retry {waiting}")),
        (1, "publish /nowhere.json".to_owned()),
        (2, "jobs --nonsense".to_owned()),
        (2, String::new()),
        (2, "--config /nowhere.toml queues".to_owned()),
        (2, "jobs --queue nowhere".to_owned()),
        (2, "queues --api ftp://h".to_owned()),
        (3, format!("job {unknown}")),
        (3, format!("cancel {unknown}")),
        (3, "story nobody".to_owned()),
        (3, "pause nowhere".to_owned()),
        (3, "audit --queue nowhere".to_owned()),
        (3, "token revoke 0123456789ab".to_owned()),
        (3, "token revoke 0123456789ab --local".to_owned()),
        (3, "--as nobody queues".to_owned()),
        (4, format!("jobs --api {guarded_address}")),
        (5, "jobs --api 127.0.0.1:1".to_owned()),
        (5, format!("jobs --api {lost_address}")),
    ] {
        let ran = shell.run(&line).await;
        assert_eq!(ran.code, code, "`upshot {line}`: {ran:?}");
        assert_eq!(ran.err.contains("error: "), code != 0 && !line.is_empty(), "`upshot {line}`: {ran:?}");
    }
    shell.set("UPSHOT_TOKEN", &viewer);
    let refused = shell.run(&format!("retry {waiting} --api {guarded_address}")).await;
    assert_eq!(refused.code, 4, "{refused:?}");
    for words in ["`retry`", "UPSHOT_TOKEN", "upshot me"] {
        assert!(refused.err.contains(words), "`{words}` is not in: {refused:?}");
    }
    assert!(!refused.err.contains(secret_of(&viewer)), "{refused:?}");
    // Nothing is sent where others could read the token.
    let readable = shell.run("me --api http://upshot.example:8080").await;
    assert_eq!(readable.code, 2, "{readable:?}");
    assert!(readable.err.contains("--token-over-http") && !readable.err.contains(secret_of(&viewer)));

    shell.set("UPSHOT_REDIS_URL", "redis://127.0.0.1:1");
    shell.set("UPSHOT_AMQP_URL", "amqp://127.0.0.1:1/x");
    for line in ["audit".to_owned(), "token list --local".to_owned(), format!("publish {}", file.display())] {
        let ran = shell.run(&line).await;
        assert_eq!(ran.code, 5, "`upshot {line}`: {ran:?}");
    }
    shell.set("UPSHOT_BRIDGE__BATCH", "999");
    assert_eq!(shell.run("bridge").await.code, 2);
    for service in [api, guarded, lost] {
        service.stop().await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_and_makes_a_token_for_a_service() {
    let stage = Stage::new().await;
    let (api, address) = stage.start_api_with(&[("UPSHOT_API__AUTH", "required".to_owned())]).await;
    // On the server: the first administrator.
    let server = Shell::new(stage.variables());
    let root = server.token("token create root --role administrator --all-tenants --local").await;
    let made: Value = serde_json::from_str(&server.said("token list --local --json").await).unwrap();
    let login_name = Command::new("id").arg("-un").output().await.unwrap().stdout;
    let login_name = String::from_utf8(login_name).unwrap();
    assert_eq!(made["created_by"], format!("local:{}", login_name.trim()));

    // Elsewhere: no settings, only a profile.
    let mut shell = Shell::new(Vec::new());
    let without = shell.run(&format!("login --api {address} --as prod")).await;
    assert_eq!(without.code, 2, "{without:?}");
    assert!(without.err.contains("--token-stdin"), "{without:?}");
    let line = format!("login --api {address} --as prod --token-stdin");
    let wrong = shell.run_with(&line, &root.replace(id_of(&root), "000000000000")).await;
    assert_eq!(wrong.code, 4, "{wrong:?}");
    assert!(!shell.profiles.exists() && !wrong.err.contains(secret_of(&root)), "{wrong:?}");
    let login = shell.run_with(&line, &format!("{root}\n")).await;
    assert_eq!(login.code, 0, "{login:?}");
    assert!(login.out.contains("administrator") && login.out.contains("`prod`"), "{login:?}");
    assert_eq!(std::fs::metadata(&shell.profiles).unwrap().permissions().mode() & 0o777, 0o600);

    // A profile that is not the default one counts where it is named.
    assert_eq!(shell.run("me").await.code, 5);
    shell.set("UPSHOT_PROFILE", "prod");
    assert!(shell.said("me").await.contains("token root"));
    // What was done on the server is on record.
    let acts = shell.said("audit-log --json --principal local").await;
    let act: Value = serde_json::from_str(acts.lines().next().unwrap()).unwrap();
    assert_eq!((&act["operation"], &act["target"]["token"]), (&"create_token".into(), &id_of(&root).into()));
    assert!(act["agent"].as_str().unwrap().ends_with(&format!("run by {}", login_name.trim())), "{act}");
    assert!(act["result"] == "done" && !acts.contains(secret_of(&root)), "{act}");
    let listed = shell.said("profiles --json").await;
    let profile: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&profile["name"], &profile["token_id"]), (&"prod".into(), &id_of(&root).into()));
    assert!(!listed.contains(secret_of(&root)) && !shell.said("profiles").await.contains(secret_of(&root)));

    let line = "token create shop --role producer --tenant acme --source /shops/berlin --expires-in 90d";
    let shop = shell.token(line).await;
    let list = "token list --json";
    assert_eq!(shell.said(list).await, server.said(&format!("{list} --local")).await);
    assert!(shell.said("token list").await.contains("shop"));
    // The variable wins over the profile, a file wins over the variable.
    shell.set("UPSHOT_TOKEN", &shop);
    let me: Value = serde_json::from_str(&shell.said("me --json").await).unwrap();
    assert_eq!((&me["role"], &me["scope"]["tenants"][0]), (&"producer".into(), &"acme".into()));
    let file = shell.profiles.with_file_name("token");
    std::fs::write(&file, &root).unwrap();
    assert!(shell.said(&format!("me --token-file {}", file.display())).await.contains("token root"));
    assert_eq!(shell.run("token list").await.code, 4);
    shell.unset("UPSHOT_TOKEN");

    let rotated = shell.token(&format!("token rotate {} --overlap 0s", id_of(&shop))).await;
    for (token, code) in [(&shop, 4), (&rotated, 0)] {
        shell.set("UPSHOT_TOKEN", token);
        assert_eq!(shell.run("me").await.code, code);
        shell.unset("UPSHOT_TOKEN");
    }
    // A whole token stands for its id.
    let revoked = shell.said(&format!("token revoke {rotated}")).await;
    assert!(revoked.contains("is revoked") && !revoked.contains(secret_of(&rotated)), "{revoked}");
    shell.set("UPSHOT_TOKEN", &rotated);
    let refused = shell.run("me").await;
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(
        refused.err.contains("upshot login") && !refused.err.contains(secret_of(&rotated)),
        "{refused:?}"
    );
    shell.unset("UPSHOT_TOKEN");

    // The token of a profile goes to no other server.
    let (other, other_address) = stage.start_api().await;
    let elsewhere = shell.run(&format!("me --api {other_address}")).await;
    assert_eq!(elsewhere.code, 2, "{elsewhere:?}");
    let logout = shell.run("logout").await;
    assert_eq!(logout.code, 0, "{logout:?}");
    assert!(logout.err.contains(&format!("upshot token revoke {}", id_of(&root))), "{logout:?}");
    assert_eq!(shell.run("me").await.code, 3);
    assert!(!std::fs::read_to_string(&shell.profiles).unwrap().contains(secret_of(&root)));

    // A server that asks for nobody needs no token.
    shell.unset("UPSHOT_PROFILE");
    let open = shell.said(&format!("login --api {other_address}")).await;
    assert!(open.contains("no authentication") && open.contains("`default`"), "{open}");
    assert!(shell.said("me").await.starts_with("local at"));
    for service in [api, other] {
        service.stop().await;
    }
    stage.finish().await;
}

/// A person who has logged in with a browser.
async fn person(stage: &Stage) -> Principal {
    let identity = Identity::Person {
        issuer: "https://id.example".to_owned(),
        subject: "ada".to_owned(),
        name: "Ada".to_owned(),
    };
    let principal = Principal {
        identity,
        role: Some(Role::Operator),
        rights: Role::Operator.rights(),
        scope: Scope::everything(),
        until: None,
    };
    let lengths = Lengths { idle_ms: 3_600_000, absolute_ms: 3_600_000 };
    let sessions = Sessions::with_connection(stage.redis_connection(), stage.prefix(), lengths);
    let (_, session) = sessions.begin(SessionLogin::Of(principal)).await.unwrap();
    Principal { until: Some(session.until), ..session.principal }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_with_a_browser_on_another_machine() {
    let stage = Stage::new().await;
    let provider = [
        ("UPSHOT_API__AUTH", "required"),
        ("UPSHOT_API__OIDC__ISSUER", "https://127.0.0.1:1"),
        ("UPSHOT_API__OIDC__CLIENT_ID", "upshot"),
        ("UPSHOT_API__OIDC__ROLES__OPS", "operator"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let (api, address) = stage.start_api_with(&provider).await;
    let shell = Shell::new(Vec::new());
    let devices = Devices::with_connection(stage.redis_connection(), stage.prefix());
    for approves in [false, true] {
        let person = person(&stage).await;
        let line = ["login", "--api", &address, "--json"];
        let mut command = Command::new(binary().await);
        command.args(line).env_clear().envs(shell.variables.iter().cloned()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut running = command.spawn().unwrap();
        let mut told = BufReader::new(running.stderr.take().unwrap()).lines();
        let first = told.next_line().await.unwrap().unwrap();
        assert!(first.contains("/access?code="), "{first}");
        let (_, typed) = first.split_once("approve the code ").unwrap();
        let typed = TypedCode::parse(typed.split(' ').next().unwrap()).unwrap();
        assert!(devices.look(&typed).await.unwrap().unwrap().name.starts_with("upshot of "));
        assert!(devices.decide(&typed, approves.then_some(&person)).await.unwrap());
        let ended = tokio::time::timeout(PATIENCE, running.wait_with_output()).await;
        let output = ended.expect("the login does not end").unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let refused = told.next_line().await.unwrap().unwrap_or_default();
        assert_eq!(output.status.code(), Some(if approves { 0 } else { 4 }), "{said} {refused}");
        assert_eq!(shell.profiles.exists(), approves);
        assert!(!said.contains("upk_"), "{said}");
    }
    let me: Value = serde_json::from_str(&shell.said("me --json").await).unwrap();
    assert_eq!((&me["kind"], &me["role"]), (&"token".into(), &"operator".into()));
    api.stop().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_made_for_an_end_user_and_revoked() {
    let stage = Stage::new().await;
    let (api, address) = stage.start_api_with(&[("UPSHOT_API__AUTH", "required".to_owned())]).await;
    let mut shell = Shell::new(stage.variables());
    let viewer = shell.token("token create v --role viewer --all-tenants --local").await;
    let operator = shell.token("token create o --role operator --tenant acme --local").await;
    shell.set("UPSHOT_API_URL", &address);
    shell.set("UPSHOT_TOKEN", &viewer);
    let refused = shell.run("link subject order-1").await;
    assert!(refused.code == 4 && refused.err.contains("`share`"), "{refused:?}");
    shell.set("UPSHOT_TOKEN", &operator);
    let made = shell.run("link subject order-1 --expires-in 7d").await;
    let link = made.out.strip_suffix('\n').unwrap();
    assert!(made.code == 0 && link.contains("/access#upl_") && !link.contains(' '), "{made:?}");
    let (_, id) = made.err.split_once("upshot link revoke ").unwrap();
    let (id, _) = id.split_once('`').unwrap();
    // A link in the place of its id is not shown.
    let slip = shell.run(&format!("link revoke {link}")).await;
    assert!(slip.code == 2 && !slip.err.contains("upl_"), "{slip:?}");
    assert!(shell.said(&format!("link revoke {id}")).await.contains("nothing any more"));
    // Again, as after an answer that was lost.
    assert!(shell.said(&format!("link revoke {id}")).await.contains("nothing any more"));
    assert_eq!(shell.run(&format!("link job {} --tenant globex", JobId::random())).await.code, 4);
    assert_eq!(shell.run("link revoke 0-1").await.code, 3);
    api.stop().await;
    stage.finish().await;
}
