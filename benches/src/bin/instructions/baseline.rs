//! The stored counts, and how a count compares with them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::row::Row;

/// Instructions by operation, and the compiler that made them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baseline {
    compiler: String,
    instructions: BTreeMap<String, f64>,
}

/// How a count compares with the stored one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    /// The stored count.
    pub(crate) baseline: f64,
    /// How many per cent the count is above it.
    pub(crate) percent: f64,
    /// Whether that is more than is allowed.
    pub(crate) too_much: bool,
}

impl Baseline {
    /// A baseline without counts.
    pub(crate) fn of(compiler: String) -> Self {
        Self { compiler, instructions: BTreeMap::new() }
    }

    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let failed = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
        serde_json::from_str(&text).map_err(|error| failed(&error))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let failed = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(&error))?;
        fs::write(path, text + "\n").map_err(|error| failed(&error))
    }

    pub(crate) fn compiler(&self) -> &str {
        &self.compiler
    }

    /// Stores a count, to a tenth of an instruction.
    pub(crate) fn set(&mut self, row: Row, counted: f64) {
        self.instructions.insert(row.name(), (counted * 10.0).round() / 10.0);
    }

    /// Compares a count with the stored one, if any.
    pub(crate) fn change(&self, row: Row, counted: f64) -> Option<Change> {
        let &baseline = self.instructions.get(&row.name())?;
        let percent = (counted / baseline - 1.0) * 100.0;
        Some(Change { baseline, percent, too_much: percent > row.allowed_percent() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_too_high_if_it_is_above_the_allowed_one() {
        let mut baseline = Baseline::of("rustc".to_owned());
        baseline.set(Row::Timed, 1_000.04);
        let change = |counted| baseline.change(Row::Timed, counted).unwrap();
        assert_eq!(change(1_100.0).baseline, 1_000.0);
        assert!((9.9..10.1).contains(&change(1_100.0).percent));
        let too_much = [900.0, 1_000.0, 1_029.0, 1_031.0].map(|counted| change(counted).too_much);
        assert_eq!(too_much, [false, false, false, true]);
        assert_eq!(baseline.change(Row::Record, 900.0), None);
    }

    #[test]
    fn the_baseline_has_a_count_for_every_operation_and_no_other() {
        let baseline = Baseline::read(Path::new(crate::BASELINE)).unwrap();
        let mut names = Row::ALL.map(Row::name);
        names.sort_unstable();
        assert!(baseline.instructions.keys().eq(&names), "{baseline:?}");
    }
}
