//! A row of the bench: read from JSON, shown on the terminal, and the kind that it is of.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::number;

/// The yardstick that all rows are compared with.
const YARDSTICK: &str = "yardstick-tx";

/// What was measured, and what it came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Row {
    /// The row of an object; `None` if something is missing.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let number = |key: &str| value.get(key)?.as_f64();
        let word = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        let (name, unit) = (word("row")?, word("unit")?);
        Some(Self { name, unit, median: number("median")?, min: number("min")?, max: number("max")? })
    }

    /// A line of the terminal's table, with `tx` nanoseconds for the yardstick.
    pub(super) fn shown(&self, tx: Option<f64>) -> String {
        let Self { name, unit, .. } = self;
        let [median, min, max] = [self.median, self.min, self.max].map(number::shown);
        let times = self.times(tx).map(|times| format!("{times} x")).unwrap_or_default();
        format!("{name:36} {median:>10} {unit:6}  {min:>10} .. {max:>10}  {times:>7}").trim_end().to_owned()
    }

    /// How often the yardstick goes into it; nothing for what is no time of a packet.
    pub(super) fn times(&self, tx: Option<f64>) -> Option<String> {
        tx.filter(|_| self.unit == "ns").map(|tx| format!("{:.1}", self.median / tx))
    }

    /// The kind that it is of.
    pub(super) fn kind(&self) -> Kind {
        Kind::of(&self.name)
    }
}

/// Refuses `rows`, objects, none of which has `part` in its name: yardsticks are there whatever was asked for.
pub(super) fn ensure_any(rows: &[Value], part: &str) -> Result<()> {
    let has = |row: &Value| row.get("row").and_then(Value::as_str).is_some_and(|name| name.contains(part));
    ensure!(
        rows.iter().any(has),
        "no row of this bench has `{part}` in its name; docs/performance.md shows the names of rows"
    );
    Ok(())
}

/// Nanoseconds of the yardstick among `rows`.
pub(super) fn yardstick(rows: &[Row]) -> Option<f64> {
    rows.iter().find(|row| row.name == YARDSTICK).map(|row| row.median)
}

/// The kinds of rows: a table each, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Yardsticks,
    Floors,
    Single,
    Mh,
    Sh,
    Wrr,
    Replies,
    Growth,
    Live,
    Control,
}

impl Kind {
    /// The heading of its table.
    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Yardsticks => "Yardsticks",
            Self::Floors => "Floors",
            Self::Single => "Packets of no known flow",
            Self::Mh => "Known flows, `mh`",
            Self::Sh => "Known flows, `sh`",
            Self::Wrr => "Known flows, `wrr`",
            Self::Replies => "Answers of nat servers",
            Self::Growth => "Growth",
            Self::Live => "Live frames and load",
            Self::Control => "Control plane",
        }
    }

    fn of(name: &str) -> Self {
        const BEGINNINGS: [(&str, Kind); 12] = [
            ("yardstick-", Kind::Yardsticks),
            ("floor-", Kind::Floors),
            ("pass-", Kind::Single),
            ("no-server-", Kind::Single),
            ("new-", Kind::Single),
            ("mh-", Kind::Mh),
            ("sh-", Kind::Sh),
            ("wrr-", Kind::Wrr),
            ("nat-reply-", Kind::Replies),
            ("live-", Kind::Live),
            ("wrk-", Kind::Live),
            ("", Kind::Control),
        ];
        if name.contains("-services-") || name.contains("-servers-") {
            return Self::Growth;
        }
        let of = BEGINNINGS.iter().find(|(beginning, _)| name.starts_with(beginning));
        of.map_or(Self::Control, |(_, kind)| *kind)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn row(name: &str, unit: &str, median: f64) -> Row {
        let (name, unit) = (name.to_owned(), unit.to_owned());
        Row { name, unit, median, min: median - 1.0, max: median + 1.0 }
    }

    #[test]
    fn an_object_is_a_row_or_is_refused() {
        let text = r#"{"row":"yardstick-tx","unit":"ns","median":11.0,"min":10.0,"max":12,"runs":15}"#;
        assert_eq!(Row::of(&serde_json::from_str(text).unwrap()), Some(row("yardstick-tx", "ns", 11.0)));
        assert_eq!(Row::of(&serde_json::json!({"row": "x", "unit": "ns"})), None);
    }

    #[test]
    fn a_part_that_no_row_has_is_refused() {
        let rows = ["yardstick-tx", "mh-dr-v4-tcp-1"].map(|name| serde_json::json!({"row": name}));
        for part in ["", "mh-dr", "yardstick"] {
            assert!(ensure_any(&rows, part).is_ok(), "{part}");
        }
        let error = ensure_any(&rows, "nonsense").unwrap_err().to_string();
        assert!(error.contains("`nonsense`") && error.contains("docs/performance.md"), "{error}");
        assert!(ensure_any(&[], "mh-dr").is_err());
    }

    #[test]
    fn only_nanoseconds_are_times_the_yardstick() {
        let rows = [row("a", "ns", 1.0), row(YARDSTICK, "ns", 11.0)];
        assert_eq!(yardstick(&rows), Some(11.0));
        assert_eq!(
            row("pass-v4-tcp", "ns", 33.0).shown(Some(11.0)),
            "pass-v4-tcp                                33.0 ns            32.0 ..       34.0    3.0 x"
        );
        assert_eq!(row("apply-1000x100", "ms", 33.0).times(Some(11.0)), None);
        assert_eq!(row("pass-v4-tcp", "ns", 33.0).times(None), None);
    }

    #[test]
    fn every_row_has_a_kind() {
        let rows = [
            ("yardstick-tx", Kind::Yardsticks),
            ("floor-tracked-v4-tcp-1M", Kind::Floors),
            ("new-full-v4-tcp", Kind::Single),
            ("mh-ipip-v4-tcp-1M", Kind::Mh),
            ("sh-dr-v6-udp-64k", Kind::Sh),
            ("wrr-nat-v4-tcp-1", Kind::Wrr),
            ("nat-reply-v4-tcp-1", Kind::Replies),
            ("wrr-dr-v4-tcp-1-servers-10k", Kind::Growth),
            ("live-drop", Kind::Live),
            ("wrk-dr-bulk", Kind::Live),
            ("apply-1000x100", Kind::Control),
            ("server-down-slots", Kind::Control),
        ];
        for (name, kind) in rows {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
    }
}
