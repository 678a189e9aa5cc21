//! Script calls that held Redis up for long, from its `SLOWLOG`.
//!
//! Redis runs one command at a time, so a long call delays every client. The time is what passed,
//! so a call from which the machine took the core away counts as well. How many these are
//! [`crate::measure`] finds with a script that does nothing else.

use std::time::Duration;

use redis::aio::MultiplexedConnection;

/// What is long.
const LONG: Duration = Duration::from_millis(5);
/// Entries that Redis keeps: the most that are counted of one measurement. Each
/// takes up to 4 kB, which must not show in the memory that is measured.
const KEPT: usize = 512;

/// An entry: number, time, microseconds, command and arguments (shortened),
/// client, client's name.
type Entry = (i64, i64, u64, Vec<Vec<u8>>, String, String);

/// One slow call of a script.
#[derive(Clone, Debug)]
pub struct Call {
    /// The script's SHA-1.
    script: String,
    /// The first key, which says what it worked on.
    key: String,
    took: Duration,
}

/// The slow calls of one script.
#[derive(Debug, PartialEq)]
pub struct Slow {
    /// The script's SHA-1.
    pub script: String,
    /// The first key of the longest call.
    pub key: String,
    /// How many.
    pub calls: usize,
    /// The longest.
    pub longest: Duration,
}

/// From now on slow calls are written down.
pub async fn begin(redis: &mut MultiplexedConnection) -> anyhow::Result<()> {
    let (long, kept) = (LONG.as_micros().to_string(), KEPT.to_string());
    () = redis::cmd("CONFIG")
        .arg(&["SET", "slowlog-log-slower-than", &long, "slowlog-max-len", &kept])
        .query_async(redis)
        .await?;
    Ok(redis::cmd("SLOWLOG").arg("RESET").query_async(redis).await?)
}

/// Takes out what was written down since the last time of scripts whose keys begin so.
/// To be called between measurements: a peer's calls would push ours out of the log.
pub async fn take(redis: &mut MultiplexedConnection, prefix: &str) -> anyhow::Result<Vec<Call>> {
    let entries: Vec<Entry> = redis::cmd("SLOWLOG").arg("GET").arg(-1).query_async(redis).await?;
    () = redis::cmd("SLOWLOG").arg("RESET").query_async(redis).await?;
    Ok(entries.into_iter().filter_map(|entry| call(entry, prefix)).collect())
}

/// Script by script, the longest call first.
pub fn by_script(mut calls: Vec<Call>) -> Vec<Slow> {
    calls.sort_by_key(|call| std::cmp::Reverse(call.took));
    let mut all: Vec<Slow> = Vec::new();
    for Call { script, key, took } in calls {
        match all.iter_mut().find(|slow| slow.script == script) {
            Some(slow) => slow.calls += 1,
            None => all.push(Slow { script, key, calls: 1, longest: took }),
        }
    }
    all
}

/// Peers and the bare loop call scripts as well, on keys of their own.
fn call((_, _, micros, command, ..): Entry, prefix: &str) -> Option<Call> {
    // EVALSHA, the script's hash, the number of keys, the first key.
    let [name, script, _, key, ..] = command.as_slice() else { return None };
    let [script, key] = [script, key].map(|word| String::from_utf8_lossy(word).into_owned());
    let it_is = name.eq_ignore_ascii_case(b"EVALSHA") && key.starts_with(&format!("{prefix}:"));
    it_is.then(|| Call { script, key, took: Duration::from_micros(micros) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(micros: u64, command: &[&str]) -> Entry {
        let command = command.iter().map(|word| word.as_bytes().to_vec()).collect();
        (0, 0, micros, command, String::new(), String::new())
    }

    #[test]
    fn only_scripts_of_the_prefix_count_each_by_itself() {
        let entries = [
            entry(9_000, &["EVALSHA", "ab", "2", "bull:bench:wait", "bull:bench:active"]),
            entry(6_000, &["EVALSHA", "ef", "1", "upshot:{bench}:stats"]),
            entry(5_500, &["evalsha", "cd", "2", "upshot:{a}:ready", "upshot:{a}:running"]),
            entry(7_000, &["EVALSHA", "cd", "2", "upshot:{bench}:ready", "upshot:{bench}:running"]),
            entry(80_000, &["FLUSHALL", "SYNC"]),
        ];
        let found = |script: &str, key: &str, calls, ms| Slow {
            script: script.to_owned(),
            key: key.to_owned(),
            calls,
            longest: Duration::from_millis(ms),
        };
        let expected = [found("cd", "upshot:{bench}:ready", 2, 7), found("ef", "upshot:{bench}:stats", 1, 6)];
        assert_eq!(
            by_script(entries.into_iter().filter_map(|entry| call(entry, "upshot")).collect()),
            expected
        );
    }
}
