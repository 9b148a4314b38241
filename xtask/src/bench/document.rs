//! The tables of docs/performance.md: a whole run, between two marks that a reader does not see.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::number;
use super::row::{self, Row};

const BEGIN: &str = "<!-- bench: `cargo xtask bench` writes what follows -->\n";
const END: &str = "<!-- bench: end -->";

/// `text` with `tables` in the place of what is between the marks.
///
/// # Errors
/// A mark is missing.
pub(super) fn with_tables(text: &str, tables: &str) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).with_context(|| format!("no line {}", BEGIN.trim_end()))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("no line {END} after it"))?;
    Ok(format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

/// A line about the machine, and a table for each kind of row.
pub(super) fn tables(machine: &str, rows: &[Row]) -> String {
    let tx = row::yardstick(rows);
    let mut kinds: Vec<_> = rows.iter().map(Row::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let tables = kinds.into_iter().map(|kind| {
        let rows: Vec<_> = rows.iter().filter(|row| row.kind() == kind).collect();
        format!("### {}\n\n{}", kind.heading(), table(&rows, tx))
    });
    std::iter::once(format!("{machine}\n")).chain(tables).collect::<Vec<_>>().join("\n")
}

/// The last column is there if the rows are nanoseconds a packet.
fn table(rows: &[&Row], tx: Option<f64>) -> String {
    let with_times = rows.iter().any(|row| row.times(tx).is_some());
    let mut table = "| row | median | | min | max |".to_owned();
    table.push_str(if with_times { " times `tx` |\n" } else { "\n" });
    table.push_str(if with_times { "|---|--:|---|--:|--:|--:|\n" } else { "|---|--:|---|--:|--:|\n" });
    for row in rows {
        let Row { name, unit, .. } = row;
        let [median, min, max] = [row.median, row.min, row.max].map(number::shown);
        let times = row.times(tx).map(|times| format!(" {times} |")).unwrap_or_default();
        let _infallible = writeln!(table, "| `{name}` | {median} | {unit} | {min} | {max} |{times}");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    #[test]
    fn kinds_have_a_table_each_in_their_order() {
        let rows = [
            row("yardstick-tx", "ns", 11.0),
            row("wrr-dr-v4-tcp-1", "ns", 66.0),
            row("apply-1000x100", "ms", 1_900.0),
            row("pass-v4-tcp", "ns", 33.0),
        ];
        let want = "\
A machine.

### Yardsticks

| row | median | | min | max | times `tx` |
|---|--:|---|--:|--:|--:|
| `yardstick-tx` | 11.0 | ns | 10.0 | 12.0 | 1.0 |

### Packets of no known flow

| row | median | | min | max | times `tx` |
|---|--:|---|--:|--:|--:|
| `pass-v4-tcp` | 33.0 | ns | 32.0 | 34.0 | 3.0 |

### Known flows, `wrr`

| row | median | | min | max | times `tx` |
|---|--:|---|--:|--:|--:|
| `wrr-dr-v4-tcp-1` | 66.0 | ns | 65.0 | 67.0 | 6.0 |

### Control plane

| row | median | | min | max |
|---|--:|---|--:|--:|
| `apply-1000x100` | 1,900 | ms | 1,899 | 1,901 |
";
        assert_eq!(tables("A machine.", &rows), want);
    }

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let text = format!("before\n{BEGIN}old\n{END}\nafter\n");
        let new = with_tables(&text, "new\n").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}\nnew\n\n{END}\nafter\n"));
        assert_eq!(with_tables(&new, "new\n").unwrap(), new);
    }

    #[test]
    fn a_missing_mark_is_named() {
        let said = |text: &str| with_tables(text, "").unwrap_err().to_string();
        assert_eq!(said("x"), "no line <!-- bench: `cargo xtask bench` writes what follows -->");
        assert_eq!(said(BEGIN), "no line <!-- bench: end --> after it");
    }
}
