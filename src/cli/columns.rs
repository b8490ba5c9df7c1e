//! Tables in a terminal.

/// Between two columns.
pub const GAP: &str = "  ";

/// Rows as lines: the first column begins at the left, the others end below each other.
pub fn aligned(rows: &[Vec<String>]) -> String {
    aligned_after(rows, 1)
}

/// The same with so many columns that begin at the left.
pub fn aligned_after(rows: &[Vec<String>], left: usize) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cell = |(k, cell): (usize, &String)| {
            let width = widths[k];
            if k < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        };
        let line = row.iter().enumerate().map(cell).collect::<Vec<_>>().join(GAP);
        text += line.trim_end();
        text.push('\n');
    }
    text
}
