//! Event schemas and their violations.
//!
//! A contract is a JSON Schema (draft 2020-12) of an event's `data`, in a file
//! named after the type: `order.completed.v1.schema.json`.
//!
//! The sizes of the data and of the schema bound a check; `contracts/README.md` lists how. Two
//! features would break that bound and are refused: patterns that backtrack (the engine is linear,
//! [`Error::Pattern`]), and schemas that apply many sub-schemas to the same value ([`size`]).

mod size;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, path::Path};

use jsonschema::{PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;

use crate::{
    email::EmailAddress,
    rejection::{Reason, Rejection},
};

/// A contract that a program brings: the event's type, and the text of its JSON Schema.
pub type BuiltIn = (&'static str, &'static str);

const ENDING: &str = ".schema.json";

/// The largest compiled pattern, in bytes: matching takes time in proportion to
/// its size times that of the text. The worst one of this size that was found,
/// `(a|b)*a(a|b){1900}c`, takes 3 s for 64 KiB on a busy core.
const PATTERN_BYTES: usize = 256 << 10;

/// The longest description of a violation, in characters.
const MAX_DETAIL: usize = 400;

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
    #[error("the contract in `{file}` is not a JSON Schema: {why}")]
    Invalid {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// A pattern that the engine cannot take.
    #[error(
        "the contract in `{file}` has a pattern that cannot be used at `{place}`: `{pattern}`; patterns must match in \
         linear time: write it without look-around (`(?=`, `(?!`, `(?<`) and back-references (`\\1`), for \
         example as several patterns under `allOf` and `not`; if it compiles to more than {PATTERN_BYTES} bytes, \
         write `*` and `maxLength` in place of a large count"
    )]
    Pattern {
        /// The file.
        file: String,
        /// A JSON pointer into the schema.
        place: String,
        /// The pattern.
        pattern: String,
    },
    /// A schema that applies too many sub-schemas to one value.
    #[error(
        "the contract in `{file}` applies more than {} sub-schemas to one value at `{place}`: refer to fewer \
         under `allOf`, `anyOf` and `oneOf`",
        size::MAX_IN_PLACE
    )]
    TooBroad {
        /// The file.
        file: String,
        /// A JSON pointer into the schema.
        place: String,
    },
}

/// All known contracts.
#[derive(Debug, Default)]
pub struct Contracts {
    known: HashMap<String, Contract>,
}

#[derive(Debug)]
struct Contract {
    schema: Value,
    validator: Validator,
    /// Whether a violation can be explained in bounded time.
    explains: bool,
}

impl Contracts {
    /// The built-in contracts, overridden by those in a folder.
    ///
    /// # Errors
    /// A folder that cannot be read, a file that cannot be used as a contract.
    pub fn load(built_in: &[BuiltIn], dir: Option<&Path>) -> Result<Self, Error> {
        let mut contracts = Self::default();
        for (kind, schema) in built_in {
            contracts.add(kind, schema, &format!("{kind}{ENDING} (built in)"))?;
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
                    contracts.add(kind, &schema, &path.display().to_string())?;
                }
            }
        }
        Ok(contracts)
    }

    /// Whether an event type has a contract.
    pub fn has(&self, kind: &str) -> bool {
        self.known.contains_key(kind)
    }

    /// The JSON Schema of an event type.
    pub fn schema(&self, kind: &str) -> Option<&Value> {
        self.known.get(kind).map(|contract| &contract.schema)
    }

    fn add(&mut self, kind: &str, schema: &str, file: &str) -> Result<(), Error> {
        let schema: Value = serde_json::from_str(schema)
            .map_err(|error| Error::Invalid { file: file.to_owned(), why: error.to_string() })?;
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
            .should_validate_formats(true)
            .with_format("email", |text| EmailAddress::parse(text).is_ok_and(|_| text.is_ascii()))
            .with_format("idn-email", |text| EmailAddress::parse(text).is_ok())
            .build(&schema)
            .map_err(|error| unusable(file, &error))?;
        if let Some(place) = size::too_broad(&schema) {
            return Err(Error::TooBroad { file: file.to_owned(), place });
        }
        let explains = size::is_small(&schema);
        self.known.insert(kind.to_owned(), Contract { schema, validator, explains });
        Ok(())
    }

    /// Checks an event's data against the contract of its type. A type without a
    /// contract accepts any JSON.
    ///
    /// # Errors
    /// The first violation, with its place in the event.
    pub fn check(&self, kind: &str, data: &[u8]) -> Result<(), Rejection> {
        self.check_at("/data", kind, data)
    }

    /// The same for data elsewhere: `place` is a JSON pointer to it.
    ///
    /// # Errors
    /// The first violation, with its place.
    pub fn check_at(&self, place: &str, kind: &str, data: &[u8]) -> Result<(), Rejection> {
        let Some(contract) = self.known.get(kind) else { return Ok(()) };
        let data: Value = serde_json::from_slice(data)
            .map_err(|error| Rejection::new(Reason::MalformedJson, place, format!("not JSON: {error}")))?;
        let Some((under, what)) = contract.violation(&data) else { return Ok(()) };
        let what: String = what.chars().take(MAX_DETAIL).collect();
        Err(Rejection::new(
            Reason::ContractViolation,
            format!("{place}{under}"),
            format!("{what}: see the contract of `{kind}`"),
        ))
    }
}

impl Contract {
    /// The place of the first violation and what it is.
    fn violation(&self, data: &Value) -> Option<(String, String)> {
        if self.validator.is_valid(data) {
            return None;
        }
        // The library explains each branch of an `anyOf` on its own: with a schema that refers
        // to itself that doubles with each level of the data.
        let first = self.explains.then(|| self.validator.iter_errors(data).next()).flatten();
        Some(match first {
            Some(error) => (error.instance_path().to_string(), error.masked().to_string()),
            None => (String::new(), "the data does not keep its contract".to_owned()),
        })
    }
}

fn unusable(file: &str, error: &ValidationError<'_>) -> Error {
    let file = file.to_owned();
    match (error.kind(), error.instance().as_ref()) {
        (ValidationErrorKind::Format { format }, Value::String(pattern)) if format == "regex" => {
            // The meta-schema treats the schema as data; the compiler names a place in the schema.
            let seen = error.instance_path().to_string();
            let place = if seen.is_empty() { error.schema_path().to_string() } else { seen };
            Error::Pattern { file, place, pattern: pattern.clone() }
        }
        _ => Error::Invalid { file, why: error.to_string() },
    }
}
