//! The results, as Markdown and as JSON.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use crate::figures::{Comparison, Figure, Reference, Required, find};
use crate::machine::Machine;
use crate::measure::{Measured, Setting};
use crate::unit::Amount;

/// The results of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The machine.
    pub machine: Machine,
    /// One section for each comparison.
    pub sections: Vec<Section>,
}

/// The results of one comparison. Its `Display` is Markdown.
#[derive(Debug, Clone, Serialize)]
pub struct Section {
    kind: &'static str,
    #[serde(skip)]
    comparison: Comparison,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<usize>,
    rounds: usize,
    /// Runs on several threads that did not count, over all arms and rounds.
    runs_apart: usize,
    /// Those of them that are shown all the same, since no run of their arm counted.
    runs_forced: usize,
    arms: Vec<Row>,
    figures: Vec<Figure>,
}

#[derive(Debug, Clone, Serialize)]
struct Row {
    arm: &'static str,
    #[serde(flatten)]
    setting: Setting,
    #[serde(flatten)]
    amount: Amount,
    /// The median, in the table's unit.
    #[serde(skip)]
    in_unit: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nanos_over_bare: Option<f64>,
    #[serde(flatten)]
    ratio: Option<RatioTo>,
    /// The noise of the ratio; without a ratio, that of the measurement, in the table's unit.
    noise: f64,
}

/// The ratio to the reference, named after it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "these are the names in JSON")]
enum RatioTo {
    RatioToOurs(f64),
    RatioToBare(f64),
    RatioToAlone(f64),
}

impl RatioTo {
    fn new(reference: Reference, ratio: f64) -> Self {
        match reference {
            Reference::Ours => Self::RatioToOurs(ratio),
            Reference::Bare => Self::RatioToBare(ratio),
            Reference::Alone => Self::RatioToAlone(ratio),
        }
    }

    fn value(self) -> f64 {
        let (Self::RatioToOurs(ratio) | Self::RatioToBare(ratio) | Self::RatioToAlone(ratio)) = self;
        ratio
    }
}

impl Report {
    /// Writes everything as JSON.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write_json(&self, file: File) -> io::Result<()> {
        let mut file = BufWriter::new(file);
        serde_json::to_writer_pretty(&mut file, self)?;
        writeln!(file)?;
        file.flush()
    }
}

impl Section {
    /// # Panics
    ///
    /// If nothing was measured, or the arm to which the others are compared is missing.
    pub fn new(comparison: Comparison, measured: &[Measured]) -> Self {
        let row = |lane: &Measured| {
            let unit = comparison.unit;
            let against = comparison.reference.map(|reference| {
                let under = find(measured, (reference.arm(), lane.setting));
                (reference, comparison.ratio(lane, under, measured))
            });
            Row {
                arm: lane.arm,
                setting: lane.setting,
                amount: unit.amount(lane.median()),
                in_unit: unit.convert(lane.median()),
                nanos_over_bare: comparison.over_bare(lane, measured).map(|over| over.median()),
                ratio: against.map(|(reference, ratio)| RatioTo::new(reference, ratio.median)),
                noise: against.map_or_else(|| unit.convert(lane.spread().noise), |(_, ratio)| ratio.noise),
            }
        };
        Self {
            kind: comparison.kind,
            events: None,
            rounds: measured[0].rounds.len(),
            runs_apart: measured
                .iter()
                .map(|lane| lane.forced + lane.rounds.iter().filter(|run| run.is_none()).count())
                .sum(),
            runs_forced: measured.iter().map(|lane| lane.forced).sum(),
            arms: measured.iter().map(row).collect(),
            figures: comparison.figures(measured),
            comparison,
        }
    }

    /// Adds the number of events in a pass.
    pub fn with_events(self, events: usize) -> Self {
        Self { events: Some(events), ..self }
    }

    /// The figures that the design requires.
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    fn write_table(&self, f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
        let Comparison { unit, per, reference, over_bare, .. } = &self.comparison;
        write!(f, "| arm | {} {per} |", unit.name)?;
        if *over_bare {
            write!(f, " over bare |")?;
        }
        if let Some(reference) = reference {
            write!(f, " ratio to {} |", reference.arm())?;
        }
        let columns = 2 + usize::from(*over_bare) + usize::from(reference.is_some());
        writeln!(f, " noise |\n|---|{}", "---:|".repeat(columns))?;
        for row in rows {
            write!(f, "| {} | {:.2} |", row.arm, row.in_unit)?;
            if let Some(nanos) = row.nanos_over_bare {
                write!(f, " {:.2} |", unit.convert(nanos))?;
            }
            if let Some(ratio) = row.ratio {
                write!(f, " {:.3} |", ratio.value())?;
            }
            writeln!(f, " {:.3} |", row.noise)?;
        }
        Ok(())
    }

    fn write_figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n## Figures to reach: {}\n", self.kind)?;
        writeln!(f, "| what | required | measured | noise | |\n|---|---:|---:|---:|---|")?;
        for figure in &self.figures {
            let Figure { what, measured, noise, .. } = figure;
            let unit = figure.unit.map(|unit| format!(" {unit}")).unwrap_or_default();
            let required = match figure.required {
                Required::AtMost(limit) => format!("<= {limit}{unit}"),
                Required::AtLeast(limit) => format!(">= {limit}{unit}"),
            };
            let verdict = match (figure.met, figure.clearly_missed()) {
                _ if measured.is_nan() => "not measured",
                (true, _) => "met",
                (false, false) => "missed, within the noise",
                (false, true) => "missed",
            };
            writeln!(f, "| {what} | {required} | {measured:.3}{unit} | {noise:.3} | {verdict} |")?;
        }
        Ok(())
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "# {}\n\n", self.kind)?;
        if let Some(events) = self.events {
            write!(f, "{events} events, ")?;
        }
        writeln!(f, "{} rounds", self.rounds)?;
        if self.runs_apart > 0 {
            let apart = self.runs_apart;
            writeln!(
                f,
                "\nThe machine is busy: {apart} runs did not count, since their threads did not run at the same time."
            )?;
        }
        if self.runs_forced > 0 {
            let forced = self.runs_forced;
            writeln!(f, "{forced} of them are shown all the same: of their arms, no other run did.")?;
        }
        for rows in self.arms.chunk_by(|row, next| row.setting == next.setting) {
            writeln!(f, "\n## {}\n", rows[0].setting)?;
            self.write_table(f, rows)?;
        }
        if !self.figures.is_empty() {
            self.write_figures(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{OURS, Quantity, Requirement};
    use crate::size::Size;
    use crate::unit::Unit;

    #[test]
    fn an_absolute_figure_is_shown_in_its_unit_and_arms_without_a_reference_have_no_ratio() {
        let setting = Setting::Service(Size { endpoints: 200, shards: 1, digits: 2 });
        let measured = Measured { rounds: vec![Some(3e6)], ..Measured::new(OURS, setting) };
        let comparison = Comparison {
            kind: "readings",
            unit: Unit::MICROS,
            per: "a reading",
            over_bare: false,
            reference: None,
            requirements: vec![Requirement {
                what: "summary".to_owned(),
                of: Quantity::Absolute((OURS, setting), Unit::MILLIS),
                required: Required::AtMost(2.0),
            }],
        };
        let section = Section::new(comparison, &[measured]);
        let text = section.to_string();
        assert!(text.contains("## 200 endpoints x 1 shard, 2 digits\n"), "{text}");
        assert!(
            text.contains("| arm | µs a reading | noise |\n|---|---:|---:|\n| ours | 3000.00 | 0.000 |\n")
        );
        assert!(text.contains("| summary | <= 2 ms | 3.000 ms | 0.000 | missed |"), "{text}");
        let json = serde_json::to_value(section).unwrap();
        assert_eq!(json["arms"][0]["nanos"], 3e6);
        assert_eq!(json["figures"][0]["unit"], "ms");
    }
}
