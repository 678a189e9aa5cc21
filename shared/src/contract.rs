//! Event schemas and what violates them.
//!
//! A contract is a JSON Schema (draft 2020-12) of an event's `data`, in a file
//! named after the type: `order.completed.v1.schema.json`.

use std::{collections::HashMap, path::Path};

use jsonschema::Validator;
use serde_json::Value;

use crate::rejection::{Reason, Rejection};

/// The contracts that come with Upshot.
const BUILT_IN: &[(&str, &str)] =
    &[("order.completed.v1", include_str!("../../contracts/events/order.completed.v1.schema.json"))];

const ENDING: &str = ".schema.json";

/// A contract that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or a file in it cannot be read.
    #[error("contracts in `{path}` cannot be read: {source}; mend `contracts.dir`")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not a JSON Schema.
    #[error("the contract of `{kind}` is no JSON Schema: {why}")]
    Invalid {
        /// The event type.
        kind: String,
        /// What is wrong.
        why: String,
    },
}

/// All known contracts.
#[derive(Debug, Default)]
pub struct Contracts {
    validators: HashMap<String, Validator>,
}

impl Contracts {
    /// The built-in contracts and those in a folder, which win.
    ///
    /// # Errors
    /// A folder that cannot be read, a file that is no schema.
    pub fn load(dir: Option<&Path>) -> Result<Self, Error> {
        let mut contracts = Self::default();
        for (kind, schema) in BUILT_IN {
            contracts.add(kind, schema)?;
        }
        if let Some(dir) = dir {
            let unreadable = |path: &Path| {
                let path = path.display().to_string();
                move |source| Error::Unreadable { path, source }
            };
            for entry in std::fs::read_dir(dir).map_err(unreadable(dir))? {
                let path = entry.map_err(unreadable(dir))?.path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if let Some(kind) = name.strip_suffix(ENDING) {
                    let schema = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
                    contracts.add(kind, &schema)?;
                }
            }
        }
        Ok(contracts)
    }

    fn add(&mut self, kind: &str, schema: &str) -> Result<(), Error> {
        let invalid = |why: String| Error::Invalid { kind: kind.to_owned(), why };
        let schema: Value = serde_json::from_str(schema).map_err(|error| invalid(error.to_string()))?;
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .map_err(|error| invalid(error.to_string()))?;
        self.validators.insert(kind.to_owned(), validator);
        Ok(())
    }

    /// Checks data against the contract of a type. A type without a contract
    /// accepts any JSON.
    ///
    /// # Errors
    /// The first violation, with its place in the event.
    pub fn check(&self, kind: &str, data: &[u8]) -> Result<(), Rejection> {
        let Some(validator) = self.validators.get(kind) else { return Ok(()) };
        let data: Value = serde_json::from_slice(data)
            .map_err(|error| Rejection::new(Reason::MalformedJson, "/data", format!("not JSON: {error}")))?;
        if validator.is_valid(&data) {
            return Ok(());
        }
        let violation = validator.iter_errors(&data).next();
        let (place, what) = violation
            .map(|error| (error.instance_path().to_string(), error.masked().to_string()))
            .unwrap_or_default();
        let what: String = what.chars().take(400).collect();
        Err(Rejection::new(
            Reason::ContractViolation,
            format!("/data{place}"),
            format!("{what}: see the contract of `{kind}`"),
        ))
    }
}
