//! An answer for people, line by line.

use upshot_shared::visible::visible;

use super::Table;

/// Lines for people. The page escapes text when it is added, so that widths match the screen; the
/// writer escapes it again.
pub struct Page {
    lines: Vec<String>,
    width: Option<u16>,
}

impl Page {
    /// An empty page for a screen of this width; `None` for a file or a pipe.
    pub(super) fn new(width: Option<u16>) -> Self {
        Self { lines: Vec::new(), width }
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines
    }

    /// Adds a line unwrapped.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.lines.push(visible(text.as_ref()).into_owned());
    }

    /// Adds a line, wrapped at blanks if the screen is narrower.
    pub fn text(&mut self, text: impl Into<String>) {
        self.table(Table::bare().wrapping(&[0]), &[[text.into()]]);
    }

    /// Adds an empty line and a heading.
    pub fn heading(&mut self, text: &str) {
        self.line("");
        self.line(text);
    }

    /// Adds rows under their headings.
    pub fn table<const N: usize>(&mut self, table: &mut Table<N>, rows: &[[String; N]]) {
        let rows: Vec<[String; N]> =
            rows.iter().map(|row| row.each_ref().map(|cell| visible(cell).into_owned())).collect();
        self.lines.extend(table.lines(&rows, self.width));
    }

    /// Adds labels with values. A label without a value is left out.
    pub fn pairs(&mut self, pairs: &[(&str, String)]) {
        let rows: Vec<[String; 2]> = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(label, value)| [(*label).to_owned(), value.clone()])
            .collect();
        self.table(Table::bare().indented().wrapping(&[1]), &rows);
    }
}
