//! What the handlers share.

use std::{collections::BTreeMap, ops::Deref, sync::Arc, time::Duration};

use axum::http::StatusCode;
use futures::future;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use upshot_access::{
    Seal, Tokens,
    acts::{Acts, Kept},
};
use upshot_ledger::{
    alarms::Store,
    audit::Unexplained,
    quarantine::{self, Quarantine},
    risk::RunTimesCache,
};
use upshot_queue::{Client, Connection, Connector, JobId, Operator, QueueName, VerdictRow};
use upshot_runtime::{
    Health, Settings,
    amqp::{Depths, History, Publisher},
    settings::AuditSettings,
};
use upshot_shared::{Intake, Schedule};

use crate::{
    Error,
    accepted::{AcceptedAt, NotYet},
    access::{Caller, Mode, People},
    alarms,
    files::Files,
    hosts::Hosts,
    known::Known,
    live::Live,
    operations,
    problem::{Code, Problem},
    scrape::Scrape,
    shown::Shown,
    tally::Tally,
};

/// How long a request waits for RabbitMQ's confirm.
const CONFIRM: Duration = Duration::from_secs(5);
/// How long an answer waits for Redis.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer waits for an operation on many jobs.
const PATIENCE_FOR_MANY: Duration = Duration::from_secs(30);

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct Shared(Arc<State>);

impl Deref for Shared {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

/// See [`Shared`].
///
/// Two connections to Redis, and no pool. Commands of many requests share a connection in flight,
/// so a connection for each request would only add sockets and round trips. Lists have their own
/// connection, so that a page of 200 large jobs does not delay a small answer.
pub struct State {
    /// The base of links, if it is not the request's host.
    pub public_url: Option<String>,
    /// The host names that the API answers to.
    pub hosts: Hosts,
    /// The other origins whose pages may read answers.
    pub cors_origins: Vec<String>,
    /// How answers show stored data.
    pub shown: Shown,
    /// Connections at the same time.
    pub connections: usize,
    /// Whether the API asks for authentication.
    pub mode: Mode,
    /// The API tokens.
    pub tokens: Tokens,
    /// What logins, sessions and links need.
    pub people: Arc<People>,
    /// The audit log.
    pub acts: Acts,
    /// Seals cursors.
    pub seal: Seal,
    /// The list of messages in quarantine.
    pub quarantine: Quarantine,
    /// What bounds that list.
    pub quarantine_bounds: quarantine::Bounds,
    /// The queues of the settings.
    pub queues: BTreeMap<QueueName, Client>,
    /// The same queues, for pages of lists.
    pub lists: BTreeMap<QueueName, Client>,
    /// Opens connections to Redis.
    pub connector: Connector,
    /// For commands that belong to no queue.
    pub redis: Connection,
    /// The rules by which events are accepted.
    pub intake: Intake,
    /// The schedules of the settings.
    pub schedules: Vec<Schedule>,
    /// The largest event, in bytes.
    pub max_event_bytes: usize,
    /// The publisher to RabbitMQ.
    pub publisher: Publisher,
    /// What waited in RabbitMQ at the last look; `None` while RabbitMQ does not answer.
    pub depths: watch::Sender<Option<Depths>>,
    /// The file store.
    pub files: Files,
    /// The watchers of each job.
    pub live: Live,
    /// How all routes stand, for streams.
    pub tally: Tally,
    /// What the service waits for.
    pub health: Health,
    /// The metrics of this process.
    pub metrics: PrometheusHandle,
    /// Whether only the listener of `probes.listen` serves metrics.
    pub metrics_apart: bool,
    /// Wakes what walks operations.
    pub operations: operations::Waker,
    /// The watch over alarms.
    pub alarms: alarms::Watch,
    /// What the audit of the books found.
    pub unexplained: Arc<Unexplained>,
    /// The counts of the queues.
    pub scrape: Scrape,
    /// How long runs of each route take, some seconds old.
    pub run_times: Arc<RunTimesCache>,
    /// Fires when streams must end.
    pub stop: CancellationToken,
}

impl Shared {
    /// The state for these settings. It does not connect yet.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(settings: &Settings, health: Health, metrics: PrometheusHandle) -> Result<Self, Error> {
        crate::metrics::describe();
        let connector = Connector::new(settings.redis.options())?;
        let (redis, pages) = (connector.connect()?, connector.connect()?);
        let queues = |conn: &Connection| -> BTreeMap<QueueName, Client> {
            let queue = |name: &QueueName| {
                let queue = Client::with_connection(conn.clone(), connector.prefix(), name.clone());
                (name.clone(), queue)
            };
            settings.queues.keys().map(queue).collect()
        };
        let (small, lists) = (queues(&redis), queues(&pages));
        let quarantine = Quarantine::with_connection(pages, connector.prefix());
        let run_times = Arc::new(RunTimesCache::default());
        let acts = Acts::with_connection(redis.clone(), connector.prefix(), kept(&settings.audit));
        let intake = Intake::new(settings.intake())?;
        let with_routes = |(name, queue): (&QueueName, &Client)| {
            let routes = intake.all_routes().filter(|route| route.queue == *name);
            (queue.clone(), routes.cloned().collect())
        };
        Ok(Self(Arc::new(State {
            public_url: settings.api.public_url.clone(),
            hosts: Hosts::new(&settings.api),
            cors_origins: settings.api.cors_origins.clone(),
            shown: Shown::redacted(settings.redact.paths.clone()),
            connections: settings.api.connections,
            mode: Mode::of(&settings.api)?,
            tokens: Tokens::with_connection(redis.clone(), connector.prefix()),
            people: Arc::new(People::new(&settings.api, &redis, connector.prefix())?),
            acts: acts.clone(),
            alarms: alarms::Watch::new(
                &settings.alarms,
                Store::with_connection(redis.clone(), connector.prefix()),
            )?,
            operations: operations::Waker::default(),
            unexplained: Arc::default(),
            seal: Seal::with_connection(redis.clone(), connector.prefix()),
            live: Live::new(connector.clone(), small.clone()),
            tally: Tally::default(),
            scrape: Scrape::new(
                small.iter().map(with_routes).collect(),
                quarantine.clone(),
                acts,
                run_times.clone(),
            ),
            quarantine,
            quarantine_bounds: quarantine::Bounds::from(&settings.quarantine),
            queues: small,
            lists,
            redis,
            connector,
            intake,
            schedules: settings.schedules.clone(),
            max_event_bytes: settings.bridge.max_event_bytes.0,
            publisher: Publisher::new(&settings.amqp, "upshot-api", true, CONFIRM)
                .with_history(History::of(&settings.outcomes)),
            depths: watch::Sender::new(None),
            files: Files::open(settings)?,
            health,
            metrics,
            metrics_apart: !settings.probes.listen.is_empty(),
            run_times,
            stop: CancellationToken::new(),
        })))
    }
}

impl State {
    /// The schedules of the settings for a queue.
    pub fn schedules_of(&self, queue: &QueueName) -> Vec<Schedule> {
        self.schedules.iter().filter(|schedule| schedule.queue == *queue).cloned().collect()
    }

    /// Waits for Redis to answer a read, within a time limit. A read notices a connection that was
    /// lost while idle, so a failed read is repeated once.
    ///
    /// # Errors
    /// Those of [`Self::ask`].
    pub async fn read<T, F: Future<Output = Result<T, upshot_queue::Error>>>(
        &self,
        question: impl Fn() -> F,
    ) -> Result<T, Problem> {
        self.ask(async {
            match question().await {
                Err(upshot_queue::Error::Redis(error)) if error.is_connection_dropped() => question().await,
                answer => answer,
            }
        })
        .await
    }

    /// The same for a read of the list of messages in quarantine.
    ///
    /// # Errors
    /// A 503 when Redis does not answer, or the list is damaged.
    pub async fn read_quarantine<T, F: Future<Output = Result<T, quarantine::Error>>>(
        &self,
        question: impl Fn() -> F,
    ) -> Result<T, Problem> {
        within(PATIENCE, async {
            match question().await {
                Err(quarantine::Error::Redis(error)) if error.is_connection_dropped() => question().await,
                answer => answer,
            }
        })
        .await
    }

    /// The same for who may do what.
    ///
    /// # Errors
    /// A 503 when Redis does not answer, and the problems of the call.
    pub async fn access<T>(
        &self,
        question: impl Future<Output = Result<T, upshot_access::Error>>,
    ) -> Result<T, Problem> {
        within(PATIENCE, question).await
    }

    /// Waits for Redis to answer, within a time limit.
    ///
    /// # Errors
    /// A 503 when Redis does not answer, a 500 when a job is damaged.
    pub async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, upshot_queue::Error>>,
    ) -> Result<T, Problem> {
        within(PATIENCE, question).await
    }

    /// The same for an operation on many jobs, which takes longer. It may be done in part when this
    /// gives up; the same call again continues it.
    ///
    /// # Errors
    /// Those of [`Self::ask`].
    pub async fn ask_for_many<T>(
        &self,
        question: impl Future<Output = Result<T, upshot_queue::Error>>,
    ) -> Result<T, Problem> {
        within(PATIENCE_FOR_MANY, question).await
    }

    /// Makes sure that jobs are released in the background, and returns the status: 202 while some
    /// are left. A worker of the queue releases them; without a worker this process does.
    pub fn go_on_releasing(&self, queue: &Client, left: u64) -> StatusCode {
        if left == 0 {
            return StatusCode::OK;
        }
        let (queue, stop) = (Operator::new(queue.clone()), self.stop.clone());
        tokio::spawn(async move {
            let releasing = async {
                if !queue.client().is_swept().await? {
                    queue.finish_releases(|| !stop.is_cancelled()).await?;
                }
                Ok::<_, upshot_queue::Error>(())
            };
            if let Err(error) = releasing.await {
                tracing::warn!(queue = %queue.client().name(), %error, "parked jobs wait for a worker to release them");
            }
        });
        StatusCode::ACCEPTED
    }

    /// The queue that a body or a query names, on the connection for long answers.
    ///
    /// # Errors
    /// A 400 that names the caller's queues when it is not one of them.
    pub fn queue_of_parameter(&self, caller: &Caller, name: &str) -> Result<&Client, Problem> {
        self.long(caller, name).ok_or_else(|| Problem::parameter("queue", name, self.known_queues(caller)))
    }

    /// The queue that an address names, on the connection for long answers.
    ///
    /// # Errors
    /// A 404 that names the caller's queues when it is not one of them.
    pub fn queue_of_address(&self, caller: &Caller, name: &str) -> Result<&Client, Problem> {
        self.long(caller, name).ok_or_else(|| {
            let shown: String = name.chars().take(100).collect();
            let known = self.known_queues(caller);
            Problem::new(Code::UnknownQueue, format!("queue `{shown}`: {known}"))
        })
    }

    /// The same for what changes it.
    ///
    /// # Errors
    /// Those of [`Self::queue_of_address`].
    pub fn operator_of_address(&self, caller: &Caller, name: &str) -> Result<Operator, Problem> {
        Ok(Operator::new(self.queue_of_address(caller, name)?.clone()))
    }

    /// The caller's queues, on the connection for long answers.
    pub fn queues_of(&self, caller: &Caller) -> Vec<&Client> {
        self.lists.iter().filter(|(name, _)| caller.has_queue(name)).map(|(_, queue)| queue).collect()
    }

    fn long(&self, caller: &Caller, name: &str) -> Option<&Client> {
        let name = name.parse::<QueueName>().ok().filter(|name| caller.has_queue(name))?;
        self.lists.get(&name)
    }

    fn known_queues(&self, caller: &Caller) -> String {
        let known: Vec<&str> =
            self.queues_of(caller).into_iter().map(|queue| queue.name().as_str()).collect();
        format!("it is not in the settings; the queues are {}", known.join(", "))
    }

    /// Finds a job that the caller sees, in any queue: one read for each queue, all at once.
    ///
    /// # Errors
    /// A 404 when there is none; it names the job that this one duplicates, if any. Also the errors of
    /// [`Self::ask`].
    pub async fn find(&self, caller: &Caller, id: &JobId) -> Result<Known, Problem> {
        match self.job(id).await? {
            Some(known) if caller.sees(&known.job) => return Ok(known),
            Some(_) => return Err(unknown(id)),
            None => {}
        }
        let original = match self.original(caller, id).await? {
            Some(Original::Job(known)) => known.job.id,
            Some(Original::Forgotten(original)) => original,
            None => return Err(unknown(id)),
        };
        let detail = format!(
            "{id} was found to be a duplicate of job {original} under the idempotency key of its route: \
             ask for that one"
        );
        Err(Problem::new(Code::UnknownJob, detail))
    }

    /// The same for a read. For a duplicate it finds the job that stands for it. For the link of a
    /// 202 it says that the job is not there yet, while that is possible.
    ///
    /// # Errors
    /// Those of [`Self::find`].
    pub async fn find_or_accepted(
        &self,
        caller: &Caller,
        id: &JobId,
        accepted: Option<AcceptedAt>,
    ) -> Result<Result<Known, NotYet>, Problem> {
        match (self.look_for(caller, id).await?, accepted.filter(|at| at.left().is_some())) {
            (Some(known), _) => Ok(Ok(known)),
            (None, Some(at)) => Ok(Err(at.not_yet())),
            (None, None) => Err(unknown(id)),
        }
    }

    /// The job, or the job that stands for it; `None` if no queue knows either, or the caller does not
    /// see it.
    ///
    /// # Errors
    /// A 404 when the job that stands for it was forgotten, and those of [`Self::ask`].
    pub async fn look_for(&self, caller: &Caller, id: &JobId) -> Result<Option<Known>, Problem> {
        if let Some(known) = self.job(id).await? {
            return Ok(Some(known).filter(|known| caller.sees(&known.job)));
        }
        match self.original(caller, id).await? {
            None => Ok(None),
            Some(Original::Job(known)) => Ok(Some(*known)),
            Some(Original::Forgotten(original)) => {
                let detail = format!(
                    "{id} was found to be a duplicate of job {original} under the idempotency key of its route, \
                     and that was forgotten after its retention"
                );
                Err(Problem::new(Code::UnknownJob, detail))
            }
        }
    }

    async fn job(&self, id: &JobId) -> Result<Option<Known>, Problem> {
        let ids = std::slice::from_ref(id);
        let read = || future::try_join_all(self.queues.values().map(|queue| Known::read(queue, ids)));
        let found = self.read(read).await?;
        Ok(found.into_iter().flatten().next())
    }

    /// What is left of a job that its queue has forgotten, if the caller sees it.
    ///
    /// # Errors
    /// Those of [`Self::ask`].
    pub async fn row(&self, caller: &Caller, id: &JobId) -> Result<Option<(QueueName, VerdictRow)>, Problem> {
        let ids = std::slice::from_ref(id);
        let rows = self
            .read(|| future::try_join_all(self.queues.values().map(|queue| queue.verdict_rows(ids))))
            .await?;
        let found = self.queues.keys().zip(rows);
        let mut found = found.flat_map(|(name, rows)| rows.into_iter().map(move |row| (name, row)));
        Ok(found.find(|(name, row)| caller.sees_row(name, row)).map(|(name, row)| (name.clone(), row)))
    }

    /// The job that stands for a duplicate; `None` if no queue knows one, or the caller does not see it.
    async fn original(&self, caller: &Caller, id: &JobId) -> Result<Option<Original>, Problem> {
        let ids = std::slice::from_ref(id);
        let read = || future::try_join_all(self.queues.values().map(|queue| queue.originals(ids)));
        let found = self.read(read).await?;
        let Some(original) = found.into_iter().flatten().flatten().next() else { return Ok(None) };
        Ok(match self.job(&original).await? {
            Some(known) => caller.sees(&known.job).then_some(Original::Job(Box::new(known))),
            // Of a job that is gone, nothing says whether a principal of some jobs saw it.
            None => caller.scope().is_everything().then_some(Original::Forgotten(original)),
        })
    }

    /// Redis' clock, UTC ms, by which jobs expire.
    ///
    /// # Errors
    /// Those of [`Self::ask`].
    pub async fn now(&self) -> Result<i64, Problem> {
        let time = || async { Ok(redis::cmd("TIME").query_async(&mut self.redis.clone()).await?) };
        let (seconds, micros): (i64, i64) = self.read(time).await?;
        Ok(seconds * 1000 + micros / 1000)
    }
}

/// How much of the audit log Redis keeps.
fn kept(settings: &AuditSettings) -> Kept {
    Kept { time: settings.keep, acts: settings.keep_acts, refusals: settings.keep_refusals }
}

/// The job that stands for a duplicate.
enum Original {
    Job(Box<Known>),
    Forgotten(JobId),
}

/// The problem that no queue knows a job.
pub fn unknown(id: &JobId) -> Problem {
    let detail =
        format!("no queue knows a job {id}: it is not enqueued yet, or was forgotten after its retention");
    Problem::new(Code::UnknownJob, detail)
}

async fn within<T, E: Into<Problem>>(
    patience: Duration,
    question: impl Future<Output = Result<T, E>>,
) -> Result<T, Problem> {
    match tokio::time::timeout(patience, question).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => {
            let detail = format!("no answer within {patience:?}; ask again later");
            Err(Problem::new(Code::RedisUnavailable, detail))
        }
    }
}

/// Reads a job's id from an address.
///
/// # Errors
/// A 400 when the text is not a job's id.
pub fn job_id(text: &str) -> Result<JobId, Problem> {
    text.parse().map_err(|why| Problem::parameter("id", text, why))
}
