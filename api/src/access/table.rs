//! The right that each operation needs, from the OpenAPI document.
//!
//! Each operation states its right as `x-right`. The document and the gate cannot differ, because the
//! gate reads the document. The gate refuses an operation without `x-right` to every principal.

use std::collections::HashMap;

use axum::http::Method;
use upshot_access::Right;
use utoipa::openapi::{OpenApi, path::Operation};

/// Addresses that the document does not describe: the index and the documents.
const OTHERS: [(&str, Needed); 3] =
    [("/v1", Needed::Nothing), ("/openapi.json", Needed::Nothing), ("/asyncapi.json", Needed::Principal)];

/// What an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// Nothing: everybody may use it.
    Nothing,
    /// Any principal.
    Principal,
    /// A principal with this right.
    Right(Right),
    /// Nothing that anybody has: the operation states no right.
    Impossible,
}

/// How much of the installation a principal has to see for an operation, as `x-scope` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Span {
    /// Its own scope: the operation shows and changes only what is in it.
    #[default]
    Own,
    /// The jobs of all tenants, of its queues (`all-tenants`): the operation adds up over tenants.
    AllTenants,
    /// Everything (`installation`).
    Installation,
}

/// An operation, as the gate knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its `operationId`.
    pub operation: String,
    /// What it needs.
    pub needed: Needed,
    /// How much of the installation a principal has to see for it.
    pub span: Span,
}

/// The operations, by address and method.
#[derive(Clone, Debug, Default)]
pub struct Table(HashMap<String, HashMap<Method, Entry>>);

impl Table {
    /// The table of a document.
    pub fn of(document: &OpenApi) -> Self {
        let mut table = HashMap::new();
        for (address, item) in &document.paths.paths {
            let methods = [
                (Method::GET, &item.get),
                (Method::PUT, &item.put),
                (Method::POST, &item.post),
                (Method::DELETE, &item.delete),
                (Method::PATCH, &item.patch),
            ];
            let entries = methods
                .into_iter()
                .filter_map(|(method, operation)| Some((method, entry(operation.as_ref()?))))
                .collect();
            table.insert(address.clone(), entries);
        }
        for (address, needed) in OTHERS {
            let entry = Entry { operation: address.to_owned(), needed, span: Span::Own };
            table.insert(address.to_owned(), HashMap::from([(Method::GET, entry)]));
        }
        Self(table)
    }

    /// The operation of a request; `None` if the address does not take the method, so that the router
    /// answers.
    pub fn entry(&self, address: &str, method: &Method) -> Option<&Entry> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.0.get(address)?.get(method)
    }

    /// All operations.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.values().flat_map(HashMap::values)
    }
}

fn entry(operation: &Operation) -> Entry {
    let stated = |name: &str| operation.extensions.as_ref()?.get(name)?.as_str();
    let needed = match stated("x-right") {
        Some("none") => Needed::Nothing,
        Some("any") => Needed::Principal,
        Some(right) => right.parse().map_or(Needed::Impossible, Needed::Right),
        None => Needed::Impossible,
    };
    Entry {
        operation: operation.operation_id.clone().unwrap_or_default(),
        needed,
        span: match stated("x-scope") {
            None => Span::Own,
            Some("all-tenants") => Span::AllTenants,
            Some(_) => Span::Installation,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::described;

    #[test]
    fn every_operation_states_a_right() {
        let table = Table::of(&described());
        let mut operations = 0;
        for (address, entries) in &table.0 {
            for (method, entry) in entries {
                assert_ne!(
                    entry.needed,
                    Needed::Impossible,
                    "{method} {address} states no right as `x-right`"
                );
                operations += 1;
            }
        }
        assert!(operations > OTHERS.len() + 30);
    }

    #[test]
    fn a_head_needs_what_a_get_needs() {
        let table = Table::of(&described());
        let get = table.entry("/v1/jobs", &Method::GET);
        assert_eq!(get.map(|entry| entry.needed), Some(Needed::Right(Right::See)));
        assert_eq!(table.entry("/v1/jobs", &Method::HEAD), get);
        assert_eq!(table.entry("/v1/jobs", &Method::POST), None);
        assert_eq!(table.entry("/v1/nowhere", &Method::GET), None);
    }
}
