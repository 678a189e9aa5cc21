//! Layered settings: defaults, then a file, then the environment.
//!
//! `settings/default.toml` is the documentation of every key. A file is checked alone first, so
//! that an error shows the line to correct.

mod access;
mod alarms;
mod amqp;
mod app;
pub mod bytes;
mod env;
mod error;
mod limits;
mod object_store;
mod program;
mod queues;
mod redis;
mod retries;
mod rules;
mod sections;
mod smtp;

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use toml::Table;
use upshot_queue::QueueName;

pub use access::{GroupRole, LinkSettings, OidcSettings, SessionSettings, network};
pub use alarms::AlarmSettings;
pub use amqp::AmqpSettings;
pub use app::App;
pub use bytes::ByteSize;
pub use error::Error;
pub use limits::LimitSettings;
pub use object_store::object_options;
pub use program::Program;
pub use queues::QueueSettings;
pub use redis::{Durability, RedisSettings};
pub use retries::{
    Backoff, BackoffOf, KindSettings, Retries, RetryFor, SomeBackoff, SomeRetries, SomeRetryFor,
};
pub use sections::*;
pub use smtp::{SmtpSettings, SmtpTimeouts};

use upshot_shared::{Expectation, Schedule, confirmation::Rule, expectation, intake::Rules, route::Route};

use crate::secret::{Secret, SecretUrl};

/// The annotated defaults.
pub const DEFAULTS: &str = include_str!("settings/default.toml");

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where `upshot up` keeps data.
    pub data_dir: String,
    /// RabbitMQ.
    pub amqp: AmqpSettings,
    /// Redis.
    pub redis: RedisSettings,
    /// The bridge.
    pub bridge: BridgeSettings,
    /// Rows about messages in quarantine.
    pub quarantine: QuarantineSettings,
    /// The audit log.
    pub audit: AuditSettings,
    /// Alarms, and who is told.
    pub alarms: AlarmSettings,
    /// Event schemas.
    pub contracts: ContractSettings,
    /// What is told about outcomes.
    pub outcomes: OutcomesSettings,
    /// The routes from events to jobs, without those of expectations; see [`Settings::all_routes`].
    pub routes: Vec<Route>,
    /// The rules by which events are confirmations, without those of expectations.
    pub confirmations: Vec<Rule>,
    /// The events that must be followed by other events.
    pub expectations: Vec<Expectation>,
    /// The schedules, which enqueue jobs without an event.
    pub schedules: Vec<Schedule>,
    /// Queues by name; a route's queue that is not named here has the defaults.
    pub queues: BTreeMap<QueueName, QueueSettings>,
    /// The executor.
    pub executor: ExecutorSettings,
    /// The API.
    pub api: ApiSettings,
    /// What answers of the API hide.
    pub redact: RedactSettings,
    /// Files.
    pub store: StoreSettings,
    /// Mail.
    pub smtp: SmtpSettings,
    /// Document templates.
    pub templates: TemplateSettings,
    /// The program's own sections; see [`Settings::section`].
    pub app: App,
    /// `/healthz`, `/readyz` and `/metrics` of bridge and executor.
    pub probes: ProbesSettings,
    /// Logs.
    pub log: LogSettings,
    #[serde(skip)]
    sources: app::Sources,
}

impl Settings {
    /// Loads the defaults of a program, then a named file, then variables.
    ///
    /// # Errors
    /// The problem, its place, and the remedy.
    pub fn load(
        program: &Program,
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let (mut table, mut sources) = (Table::new(), app::Sources::default());
        if let Some(path) = file {
            let shown = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|source| Error::Unreadable { path: shown.clone(), source })?;
            let wrong = |error| Error::in_file(&shown, &text, &error);
            toml::from_str::<Self>(&text).map_err(wrong)?;
            table = text.parse().map_err(wrong)?;
            sources.file = Some((shown, text));
        }
        for variable in env::overrides(variables)? {
            // One variable at a time, so that an error names it.
            variable.apply(&mut table)?;
            if variable.is_below(&[app::APP]) {
                sources.variables.push(variable);
            }
        }
        let mut settings = Self::over(program, &table)?;
        settings.sources = sources;
        settings.validate()?;
        Ok(settings)
    }

    /// The settings of a program without a file and variables. They need not be complete: a program
    /// may have its routes in a file.
    ///
    /// # Errors
    /// When its defaults cannot be read.
    pub fn of(program: &Program) -> Result<Self, Error> {
        Self::over(program, &Table::new())
    }

    fn over(program: &Program, written: &Table) -> Result<Self, Error> {
        let of_program = |error: toml::de::Error| Error::Defaults { why: error.message().to_owned() };
        let defaults = program.defaults.parse().map_err(of_program)?;
        let mut settings: Self = program::over_defaults(defaults, written).try_into().map_err(of_program)?;
        settings.contracts.built_in = program.contracts.to_vec();
        for route in &settings.routes {
            settings.queues.entry(route.queue.clone()).or_default();
        }
        for schedule in &settings.schedules {
            settings.queues.entry(schedule.queue.clone()).or_default();
        }
        if !settings.expectations.is_empty() {
            settings.queues.entry(expectation::queue()).or_default();
        }
        Ok(settings)
    }

    /// The routes from events to jobs, with those of expectations.
    pub fn all_routes(&self) -> Vec<Route> {
        self.routes.iter().cloned().chain(self.expectations.iter().map(Expectation::route)).collect()
    }

    /// The schedules of a queue.
    pub fn schedules_of(&self, queue: &QueueName) -> Vec<Schedule> {
        self.schedules.iter().filter(|schedule| schedule.queue == *queue).cloned().collect()
    }

    /// The rules by which events are accepted.
    pub fn intake(&self) -> Rules {
        let kept = |of: &QueueSettings| of.keep_succeeded.max(of.keep_dead).max(of.keep_cancelled);
        Rules {
            routes: self.all_routes(),
            confirmations: self
                .confirmations
                .iter()
                .cloned()
                .chain(self.expectations.iter().flat_map(Expectation::rules))
                .collect(),
            built_in: self.contracts.built_in.clone(),
            contracts: self.contracts.dir.as_ref().map(Into::into),
            max_bytes: self.bridge.max_event_bytes.0,
            kept: self.queues.iter().map(|(name, of)| (name.clone(), kept(of))).collect(),
            backdate: self.bridge.backdate,
        }
    }

    /// Where files are kept.
    pub fn store_url(&self) -> String {
        if self.store.url.is_empty() {
            let dir = Path::new(&self.data_dir).join("files");
            let dir = std::path::absolute(&dir).unwrap_or(dir);
            // A URL instead of a prefix, because a folder's name may hold `#` or `%`.
            return url::Url::from_directory_path(&dir).map_or_else(|()| String::new(), String::from);
        }
        self.store.url.expose().to_owned()
    }

    /// The files that secrets were read from, by key.
    pub fn secret_files(&self) -> Vec<(&'static str, &Path)> {
        let sentinel_password = self.redis.sentinel_password.as_ref().and_then(Secret::file);
        let alarms_secret = self.alarms.secret.as_ref().and_then(Secret::file);
        [
            ("amqp.url", self.amqp.url.file()),
            ("redis.url", self.redis.url.file()),
            ("redis.sentinel_password", sentinel_password),
            ("store.url", self.store.url.file()),
            ("smtp.url", self.smtp.url.file()),
            ("alarms.webhook", self.alarms.webhook.file()),
            ("alarms.secret", alarms_secret),
        ]
        .into_iter()
        .filter_map(|(key, file)| Some((key, file?)))
        .collect()
    }

    /// The queues that an executor works on.
    pub fn worked_queues(&self) -> impl Iterator<Item = (&QueueName, &QueueSettings)> {
        let chosen = &self.executor.queues;
        self.queues.iter().filter(move |(name, _)| chosen.is_empty() || chosen.contains(name))
    }

    fn validate(&self) -> Result<(), Error> {
        let impossible = |key: &str, value: String, remedy: &str| {
            Err(Error::Impossible { key: key.to_owned(), value, remedy: remedy.to_owned() })
        };
        if !(1..=256).contains(&self.bridge.batch) {
            return impossible("bridge.batch", self.bridge.batch.to_string(), "use 1 to 256");
        }
        if usize::from(self.bridge.prefetch) < self.bridge.batch {
            let value = format!("{} and `bridge.batch` is {}", self.bridge.prefetch, self.bridge.batch);
            return impossible("bridge.prefetch", value, "prefetch at least one batch");
        }
        if self.bridge.prefetch_bytes.0 < self.bridge.max_event_bytes.0 {
            let value = format!(
                "{} bytes, and `bridge.max_event_bytes` is {}",
                self.bridge.prefetch_bytes.0, self.bridge.max_event_bytes.0
            );
            return impossible("bridge.prefetch_bytes", value, "read ahead at least one event");
        }
        if self.bridge.contract_timeout < Duration::from_millis(10) {
            let value = humantime::format_duration(self.bridge.contract_timeout).to_string();
            return impossible("bridge.contract_timeout", value, "use at least 10ms");
        }
        if self.outcomes.history_age < Duration::from_secs(1) {
            let value = humantime::format_duration(self.outcomes.history_age).to_string();
            return impossible("outcomes.history_age", value, "use at least 1s");
        }
        if self.outcomes.history_bytes.0 < 64 << 20 {
            let value = format!("{} bytes", self.outcomes.history_bytes.0);
            return impossible("outcomes.history_bytes", value, "use at least 64MiB");
        }
        if self.quarantine.keep < Duration::from_secs(1) {
            let value = humantime::format_duration(self.quarantine.keep).to_string();
            return impossible("quarantine.keep", value, "use at least 1s");
        }
        if self.quarantine.keep_bytes.0 < 64 << 10 {
            let value = format!("{} bytes", self.quarantine.keep_bytes.0);
            return impossible("quarantine.keep_bytes", value, "use at least 64KiB");
        }
        for (key, age) in [("audit.keep", self.audit.keep), ("audit.history_age", self.audit.history_age)] {
            if age < Duration::from_secs(60) {
                let value = humantime::format_duration(age).to_string();
                return impossible(key, value, "use at least 1m");
            }
        }
        for (key, entries) in
            [("audit.keep_acts", self.audit.keep_acts), ("audit.keep_refusals", self.audit.keep_refusals)]
        {
            if entries < 1_000 {
                return impossible(key, entries.to_string(), "use at least 1000");
            }
        }
        if self.audit.history_bytes.0 < 64 << 20 {
            let value = format!("{} bytes", self.audit.history_bytes.0);
            return impossible("audit.history_bytes", value, "use at least 64MiB");
        }
        if self.api.connections == 0 {
            return impossible("api.connections", "0".to_owned(), "use at least 1");
        }
        if let Some(url) = &self.api.public_url
            && !url::Url::parse(url)
                .is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
        {
            let remedy = "write an address such as https://upshot.example.org";
            return impossible("api.public_url", format!("`{url}`"), remedy);
        }
        for host in &self.api.hosts {
            if host.is_empty() || host.contains([':', '/', '@', ' ']) {
                let remedy = "write the name alone, such as upshot.internal, without scheme and port";
                return impossible("api.hosts", format!("`{host}`"), remedy);
            }
        }
        self.api.validate_access()?;
        self.alarms.validate()?;
        self.amqp.validate()?;
        self.redis.validate()?;
        if self.store.url.has_login() {
            let remedy = "remove what stands before its `@`: credentials are read from the AWS_* variables";
            return impossible("store.url", format!("`{}`", self.store.url), remedy);
        }
        if let Some(url) = self.api.public_url.as_deref().map(SecretUrl::from).filter(SecretUrl::has_login) {
            let remedy = "remove what stands before its `@`: links in answers start with it";
            return impossible("api.public_url", format!("`{url}`"), remedy);
        }
        self.smtp.validate()?;
        if self.store.look < Duration::from_millis(100) {
            let value = humantime::format_duration(self.store.look).to_string();
            return impossible("store.look", value, "use at least 100ms");
        }
        rules::validate(self)?;
        for (name, queue) in &self.queues {
            queue.validate(name)?;
        }
        for name in &self.executor.queues {
            if !self.queues.contains_key(name) {
                let remedy = format!("no route leads to it: add [queues.{name}], or remove it");
                return impossible("executor.queues", format!("`{name}`"), &remedy);
            }
        }
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: ".upshot".to_owned(),
            amqp: AmqpSettings::default(),
            redis: RedisSettings::default(),
            bridge: BridgeSettings::default(),
            quarantine: QuarantineSettings::default(),
            audit: AuditSettings::default(),
            alarms: AlarmSettings::default(),
            contracts: ContractSettings::default(),
            outcomes: OutcomesSettings::default(),
            routes: Vec::new(),
            confirmations: Vec::new(),
            expectations: Vec::new(),
            schedules: Vec::new(),
            queues: BTreeMap::new(),
            executor: ExecutorSettings::default(),
            api: ApiSettings::default(),
            redact: RedactSettings::default(),
            store: StoreSettings::default(),
            smtp: SmtpSettings::default(),
            templates: TemplateSettings::default(),
            app: App::default(),
            probes: ProbesSettings::default(),
            log: LogSettings::default(),
            sources: app::Sources::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings::load(&PROGRAM, Some(file.path()), variables.iter().map(owned))
    }

    /// A program with a route and a queue of its own.
    const PROGRAM: Program = Program {
        name: "shop",
        version: "",
        defaults: "[[routes]]\nevent = 'order.completed.v1'\njob = 'invoice.issue'\nqueue = 'invoices'\nwithin = '15m'",
        contracts: &[],
    };

    /// A route to a queue that the program does not bring.
    const ROUTE: &str = "[[routes]]\nevent = 'a.v1'\njob = 'b'\nqueue = 'a'\nwithin = '1m'\n";

    /// The documentation with its examples in force.
    fn documented() -> String {
        let used = |line: &str| match line.strip_prefix('#') {
            Some(example) if example.starts_with(|char: char| !char.is_whitespace()) => example.to_owned(),
            _ => line.to_owned(),
        };
        DEFAULTS.lines().map(used).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_documented_defaults_are_the_defaults() {
        assert_eq!(toml::from_str::<Settings>(DEFAULTS).unwrap(), Settings::default());
        let mut expected = Settings::of(&PROGRAM).unwrap();
        assert_eq!(toml::from_str::<Settings>(&documented()).unwrap(), expected);
        expected.sources = app::Sources::default();
        let mut loaded = load(&documented(), &[]).unwrap();
        loaded.sources = app::Sources::default();
        assert_eq!(loaded, expected);
    }

    #[test]
    fn variables_win_over_the_file() {
        let variables = [
            ("UPSHOT_AMQP_URL", "amqp://h/v"),
            ("UPSHOT_BRIDGE__PREFETCH", "300"),
            ("UPSHOT_QUEUES__INVOICES__CONCURRENCY", "3"),
            ("UPSHOT_QUEUES__INVOICES__LEASE", "9s"),
            ("UPSHOT_CONFIG", "not a key"),
            ("HOME", "/"),
        ];
        let settings = load("[bridge]\nprefetch = 500\nbatch = 64\n", &variables).unwrap();
        assert_eq!((settings.bridge.prefetch, settings.bridge.batch), (300, 64));
        assert_eq!(settings.amqp.url.expose(), "amqp://h/v");
        let queue = settings.queues.values().next().unwrap();
        assert_eq!((queue.concurrency, queue.lease), (3, Duration::from_secs(9)));
    }

    #[test]
    fn a_list_in_a_variable_may_be_written_with_commas() {
        let queues = format!("[queues.a]\n[queues.b]\n{ROUTE}");
        let list = |name: &str, value: &str| load(&queues, &[(name, value)]);
        for value in ["a,b", " a , b", "[\"a\", \"b\"]"] {
            let queues = list("UPSHOT_EXECUTOR__QUEUES", value).unwrap().executor.queues;
            assert_eq!(queues.iter().map(|queue| queue.as_str()).collect::<Vec<_>>(), ["a", "b"], "{value}");
        }
        assert_eq!(list("UPSHOT_EXECUTOR__QUEUES", "a").unwrap().executor.queues.len(), 1);
        assert_eq!(list("UPSHOT_LOG__FILTER", "info,lapin=off").unwrap().log.filter, "info,lapin=off");
        let said = list("UPSHOT_EXECUTOR__QUEUES", "a,B{}").unwrap_err().to_string();
        assert!(said.contains("UPSHOT_EXECUTOR__QUEUES=a,B{}") && said.contains("queue name"), "{said}");
    }

    #[test]
    fn no_error_and_no_dump_shows_a_secret() {
        const MARKER: &str = "m4rker";
        let files = [
            // Broken at, before and behind the line, and of another type.
            "[amqp]\nurl = \"amqp://u:m4rker@h",
            "[amqp\nurl = \"amqp://u:m4rker@h\"",
            "[redis]\nurl = 'redis://:m4rker@h' x",
            "[redis]\nurl = \"\"\"redis://:m4rker\nm4rker=1@h\"\"\"\nprefix = 5",
            "[redis]\nsentinel_password = \"m4rker\"\nbatch = 3",
            "[redis]\nsentinel_password = \"m4rker\"",
            "[redis]\nsentinel_password = [\"m4rker\"]",
            "[redis]\nsentinel_password = { m4rker = 1 }",
            "amqp = \"amqp://u:m4rker@h\"",
            "redis = [\"redis://:m4rker@h\"]",
            "smtp = \"smtps://u:m4rker@h, expected x\"",
            "[store]\nurl = \"s3://key:m4rker@bucket\"",
            "[api]\npublic_url = \"https://u:m4rker@h\"",
            // URLs that cannot be used.
            "[amqp]\nurl = \"u:m4rker@h\"",
            "[amqp]\nurl = \"amqp://u:m4rker\"",
            "[amqp]\nurl = \"amqp://u:m4rker@\"",
            "[amqp]\nurl = \"amqp://u:m4rker@h:99999\"",
            "[amqp]\nurl = \"amqp://u:m4rker%FF@h\"",
            "[redis]\nurl = \"redis://:m4rker\"",
            "[redis]\nurl = \"redis://:m4rker@h/x\"",
            "[redis]\nurl = \"redis://h?password=m4rker\"",
            "[redis]\nurl = \"m4rker\"",
            "[app.carrier]\nurl = \"https://u:m4rker@h\"",
        ];
        for text in files {
            let loaded = load(text, &[]);
            let said = loaded.as_ref().map_or_else(ToString::to_string, |_| String::new());
            assert!(!format!("{said} {loaded:?}").contains(MARKER), "{text}: {said}");
        }
        let variables = [
            ("UPSHOT_AMQP_URL", "u:m4rker@h"),
            ("UPSHOT_REDIS_URL", "redis://:m4rker"),
            ("UPSHOT_REDIS__URI", "redis://:m4rker@h"),
            ("UPSHOT_REDIS__SENTINEL_PASSWORD", "m4rker"),
            ("UPSHOT_REDIS__SENTINEL_PASSWORT", "m4rker"),
            ("UPSHOT_SMTP_URL", "smtp://u:m4rker@h"),
            ("UPSHOT_AMQP__URL__X", "m4rker"),
            ("UPSHOT_STORE__URL", "s3://key:m4rker@bucket"),
            ("UPSHOT_BRIDGE__BATCH", "amqp://u:m4rker@h"),
            ("UPSHOT_SECRET__X", "m4rker"),
            ("UPSHOT_APP__CARRIER__API_TOKEN", "m4rker"),
        ];
        for (name, value) in variables {
            let loaded = load("", &[(name, value)]);
            let said = loaded.as_ref().map_or_else(ToString::to_string, |_| String::new());
            assert!(!format!("{said} {loaded:?}").contains(MARKER), "{name}={value}: {said}");
        }
        let all = "[amqp]\nurl = \"amqp://u:m4rker@h/v\"\n[smtp]\nurl = \"smtps://u:m4rker@h\"\n\
                   [redis]\nurl = \"redis+sentinel://:m4rker@h/m\"\nsentinel_password = \"m4rker\"\n\
                   [app.carrier]\nsecret = \"m4rker\"\nhosts = [{ token = \"m4rker\" }]";
        let settings = load(all, &[]).unwrap();
        let printed = toml::to_string(&settings).unwrap() + &serde_json::to_string(&settings).unwrap();
        let printed = format!("{printed} {settings:?} {:?}", settings.redis.options());
        assert!(!printed.contains(MARKER) && printed.contains("amqp://…@h/v"), "{printed}");
    }

    #[test]
    fn durations_beyond_a_century_are_refused() {
        for (text, word) in [
            ("within = \"101y\"", "century"),
            ("deadline = \"99999999999y\"", "century"),
            ("deadline = \"9999999999999999999999y\"", "duration"),
        ] {
            let route =
                "[[routes]]\nevent = \"a.v1\"\njob = \"b\"\nqueue = \"c\"\nwithin = \"1m\"\n".to_owned();
            let route = if text.starts_with("within") {
                route.replace("within = \"1m\"", text)
            } else {
                route + text
            };
            let said = load(&route, &[]).unwrap_err().to_string();
            assert!(said.contains(word), "{said}");
        }
    }

    #[test]
    fn errors_name_the_key_the_value_and_the_remedy() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);
        let cases: [Case; 21] = [
            ("[bridge]\nprefech = 5", &[], &["prefech", "line 2", "expected", "upshot settings"]),
            ("[bridge]\nbatch = 900", &[], &["bridge.batch", "900", "1 to 256"]),
            ("[bridge]\nprefetch = 5", &[], &["bridge.prefetch", "5", "at least one batch"]),
            ("[outcomes]\nhistory_bytes = \"1MiB\"", &[], &["outcomes.history_bytes", "at least 64MiB"]),
            ("[bridge]\nmax_event_bytes = \"lots\"", &[], &["lots", "64KiB"]),
            ("[queues.invoices]\nlease = \"soon\"", &[], &["soon", "30s", "line 2"]),
            ("", &[("UPSHOT_AMQP_URL", "http://u:p@h")], &["amqp.url", "`http://…@h`", "amqps://"]),
            ("[amqp]\nurl = \"amqp://h\"\nca_file = \"a.pem\"", &[], &["amqp.ca_file", "a.pem", "amqps"]),
            ("", &[("UPSHOT_BRIDGE__PREFECH", "5")], &["UPSHOT_BRIDGE__PREFECH", "prefech"]),
            ("[queues.invoices]\nlease = \"10ms\"", &[], &["queues.invoices.lease", "10ms"]),
            ("", &[("UPSHOT_SMTP_URL", "smtp://h")], &["UPSHOT_SMTP_URL", "UPSHOT_SMTP__URL"]),
            ("[executor]\nqueues = [\"emials\"]", &[], &["executor.queues", "emials", "remove"]),
            (
                "[redact.paths]\n\"a.v1\" = [\"customer\"]",
                &[],
                &["`customer`", "line 2", "begin it with `/`"],
            ),
            (
                "[queues.a.kinds.\"b.c\"]\nbackoff = { first = \"1h\" }",
                &[],
                &["queues.a.kinds.\"b.c\".backoff.most", "5m", "`first` (1h)"],
            ),
            ("[queues.a.kinds.b]\nretires = 3", &[], &["retires", "line 2", "retries"]),
            ("[queues.a]\nbackoff_of = { permanent = {} }", &[], &["permanent", "throttled"]),
            (
                "[queues.a]\nbackoff_of = { throttled = { least = \"1h\" } }",
                &[],
                &["queues.a.backoff_of.throttled.most", "`least` (1h)"],
            ),
            ("[[queues.a.limits]]\nkey = \"smtp\"", &[], &["smtp", "line 2", "key:NAME"]),
            ("[[queues.a.limits]]\nkey = \"queue\"", &[], &["queues.a.limits[0]", "nothing", "concurrency"]),
            ("[[queues.a.limits]]\nkey = \"key:b\"\nrate = 0.0", &[], &["limits[0]", "key:b", "0.000001"]),
            (
                "[[queues.a.limits]]\nkey = \"queue\"\nrate = 1\n[[queues.a.limits]]\nkey = \"queue\"\nrate = 2",
                &[],
                &["limits[0]", "twice"],
            ),
        ];
        for (text, variables, words) in cases {
            let text = if text.contains("[queues.a") { format!("{text}\n{ROUTE}") } else { text.to_owned() };
            let message = load(&text, variables).unwrap_err().to_string();
            for word in words {
                assert!(message.contains(word), "`{word}` is not in: {message}");
            }
        }
    }
}
