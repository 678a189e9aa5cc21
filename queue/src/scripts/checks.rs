//! What holds for the text of every script.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
};

use super::{
    ALL, CALL_BYTES, SOURCES,
    compose::{INCLUDES, items_of, named_in, names_of, parts_of, words},
    policy::constants,
};
use crate::redis::keys::NAMES;

/// The names that a file defines for the files that include it.
fn defined_in(source: &'static str) -> HashSet<&'static str> {
    items_of(source).into_iter().flat_map(names_of).collect()
}

/// The functions that a file calls, and the constants that it uses.
fn called_in(source: &str) -> HashSet<&str> {
    let is_constant = |word: &&str| word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let code = source.lines().filter(|line| !line.trim_start().starts_with("--"));
    let calls = code.flat_map(|line| {
        line.match_indices('(').filter_map(|(end, _)| {
            let before = line.get(..end)?;
            let name = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
            let is_method = before.strip_suffix(name)?.ends_with(['.', ':', '\'']);
            (!name.is_empty() && !is_method).then_some(name)
        })
    });
    calls.chain(words(source).filter(is_constant)).collect()
}

#[test]
fn every_script_says_what_it_does_and_takes() {
    for (file, source) in SOURCES {
        for part in ["-- Purpose: ", "-- KEYS: ", "-- ARGV: ", "-- Returns: "] {
            assert!(source.contains(part), "{file} lacks `{part}`");
        }
    }
}

#[test]
fn includes_exist_and_are_not_circular() {
    fn walk(name: &'static str, source: &'static str, path: &mut Vec<&'static str>) {
        assert!(!path.contains(&name), "{name} includes itself: {path:?}");
        path.push(name);
        for each in named_in(source) {
            let found = INCLUDES.iter().find(|(known, _)| *known == each);
            let (_, text) = found.unwrap_or_else(|| panic!("{name} includes `{each}`, which does not exist"));
            walk(each, text, path);
        }
        path.pop();
    }
    for (file, source) in SOURCES.iter().chain(INCLUDES) {
        walk(file, source, &mut Vec::new());
    }
}

/// A file calls something of each include that it names, and names each that it calls.
#[test]
fn a_file_includes_what_it_calls_and_nothing_else() {
    let defined: BTreeMap<&str, HashSet<&str>> =
        INCLUDES.iter().map(|(name, source)| (*name, defined_in(source))).collect();
    for (file, source) in SOURCES.iter().chain(INCLUDES) {
        let used = called_in(source);
        let own = defined_in(source);
        let named: BTreeSet<&str> = named_in(source).collect();
        let called: BTreeSet<&str> = defined
            .iter()
            .filter(|(name, _)| *name != file)
            .filter(|(_, names)| names.iter().any(|name| used.contains(name) && !own.contains(name)))
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(named, called, "{file} names the left ones and calls the right ones");
    }
}

/// An include that no script uses is dead code.
#[test]
fn every_include_is_used() {
    let used: HashSet<&str> = SOURCES.iter().flat_map(|(_, source)| parts_of(source)).collect();
    for (name, text) in INCLUDES {
        let part =
            text.rsplit("-- include: ").next().and_then(|rest| rest.split_once('\n')).map(|(_, part)| part);
        assert!(
            used.contains(text) || part.is_some_and(|part| used.contains(part)),
            "no script includes {name}"
        );
    }
}

/// A number replaces its name everywhere, so no key may have that name.
#[test]
fn no_number_has_the_name_of_a_key() {
    for (name, _) in constants(CALL_BYTES) {
        assert!(NAMES.iter().all(|(key, _)| *key != name), "{name} is a key and a number");
    }
}

/// No function of an include reads what a script set: includes define nothing but functions and
/// constants, and take the rest as parameters.
#[test]
fn includes_share_no_state() {
    for (name, source) in INCLUDES {
        for line in source.lines().filter(|line| !line.starts_with([' ', '-']) && !line.is_empty()) {
            let is_constant = line.strip_prefix("local ").is_some_and(|rest| {
                rest.split(" = ").next().is_some_and(|names| {
                    names.split(", ").all(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
                })
            });
            assert!(
                line.starts_with("local function ") || line == "end" || is_constant,
                "{name} keeps something between its functions: `{line}`"
            );
        }
    }
}

/// A loop that only its own body can end has no bound that a reader sees.
#[test]
fn loops_are_bounded_and_nothing_is_scanned() {
    for (file, source) in SOURCES.iter().chain(INCLUDES) {
        let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
        for word in ["while true", "repeat", "'KEYS'", "'SCAN'", "'SMEMBERS'"] {
            let found = code.iter().find(|line| line.contains(word));
            assert!(found.is_none(), "{file} has `{word}`: its work would not be bounded");
        }
        // Whole ranges only with a limit; whole hashes only of a job, the books, which have a field for
        // each route and move, and the hours and acts of a group, which are few.
        for line in source.lines().filter(|line| line.contains("'ZRANGE'") && line.contains("-inf")) {
            assert!(line.contains("'LIMIT'"), "{file}: no limit in `{line}`");
        }
        for line in source.lines().filter(|line| line.contains("'LRANGE'")) {
            let is_bounded = ["MAX_BATCH", "upto"].iter().any(|bound| line.contains(bound));
            assert!(is_bounded, "{file}: no bound in `{line}`");
        }
        let whole = |line: &&str| line.contains("'HGETALL'") || line.contains("'HKEYS'");
        for line in source.lines().filter(whole) {
            assert!(
                ["JOB", "key)", "BOOKS", "hours)", "acts)"].iter().any(|word| line.contains(word)),
                "{file}: `{line}`"
            );
        }
    }
}

/// `make lint` has luacheck read what this writes.
#[test]
fn composed_scripts_are_lua() {
    let lua = mlua::Lua::new();
    for (file, pair) in ALL {
        let (_, code) = pair.text.split_once('\n').unwrap();
        lua.load(code).into_function().unwrap_or_else(|error| panic!("{file}: {error}"));
        if let Some(folder) = std::env::var_os("UPSHOT_LUA_DIR") {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(Path::new(&folder).join(file), &*pair.text).unwrap();
        }
    }
}

#[test]
fn scripts_are_told_apart_by_their_digests() {
    let digests: HashSet<&str> = ALL.iter().map(|(_, pair)| pair.live.get_hash()).collect();
    assert_eq!(digests.len(), ALL.len());
}
