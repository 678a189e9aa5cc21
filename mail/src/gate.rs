//! Decides whether the mail server refuses one mail or all mail.
//!
//! A permanent refusal (5yz) kills its job. If the server refuses all mail, that would kill every
//! waiting job. So the gate shuts and jobs are parked instead:
//! - at once, when the server refuses before it knows the recipient (554 at the greeting, a
//!   wrong password, a sender that may not send);
//! - when [`MANY`] different recipients got the same refusal within an hour and no mail was
//!   accepted in between. A second attempt confirms a refusal before it is final, so the first of
//!   these jobs are not dead yet.
//!
//! A shut gate lets one job at a time through. It opens when a mail is accepted.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use crate::trouble::Meaning;

/// The number of different recipients after which the same refusal counts as the server's.
pub(super) const MANY: usize = 5;
/// Different refusals that are remembered.
const TEXTS: usize = 64;
/// How long a refusal is remembered at least.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The consequence of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// The refusal is final.
    Stands,
    /// One more attempt after this long.
    Confirm(Duration),
    /// The job waits until the gate opens.
    Park,
}

/// A refusal, and its recipients with their times.
#[derive(Debug)]
struct Refusal {
    text: String,
    recipients: BTreeMap<u64, Instant>,
}

#[derive(Debug)]
struct Shut {
    /// The refusal of many recipients that shut the gate, if any.
    text: Option<String>,
    why: String,
}

/// Lets mails through, or parks their jobs.
#[derive(Debug)]
pub(super) struct Gate {
    /// How long to wait before the attempt that confirms a refusal.
    confirm: Duration,
    refusals: VecDeque<Refusal>,
    shut: Option<Shut>,
    /// One mail may pass although the gate is shut.
    pass: bool,
    accepted: Option<Instant>,
}

impl Gate {
    pub(super) fn new(confirm: Duration) -> Self {
        Self { confirm, refusals: VecDeque::new(), shut: None, pass: false, accepted: None }
    }

    /// Asks the gate to let a mail through.
    ///
    /// # Errors
    /// The reason, while the gate is shut.
    pub(super) fn admit(&mut self) -> Result<(), String> {
        match &self.shut {
            Some(shut) if !std::mem::take(&mut self.pass) => Err(shut.why.clone()),
            _ => Ok(()),
        }
    }

    /// Lets the next mail through, open or shut.
    pub(super) fn let_one_pass(&mut self) {
        self.pass = true;
    }

    /// Notes an accepted mail. True when that opens the gate.
    pub(super) fn accepted(&mut self, now: Instant) -> bool {
        self.accepted = Some(now);
        self.refusals.clear();
        self.shut.take().is_some()
    }

    /// Whether a mail was accepted within this time.
    pub(super) fn has_accepted(&self, now: Instant, within: Duration) -> bool {
        self.accepted.is_some_and(|at| now.saturating_duration_since(at) <= within)
    }

    /// Why the gate is shut.
    pub(super) fn why_shut(&self) -> Option<&str> {
        self.shut.as_ref().map(|shut| shut.why.as_str())
    }

    /// Decides about a refused mail. `text` is the common text of refusals with one cause; `why` is
    /// for people.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        meaning: Meaning,
        text: &str,
        recipient: u64,
        why: &str,
    ) -> Ruling {
        match meaning {
            Meaning::Closed => {
                self.shut(None, why);
                Ruling::Park
            }
            Meaning::Refused | Meaning::TurnedAway => {
                let is_known = self.shut.as_ref().is_some_and(|shut| shut.text.as_deref() == Some(text));
                if is_known || self.note(now, text, recipient) >= MANY {
                    self.shut(Some(text), why);
                    Ruling::Park
                } else if meaning == Meaning::Refused && !self.confirm.is_zero() {
                    Ruling::Confirm(self.confirm)
                } else {
                    Ruling::Stands
                }
            }
            Meaning::Transient | Meaning::Unclear => Ruling::Stands,
        }
    }

    fn shut(&mut self, text: Option<&str>, why: &str) {
        self.shut = Some(Shut { text: text.map(ToOwned::to_owned), why: why.to_owned() });
        self.pass = false;
    }

    /// How long a refusal is remembered. The time is long enough for a shop that mails little. One
    /// accepted mail forgets all refusals.
    fn kept(&self) -> Duration {
        self.confirm.saturating_mul(2).max(REMEMBERED)
    }

    /// Remembers a refusal; returns the number of recent recipients.
    fn note(&mut self, now: Instant, text: &str, recipient: u64) -> usize {
        let (kept, known) = (self.kept(), |refusal: &Refusal| refusal.text == text);
        let mut refusal = match self.refusals.iter().position(known) {
            Some(place) => self.refusals.remove(place),
            None => None,
        }
        .unwrap_or_else(|| Refusal { text: text.to_owned(), recipients: BTreeMap::new() });
        refusal.recipients.retain(|_, at| now.saturating_duration_since(*at) <= kept);
        if refusal.recipients.len() < MANY || refusal.recipients.contains_key(&recipient) {
            refusal.recipients.insert(recipient, now);
        }
        let recipients = refusal.recipients.len();
        self.refusals.push_back(refusal);
        if self.refusals.len() > TEXTS {
            self.refusals.pop_front();
        }
        recipients
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const CONFIRM: Duration = Duration::from_secs(60);

    #[derive(Clone, Debug)]
    enum Step {
        Refused(Meaning, u8, u64),
        Accepted,
        Wait(u64),
        LetOnePass,
        Admit,
    }

    fn step() -> impl Strategy<Value = Step> {
        let meaning = prop::sample::select(vec![
            Meaning::Transient,
            Meaning::Refused,
            Meaning::Refused,
            Meaning::Refused,
            Meaning::TurnedAway,
            Meaning::Unclear,
            Meaning::Closed,
        ]);
        prop_oneof![
            8 => (meaning, 0u8..3, 0u64..9).prop_map(|(meaning, text, to)| Step::Refused(meaning, text, to)),
            1 => Just(Step::Accepted),
            2 => (0u64..90).prop_map(Step::Wait),
            1 => Just(Step::LetOnePass),
            1 => Just(Step::Admit),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Compared with a plain history.
        #[test]
        fn it_shuts_for_what_the_server_refuses_and_opens_for_what_it_accepts(
            steps in prop::collection::vec(step(), 0..80),
        ) {
            let (mut gate, mut now) = (Gate::new(CONFIRM), Instant::now());
            let mut history: Vec<(Instant, String, u64)> = Vec::new();
            let (mut shut, mut pass): (Option<Option<String>>, bool) = (None, false);
            for step in steps {
                match step {
                    Step::Wait(seconds) => now += Duration::from_secs(seconds),
                    Step::LetOnePass => { gate.let_one_pass(); pass = true }
                    Step::Admit => {
                        let admitted = gate.admit().is_ok();
                        prop_assert_eq!(admitted, shut.is_none() || pass);
                        if shut.is_some() { pass = false }
                    }
                    Step::Accepted => {
                        prop_assert_eq!(gate.accepted(now), shut.is_some());
                        history.clear();
                        shut = None;
                    }
                    Step::Refused(meaning, text, to) => {
                        let text = text.to_string();
                        let ruling = gate.refused(now, meaning, &text, to, "why");
                        let counts = matches!(meaning, Meaning::Refused | Meaning::TurnedAway);
                        let known = shut == Some(Some(text.clone()));
                        if counts && !known { history.push((now, text.clone(), to)) }
                        let many: BTreeSet<u64> = history
                            .iter()
                            .filter(|(at, of, _)| *of == text && now - *at <= REMEMBERED)
                            .map(|(_, _, to)| *to)
                            .collect();
                        let parks = meaning == Meaning::Closed || counts && (known || many.len() >= MANY);
                        prop_assert_eq!(ruling == Ruling::Park, parks);
                        if parks {
                            shut = Some((meaning != Meaning::Closed).then_some(text));
                            pass = false;
                        }
                        let confirms = !parks && meaning == Meaning::Refused;
                        prop_assert_eq!(ruling == Ruling::Confirm(CONFIRM), confirms);
                    }
                }
                prop_assert_eq!(gate.why_shut().is_some(), shut.is_some());
            }
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut gate, now) = (Gate::new(CONFIRM), Instant::now());
        for n in 0..10_000 {
            let _ = gate.refused(now, Meaning::Refused, &format!("cause {n}"), n, "why");
        }
        assert_eq!(gate.refusals.len(), TEXTS);
    }

    #[test]
    fn a_refusal_stands_at_once_where_it_needs_no_confirmation() {
        let mut gate = Gate::new(Duration::ZERO);
        assert_eq!(gate.refused(Instant::now(), Meaning::Refused, "a", 1, "why"), Ruling::Stands);
    }
}
