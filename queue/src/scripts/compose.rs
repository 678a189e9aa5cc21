//! Puts scripts together: each gets the functions that it calls, the keys and numbers that these
//! use, and nothing else.
//!
//! A line `-- include: job, claim/lease` stands where the includes go: at the end of a file's
//! header, or behind a part that may return without them, because each function costs time when
//! it is created. Each include comes once, behind those that it names itself. Of an include a
//! script gets the functions that are called. An include that does not exist, or that includes
//! itself, is left out here; a test refuses both.
//!
//! Numbers are written into the code in place of their names ([`policy`]).

use std::collections::HashSet;

use super::policy;
use crate::redis::keys::NAMES;

macro_rules! includes {
    ($($name:literal)*) => {
        /// The includes by name: the files below `include`.
        pub(super) const INCLUDES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("include/", $name, ".lua"))),)*];
    };
}

includes! {
    "add_line" "append" "append_history" "await" "books" "bucket" "bury" "clocks" "expire" "fence" "fingerprint"
    "flow" "forget" "forget_signal" "free" "group" "group_act" "insert" "int" "job" "kinds" "lane" "lane_gone"
    "leases" "leave_need" "leave_ring" "limits" "live_workers" "merge" "moves" "open" "operation" "park"
    "place_in_lane" "position" "put" "recur" "relayed" "release_lanes" "release_parked" "replaced" "reservations"
    "ring" "running" "schedules" "signals" "since" "spent" "state" "take_first" "take_out" "tenant" "time_bucket"
    "turns"
    "unknown_member" "verdict" "watch_deadline" "window"
    "claim/kinds" "claim/lease" "claim/new" "claim/reserve" "claim/ring" "claim/take"
}

/// Which clock a script reads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Clock {
    /// Redis' own.
    Live,
    /// The one that a test sets.
    Test,
}

/// Key names that stand in front of `main`. Lua lets a function take over 60 locals of another one.
const KEYS_OUTSIDE: usize = 40;

/// The whole text of a script.
pub(super) fn compose(flags: &str, clock: Clock, source: &'static str) -> String {
    let (micros, call_bytes) = match clock {
        Clock::Live => (LIVE_CLOCK, policy::CALL_BYTES),
        Clock::Test => (TEST_CLOCK, policy::TEST_CALL_BYTES),
    };
    let parts = called_parts(source);
    let mut used: HashSet<&str> = parts.iter().chain([&micros]).flat_map(|part| words(part)).collect();
    used.insert("call");
    let mut text = format!("{flags}\n");
    let mut local = |name: &str, value: &str| {
        if used.contains(name) {
            text.push_str(&format!("local {name} = {value}\n"));
        }
    };
    // Locals are found faster than globals.
    for name in ["redis", "ARGV", "unpack", "string", "tonumber"] {
        local(name, name);
    }
    local("call", "redis.call");
    local("CONTROL", "KEYS[1]");
    let keys: Vec<_> = NAMES.iter().filter(|(name, _)| used.contains(name)).collect();
    let (outside, inside) = keys.split_at(keys.len().min(KEYS_OUTSIDE));
    let key = |(name, rest): &&(&str, &str)| format!("local {name} = KEYS[1] .. '{rest}'\n");
    text.extend(outside.iter().map(key));
    text.push_str(micros);
    // A function that is created here would look for each of the names among all open locals.
    // Inside another function it takes them over from that: a call costs 3 to 8 µs less.
    text.push_str("local function main()\n");
    text.extend(inside.iter().map(key));
    let constants = policy::constants(call_bytes);
    for part in parts {
        for line in part.lines().filter(|line| !line.trim_start().starts_with("--")) {
            push_line(&mut text, &line.replace("redis.call(", "call("), &constants);
        }
    }
    text.push_str("end\nreturn main()\n");
    text
}

/// Adds a line of code, with numbers in place of their names, but for those in quotes.
fn push_line(text: &mut String, line: &str, constants: &[(&str, String)]) {
    for (i, part) in line.split('\'').enumerate() {
        if i > 0 {
            text.push('\'');
        }
        if i % 2 == 1 {
            text.push_str(part);
            continue;
        }
        let mut rest = part;
        while let Some(start) = rest.find(is_in_word) {
            let (before, word) = rest.split_at(start);
            let (word, behind) = word.split_at(word.find(|c| !is_in_word(c)).unwrap_or(word.len()));
            let constant = constants.iter().find(|(name, _)| *name == word).map(|(_, value)| value.as_str());
            text.push_str(before);
            text.push_str(constant.unwrap_or(word));
            rest = behind;
        }
        text.push_str(rest);
    }
    text.push('\n');
}

/// The functions of the includes that a script calls, itself or through others, and the parts of
/// the script, in order.
fn called_parts(source: &'static str) -> Vec<&'static str> {
    let files = parts_of(source);
    let is_own = |part: &&'static str| source.as_bytes().as_ptr_range().contains(&part.as_ptr());
    let mut used: HashSet<&str> = words(source).collect();
    let items = files.into_iter().flat_map(|part| if is_own(&part) { vec![part] } else { items_of(part) });
    let mut parts = Vec::new();
    // An item calls only what stands before it.
    for item in items.collect::<Vec<_>>().into_iter().rev() {
        if is_own(&item) || names_of(item).iter().any(|name| used.contains(name)) {
            used.extend(words(item));
            parts.push(item);
        }
    }
    parts.reverse();
    parts
}

/// The functions and constants of an include, which begin at the margin.
pub(super) fn items_of(source: &'static str) -> Vec<&'static str> {
    let starts: Vec<usize> = source
        .match_indices("local ")
        .map(|(at, _)| at)
        .filter(|at| source.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with('\n')))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([source.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| source.get(*start..end)).collect()
}

/// The names that a function or constant defines.
pub(super) fn names_of(item: &'static str) -> Vec<&'static str> {
    let line = item.lines().next().unwrap_or_default().trim_start_matches("local ");
    match line.strip_prefix("function ") {
        Some(function) => function.split('(').take(1).collect(),
        None => line.split(" = ").next().unwrap_or_default().split(", ").collect(),
    }
}

fn is_in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The texts of the includes of a file, in the order of their dependencies, and the parts of the
/// file around them.
pub(super) fn parts_of(source: &'static str) -> Vec<&'static str> {
    let mut parts = Vec::new();
    add(source, &mut HashSet::new(), &mut parts);
    parts
}

fn add(source: &'static str, seen: &mut HashSet<&'static str>, parts: &mut Vec<&'static str>) {
    let (mut start, mut end) = (0, 0);
    for line in source.split_inclusive('\n') {
        let names = included(line);
        if names.is_some() {
            parts.extend(source.get(start..end).filter(|part| !part.is_empty()));
            start = end + line.len();
        }
        end += line.len();
        for name in names.into_iter().flatten() {
            if let Some((_, text)) = INCLUDES.iter().find(|(each, _)| *each == name)
                && seen.insert(name)
            {
                add(text, seen, parts);
            }
        }
    }
    parts.extend(source.get(start..).filter(|part| !part.is_empty()));
}

/// The includes that a file names.
#[cfg(test)]
pub(super) fn named_in(source: &'static str) -> impl Iterator<Item = &'static str> {
    source.lines().filter_map(included).flatten()
}

fn included(line: &'static str) -> Option<impl Iterator<Item = &'static str>> {
    Some(line.strip_prefix("-- include: ")?.trim_end().split(", "))
}

/// The words of code, without what is in quotes.
pub(super) fn words(source: &str) -> impl Iterator<Item = &str> {
    source
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .flat_map(|line| line.split('\'').step_by(2))
        .flat_map(|code| code.split(|c: char| !is_in_word(c)))
}

const LIVE_CLOCK: &str = "local function micros()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
";
const TEST_CLOCK: &str =
    "local function micros() return tonumber(redis.call('GET', CONTROL .. ':clock')) end\n";
