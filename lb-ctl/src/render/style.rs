//! Colours, by what they mean.

use anstyle::{AnsiColor, Style};

/// Something failed.
pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Something needs a look.
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default();
/// What can be done about it.
pub(super) const HINT: Style = AnsiColor::Cyan.on_default();
/// As it should be.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Headings.
pub(super) const HEADING: Style = Style::new().bold();
/// No style.
pub(super) const PLAIN: Style = Style::new();

/// A line that begins with `label` in `style`.
pub(super) fn labelled(style: Style, label: &str, text: &str) -> String {
    let space = " ".repeat(LABEL.saturating_sub(label.len()).max(1));
    format!("{style}{label}:{style:#}{space}{text}\n")
}

/// A line about what needs a look.
pub(super) fn warning(text: &str) -> String {
    labelled(WARNING, "warning", text)
}

/// A line about what can be done.
pub(super) fn hint(text: &str) -> String {
    labelled(HINT, "hint", text)
}

/// Column of the text behind `error:` and `hint:`, less the colon.
const LABEL: usize = 6;
