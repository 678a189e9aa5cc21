//! Everything that a command writes goes through here.
//!
//! | module | its one thing |
//! |---|---|
//! | [`page`] | an answer for people, line by line |
//! | [`table`] | rows that fit the screen |
//!
//! A command gives each answer twice, as a value for `--json` and as lines for people, so that
//! neither can be forgotten. The writer escapes what a person could not see. A closed pipe (`upshot
//! jobs | head`) ends the command quietly, as for other programs; a full disk is an error.

mod page;
mod table;

use std::{
    fmt::Display,
    io::{self, BufWriter, IsTerminal, Write},
};

use serde::Serialize;
use terminal_size::{Width, terminal_size_of};
use upshot_shared::visible::{json_visible, visible};

use crate::exit::Exit;

pub use page::Page;
pub use table::Table;

/// The width of a terminal that does not report one.
const USUAL: u16 = 80;
/// The least width that is assumed for a terminal.
const LEAST: u16 = 40;

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    /// The reader closed the pipe.
    #[error("standard output is closed")]
    Closed,
    /// For example, the disk is full.
    #[error("standard output cannot be written: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(error),
        }
    }
}

/// Standard output, for people or as JSON.
pub struct Output {
    writer: Box<dyn Write + Send>,
    is_json: bool,
    width: Option<u16>,
}

impl Output {
    /// The standard output of this process.
    pub fn standard(is_json: bool) -> Self {
        Self { writer: Box::new(BufWriter::new(io::stdout())), is_json, width: width() }
    }

    /// Writes an answer: its value as a JSON document, or the page for people.
    pub fn answer(&mut self, value: &impl Serialize, page: impl FnOnce(&mut Page)) -> Result<(), Unwritten> {
        self.put(serde_json::to_string_pretty(value), page)
    }

    /// Writes one of several answers: its value as JSON on a line, or the page for people.
    pub fn item(&mut self, value: &impl Serialize, page: impl FnOnce(&mut Page)) -> Result<(), Unwritten> {
        self.put(serde_json::to_string(value), page)
    }

    /// Writes rows of a list: each value as JSON on a line, or the page for people.
    pub fn items(
        &mut self,
        values: &[impl Serialize],
        page: impl FnOnce(&mut Page),
    ) -> Result<(), Unwritten> {
        let lines = values.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
        self.put(lines.map(|lines| lines.join("\n")), page)
    }

    /// Writes a text of this program, such as the settings: its value as JSON, or the plain text.
    pub fn document(&mut self, value: &impl Serialize, text: &str) -> Result<(), Unwritten> {
        self.answer(value, |page| text.lines().for_each(|line| page.line(line)))
    }

    /// Writes a text that is already JSON.
    pub fn json(&mut self, text: &str) -> Result<(), Unwritten> {
        self.write([json_visible(text).as_ref()])
    }

    fn put(
        &mut self,
        json: serde_json::Result<String>,
        page: impl FnOnce(&mut Page),
    ) -> Result<(), Unwritten> {
        if self.is_json {
            let json = json.map_err(|error| Unwritten::Failed(error.into()))?;
            return if json.is_empty() { Ok(()) } else { self.json(&json) };
        }
        let mut lines = Page::new(self.width);
        page(&mut lines);
        let lines = lines.into_lines();
        self.write(lines.iter().map(|line| visible(line)))
    }

    /// Writes lines and flushes them, because a person may be watching.
    fn write<T: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = T>) -> Result<(), Unwritten> {
        for line in lines {
            self.writer.write_all(line.as_ref().as_bytes())?;
            self.writer.write_all(b"\n")?;
        }
        Ok(self.writer.flush()?)
    }
}

/// Writes a note to standard error: a warning, or how a list continues.
pub fn note(text: impl Display) {
    say(&mut io::stderr().lock(), &text.to_string());
}

/// Ends a command. An error goes to standard error.
pub fn ended(result: Result<(), anyhow::Error>) -> Exit {
    let Err(error) = result else { return Exit::Fine };
    let exit = Exit::of(&error);
    if exit != Exit::ClosedPipe {
        note(format_args!("error: {}", upshot_shared::said::once(error.as_ref())));
    }
    exit
}

/// Ends the process. A thread that still computes, such as a rendering, does not hold it up.
pub fn leave(exit: Exit) -> ! {
    std::process::exit(exit.code().into())
}

/// Ends a command line that asks for help or is wrong.
pub fn usage(error: &clap::Error) -> Exit {
    let text = error.render();
    if error.use_stderr() {
        note(text);
        return Exit::Usage;
    }
    let help = if io::stdout().is_terminal() { text.ansi().to_string() } else { text.to_string() };
    let mut stdout = io::stdout();
    let written = stdout.write_all(help.as_bytes()).and_then(|()| stdout.flush());
    ended(written.map_err(|error| Unwritten::from(error).into()))
}

/// Writes text and indents every line but the first, so that no later line looks like one of this
/// program.
fn say(writer: &mut impl Write, text: &str) {
    for (place, line) in text.trim_end().lines().enumerate() {
        let indent = if place > 0 && !line.is_empty() { "  " } else { "" };
        // If standard error is closed or full, the note is lost.
        let _ = writeln!(writer, "{indent}{}", visible(line));
    }
}

/// The width of lines: the terminal's, and unlimited in a file or a pipe. The variable COLUMNS
/// wins, as for other programs.
fn width() -> Option<u16> {
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let stdout = io::stdout();
    let seen = || terminal_size_of(&stdout).map_or(USUAL, |(Width(columns), _)| columns);
    let width = told.or_else(|| stdout.is_terminal().then(seen));
    width.map(|width| width.max(LEAST))
}

#[cfg(test)]
pub mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use serde_json::json;
    use upshot_shared::visible::is_shown;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a command writes, as JSON or at a width.
    pub fn written(is_json: bool, width: Option<u16>, command: impl FnOnce(&mut Output)) -> String {
        let kept = Kept::default();
        command(&mut Output { writer: Box::new(kept.clone()), is_json, width });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_made_of_our_lines_and_of_what_can_be_seen(text in any::<String>()) {
            // An empty value is left out of a page.
            let text = format!("x{text}");
            let value = json!({ "a": text });
            let page = |page: &mut Page| {
                page.line(&text);
                page.pairs(&[("label", text.clone())]);
                page.table(Table::new(["A", "B"]).wrapping(&[1]), &[[text.clone(), text.clone()]]);
            };
            let human = written(false, None, |out| out.answer(&value, page).unwrap());
            prop_assert_eq!(human.lines().count(), 4, "{:?}", human);
            let narrow = written(false, Some(80), |out| out.answer(&value, page).unwrap());
            let json = written(true, None, |out| out.item(&value, page).unwrap());
            prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&json).unwrap(), &value);
            prop_assert_eq!(json.lines().count(), 1);
            let mut said = Vec::new();
            say(&mut said, &format!("error: {text}"));
            let said = String::from_utf8(said).unwrap();
            prop_assert!(said.lines().skip(1).all(|line| line.is_empty() || line.starts_with("  ")), "{said:?}");
            for written in [human, narrow, json, said] {
                prop_assert!(written.chars().all(|char| char == '\n' || is_shown(char)), "{written:?}");
            }
        }
    }

    #[test]
    fn a_reader_that_went_away_and_a_full_disk_are_told_apart() {
        struct Refusing(io::ErrorKind);
        impl Write for Refusing {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Err(self.0.into())
            }
        }
        for (kind, closed) in [(io::ErrorKind::BrokenPipe, true), (io::ErrorKind::StorageFull, false)] {
            let mut out = Output { writer: Box::new(Refusing(kind)), is_json: false, width: None };
            let error = out.answer(&1, |page| page.line("a")).unwrap_err();
            assert_eq!(matches!(error, Unwritten::Closed), closed, "{error}");
        }
    }
}
