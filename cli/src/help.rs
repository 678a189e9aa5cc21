//! `upshot --help`: the commands, grouped by purpose.

use std::{ffi::OsStr, fmt::Write, path::Path};

use clap::{Command, CommandFactory};

use upshot_runtime::settings::Program;

use crate::{arguments::Arguments, exit::Exit};

/// The groups, and their commands in order.
const GROUPS: [(&str, &[&str]); 9] = [
    ("Run the services", &["up", "bridge", "executor", "api", "doctor"]),
    ("Publish events", &["publish"]),
    (
        "Outcomes",
        &[
            "overview",
            "overdue",
            "outcomes",
            "tenants",
            "objectives",
            "alarms",
            "story",
            "waive",
            "note",
            "owner",
            "erase",
            "audit",
        ],
    ),
    ("Jobs", &["jobs", "job", "why", "retry", "cancel", "reschedule", "prioritise"]),
    (
        "Queues",
        &[
            "queues",
            "pause",
            "resume",
            "signal",
            "confirm",
            "unpark",
            "limit",
            "config",
            "schedule",
            "outbox-end",
        ],
    ),
    ("Failures", &["dead", "operation"]),
    ("Quarantine", &["quarantine"]),
    ("Access", &["login", "logout", "profiles", "me", "token", "link", "audit-log"]),
    ("Reference", &["settings", "completion", "openapi", "asyncapi", "help"]),
];
/// The columns in which the text of a command begins and ends.
const COLUMNS: (usize, usize) = (15, 98);

/// The command line. clap lists subcommands under one heading only, so the template holds the
/// groups.
pub fn command(program: &Program, own: Vec<Command>) -> Command {
    let names: Vec<String> = own.iter().map(|command| command.get_name().to_owned()).collect();
    let of_program: Vec<&str> = names.iter().map(String::as_str).collect();
    let arguments = Arguments::command().name(name_of(program)).version(version_of(program)).subcommands(own);
    let mut built = arguments.clone();
    built.build();
    let groups = GROUPS.iter().copied().chain([("This program", of_program.as_slice())]);
    let mut template = String::from("{about-with-newline}\n{usage-heading} {usage}\n");
    for (heading, names) in groups.filter(|(_, names)| !names.is_empty()) {
        // Writing to a string does not fail.
        let _ = writeln!(template, "\n{heading}:");
        for name in names {
            let about = built.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let mut line = format!("  {name:<width$}", width = COLUMNS.0 - 2);
            let mut empty = true;
            for word in about.split_whitespace() {
                if !empty && line.len() + 1 + word.len() > COLUMNS.1 {
                    let _ = writeln!(template, "{line}");
                    line = " ".repeat(COLUMNS.0);
                    empty = true;
                }
                if !empty {
                    line.push(' ');
                }
                line.push_str(word);
                empty = false;
            }
            let _ = writeln!(template, "{line}");
        }
    }
    template.push_str("\nOptions:\n{options}{after-help}");
    arguments.help_template(template).after_help(Exit::help())
}

/// The program's name: its own, or that of its file.
fn name_of(program: &Program) -> &'static str {
    if !program.name.is_empty() {
        return program.name;
    }
    let file = std::env::current_exe().ok();
    let stem = file.as_deref().and_then(Path::file_stem).and_then(OsStr::to_str);
    // Once a process: the command line keeps it for as long as the process runs.
    stem.map_or("upshot", |stem| Box::leak(stem.to_owned().into_boxed_str()))
}

fn version_of(program: &Program) -> &'static str {
    match program.version {
        "" => concat!("on Upshot ", env!("CARGO_PKG_VERSION")),
        own => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut built = Arguments::command();
        built.build();
        let mut known: Vec<&str> = built.get_subcommands().map(Command::get_name).collect();
        grouped.sort_unstable();
        known.sort_unstable();
        assert_eq!(grouped, known);
    }
}
