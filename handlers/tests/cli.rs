//! What the binary says of itself is what is committed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

fn help(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upshot"));
    let output = command.args(arguments).arg("--help").env_clear().env("COLUMNS", "100").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that the help lists: their lines begin with two spaces and a name.
fn commands(help: &str) -> Vec<String> {
    let listed = help.split("\nOptions:").next().unwrap();
    let name = |line: &str| {
        let name = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '))?.split(' ').next()?;
        let is_name = name.starts_with(|char: char| char.is_ascii_lowercase());
        Some(name.to_owned()).filter(|name| is_name && name != "help")
    };
    listed.lines().filter_map(name).collect()
}

#[test]
fn help_matches_the_snapshot() {
    let mut all = help(&[]);
    let first = commands(&all);
    assert!(first.len() > 20, "{first:?}");
    for command in first {
        let text = help(&[&command]);
        all.push_str(&format!("\n# upshot {command}\n\n{text}"));
        for below in commands(&text) {
            let text = help(&[&command, &below]);
            all.push_str(&format!("\n# upshot {command} {below}\n\n{text}"));
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &all).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == all,
        "docs/cli.txt is not what `upshot --help` says: run the tests with UPDATE_SNAPSHOTS=1"
    );
}

#[test]
fn settings_are_printed_with_those_of_the_handlers() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upshot"));
    let output = command.arg("settings").env_clear().output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for words in ["[bridge]", "[queues.invoices]", "# [app.seller]", "# [app.invoice]"] {
        assert!(text.contains(words), "`{words}` is not in:\n{text}");
    }
}
