//! What is shown in the end: one row per measurement. Owns the bounds' meaning and the layout; never a measurement.

use std::fmt;

/// What a figure counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    MebibytesPerSecond,
    MessagesPerSecond,
    Microseconds,
    Milliseconds,
    Seconds,
    Kibibytes,
    Mebibytes,
    Count,
}

impl Unit {
    fn text(self) -> &'static str {
        match self {
            Self::MebibytesPerSecond => "MiB/s",
            Self::MessagesPerSecond => "msg/s",
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Kibibytes => "KiB",
            Self::Mebibytes => "MiB",
            Self::Count => "",
        }
    }
}

/// What is promised of a ratio, or of a figure that has no reference.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
        }
    }
}

/// One measurement. Made with what was measured, completed with what it is compared to.
#[derive(Clone, Debug)]
pub struct Row {
    name: String,
    ours: f64,
    reference: Option<f64>,
    unit: Unit,
    bound: Option<Bound>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, ours: f64, unit: Unit) -> Self {
        Self { name: name.into(), ours, reference: None, unit, bound: None }
    }

    /// Compares it: from here on the bound is one of the ratio.
    pub(crate) fn beside(mut self, reference: f64) -> Self {
        self.reference = Some(reference);
        self
    }

    pub(crate) fn bound(mut self, bound: Bound) -> Self {
        self.bound = Some(bound);
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.reference.map(|reference| self.ours / reference)
    }

    /// Whether it keeps its bound; `None` when it has none. What is not a number keeps none.
    fn passes(&self) -> Option<bool> {
        self.bound.map(|bound| bound.is_met_by(self.ratio().unwrap_or(self.ours)))
    }

    fn cells(&self) -> [String; 6] {
        let figure = |value: f64| format!("{} {}", rounded(value), self.unit.text()).trim_end().to_owned();
        [
            self.name.clone(),
            figure(self.ours),
            self.reference.map(figure).unwrap_or_default(),
            self.ratio().map(rounded).unwrap_or_default(),
            self.bound.map(|bound| bound.to_string()).unwrap_or_default(),
            self.passes().map_or("", |passes| if passes { "PASS" } else { "FAIL" }).to_owned(),
        ]
    }
}

/// Few digits after the point, fewer the larger the value.
fn rounded(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 1000.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// All measurements of a run.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Whether every bound was kept.
    pub fn passes(&self) -> bool {
        self.rows.iter().all(|row| row.passes() != Some(false))
    }
}

impl Extend<Row> for Table {
    fn extend<T: IntoIterator<Item = Row>>(&mut self, rows: T) {
        self.rows.extend(rows);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["name", "ours", "reference", "ratio", "bound", "verdict"].map(str::to_owned);
        let lines: Vec<[String; 6]> = std::iter::once(head).chain(self.rows.iter().map(Row::cells)).collect();
        let width = |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 6] = std::array::from_fn(width);
        for [name, cells @ .., verdict] in &lines {
            write!(f, "{name:<0$}", widths[0])?;
            for (cell, width) in cells.iter().zip(&widths[1..]) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f, "  {verdict}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(row: Row, passes: Option<bool>) {
        assert_eq!(row.passes(), passes, "{row:?}");
    }

    #[test]
    fn a_bound_is_one_of_the_ratio_where_there_is_a_reference() {
        let row = |ours| Row::new("x", ours, Unit::Count);
        check(row(1.0), None);
        check(row(1.0).bound(Bound::AtMost(1.0)), Some(true));
        check(row(1.1).bound(Bound::AtMost(1.0)), Some(false));
        check(row(7.0).beside(10.0).bound(Bound::AtLeast(0.7)), Some(true));
        check(row(6.9).beside(10.0).bound(Bound::AtLeast(0.7)), Some(false));
        check(row(0.0).beside(0.0).bound(Bound::AtLeast(0.7)), Some(false));
    }

    #[test]
    fn one_missed_bound_fails_the_table() {
        let (kept, missed) = (Bound::AtMost(1.0), Bound::AtMost(0.5));
        let mut table = Table::default();
        table.extend([Row::new("kept", 1.0, Unit::Count).bound(kept), Row::new("told", 9.0, Unit::Count)]);
        assert!(table.passes());
        table.extend([Row::new("missed", 1.0, Unit::Count).bound(missed)]);
        assert!(!table.passes());
    }
}
