//! What was measured, as Markdown and as JSON.

use std::fmt;

use serde::Serialize;

use crate::arms::OURS;
use crate::figures::{Figure, Required, figures};
use crate::machine::Machine;
use crate::measure::Measured;

/// Everything that a run found out. Its `Display` is Markdown.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    machine: Machine,
    events: usize,
    rounds: usize,
    /// Runs on several threads that do not count, over all arms and rounds.
    runs_apart: usize,
    arms: Vec<Row>,
    figures: Vec<Figure>,
}

#[derive(Debug, Clone, Serialize)]
struct Row {
    arm: &'static str,
    threads: usize,
    nanos: f64,
    ratio_to_ours: f64,
}

impl Report {
    /// # Panics
    ///
    /// If nothing was measured on one thread or on two, or our arm was not.
    pub fn new(machine: Machine, events: usize, measured: &[Measured]) -> Self {
        let row = |lane: &Measured| {
            let ours = measured.iter().find(|other| (other.arm, other.threads) == (OURS, lane.threads));
            let ratio = lane.ratio(ours.expect("our arm was measured on as many threads"));
            Row { arm: lane.arm, threads: lane.threads, nanos: lane.nanos(), ratio_to_ours: ratio.median }
        };
        Self {
            machine,
            events,
            rounds: measured[0].rounds.len(),
            runs_apart: measured.iter().flat_map(|lane| &lane.rounds).filter(|run| run.is_none()).count(),
            arms: measured.iter().map(row).collect(),
            figures: figures(measured),
        }
    }

    /// The design's figures.
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cores, rustc } = &self.machine;
        writeln!(f, "{cpu}, {cores} cores; {rustc}; {} events, {} rounds", self.events, self.rounds)?;
        if self.runs_apart > 0 {
            let apart = self.runs_apart;
            writeln!(
                f,
                "\nThe machine is busy: {apart} runs on several threads do not count, which ran apart."
            )?;
        }
        for rows in self.arms.chunk_by(|row, next| row.threads == next.threads) {
            let threads = rows[0].threads;
            let title = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
            writeln!(f, "\n## {title}\n")?;
            writeln!(f, "| arm | ns per event on a thread | ratio to ours |\n|---|---:|---:|")?;
            for Row { arm, nanos, ratio_to_ours, .. } in rows {
                writeln!(f, "| {arm} | {nanos:.2} | {ratio_to_ours:.2} |")?;
            }
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
            writeln!(f, "| {what} | {required} | {measured:.2} | {noise:.2} | {verdict} |")?;
        }
        Ok(())
    }
}
