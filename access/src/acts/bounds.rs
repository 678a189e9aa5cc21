//! The size of an entry of the audit log.

use std::collections::BTreeMap;

use serde_json::Value;

use super::act::Act;
use crate::principal::Identity;

/// The bytes of an intent at most, as JSON. Its result repeats it.
const INTENT: usize = 2 << 10;
/// The bytes of any other entry at most, as JSON.
const ENTRY: usize = 4 << 10;
/// The bytes of texts that any client can choose.
const AGENT: usize = 100;
const ADDRESS: usize = 100;
const NAME: usize = 128;
const CODE: usize = 64;
/// Named values of a target or of parameters, and the bytes of each.
const VALUES: usize = 16;
const VALUE: usize = 512;
/// The same where the entry would be too large.
const FEW: usize = 4;
const SHORT: usize = 64;
/// The bytes of the name of a value.
const LABEL: usize = 40;
/// The bytes of a reason.
const REASON: usize = 1_000;

/// The JSON of an intent, cut to its largest size.
pub(super) fn intent(mut act: Act) -> (Act, String) {
    texts(&mut act);
    let text = fit(&mut act, INTENT);
    (act, text)
}

/// The JSON of another entry, cut to its largest size.
pub(super) fn entry(mut act: Act) -> String {
    texts(&mut act);
    fit(&mut act, ENTRY)
}

/// Leaves out a part of an act. Returns whether there was one.
type LeaveOut = fn(&mut Act) -> bool;

/// Leaves out parts of an act, the least important first, until its JSON fits.
fn fit(act: &mut Act, most: usize) -> String {
    let parts: [(&str, LeaveOut); 6] = [
        ("before and after", |act| {
            let had = act.before.is_some() || act.after.is_some();
            (act.before, act.after) = (None, None);
            had
        }),
        ("asked", |act| act.asked.take().is_some()),
        ("parameters", |act| !std::mem::take(&mut act.parameters).is_empty()),
        ("reason", |act| shorten(&mut act.reason, 200)),
        ("target", |act| few(&mut act.target)),
        ("addresses", |act| {
            act.suppressed.as_mut().is_some_and(|of| !std::mem::take(&mut of.addresses).is_empty())
        }),
    ];
    let mut text = json(act);
    for (name, leave_out) in parts {
        if text.len() <= most {
            break;
        }
        if leave_out(act) {
            act.truncated.push(name.to_owned());
            text = json(act);
        }
    }
    text
}

/// Cuts the texts that have a bound of their own.
fn texts(act: &mut Act) {
    let mut cut = Vec::new();
    let mut note = |is_cut: bool, name: &str| {
        if is_cut {
            cut.push(name.to_owned());
        }
    };
    shorten(&mut act.origin.agent, AGENT);
    shorten(&mut act.origin.address, ADDRESS);
    shorten(&mut act.origin.forwarded_for, ADDRESS);
    shorten(&mut act.problem, CODE);
    cut_to(&mut act.operation, CODE);
    cut_to(&mut act.request_id, 2 * CODE);
    note(shorten(&mut act.reason, REASON), "reason");
    note(values(&mut act.target), "target");
    note(values(&mut act.parameters), "parameters");
    if let Some(principal) = &mut act.principal {
        note(names(principal), "principal");
    }
    for name in cut {
        if !act.truncated.contains(&name) {
            act.truncated.push(name);
        }
    }
}

fn names(principal: &mut Identity) -> bool {
    match principal {
        Identity::Local | Identity::FirstAdministrator => false,
        Identity::Link { id } => cut_to(id, NAME),
        Identity::Token { id, name } => cut_to(id, NAME) | cut_to(name, NAME),
        Identity::Person { issuer, subject, name } => {
            cut_to(issuer, NAME) | cut_to(subject, NAME) | cut_to(name, NAME)
        }
    }
}

/// Cuts named values to their bounds.
fn values(values: &mut BTreeMap<String, String>) -> bool {
    bound(values, VALUES, VALUE)
}

fn few(values: &mut BTreeMap<String, String>) -> bool {
    bound(values, FEW, SHORT)
}

fn bound(values: &mut BTreeMap<String, String>, most: usize, bytes: usize) -> bool {
    let had = values.len();
    // Names come from the OpenAPI document.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let is_name = |name: &str| name.len() <= LABEL && name.bytes().all(is_plain);
    let kept = std::mem::take(values).into_iter().filter(|(name, _)| is_name(name));
    values.extend(kept.take(most));
    let mut is_cut = values.len() < had;
    for value in values.values_mut() {
        is_cut |= cut_to(value, bytes);
    }
    is_cut
}

fn shorten(text: &mut Option<String>, bytes: usize) -> bool {
    text.as_mut().is_some_and(|text| cut_to(text, bytes))
}

/// Cuts a text so that it takes at most so many bytes in JSON, where a control character takes six.
fn cut_to(text: &mut String, bytes: usize) -> bool {
    let mut left = bytes;
    let end = text.char_indices().find(|(_, char)| {
        let needs = match char {
            '"' | '\\' => 2,
            char if (*char as u32) < 0x20 => 6,
            char => char.len_utf8(),
        };
        let is_over = needs > left;
        left = left.saturating_sub(needs);
        is_over
    });
    match end {
        Some((end, _)) => {
            text.truncate(end);
            true
        }
        None => false,
    }
}

fn json(act: &Act) -> String {
    // Texts, numbers and JSON values always serialise.
    serde_json::to_string(act).unwrap_or_default()
}

/// Cuts a JSON value of a request, so that it can be part of an entry: long texts, long lists, and
/// deep values.
pub fn brief(value: &Value) -> Value {
    brief_to(value, 3)
}

fn brief_to(value: &Value, depth: usize) -> Value {
    match value {
        Value::String(text) => {
            let mut text = text.clone();
            if cut_to(&mut text, 200) {
                text.push('…');
            }
            Value::String(text)
        }
        Value::Array(_) | Value::Object(_) if depth == 0 => Value::String("…".to_owned()),
        Value::Array(values) => values.iter().take(20).map(|value| brief_to(value, depth - 1)).collect(),
        Value::Object(members) => {
            let short = members.iter().filter(|(name, _)| name.len() <= LABEL).take(40);
            Value::Object(short.map(|(name, value)| (name.clone(), brief_to(value, depth - 1))).collect())
        }
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        acts::{Conclusion, Intent, Origin, act::Suppressed},
        right::Right,
    };

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), "[\u{0}-\u{20}\"\\\\]{0,3000}", "[a-zä€]{0,3000}"]
    }

    fn maps() -> impl Strategy<Value = BTreeMap<String, String>> {
        prop::collection::btree_map(texts(), texts(), 0..20)
    }

    fn bodies() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), texts().prop_map(Value::from)];
        leaf.prop_recursive(5, 60, 30, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..30).prop_map(Value::from),
                prop::collection::vec((texts(), inner), 0..30)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    prop_compose! {
        fn intents()(
            (address, agent, operation, request_id) in (texts(), texts(), texts(), texts()),
            principal in prop_oneof![
                Just(None), Just(Some(Identity::Local)),
                (texts(), texts(), texts()).prop_map(|(issuer, subject, name)| Some(Identity::Person { issuer, subject, name })),
            ],
            (target, parameters, asked, reason) in (maps(), maps(), prop::option::of(bodies()), prop::option::of(texts())),
        ) -> Intent {
            let origin = Origin { address: Some(address.clone()), forwarded_for: Some(address), agent: Some(agent) };
            Intent { principal, origin, right: Some(Right::Retry), operation, target, parameters, asked, reason, request_id }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_entry_has_a_largest_size(
            of in intents(),
            (status, problem) in (100_u16..600, prop::option::of(texts())),
            (before, after) in (prop::option::of(bodies()), prop::option::of(bodies())),
            (target, reason) in (maps(), prop::option::of(texts())),
            addresses in prop::collection::btree_map("[0-9a-f:.]{1,40}", any::<u64>(), 0..10),
        ) {
            let (act, text) = intent(Act::of(of));
            prop_assert!(text.len() <= INTENT, "{} bytes", text.len());
            let read: Act = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&read, &act);
            prop_assert!(act.origin.agent.is_none_or(|agent| agent.len() <= AGENT));
            let conclusion = Conclusion { status, problem, before, after, reason, target, principal: None };
            let mut concluded = read.concluded(conclusion);
            concluded.suppressed = Some(Suppressed { refusals: u64::MAX, addresses });
            let text = entry(concluded);
            prop_assert!(text.len() <= ENTRY, "{} bytes", text.len());
            prop_assert!(serde_json::from_str::<Act>(&text).is_ok());
        }

        #[test]
        fn a_body_is_cut_to_something_brief(body in bodies()) {
            let short = brief(&body);
            prop_assert_eq!(brief(&short).to_string().len(), short.to_string().len());
        }
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let asked = serde_json::json!({"reason": "called", "steps": ["render"], "n": 1.5});
        assert_eq!(brief(&asked), asked);
        let of = Intent {
            asked: Some(asked),
            target: [("id".to_owned(), "mrtu2hq6wcbcvkoxmzkhxbs7da".to_owned())].into(),
            ..Intent::default()
        };
        let before = Act::of(of);
        assert_eq!(intent(before.clone()).0, before);
    }
}
