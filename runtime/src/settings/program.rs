//! What a program adds to the settings: default routes and queues, contracts, its own sections.

use std::collections::BTreeSet;

use toml::{Table, Value};
use upshot_shared::contract::BuiltIn;

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
/// replace all default routes and their queues. If only queues are named, a default route stays if
/// its queue is among them.
pub(super) fn over_defaults(defaults: Table, written: &Table) -> Table {
    let mut merged = defaults;
    let named: Option<BTreeSet<&str>> = match (written.get("routes"), written.get("queues")) {
        (Some(_), _) => Some(BTreeSet::new()),
        (None, Some(Value::Table(queues))) => Some(queues.keys().map(String::as_str).collect()),
        _ => None,
    };
    if let Some(named) = named {
        let is_named = |route: &Value| {
            let queue = route.get("queue").and_then(Value::as_str);
            queue.is_some_and(|queue| named.contains(queue))
        };
        if let Some(Value::Array(routes)) = merged.get_mut("routes") {
            routes.retain(is_named);
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
