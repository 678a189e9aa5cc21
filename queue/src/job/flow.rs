//! Flows and lanes: the lines in which jobs wait.
//!
//! A flow is a tenant together with the limit keys of its jobs. So a limit holds a whole flow, with
//! any number of jobs. A lane is a flow within one class of priority.

use std::fmt::Write;

use crate::policy::priority::Priority;

/// Escapes a name so that it can stand between bars: control characters, bars and percent signs
/// become `%xx`.
pub(crate) fn encode(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_control() || matches!(c, '|' | '%') {
            // Writing to a string does not fail.
            let _ = write!(text, "%{:02x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// A kind and the version of its arguments, in the form of head lines.
pub(crate) fn stored_kind(kind: &str, version: u32) -> String {
    format!("{version}|{}", encode(kind))
}

/// Unescapes a name.
pub(crate) fn decode(text: &str) -> String {
    let mut parts = text.split('%');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        match code {
            Some(code) => {
                name.push(char::from(code));
                name.push_str(part.get(2..).unwrap_or_default());
            }
            None => {
                name.push('%');
                name.push_str(part);
            }
        }
    }
    name
}

/// The flow of a tenant's jobs with these limit keys.
pub(crate) fn flow(tenant: Option<&str>, limit_keys: &[String]) -> String {
    let mut flow = encode(tenant.unwrap_or_default());
    for key in limit_keys {
        flow.push('|');
        flow.push_str(&encode(key));
    }
    flow
}

/// Tenant and limit keys of a flow.
pub(crate) fn split(flow: &str) -> (Option<String>, Vec<String>) {
    let mut parts = flow.split('|').map(decode);
    let tenant = parts.next().filter(|tenant| !tenant.is_empty());
    (tenant, parts.collect())
}

/// The name of a lane.
pub(crate) fn lane(priority: Priority, flow: &str) -> String {
    format!("{}:{flow}", priority.class())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_come_back(tenant in "\\PC{1,20}|[\\x00-\\x7f]{1,20}", keys in prop::collection::vec("[\\x00-\\x7f]{0,9}", 0..4)) {
            let flow = flow(Some(&tenant), &keys);
            prop_assert!(!flow.bytes().any(|byte| byte.is_ascii_control()));
            prop_assert_eq!(split(&flow), (Some(tenant), keys));
        }
    }

    #[test]
    fn nobody_is_no_tenant() {
        assert_eq!(split(&flow(None, &[])), (None, vec![]));
    }
}
