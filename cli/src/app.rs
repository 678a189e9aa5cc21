//! A program on Upshot: its jobs and its commands.

use std::{collections::BTreeSet, path::PathBuf, sync::Mutex};

use clap::ArgMatches;
use futures::future::{BoxFuture, FutureExt};
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;
use upshot_executor::{Job, Jobs, Setup, SetupError, setup::State};
use upshot_runtime::{
    Settings,
    amqp::Publisher,
    settings::{self, Program},
};

use crate::{
    arguments::{Arguments, Said},
    commands::{publish, stop},
    error::{Error, Result},
    output::{self, Output},
    run,
    running::Running,
};

type Check = Box<dyn Fn(&Settings) -> std::result::Result<(), settings::Error> + Send>;
type Run = Box<dyn FnOnce(Call) -> BoxFuture<'static, anyhow::Result<()>> + Send>;

/// A program on Upshot, before its command runs.
///
/// ```no_run
/// use upshot::prelude::*;
///
/// # #[derive(Deserialize)] struct ShipOrder {}
/// # impl Job for ShipOrder {
/// #     const KIND: &'static str = "order.ship";
/// #     type State = Carrier;
/// #     async fn run(self, _: &Context<Carrier>) -> Result<Outcome, Stop> {
/// #         Ok(Outcome::achieved("shipped", Evidence::new("label", [("id", "1".to_owned())])))
/// #     }
/// # }
/// # #[derive(Deserialize)] struct CarrierSettings {}
/// # struct Carrier;
/// # impl Carrier { async fn new(_: CarrierSettings) -> std::io::Result<Self> { Ok(Self) } }
/// #[tokio::main]
/// async fn main() -> upshot::Result<()> {
///     let app = Upshot::from_env()?;
///     let carrier = Carrier::new(app.section("carrier")?).await?;
///     app.state(carrier).job::<ShipOrder>().main().await
/// }
/// ```
pub struct Upshot {
    program: Program,
    said: Said,
    jobs: Jobs,
    /// The first mistake of the program, which `main` reports.
    mistake: Option<Error>,
    sections: Mutex<BTreeSet<String>>,
    checks: Vec<Check>,
    own: Vec<(&'static str, Run)>,
}

/// A program whose handlers share a state.
#[must_use]
pub struct WithState<S> {
    app: Upshot,
    state: State<S>,
}

/// The parts of a program, before its command line is read.
#[must_use]
pub struct Builder {
    program: Program,
    commands: Vec<clap::Command>,
    sections: BTreeSet<String>,
    checks: Vec<Check>,
}

impl Builder {
    /// Adds the program's own command; [`Upshot::on`] gives its action.
    pub fn command(mut self, command: clap::Command) -> Self {
        self.commands.push(command);
        self
    }

    /// Names a section `[app.NAME]` that only a starting executor uses. Every command that reads
    /// the settings checks the section against its type, if it is there.
    pub fn section<T: DeserializeOwned>(mut self, name: &'static str) -> Self {
        self.sections.insert(name.to_owned());
        self.checks.push(Box::new(move |settings| settings.optional_section::<T>(name).map(drop)));
        self
    }

    /// Reads the command line. If it asks for help or is wrong, the process prints that and ends.
    ///
    /// # Errors
    /// None at present; the command that needs the settings reads them.
    pub fn from_env(self) -> Result<Upshot> {
        let said = match Arguments::read(&self.program, self.commands) {
            Ok(said) => said,
            Err(error) => output::leave(output::usage(&error)),
        };
        Ok(Upshot {
            program: self.program,
            said,
            jobs: Jobs::new(),
            mistake: None,
            sections: Mutex::new(self.sections),
            checks: self.checks,
            own: Vec::new(),
        })
    }
}

impl Upshot {
    /// A program without its own defaults: everything is in its settings.
    ///
    /// The settings come from the file that `--config` or `UPSHOT_CONFIG` names, otherwise from
    /// `upshot.toml` in the working folder if it exists, and from `UPSHOT_*` variables.
    ///
    /// # Errors
    /// As [`Builder::from_env`].
    pub fn from_env() -> Result<Self> {
        Self::program(Program::default()).from_env()
    }

    /// A program with its own default settings, contracts or commands.
    pub fn program(program: Program) -> Builder {
        Builder { program, commands: Vec::new(), sections: BTreeSet::new(), checks: Vec::new() }
    }

    /// The settings in force.
    ///
    /// # Errors
    /// The problem and its place.
    pub fn settings(&self) -> Result<Settings> {
        Ok(self.said.settings(&self.program)?)
    }

    /// The section `[app.NAME]` of the settings. A type that denies unknown fields makes an unknown
    /// key an error, which names its line.
    ///
    /// Every command needs the whole section then, also one that only calls the API. Where that is
    /// too much, name the section with [`Builder::section`] and read it in [`Upshot::prepare`].
    ///
    /// # Errors
    /// The problem of the settings or the section, and its place.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let mut sections = self.sections.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sections.insert(name.to_owned());
        Ok(self.settings()?.section(name)?)
    }

    /// Sets the state that the handlers added after it share.
    pub fn state<S: Send + Sync + 'static>(self, state: S) -> WithState<S> {
        let state = self.jobs.state(state);
        WithState { app: self, state }
    }

    /// Sets up a state only when an executor starts: connections, fonts, anything slow.
    pub fn prepare<S, F, Fut, E>(mut self, prepare: F) -> WithState<S>
    where
        S: Send + Sync + 'static,
        F: FnOnce(Setup) -> Fut + Send + 'static,
        Fut: Future<Output = std::result::Result<S, E>> + Send + 'static,
        E: Into<SetupError>,
    {
        let state = self.jobs.prepared(prepare);
        WithState { app: self, state }
    }

    /// Adds a job that needs no state.
    #[must_use]
    pub fn job<T: Job<State = ()>>(self) -> Self {
        self.state(()).job::<T>().app
    }

    /// Gives the action of the program's own command.
    #[must_use]
    pub fn on<F, Fut>(mut self, name: &'static str, run: F) -> Self
    where
        F: FnOnce(Call) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.own.push((name, Box::new(|call| run(call).boxed())));
        self
    }

    /// Runs the requested command: all services (`up`), one service, or an operator's command. Does
    /// not return: the process ends with the command's exit code, even while a thread that cannot
    /// be interrupted still computes.
    ///
    /// # Errors
    /// None: an error goes to standard error.
    pub async fn main(self) -> Result<()> {
        output::leave(output::ended(Box::pin(self.run()).await))
    }

    async fn run(self) -> anyhow::Result<()> {
        if let Some(mistake) = self.mistake {
            return Err(mistake.into_inner());
        }
        let Self { program, said, jobs, sections, checks, mut own, .. } = self;
        let mut out = Output::standard(said.json);
        let known = sections.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let settings = || -> anyhow::Result<Settings> {
            let settings = said.settings(&program)?;
            settings.refuse_other_sections(&known)?;
            checks.iter().try_for_each(|check| check(&settings))?;
            Ok(settings)
        };
        match &said.command {
            crate::arguments::Asked::Own(name, matches) => {
                let Some(place) = own.iter().position(|(own, _)| own == name) else {
                    anyhow::bail!(
                        "the program does not say what its command `{name}` does: call `Upshot::on`"
                    );
                };
                let (_, run) = own.swap_remove(place);
                let mut settings = settings()?;
                Running::fill(&mut settings);
                run(Call { settings, matches: matches.clone(), out, stop: stop::on_signal()? }).await
            }
            crate::arguments::Asked::Ours(command) => {
                run::run(command, &program, settings, jobs, said.line.clone(), &mut out).await
            }
        }
    }
}

impl<S: Send + Sync + 'static> WithState<S> {
    /// Adds a job whose handler uses this state.
    pub fn job<T: Job<State = S>>(mut self) -> Self {
        if let Err(twice) = self.app.jobs.job::<T>(&self.state)
            && self.app.mistake.is_none()
        {
            self.app.mistake = Some(twice.into());
        }
        self
    }

    /// Sets the state that the handlers added after it share.
    pub fn state<T: Send + Sync + 'static>(self, state: T) -> WithState<T> {
        self.app.state(state)
    }

    /// As [`Upshot::prepare`].
    pub fn prepare<T, F, Fut, E>(self, prepare: F) -> WithState<T>
    where
        T: Send + Sync + 'static,
        F: FnOnce(Setup) -> Fut + Send + 'static,
        Fut: Future<Output = std::result::Result<T, E>> + Send + 'static,
        E: Into<SetupError>,
    {
        self.app.prepare(prepare)
    }

    /// As [`Upshot::on`].
    pub fn on<F, Fut>(self, name: &'static str, run: F) -> Self
    where
        F: FnOnce(Call) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        Self { app: self.app.on(name, run), ..self }
    }

    /// As [`Upshot::main`].
    ///
    /// # Errors
    /// None: an error goes to standard error.
    pub async fn main(self) -> Result<()> {
        self.app.main().await
    }
}

/// The input of the program's own command.
pub struct Call {
    /// The settings, with the addresses of a running `up` where the settings name none.
    pub settings: Settings,
    /// The command's own arguments.
    pub matches: ArgMatches,
    /// Fires at Ctrl-C and SIGTERM.
    pub stop: CancellationToken,
    out: Output,
}

impl Call {
    /// Publishes events with confirms.
    ///
    /// # Errors
    /// When the settings name no RabbitMQ.
    pub fn publisher(&self) -> anyhow::Result<Publisher> {
        publish::publisher(&self.settings)
    }

    /// Writes one of several answers: its value as JSON on a line with `--json`, or else the text.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn say(&mut self, value: &impl Serialize, text: impl Into<String>) -> anyhow::Result<()> {
        let text = text.into();
        Ok(self.out.item(value, |page| page.text(text))?)
    }
}

/// The default settings file.
pub(crate) fn usual_file() -> Option<PathBuf> {
    let file = PathBuf::from("upshot.toml");
    file.is_file().then_some(file)
}
