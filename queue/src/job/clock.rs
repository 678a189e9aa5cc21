//! How long a job spent in each stage of its life, from the request for it to its end.
//!
//! Most jobs keep nothing for it: the times of their enqueue, last claim and end say it. A script
//! that ends another state than the first one adds to the field `spent`
//! (`scripts/include/spent.lua`). The sums stay exact, although the history is capped.
//!
//! The times come from up to three clocks: that of the producer, that of the program that received
//! the request, and that of Redis. A time that would lie behind a later one counts as the later one,
//! so no stage is negative, and the stages add up to the whole.

use super::{Job, state::State};

/// The label under which a job carries its [`Origin`].
pub const LABEL_CLOCK: &str = "clock";

/// The letter of the whole time, beside those of stages.
pub(crate) const WHOLE: char = 'e';

/// A stage of a job's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// From the time of the request until it was received.
    Broker,
    /// From then until the job was enqueued.
    Bridge,
    /// Waited for a worker, or for its time before the first attempt.
    Queue,
    /// Parked, or snoozed by its handler.
    Parked,
    /// Ran.
    Run,
    /// Waited for the next attempt after a failure.
    RetryWait,
    /// The work was done, and its proof was to come.
    Confirmation,
    /// Was dead until it was retried.
    Dead,
}

impl Stage {
    /// All stages, in the order in which a job first passes through them.
    pub const ALL: [Self; 8] = [
        Self::Broker,
        Self::Bridge,
        Self::Queue,
        Self::Parked,
        Self::Run,
        Self::RetryWait,
        Self::Confirmation,
        Self::Dead,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Bridge => "bridge",
            Self::Queue => "queue",
            Self::Parked => "parked",
            Self::Run => "run",
            Self::RetryWait => "retry_wait",
            Self::Confirmation => "confirmation",
            Self::Dead => "dead",
        }
    }

    /// Its stored name, one letter.
    pub const fn letter(self) -> char {
        match self {
            Self::Broker => 'b',
            Self::Bridge => 'i',
            Self::Queue => 'q',
            Self::Parked => 'p',
            Self::Run => 'r',
            Self::RetryWait => 'w',
            Self::Confirmation => 'c',
            Self::Dead => 'd',
        }
    }

    /// The stage with this letter.
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.letter() == letter)
    }

    const fn nth(self) -> usize {
        self as usize
    }
}

/// When a job was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// By the clock of the program that asked, UTC ms; `None` if it did not say.
    pub asked: Option<i64>,
    /// When the request was received, UTC ms.
    pub received: i64,
}

impl Origin {
    /// The value of the label [`LABEL_CLOCK`]: `asked+received`, where the second number counts from
    /// the first, or only when it was received.
    pub fn label(&self) -> String {
        match self.asked {
            Some(asked) => format!("{asked}{:+}", self.received.saturating_sub(asked)),
            None => self.received.to_string(),
        }
    }

    /// Reads such a value.
    fn read(label: &str) -> Option<Self> {
        let behind = label.get(1..)?.find(['+', '-']).map(|at| at + 1);
        let Some((asked, after)) = behind.and_then(|at| label.split_at_checked(at)) else {
            return Some(Self { asked: None, received: label.parse().ok()? });
        };
        let asked: i64 = asked.parse().ok()?;
        Some(Self { asked: Some(asked), received: asked.checked_add(after.parse().ok()?)? })
    }
}

/// What a job keeps of the stages behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    sums: [i64; 5],
    /// The stage of the present state, where it does not follow from the state.
    stage: Option<Stage>,
    /// The job succeeded, and the sums have its last attempt as well.
    is_whole: bool,
}

impl Spent {
    /// The stages of the sums, in order.
    const STAGES: [Stage; 5] =
        [Stage::Run, Stage::Parked, Stage::RetryWait, Stage::Confirmation, Stage::Dead];

    /// Reads the field `spent`; what cannot be read counts as nothing.
    pub(crate) fn read(field: &str) -> Self {
        let mut spent = Self::default();
        let mut parts = field.split(' ');
        for (sum, part) in spent.sums.iter_mut().zip(&mut parts) {
            *sum = part.parse().unwrap_or(0).max(0);
        }
        let letter: Option<char> = parts.next().and_then(|part| part.parse().ok());
        spent.stage = letter.and_then(Stage::from_letter);
        spent.is_whole = letter == Some(WHOLE);
        spent
    }
}

/// How long a job spent in each stage, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    times: [i64; 8],
    /// Up to when that counts, UTC ms.
    until: i64,
    /// Whether the clocks disagree: a time lay behind a later one, and counts as the later one.
    pub is_skewed: bool,
}

impl Clock {
    /// The time in a stage, ms.
    pub const fn of(&self, stage: Stage) -> i64 {
        // An array of as many as there are stages.
        self.times[stage.nth()]
    }

    /// The whole time, ms: the sum of all stages.
    pub fn whole(&self) -> i64 {
        self.times.iter().fold(0, |sum, time| sum.saturating_add(*time))
    }

    /// The same job after its attempt ended, UTC ms.
    #[must_use]
    pub(crate) fn ended(mut self, at: i64) -> Self {
        let ran = at.saturating_sub(self.until).max(0);
        self.times[Stage::Run.nth()] = self.of(Stage::Run).saturating_add(ran);
        self.until = at;
        self
    }
}

impl Job {
    /// When it was asked for, if the program that enqueued it says so.
    pub fn origin(&self) -> Option<Origin> {
        self.labels.get(LABEL_CLOCK).and_then(|label| Origin::read(label))
    }

    /// How long it spent in each stage so far (`now` in UTC ms), or until it ended.
    pub fn clock(&self, now: i64) -> Clock {
        let end = if self.state.is_final() { self.since } else { now };
        let origin = self.origin();
        let said = origin.map_or(self.enqueued_at, |origin| origin.received);
        let received = said.min(self.enqueued_at);
        let asked = origin.and_then(|origin| origin.asked).unwrap_or(received);
        let mut clock =
            Clock { until: end, is_skewed: said > received || asked > received, ..Clock::default() };
        let mut set = |stage: Stage, ms: i64| clock.times[stage.nth()] = ms.max(0);
        set(Stage::Broker, received.saturating_sub(asked));
        set(Stage::Bridge, self.enqueued_at.saturating_sub(received));
        let Spent { mut sums, stage, is_whole } = self.spent;
        let present = match self.state {
            State::Succeeded if is_whole => None,
            State::Running | State::Succeeded => Some((Stage::Run, self.began.unwrap_or(end))),
            State::Parked => Some((stage.unwrap_or(Stage::Parked), self.since)),
            State::Scheduled if self.token > 0 => Some((stage.unwrap_or(Stage::RetryWait), self.since)),
            _ => None,
        };
        for (sum, stage) in sums.iter_mut().zip(Spent::STAGES) {
            if let Some((_, since)) = present.filter(|(present, _)| *present == stage) {
                *sum = sum.saturating_add(end.saturating_sub(since).max(0));
            }
            set(stage, *sum);
        }
        // Whatever is left, the job was queued.
        let apart = sums.iter().fold(0_i64, |all, sum| all.saturating_add(*sum));
        set(Stage::Queue, end.saturating_sub(self.enqueued_at).saturating_sub(apart));
        clock
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::job::NewJob;

    const T: i64 = 1_773_480_413_000;

    fn job(state: State, since: i64) -> Job {
        let new = NewJob::new("a".repeat(26).parse().unwrap(), "test", "");
        let job = Job::sample(&"q".parse().unwrap(), new, T);
        Job { state, since, ..job }
    }

    fn with(mut job: Job, origin: Origin) -> Job {
        job.labels.insert(LABEL_CLOCK.to_owned(), origin.label());
        job
    }

    fn times(clock: &Clock) -> Vec<(Stage, i64)> {
        Stage::ALL.into_iter().map(|stage| (stage, clock.of(stage))).filter(|(_, ms)| *ms > 0).collect()
    }

    #[test]
    fn a_job_with_one_attempt_is_told_by_its_times() {
        let job = with(job(State::Succeeded, T + 900), Origin { asked: Some(T - 2_000), received: T - 30 });
        let clock = Job { began: Some(T + 200), ..job }.clock(T + 99_999);
        let expected = [(Stage::Broker, 1_970), (Stage::Bridge, 30), (Stage::Queue, 200), (Stage::Run, 700)];
        assert_eq!((times(&clock), clock.whole(), clock.is_skewed), (expected.to_vec(), 2_900, false));
    }

    #[test]
    fn the_present_state_counts_until_now() {
        let mut parked = job(State::Parked, T + 500);
        parked.spent = Spent::read("400 0 0 0 0");
        assert_eq!(
            times(&parked.clock(T + 800)),
            [(Stage::Queue, 100), (Stage::Parked, 300), (Stage::Run, 400)]
        );
        parked.spent = Spent::read("400 0 0 0 0 c");
        assert_eq!(parked.clock(T + 800).of(Stage::Confirmation), 300);
        parked.state = State::Scheduled;
        parked.spent = Spent::read("400 0 7 0 0");
        assert_eq!(parked.clock(T + 800).of(Stage::RetryWait), 307);
        parked.state = State::Succeeded;
        (parked.since, parked.spent) = (T + 900, Spent::read("400 0 0 300 0 e"));
        let confirmed = [(Stage::Queue, 200), (Stage::Run, 400), (Stage::Confirmation, 300)];
        assert_eq!(times(&parked.clock(0)), confirmed, "a signal ended it");
        parked.state = State::Scheduled;
        (parked.since, parked.spent) = (T + 500, Spent::read("400 0 7 0 0"));
        parked.token = 0;
        assert_eq!(parked.clock(T + 800).of(Stage::Queue), 393, "a delay before the first attempt");
    }

    #[test]
    fn clocks_that_disagree_are_clamped_and_said() {
        let done = |origin| with(job(State::Succeeded, T + 10), origin).clock(T + 10);
        for origin in [
            Origin { asked: Some(T + 5_000), received: T - 30 },
            Origin { asked: Some(T - 40), received: T + 30 },
        ] {
            let clock = done(origin);
            assert!(clock.is_skewed && clock.whole() <= 50, "{clock:?}");
        }
        assert!(!done(Origin { asked: None, received: T - 5 }).is_skewed);
    }

    #[test]
    fn a_running_attempt_ends_at_the_time_of_its_end() {
        let running = job(State::Running, T);
        let job = Job { enqueued_at: T - 40, ..running };
        let clock = job.clock(T).ended(T + 60);
        assert_eq!(times(&clock), [(Stage::Queue, 40), (Stage::Run, 60)]);
    }

    proptest! {
        #[test]
        fn an_origin_is_read_as_it_is_written(asked in prop::option::of(-1_i64 << 40..1 << 43), received in 0_i64..1 << 43) {
            let origin = Origin { asked, received };
            prop_assert_eq!(Origin::read(&origin.label()), Some(origin));
        }

        #[test]
        fn any_text_may_stand_in_the_label_and_in_the_field(text in "\\PC{0,30}") {
            let _ = Origin::read(&text);
            let _ = Spent::read(&text);
        }

        /// No stage is negative, whatever the clocks say.
        #[test]
        fn stages_add_up_to_the_whole(
            asked in -9_000_i64..9_000, received in -9_000_i64..9_000, began in -500_i64..2_000,
            since in -500_i64..3_000, sums in prop::array::uniform5(0_i64..900),
            state in prop::sample::select(State::ALL.to_vec()),
        ) {
            let mut job = with(job(state, T + since), Origin { asked: Some(T + asked), received: T + received });
            job.began = Some(T + began);
            job.spent.sums = sums;
            let clock = job.clock(T + 3_000);
            prop_assert!(Stage::ALL.iter().all(|stage| clock.of(*stage) >= 0));
            prop_assert_eq!(Stage::ALL.iter().map(|stage| clock.of(*stage)).sum::<i64>(), clock.whole());
            // Where the clocks agree, that is the time from the request to the end.
            let end = if state.is_final() { since } else { 3_000 };
            if asked <= received && received <= 0 && sums.iter().sum::<i64>() + 4_000 < end {
                prop_assert_eq!(clock.whole(), end - asked);
            }
        }
    }
}
