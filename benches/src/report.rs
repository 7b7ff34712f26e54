//! What was measured, as Markdown and as JSON.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use crate::figures::{Comparison, Figure, Reference, Required, find};
use crate::machine::Machine;
use crate::measure::{Measured, Setting};

/// Everything that a run found out. Its `Display` is Markdown.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    machine: Machine,
    #[serde(skip)]
    comparison: Comparison,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<usize>,
    rounds: usize,
    /// Runs on several threads that do not count, over all arms and rounds.
    runs_apart: usize,
    arms: Vec<Row>,
    figures: Vec<Figure>,
}

#[derive(Debug, Clone, Serialize)]
struct Row {
    arm: &'static str,
    #[serde(flatten)]
    setting: Setting,
    nanos: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nanos_over_bare: Option<f64>,
    #[serde(flatten)]
    ratio: RatioTo,
    noise: f64,
}

/// The ratio to the reference, named after it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum RatioTo {
    RatioToOurs(f64),
    RatioToBare(f64),
}

impl RatioTo {
    fn new(reference: Reference, ratio: f64) -> Self {
        match reference {
            Reference::Ours => Self::RatioToOurs(ratio),
            Reference::Bare => Self::RatioToBare(ratio),
        }
    }

    fn value(self) -> f64 {
        let (Self::RatioToOurs(ratio) | Self::RatioToBare(ratio)) = self;
        ratio
    }
}

impl Report {
    /// # Panics
    ///
    /// If nothing was measured, or an arm is missing that the others are compared with.
    pub fn new(comparison: Comparison, machine: Machine, measured: &[Measured]) -> Self {
        let row = |lane: &Measured| {
            let reference = find(measured, (comparison.reference.arm(), lane.setting));
            let ratio = comparison.ratio(lane, reference, measured);
            Row {
                arm: lane.arm,
                setting: lane.setting,
                nanos: lane.nanos(),
                nanos_over_bare: comparison.over_bare(lane, measured).map(|over| over.nanos()),
                ratio: RatioTo::new(comparison.reference, ratio.median),
                noise: ratio.noise,
            }
        };
        Self {
            machine,
            events: None,
            rounds: measured[0].rounds.len(),
            runs_apart: measured.iter().flat_map(|lane| &lane.rounds).filter(|run| run.is_none()).count(),
            arms: measured.iter().map(row).collect(),
            figures: comparison.figures(measured),
            comparison,
        }
    }

    /// Says of how many events a pass consists.
    pub fn with_events(self, events: usize) -> Self {
        Self { events: Some(events), ..self }
    }

    /// The design's figures.
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// Writes everything as JSON.
    ///
    /// # Errors
    ///
    /// When the file cannot be written to.
    pub fn write_json(&self, file: File) -> io::Result<()> {
        let mut file = BufWriter::new(file);
        serde_json::to_writer_pretty(&mut file, self)?;
        writeln!(file)?;
        file.flush()
    }

    fn write_table(&self, f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
        let Comparison { unit, nanos_in_unit, reference, .. } = &self.comparison;
        let (over_bare, line) = if self.comparison.over_bare { (" over bare |", "---:|") } else { ("", "") };
        writeln!(f, "| arm | {unit} |{over_bare} ratio to {} | noise |", reference.arm())?;
        writeln!(f, "|---|---:|{line}---:|---:|")?;
        for row in rows {
            write!(f, "| {} | {:.2} |", row.arm, row.nanos / nanos_in_unit)?;
            if let Some(nanos) = row.nanos_over_bare {
                write!(f, " {:.2} |", nanos / nanos_in_unit)?;
            }
            writeln!(f, " {:.3} | {:.3} |", row.ratio.value(), row.noise)?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cores, rustc } = &self.machine;
        write!(f, "{cpu}, {cores} cores; {rustc}; ")?;
        if let Some(events) = self.events {
            write!(f, "{events} events, ")?;
        }
        writeln!(f, "{} rounds", self.rounds)?;
        if self.runs_apart > 0 {
            let apart = self.runs_apart;
            writeln!(
                f,
                "\nThe machine is busy: {apart} runs on several threads do not count, which ran apart."
            )?;
        }
        for rows in self.arms.chunk_by(|row, next| row.setting == next.setting) {
            writeln!(f, "\n## {}\n", rows[0].setting)?;
            self.write_table(f, rows)?;
        }
        writeln!(f, "\n## Figures to reach\n")?;
        writeln!(f, "| what | required | measured | noise | |\n|---|---:|---:|---:|---|")?;
        for figure in &self.figures {
            let required = match figure.required {
                Required::AtMost(limit) => format!("<= {limit}"),
                Required::AtLeast(limit) => format!(">= {limit}"),
            };
            let verdict = match (figure.met, figure.clearly_missed()) {
                _ if figure.measured.is_nan() => "not measured",
                (true, _) => "met",
                (false, false) => "missed, within the noise",
                (false, true) => "missed",
            };
            let Figure { what, measured, noise, .. } = figure;
            writeln!(f, "| {what} | {required} | {measured:.3} | {noise:.3} | {verdict} |")?;
        }
        Ok(())
    }
}
