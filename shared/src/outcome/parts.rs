//! Outcomes in parts, and the rule that derives the whole from them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Evidence;

/// A part of an outcome: achieved with evidence, or missed with a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is, for people; unique within the outcome.
    pub name: String,
    /// What it weighs beside the others, 1 or more.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
    /// Why it was missed; `None` for an achieved part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What proves it. The outcome lists it.
    #[serde(skip)]
    pub(super) evidence: Option<Evidence>,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_one(weight: &u32) -> bool {
    *weight == 1
}

impl Part {
    /// A part that was achieved.
    pub fn achieved(name: impl Into<String>, evidence: Evidence) -> Self {
        Self { name: name.into(), weight: 1, reason: None, evidence: Some(evidence) }
    }

    /// A part that was missed, and why.
    pub fn missed(name: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self { name: name.into(), weight: 1, reason: Some(reason.to_string()), evidence: None }
    }

    /// The same with another weight; 0 counts as 1.
    #[must_use]
    pub fn weighing(self, weight: u32) -> Self {
        Self { weight: weight.max(1), ..self }
    }

    /// Whether it was achieved.
    pub fn is_achieved(&self) -> bool {
        self.reason.is_none()
    }
}

/// What a route asks of the parts of an outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PartsRule {
    /// All parts.
    #[default]
    All,
    /// One part.
    Any,
    /// So many parts; all, where there are fewer.
    AtLeast(u32),
    /// A share of the weight, in percent, 1 to 100.
    Share(u8),
}

/// A text that is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rule for the parts of an outcome: write all, any, at least 3, or at least 80%")]
pub struct BadRule(pub String);

/// What the parts of an outcome come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// The outcome is achieved.
    Achieved,
    /// A part of it is achieved.
    Partial,
    /// Nothing is achieved.
    Missed,
}

impl PartsRule {
    /// What parts come to by this rule. An outcome without parts is missed.
    pub fn judge(self, parts: &[Part]) -> Whole {
        let achieved = || parts.iter().filter(|part| part.is_achieved());
        let n = achieved().count();
        let weight = |parts: &mut dyn Iterator<Item = &Part>| -> u64 {
            parts.map(|part| u64::from(part.weight.max(1))).sum()
        };
        let holds = match self {
            Self::All => n == parts.len(),
            Self::Any => true,
            Self::AtLeast(least) => n == parts.len() || n as u64 >= u64::from(least),
            Self::Share(percent) => {
                100 * weight(&mut achieved()) >= u64::from(percent) * weight(&mut parts.iter())
            }
        };
        match n {
            0 => Whole::Missed,
            _ if holds => Whole::Achieved,
            _ => Whole::Partial,
        }
    }
}

impl fmt::Display for PartsRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Any => f.write_str("any"),
            Self::AtLeast(n) => write!(f, "at least {n}"),
            Self::Share(percent) => write!(f, "at least {percent}%"),
        }
    }
}

impl FromStr for PartsRule {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let bad = || BadRule(text.to_owned());
        match text {
            "all" => return Ok(Self::All),
            "any" => return Ok(Self::Any),
            _ => {}
        }
        let least = text.strip_prefix("at least ").ok_or_else(bad)?;
        match least.strip_suffix('%') {
            Some(percent) => {
                percent.parse().ok().filter(|percent| (1..=100).contains(percent)).map(Self::Share)
            }
            None => least.parse().ok().filter(|n| *n > 0).map(Self::AtLeast),
        }
        .ok_or_else(bad)
    }
}

impl TryFrom<String> for PartsRule {
    type Error = BadRule;

    fn try_from(text: String) -> Result<Self, BadRule> {
        text.parse()
    }
}

impl From<PartsRule> for String {
    fn from(rule: PartsRule) -> Self {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> impl Strategy<Value = PartsRule> {
        prop_oneof![
            Just(PartsRule::All),
            Just(PartsRule::Any),
            (1..12u32).prop_map(PartsRule::AtLeast),
            (1..=100u8).prop_map(PartsRule::Share),
        ]
    }

    fn parts() -> impl Strategy<Value = Vec<Part>> {
        prop::collection::vec((any::<bool>(), 0..5u32), 0..10).prop_map(|parts| {
            let part = |(n, (achieved, weight)): (usize, (bool, u32))| {
                let name = format!("part {n}");
                let part = if achieved {
                    Part::achieved(name, Evidence::new("mail", []))
                } else {
                    Part::missed(name, "refused")
                };
                part.weighing(weight)
            };
            parts.into_iter().enumerate().map(part).collect()
        })
    }

    proptest! {
        #[test]
        fn the_whole_follows_from_the_parts(rule in rules(), parts in parts()) {
            let n = parts.iter().filter(|part| part.is_achieved()).count();
            let whole = rule.judge(&parts);
            prop_assert_eq!(whole == Whole::Missed, n == 0);
            if n > 0 && n == parts.len() {
                prop_assert_eq!(whole, Whole::Achieved);
            }
            prop_assert!(rule != PartsRule::All || whole != Whole::Achieved || n == parts.len());
            prop_assert!(rule != PartsRule::Any || whole != Whole::Partial);
        }

        /// A part that is achieved after all never makes the whole worse.
        #[test]
        fn more_achieved_parts_are_never_worse(rule in rules(), parts in parts(), pick in any::<prop::sample::Index>()) {
            prop_assume!(!parts.is_empty());
            let mut better = parts.clone();
            let place = pick.index(better.len());
            better[place].reason = None;
            let rank = |whole| match whole { Whole::Missed => 0, Whole::Partial => 1, Whole::Achieved => 2 };
            prop_assert!(rank(rule.judge(&better)) >= rank(rule.judge(&parts)));
        }

        #[test]
        fn a_printed_rule_is_read_again(rule in rules()) {
            prop_assert_eq!(rule.to_string().parse(), Ok(rule));
        }
    }

    #[test]
    fn weights_count_for_a_share_and_numbers_for_a_number() {
        let parts = [
            Part::achieved("contract", Evidence::new("object", [])).weighing(8),
            Part::missed("letter", "no printer"),
            Part::missed("mail", "refused"),
        ];
        for (rule, whole) in [
            ("all", Whole::Partial),
            ("any", Whole::Achieved),
            ("at least 1", Whole::Achieved),
            ("at least 2", Whole::Partial),
            ("at least 80%", Whole::Achieved),
            ("at least 81%", Whole::Partial),
        ] {
            assert_eq!(rule.parse::<PartsRule>().unwrap().judge(&parts), whole, "{rule}");
        }
        for text in
            ["", "some", "at least", "at least 0", "at least 0%", "at least 101%", "at least -1", "80%"]
        {
            let said = text.parse::<PartsRule>().unwrap_err().to_string();
            assert!(said.contains("at least 80%"), "{said}");
        }
    }
}
