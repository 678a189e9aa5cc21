//! What a program adds to the settings: default routes and queues, contracts, its own sections.

use std::collections::BTreeSet;

use toml::{Table, Value};
use upshot_shared::{contract::BuiltIn, expectation};

/// A program on Upshot, as far as settings need it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Program {
    /// Its name on the command line; empty for that of its file.
    pub name: &'static str,
    /// Its version; empty for that of Upshot.
    pub version: &'static str,
    /// Its default settings, annotated: `[[routes]]`, `[queues.…]` and `[app.…]`. `settings` prints
    /// them below the platform's.
    pub defaults: &'static str,
    /// Its contracts. A folder of the settings overrides them by event type.
    pub contracts: &'static [BuiltIn],
}

/// The settings of a file and of variables over the defaults of a program.
///
/// A setting of a section replaces the default, a list replaces the whole default list. Routes
/// replace all default routes and their queues, and the default confirmations, expectations and
/// schedules. If only queues are named, a default route stays if its queue is among them, and so does a
/// default confirmation or schedule. The queue of expectations is no program's, so it does not count.
pub(super) fn over_defaults(defaults: Table, written: &Table) -> Table {
    let mut merged = defaults;
    let is_programs = |name: &&str| *name != expectation::QUEUE;
    let named: Option<BTreeSet<&str>> = match (written.get("routes"), written.get("queues")) {
        (Some(_), _) => Some(BTreeSet::new()),
        (None, Some(Value::Table(queues))) => {
            Some(queues.keys().map(String::as_str).filter(is_programs).collect())
        }
        _ => None,
    };
    let named = named.filter(|named| !named.is_empty() || written.contains_key("routes"));
    if written.contains_key("routes") {
        merged.remove("expectations");
    }
    if let Some(named) = named {
        let is_named = |rule: &Value| {
            let queue = rule.get("queue").and_then(Value::as_str);
            queue.is_some_and(|queue| named.contains(queue))
        };
        for list in ["routes", "confirmations", "schedules"] {
            if let Some(Value::Array(rules)) = merged.get_mut(list) {
                rules.retain(is_named);
            }
        }
        if let Some(Value::Table(queues)) = merged.get_mut("queues") {
            queues.retain(|name, _| named.contains(name));
        }
    }
    merge(&mut merged, written);
    merged
}

fn merge(below: &mut Table, above: &Table) {
    for (key, value) in above {
        match (below.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &str = r#"
        [[routes]]
        event = "order.v1"
        queue = "invoices"
        [queues.invoices]
        concurrency = 4
        lease = "9s"
        [app.seller]
        name = "Shop"
        address = ["a", "b"]
    "#;

    fn over(written: &str) -> Table {
        over_defaults(DEFAULTS.parse().unwrap(), &written.parse().unwrap())
    }

    #[test]
    fn a_section_is_merged_key_by_key_and_a_list_is_replaced() {
        let merged = over("[app.seller]\naddress = ['c']\n[queues.invoices]\nconcurrency = 7");
        assert_eq!(merged["app"]["seller"]["name"].as_str(), Some("Shop"));
        assert_eq!(merged["app"]["seller"]["address"].as_array().map(Vec::len), Some(1));
        assert_eq!(merged["queues"]["invoices"]["concurrency"].as_integer(), Some(7));
        assert_eq!(merged["queues"]["invoices"]["lease"].as_str(), Some("9s"));
        assert_eq!(merged["routes"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn settings_of_expectations_leave_the_defaults_alone() {
        let more = "[[expectations]]\nevent = 'a.v1'\n[queues.expectations]\nconcurrency = 2";
        let merged = over(more);
        assert_eq!(merged["routes"].as_array().map(Vec::len), Some(1));
        assert!(merged["queues"].as_table().unwrap().contains_key("invoices"));
        let rule = "[[confirmations]]\nevent = 'p.v1'\nqueue = 'invoices'\n[[expectations]]\nevent = 'e.v1'";
        let defaults = format!("{DEFAULTS}\n{rule}").parse::<Table>().unwrap();
        let merged = over_defaults(defaults, &"[[routes]]\nevent = 'b.v1'\nqueue = 'b'".parse().unwrap());
        assert_eq!(merged["confirmations"].as_array().map(Vec::len), Some(0));
        assert!(!merged.contains_key("expectations"));
    }

    #[test]
    fn a_file_with_routes_or_other_queues_has_no_default_queue() {
        for written in ["[[routes]]\nevent = 'b.v1'\nqueue = 'b'", "[queues.b]"] {
            let merged = over(written);
            let routes = merged["routes"].as_array().unwrap();
            assert!(routes.iter().all(|route| route["queue"].as_str() == Some("b")), "{written}");
            let queues = merged.get("queues").and_then(Value::as_table).cloned().unwrap_or_default();
            assert!(!queues.contains_key("invoices"), "{written}");
        }
    }
}
