//! Tab-separated tables with a header, as BIDS wants them: UTF-8, `n/a` for what is missing. What spreadsheets add is passed
//! over: a byte order mark, carriage returns, empty lines.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::study::{error::Error, file, nearest::slip_of};

/// A table read from a file: every cell as text, each row as long as the header.
#[derive(Clone, Debug)]
pub struct Table {
    path: PathBuf,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Where each row begins, the header being line 1.
    lines: Vec<u64>,
}

/// What stands between the cells of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Separator {
    /// As BIDS wants it; quotation marks are part of a cell.
    Tab,
    /// Cells may be quoted.
    Comma,
    /// Cells may be quoted.
    Semicolon,
}

impl Separator {
    fn character(self) -> char {
        match self {
            Separator::Tab => '\t',
            Separator::Comma => ',',
            Separator::Semicolon => ';',
        }
    }
}

impl Table {
    /// Reads a TSV file; a row of another length than the header is an error that names its line.
    pub fn read(path: &Path) -> Result<Table, Error> {
        Table::parse(path, &file::read_text(path)?)
    }

    /// A table from the text of a TSV file named `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Table, Error> {
        Table::parse_separated(path, text, Separator::Tab)
    }

    /// A table from the text of a file named `path`, whose cells are separated by something else than tabs.
    pub fn parse_separated(path: &Path, text: &str, separator: Separator) -> Result<Table, Error> {
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator.character() as u8)
            .quoting(separator != Separator::Tab)
            .flexible(true)
            .from_reader(text.as_bytes());
        let at = |line, what: String| Error::Line { path: path.into(), line, what };
        // For the reader a row begins where the one before ends: before empty lines, and within a pair of return and feed.
        let (mut passed, mut line) = (0, 1);
        let mut line_of = |position: Option<&csv::Position>| {
            let rest = &text[position.map_or(passed, |position| position.byte() as usize)..];
            let begin = text.len() - rest.trim_start_matches(['\r', '\n']).len();
            line += text[passed..begin].matches('\n').count() as u64;
            passed = begin;
            line
        };
        let header = reader.headers().map_err(|e| at(1, e.to_string()))?.clone();
        let first = line_of(header.position());
        let header: Vec<String> = header.iter().map(str::to_owned).collect();
        if header.iter().all(|name| name.is_empty()) {
            return Err(Error::content(path, "the table has no header"));
        }
        if let Some(twice) = header.iter().enumerate().find(|(i, name)| header[..*i].contains(name)) {
            return Err(at(first, format!("column {:?} stands twice", twice.1)));
        }
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(|e| at(line_of(e.position()), e.to_string()))?;
            let line = line_of(record.position());
            if record.len() != header.len() {
                return Err(at(line, format!("expected {} cells, found {}", header.len(), record.len())));
            }
            rows.push(record.iter().map(str::to_owned).collect());
            lines.push(line);
        }
        Ok(Table { path: path.into(), header, rows, lines })
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The number of rows below the header.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row below the header.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Where a column stands, if there is one of that name.
    pub fn find(&self, column: &str) -> Option<usize> {
        self.header.iter().position(|name| name == column)
    }

    /// Where a column stands; an error that names it, the file and the nearest column if there is none.
    pub fn column(&self, column: &str) -> Result<usize, Error> {
        self.find(column).ok_or_else(|| {
            let near = slip_of(self.header.iter().map(String::as_str), column);
            let hint = near.map(|found| format!("; the nearest is {found:?}")).unwrap_or_default();
            Error::content(&self.path, format!("column {column:?} is missing{hint}"))
        })
    }

    /// A cell as it is written.
    pub fn text(&self, row: usize, column: usize) -> &str {
        &self.rows[row][column]
    }

    /// A cell as a finite number; `None` for `n/a`; an error that names the line otherwise.
    pub fn number(&self, row: usize, column: usize) -> Result<Option<f64>, Error> {
        match self.text(row, column) {
            "n/a" => Ok(None),
            text => match text.trim().parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Some(value)),
                _ => Err(self.error(row, format!("column {:?}: {text:?} is not a number", self.header[column]))),
            },
        }
    }

    /// A cell that must hold a finite number.
    pub fn required_number(&self, row: usize, column: usize) -> Result<f64, Error> {
        self.number(row, column)?
            .ok_or_else(|| self.error(row, format!("column {:?}: a number is missing", self.header[column])))
    }

    /// An error at a row.
    pub fn error(&self, row: usize, what: impl Into<String>) -> Error {
        Error::Line { path: self.path.clone(), line: self.lines[row], what: what.into() }
    }
}

/// Writes a table whole. A cell with a tab or line break would break it and is refused.
pub fn write<R, C>(path: &Path, header: &[&str], rows: R) -> Result<(), Error>
where
    R: IntoIterator<Item = C>,
    C: IntoIterator<Item = String>,
{
    write_separated(path, Separator::Tab, header, rows)
}

/// Like [`write()`], for a program that wants its cells separated by something else. No cell is quoted: one that would have to
/// be is refused.
pub fn write_separated<R, C>(path: &Path, separator: Separator, header: &[&str], rows: R) -> Result<(), Error>
where
    R: IntoIterator<Item = C>,
    C: IntoIterator<Item = String>,
{
    let between = separator.character();
    let joined = |cells: &[String]| cells.join(between.encode_utf8(&mut [0; 4]));
    let mut text = joined(&header.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()) + "\n";
    for row in rows {
        let cells: Vec<String> = row.into_iter().collect();
        assert_eq!(cells.len(), header.len(), "a row as long as its header");
        let is_unfit =
            |cell: &&String| cell.contains([between, '\n', '\r']) || separator != Separator::Tab && cell.contains('"');
        if let Some(cell) = cells.iter().find(is_unfit) {
            return Err(Error::content(path, format!("{cell:?} cannot stand in a table")));
        }
        text += &joined(&cells);
        text.push('\n');
    }
    file::write(path, text.as_bytes())
}

/// A number with up to `decimals` decimals, without trailing zeros; `n/a` where it is missing or not finite.
pub fn cell(value: impl Into<Option<f64>>, decimals: usize) -> String {
    match value.into() {
        Some(value) if value.is_finite() => {
            let text = format!("{value:.decimals$}");
            let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
            if text == "-0" { "0".into() } else { text.into() }
        }
        _ => "n/a".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Table, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Table::read(file.path())
    }

    #[test]
    fn numbers_lose_their_trailing_zeros_only() {
        assert_eq!(cell(1.5, 6), "1.5");
        assert_eq!(cell(100.0, 3), "100");
        assert_eq!(cell(100.0, 0), "100");
        assert_eq!(cell(-0.0001, 2), "0");
        assert_eq!(cell(f64::NAN, 2), "n/a");
        assert_eq!(cell(None, 2), "n/a");
    }

    #[test]
    fn a_bad_cell_is_named_with_its_line() {
        let table = read("onset\tname\n0.5\ta\nsoon\tb\n").unwrap();
        assert_eq!(table.number(0, 0).unwrap(), Some(0.5));
        let message = table.number(1, 0).unwrap_err().to_string();
        assert!(message.contains("line 3") && message.contains("\"onset\"") && message.contains("soon"), "{message}");
    }

    #[test]
    fn a_missing_column_is_named_with_one_that_is_spelt_nearly_so() {
        let table = read("onset\tduraton\n0.5\t1\n").unwrap();
        let complaint = |column: &str| table.column(column).unwrap_err().to_string();
        assert!(complaint("duration").ends_with("column \"duration\" is missing; the nearest is \"duraton\""));
        assert!(complaint("trial_type").ends_with("column \"trial_type\" is missing"));
    }

    #[test]
    fn a_line_is_that_of_the_file_whatever_stands_before_it() {
        let text = "name,onset\n\n\"two\nlines, quoted\",1\n\nb,soon\n";
        let table = Table::parse_separated(Path::new("log.csv"), text, Separator::Comma).unwrap();
        assert_eq!(table.text(0, 0), "two\nlines, quoted");
        let message = table.number(1, 1).unwrap_err().to_string();
        assert!(message.starts_with("log.csv, line 6: "), "{message}");
    }

    #[test]
    fn what_spreadsheets_add_is_passed_over_and_lines_are_those_of_the_file() {
        let table = read("\u{feff}onset\tname\r\n\r\n0.5\ta\r\n\n\nsoon\tb\r\n").unwrap();
        assert_eq!((table.header()[0].as_str(), table.len(), table.text(0, 1)), ("onset", 2, "a"));
        let message = table.number(1, 0).unwrap_err().to_string();
        assert!(message.contains("line 6"), "{message}");
        let message = read("a\tb\r\n\r\n\r\n1\r\n").unwrap_err().to_string();
        assert!(message.contains("line 4: expected 2 cells, found 1"), "{message}");
    }

    #[test]
    fn a_short_row_and_a_doubled_column_are_refused() {
        assert!(read("a\tb\n1\n").unwrap_err().to_string().contains("line 2: expected 2 cells, found 1"));
        assert!(read("a\ta\n1\t2\n").unwrap_err().to_string().contains("\"a\" stands twice"));
        assert!(read("").is_err());
    }
}
