//! Tables of text.

use serde_json::Value;

/// A field as text; `-` where it is null or missing.
pub fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    }
}

/// The members of a list.
pub fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Prints rows under headings, each column as wide as it has to be; numbers
/// stand to the right.
pub fn print<const N: usize>(headings: [&str; N], rows: &[[String; N]]) {
    for line in lines(headings, rows) {
        println!("{line}");
    }
}

fn lines<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let headings = headings.map(str::to_owned);
    let all = || std::iter::once(&headings).chain(rows);
    let column = |n: usize| all().filter_map(move |row| row.get(n));
    let widths: Vec<usize> =
        (0..N).map(|n| column(n).map(|cell| cell.chars().count()).max().unwrap_or_default()).collect();
    let numbers: Vec<bool> = (0..N)
        .map(|n| !rows.is_empty() && column(n).skip(1).all(|cell| cell.bytes().all(|b| b.is_ascii_digit())))
        .collect();
    all()
        .map(|row| {
            let cells = row.iter().zip(&widths).zip(&numbers).map(|((cell, width), number)| {
                if *number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        let rows = [["invoices", "7", "a b"], ["é", "1200", "c"]].map(|row| row.map(str::to_owned));
        let expected = ["QUEUE     DEAD  WHY", "invoices     7  a b", "é         1200  c"];
        assert_eq!(lines(["QUEUE", "DEAD", "WHY"], &rows), expected);
        assert_eq!(lines(["QUEUE", "DEAD"], &[]), ["QUEUE  DEAD"]);
    }
}
