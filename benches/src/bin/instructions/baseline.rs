//! The stored counts, and what a count is to them.

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

/// What a count is to the stored one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    /// The stored count.
    pub(crate) baseline: f64,
    /// By how many per cent the count is over it.
    pub(crate) percent: f64,
    /// Whether that is more than is allowed.
    pub(crate) too_much: bool,
}

impl Baseline {
    /// Without counts yet.
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
        self.instructions.insert(row.name().to_owned(), (counted * 10.0).round() / 10.0);
    }

    /// What a count is to the stored one, if there is one.
    pub(crate) fn change(&self, row: Row, counted: f64) -> Option<Change> {
        let &baseline = self.instructions.get(row.name())?;
        let percent = (counted / baseline - 1.0) * 100.0;
        Some(Change { baseline, percent, too_much: percent > row.allowed_percent() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_too_much_when_it_is_over_what_is_allowed() {
        let mut baseline = Baseline::of("rustc".to_owned());
        baseline.set(Row::Static, 1_000.04);
        let change = |counted| baseline.change(Row::Static, counted).unwrap();
        assert_eq!(change(1_100.0).baseline, 1_000.0);
        assert!((9.9..10.1).contains(&change(1_100.0).percent));
        let too_much = [900.0, 1_000.0, 1_029.0, 1_031.0].map(|counted| change(counted).too_much);
        assert_eq!(too_much, [false, false, false, true]);
        assert_eq!(baseline.change(Row::Dynamic, 900.0), None);
    }

    #[test]
    fn the_stored_counts_are_of_the_operations_that_there_are() {
        let baseline = Baseline::read(Path::new(crate::BASELINE)).unwrap();
        let mut names = Row::ALL.map(Row::name);
        names.sort_unstable();
        assert!(baseline.instructions.keys().eq(names), "{baseline:?}");
    }
}
