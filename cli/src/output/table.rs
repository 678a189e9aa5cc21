//! Rows that fit the screen.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Width, presets::NOTHING};

/// Blanks between columns.
const GAP: u16 = 2;
/// Lines that a cell may take on a screen. A longer cell loses its middle.
const MOST_LINES: usize = 6;

/// A table. Rows may come in several parts under the same headings.
pub struct Table<const N: usize> {
    headings: Option<[&'static str; N]>,
    /// Columns whose cells may be broken into several lines.
    wrapping: &'static [usize],
    indent: u16,
    /// The widths of the first part, once known.
    widths: Vec<u16>,
}

impl<const N: usize> Table<N> {
    /// A table with headings.
    pub fn new(headings: [&'static str; N]) -> Self {
        Self { headings: Some(headings), wrapping: &[], indent: 0, widths: Vec::new() }
    }

    /// A table without headings.
    pub fn bare() -> Self {
        Self { headings: None, wrapping: &[], indent: 0, widths: Vec::new() }
    }

    /// Names the columns whose cells may wrap. Cells of other columns stay whole, because they are
    /// names to copy.
    pub fn wrapping(&mut self, columns: &'static [usize]) -> &mut Self {
        self.wrapping = columns;
        self
    }

    /// Indents the table by two blanks.
    pub fn indented(&mut self) -> &mut Self {
        self.indent = GAP;
        self
    }

    /// The lines of a part, for a screen of this width or for none. On a screen long cells wrap. In
    /// a file or a pipe each row is one line and nothing is left out. Numbers are right-aligned.
    pub(super) fn lines(&mut self, rows: &[[String; N]], width: Option<u16>) -> Vec<String> {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING);
        if let Some(width) = width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        let is_first = self.widths.is_empty();
        if let Some(headings) = self.headings.filter(|_| is_first) {
            table.set_header(headings);
        }
        let most = width.map(|width| usize::from(width) * MOST_LINES / 2);
        for row in rows {
            table
                .add_row(row.iter().map(|cell| most.map_or_else(|| cell.clone(), |most| middle(cell, most))));
        }
        let natural = table.column_max_content_widths();
        for (place, column) in table.column_iter_mut().enumerate() {
            let is_last = place + 1 == N;
            let left = if place == 0 { self.indent } else { 0 };
            column.set_padding((left, if is_last { 0 } else { GAP }));
            let mut cells = rows.iter().filter_map(|row| row.get(place));
            if !rows.is_empty() && cells.all(|cell| cell.bytes().all(|byte| byte.is_ascii_digit())) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            let is_wrapping = width.is_some() && self.wrapping.contains(&place);
            let before = self.widths.get(place).copied().unwrap_or_default();
            if !is_wrapping {
                let content = natural.get(place).copied().unwrap_or_default().max(before);
                let whole = content.saturating_add(column.padding_width());
                column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(whole)));
            }
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        if is_first {
            self.widths = natural;
        }
        lines
    }
}

/// The text, without its middle if it is longer than this. Both ends tell most.
pub fn middle(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let tail = most.saturating_sub(1) / 2;
    let head = most.saturating_sub(1 + tail);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}
