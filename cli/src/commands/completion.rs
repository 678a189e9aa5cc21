//! `upshot completion`: a script that completes commands and options in a shell.

use anyhow::Context;
use clap_complete::{Shell, generate};
use serde_json::json;

use crate::{arguments::Completion, output::Output};

/// Prints the script of a shell. It completes the program's own commands too.
pub fn print(line: clap::Command, completion: &Completion, out: &mut Output) -> anyhow::Result<()> {
    let script = script(line, completion.shell)?;
    out.document(&json!({"shell": completion.shell.to_string(), "script": script}), &script)?;
    Ok(())
}

fn script(mut line: clap::Command, shell: Shell) -> anyhow::Result<String> {
    let name = line.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut line, name, &mut script);
    String::from_utf8(script).context("the completion script is not UTF-8: this is a bug")
}

#[cfg(test)]
mod tests {
    use upshot_runtime::settings::Program;

    use super::*;
    use crate::help;

    #[test]
    fn every_shell_gets_every_command_and_the_programs_own() {
        let program = Program { name: "carrier", ..Program::default() };
        for shell in crate::arguments::SHELLS {
            let line = help::command(&program, vec![clap::Command::new("ship-all")]);
            let commands: Vec<String> =
                line.get_subcommands().map(|each| each.get_name().to_owned()).collect();
            let script = script(line, shell).unwrap();
            assert!(
                commands.len() > 40 && script.contains("carrier") && script.contains("ship-all"),
                "{shell}"
            );
            for command in commands {
                assert!(script.contains(&command), "{shell}: {command}");
            }
            assert!(script.contains("subject-prefix"), "{shell}");
        }
    }
}
