//! Writes the table of goals in `docs/figures.md` from stored results, so that no figure is typed by hand.
//!
//! `docs/figures/<kind of machine>.json` is what `compare all --json` wrote there. Each is a column of the table.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Deserialize;

const USAGE: &str = "\
Usage: cargo run -p benches --bin figures -- [--check]

Writes the table of goals in docs/figures.md from docs/figures/*.json. Those are written by
cargo run --profile bench -p benches --bin compare -- all --json docs/figures/KIND-OF-MACHINE.json

  --check  write nothing, and exit with 1 if the table differs";

const BEGIN: &str = "<!-- figures: begin -->\n";
const END: &str = "<!-- figures: end -->";

/// What is read of a stored report.
#[derive(Debug, Deserialize)]
struct Report {
    machine: Machine,
    sections: Vec<Section>,
}

#[derive(Debug, Deserialize)]
struct Machine {
    cpu: String,
    cores: usize,
}

#[derive(Debug, Deserialize)]
struct Section {
    figures: Vec<Figure>,
}

#[derive(Debug, Deserialize)]
struct Figure {
    what: String,
    required: Required,
    unit: Option<String>,
    /// `null` if it was not measured.
    measured: Option<f64>,
    noise: Option<f64>,
    met: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Required {
    AtMost(f64),
    AtLeast(f64),
}

fn main() -> ExitCode {
    let mut check = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--check" => check = true,
            "-h" | "--help" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            _ => {
                eprintln!("figures: unexpected argument {argument:?} (see --help)");
                return ExitCode::from(2);
            }
        }
    }
    match docs().and_then(|(page, old, new)| match old == new {
        true => Ok(()),
        false if check => Err(format!("{} has other figures than docs/figures/*.json", page.display())),
        false => fs::write(&page, new).map_err(|error| format!("{}: {error}", page.display())),
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("figures: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The page, as it is and as it has to be.
fn docs() -> Result<(PathBuf, String, String), String> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = docs.join("figures.md");
    let old = fs::read_to_string(&page).map_err(|error| format!("{}: {error}", page.display()))?;
    let (before, rest) = old.split_once(BEGIN).ok_or("docs/figures.md has no place for the table")?;
    let (_, after) = rest.split_once(END).ok_or("docs/figures.md has no end of the table")?;
    let new = format!("{before}{BEGIN}{}{END}{after}", table(&stored(&docs.join("figures"))?));
    Ok((page, old, new))
}

/// The stored reports, by kind of machine.
fn stored(directory: &Path) -> Result<BTreeMap<String, Report>, String> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut reports = BTreeMap::new();
    if !directory.exists() {
        return Ok(reports);
    }
    let entries = fs::read_dir(directory).map_err(|error| failed(directory, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| failed(directory, &error))?.path();
        let text = fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
        let report = serde_json::from_str(&text).map_err(|error| failed(&path, &error))?;
        let kind = path.file_stem().unwrap_or_default().to_string_lossy().replace('-', " ");
        reports.insert(kind, report);
    }
    Ok(reports)
}

/// A row for each goal, and a column for each machine.
fn table(reports: &BTreeMap<String, Report>) -> String {
    if reports.is_empty() {
        return "None are stored yet.\n".to_owned();
    }
    let mut text = String::new();
    for (kind, Report { machine: Machine { cpu, cores }, .. }) in reports {
        writeln!(text, "- {kind}: {cpu}, {cores} cores").expect("a String takes any text");
    }
    let kinds: Vec<_> = reports.keys().map(String::as_str).collect();
    let columns = "---:|".repeat(kinds.len() + 1);
    write!(text, "\n| what | goal | {} |\n|---|{columns}\n", kinds.join(" | ")).expect("as above");
    let figures = |report: &'_ Report| -> Vec<(String, String, String)> {
        let figures = report.sections.iter().flat_map(|section| &section.figures);
        figures.map(|figure| (figure.what.clone(), figure.goal(), figure.cell())).collect()
    };
    let columns: Vec<_> = reports.values().map(figures).collect();
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for (what, goal, _) in columns.iter().flatten() {
        if !rows.contains(&(what, goal)) {
            rows.push((what, goal));
        }
    }
    for (what, goal) in rows {
        write!(text, "| {what} | {goal} |").expect("as above");
        for column in &columns {
            let cell = column.iter().find(|(its, wants, _)| (&**its, &**wants) == (what, goal));
            write!(text, " {} |", cell.map_or("", |(_, _, cell)| cell)).expect("as above");
        }
        text.push('\n');
    }
    text
}

impl Figure {
    fn unit(&self) -> String {
        self.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default()
    }

    fn goal(&self) -> String {
        match self.required {
            Required::AtMost(limit) => format!("<= {limit}{}", self.unit()),
            Required::AtLeast(limit) => format!(">= {limit}{}", self.unit()),
        }
    }

    /// The figure with its noise, and whether it is met.
    fn cell(&self) -> String {
        let (Some(measured), Some(noise)) = (self.measured, self.noise) else {
            return "not measured".to_owned();
        };
        let verdict = if self.met { "met" } else { "**missed**" };
        format!("{}{} ± {}, {verdict}", rounded(measured), self.unit(), rounded(noise))
    }
}

/// Three significant digits, or all of those before the point.
fn rounded(number: f64) -> String {
    let before_point = number.abs().max(1.0).log10() as usize + 1;
    format!("{number:.*}", 3_usize.saturating_sub(before_point))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_have_the_stored_figures() {
        let (_, old, new) = docs().unwrap();
        assert!(old == new, "run `cargo run -p benches --bin figures`");
    }

    #[test]
    fn a_figure_is_a_row_and_a_machine_is_a_column() {
        let report = |measured: &str| -> Report {
            let figure = format!(
                r#"{{"what": "a scrape", "required": {{"at_most": 25.0}}, "unit": "ms", "measured": {measured},
                     "noise": 0.04, "met": true}}"#
            );
            let machine = r#"{"cpu": "Xeon", "cores": 2, "rustc": ""}"#;
            serde_json::from_str(&format!(
                r#"{{"machine": {machine}, "sections": [{{"figures": [{figure}]}}]}}"#
            ))
            .unwrap()
        };
        let reports = BTreeMap::from([("a".to_owned(), report("12.345")), ("b".to_owned(), report("null"))]);
        let expected = "- a: Xeon, 2 cores\n- b: Xeon, 2 cores\n\n| what | goal | a | b |\n|---|---:|---:|---:|\n\
                        | a scrape | <= 25 ms | 12.3 ms ± 0.04, met | not measured |\n";
        assert_eq!(table(&reports), expected);
        assert_eq!([0.0, 0.126, 9.87, 123.4, 1_234.5].map(rounded), ["0.00", "0.13", "9.87", "123", "1234"]);
    }
}
