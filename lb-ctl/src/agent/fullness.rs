//! Tells when a table becomes nearly full, and when it is not any more.

use super::journal::News;
use super::limits;
use super::writer::Writer;
use crate::api::{EventKind, Level, Warning};
use crate::datapath::tables::Kernel;
use std::collections::{BTreeMap, BTreeSet};

impl Writer {
    /// Tells what is new of the tables as they are now.
    pub(super) fn watch_tables(&mut self, kernel: &Kernel) {
        let tables = limits::table_uses(kernel, self.sweeper.report.total, None);
        let full = limits::nearly_full_tables(&tables);
        for news in news(&self.nearly_full, &full) {
            self.journal.record(news);
        }
        self.nearly_full = full.into_keys().collect();
    }
}

fn news(before: &BTreeSet<&'static str>, now: &BTreeMap<&'static str, Warning>) -> Vec<News> {
    let begun = now.iter().filter(|(table, _)| !before.contains(*table)).map(|(table, warning)| {
        News::new(Level::Warn, EventKind::Table, table, warning.message.clone())
            .with_hint(warning.hint.clone())
    });
    let ended = before
        .iter()
        .filter(|table| !now.contains_key(*table))
        .map(|table| News::new(Level::Info, EventKind::Table, table, "has room again"));
    begun.chain(ended).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::TableUse;

    #[test]
    fn the_beginning_and_the_end_are_told_once() {
        let used =
            |used| limits::nearly_full_tables(&[TableUse { table: "servers".into(), used, limit: 100 }]);
        let before = |tables: &BTreeMap<&'static str, Warning>| tables.keys().copied().collect();
        let rows = [(79, 80, 1), (80, 95, 0), (95, 79, 1), (10, 20, 0)];
        for (old, new, told) in rows {
            assert_eq!(news(&before(&used(old)), &used(new)).len(), told, "{old} to {new} of 100");
        }
    }
}
