//! Aligned columns.

use super::style;
use anstyle::Style;
use unicode_width::UnicodeWidthStr;

const GAP: &str = "  ";

/// One cell of a table.
pub(super) struct Cell {
    text: String,
    style: Style,
    side: Side,
}

/// Where a cell stands in its column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
    /// As the numbers of the column do, if it has any.
    Heading,
}

impl Cell {
    /// The same in `style`.
    pub(super) const fn styled(mut self, style: Style) -> Self {
        self.style = style;
        self
    }
}

/// A cell of text.
#[expect(clippy::needless_pass_by_value, reason = "a reference would clutter every call")]
pub(super) fn text(text: impl ToString) -> Cell {
    Cell { text: text.to_string(), style: style::PLAIN, side: Side::Left }
}

/// A cell with a number, which goes to the right.
#[expect(clippy::needless_pass_by_value, reason = "a reference would clutter every call")]
pub(super) fn number(number: impl ToString) -> Cell {
    Cell { text: number.to_string(), style: style::PLAIN, side: Side::Right }
}

/// A cell with a number that may not be known.
pub(super) fn known(number: Option<u64>) -> Cell {
    self::number(number.map_or_else(|| "-".to_owned(), |number| number.to_string()))
}

/// Rows of cells in columns as wide as their widest cell.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table under these headings.
    pub(super) fn new<const N: usize>(headings: [&str; N]) -> Self {
        let mut table = Self::default();
        table.heading(headings);
        table
    }

    /// Adds a row of headings.
    pub(super) fn heading<const N: usize>(&mut self, headings: [&str; N]) {
        let cell = |text: &str| Cell { text: text.to_owned(), style: style::HEADING, side: Side::Heading };
        self.rows.push(headings.map(cell).into());
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// The lines of the table.
    pub(super) fn finish(&self) -> String {
        let count = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let columns: Vec<_> = (0..count).map(|index| self.column(index)).collect();
        self.rows.iter().map(|row| line(row, &columns)).collect()
    }

    fn column(&self, index: usize) -> Column {
        let cells = || self.rows.iter().filter_map(|row| row.get(index));
        let width = cells().map(|cell| cell.text.width()).max().unwrap_or(0);
        Column { width, has_numbers: cells().any(|cell| cell.side == Side::Right) }
    }
}

struct Column {
    width: usize,
    has_numbers: bool,
}

fn line(row: &[Cell], columns: &[Column]) -> String {
    let last = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
    let cells = row.iter().zip(columns).take(last).enumerate();
    let cells: Vec<_> =
        cells.map(|(index, (cell, column))| aligned(cell, column, index + 1 == last)).collect();
    cells.join(GAP) + "\n"
}

fn aligned(cell: &Cell, column: &Column, is_last: bool) -> String {
    let space = " ".repeat(column.width.saturating_sub(cell.text.width()));
    let is_right = cell.side == Side::Right || cell.side == Side::Heading && column.has_numbers;
    let (before, after) = match () {
        () if is_right => (space.as_str(), ""),
        () if is_last => ("", ""),
        () => ("", space.as_str()),
    };
    let (style, text) = (cell.style, &cell.text);
    format!("{before}{style}{text}{style:#}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_with_their_text() {
        let mut table = Table::new(["Name", "Packets", "State"]);
        table.row([text("web"), number(7), text("up").styled(style::GOOD)]);
        table.row([text("网站"), known(None), text("")]);
        table.row([text("a-long-name"), number(1_234_567), text("down")]);
        let want = "Name         Packets  State\n\
                    web                7  up\n\
                    网站               -\n\
                    a-long-name  1234567  down\n";
        assert_eq!(anstream::adapter::strip_str(&table.finish()).to_string(), want);
    }
}
