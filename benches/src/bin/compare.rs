//! Prints the time or size of each arm, and which figures of the design are met.

#![forbid(unsafe_code)]

use std::env;
use std::fs::File;
use std::process::ExitCode;

use benches::arms::ARMS;
use benches::figures::Figure;
use benches::load::{Load, LoadError};
use benches::machine::Machine;
use benches::report::{Report, Section};
use benches::{
    Size, Workload, business, errors, idle, load, memory, middleware, read, record, scale, scrape,
};

const USAGE: &str = "\
Usage: cargo run --profile bench -p benches --bin compare -- [KIND] [OPTIONS]

  KIND             what to compare: record (the default), scale (2 to 32 threads), middleware, read,
                   errors, business, scrape, memory (Linux only), idle (servers without requests; Linux
                   only), load (whole servers), or all, one after another; all skips idle unless the
                   server is built, and load unless the server is built and wrk is installed
  --rounds N       rounds over all arms; default: 61, for read and scrape 31, for load and scale 11, for
                   idle and memory 3
  --json PATH      also write the results to this file
  --check          exit with 1 if a goal is missed by more than the noise

Options of load, which needs Linux and wrk:
  --seconds N      seconds of load on each server in a round; default: 4
  --workers N      worker threads of a server; default: 1
  --connections N  busy connections; default: 32";

struct Options {
    kinds: Vec<Kind>,
    rounds: Option<usize>,
    json: Option<File>,
    check: bool,
    load: Load,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Record,
    Scale,
    Middleware,
    Read,
    Errors,
    Business,
    Scrape,
    Memory,
    Idle,
    Load,
}

/// The parsed command line.
enum Task {
    Compare(Options),
    Help,
    /// Run by a child of `compare memory`.
    Weigh(memory::Arm, Size),
}

fn main() -> ExitCode {
    match task() {
        Ok(Task::Compare(options)) => compare(options),
        Ok(Task::Weigh(arm, size)) => match memory::weigh(arm, size) {
            Ok(bytes) => {
                println!("{bytes}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("compare: {error}");
                ExitCode::FAILURE
            }
        },
        Ok(Task::Help) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("compare: {error} (see --help)");
            ExitCode::from(2)
        }
    }
}

fn task() -> Result<Task, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options =
        Options { kinds: Vec::new(), rounds: None, json: None, check: false, load: Load::default() };
    let mut arguments = lexopt::Parser::from_env();
    let mut of_load = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(name) if options.kinds.is_empty() => options.kinds = name.parse_with(kinds)?,
            Long("rounds") => options.rounds = Some(at_least_1("--rounds", &mut arguments)?),
            Long("seconds") => {
                options.load.seconds = at_least_1("--seconds", &mut arguments)?;
                of_load = Some("--seconds");
            }
            Long("workers") => {
                options.load.workers = at_least_1("--workers", &mut arguments)?;
                of_load = Some("--workers");
            }
            Long("connections") => {
                options.load.connections = at_least_1("--connections", &mut arguments)?;
                of_load = Some("--connections");
            }
            Long("json") => {
                let path = arguments.value()?;
                // Opened before the run, so that a bad path fails at once.
                let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                options.json = Some(file);
            }
            Long("check") => options.check = true,
            Short('h') | Long("help") => return Ok(Task::Help),
            Long("weigh") => {
                return Ok(Task::Weigh(arguments.value()?.parse()?, arguments.value()?.parse()?));
            }
            _ => return Err(argument.unexpected()),
        }
    }
    if options.kinds.is_empty() {
        options.kinds = vec![Kind::Record];
    }
    match of_load {
        Some(option) if !options.kinds.contains(&Kind::Load) => {
            Err(format!("{option} applies to load only").into())
        }
        _ => Ok(Task::Compare(options)),
    }
}

fn at_least_1(option: &str, arguments: &mut lexopt::Parser) -> Result<usize, lexopt::Error> {
    use lexopt::ValueExt;
    match arguments.value()?.parse()? {
        0 => Err(format!("{option} must be at least 1").into()),
        value => Ok(value),
    }
}

impl Kind {
    /// All kinds, in the order of `all`.
    const ALL: [Self; 10] = [
        Self::Record,
        Self::Scale,
        Self::Middleware,
        Self::Read,
        Self::Errors,
        Self::Business,
        Self::Scrape,
        Self::Memory,
        Self::Idle,
        Self::Load,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Scale => "scale",
            Self::Middleware => "middleware",
            Self::Read => "read",
            Self::Errors => "errors",
            Self::Business => "business",
            Self::Scrape => "scrape",
            Self::Memory => "memory",
            Self::Idle => "idle",
            Self::Load => "load",
        }
    }
}

/// The kinds with this name: one, or all for `all`.
fn kinds(name: &str) -> Result<Vec<Kind>, String> {
    if name == "all" {
        return Ok(Kind::ALL.to_vec());
    }
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    kind.map(|kind| vec![kind]).ok_or_else(|| {
        format!("{name:?} is not a kind; the kinds are {}, and all", Kind::ALL.map(Kind::name).join(", "))
    })
}

fn compare(options: Options) -> ExitCode {
    if cfg!(debug_assertions) {
        eprintln!("compare: built without optimisation, so the figures mean nothing (use --profile bench)");
    }
    let machine = Machine::this();
    println!("{machine}");
    let mut sections = Vec::new();
    for &kind in &options.kinds {
        match sections_of(kind, &options) {
            Ok(found) => {
                found.iter().for_each(|section| println!("\n{section}"));
                sections.extend(found);
            }
            Err(error) if options.kinds.len() > 1 && error.is_missing() => {
                eprintln!("compare: {} is skipped: {error}", kind.name());
            }
            Err(error) => {
                eprintln!("compare: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    let report = Report { machine, sections };
    if let Some(Err(error)) = options.json.map(|file| report.write_json(file)) {
        eprintln!("compare: cannot write the JSON: {error}");
        return ExitCode::FAILURE;
    }
    let mut figures = report.sections.iter().flat_map(Section::figures);
    if options.check && figures.any(Figure::clearly_missed) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn sections_of(kind: Kind, options: &Options) -> Result<Vec<Section>, LoadError> {
    let rounds = |default| options.rounds.unwrap_or(default);
    Ok(match kind {
        Kind::Record => {
            let (six, many) = (Workload::six_routes(), Workload::many_routes());
            let measured = record::measure(ARMS, &[(&six, 1), (&six, 2), (&many, 1)], rounds(61));
            vec![Section::new(record::comparison(), &measured).with_events(six.events().len())]
        }
        Kind::Scale => vec![Section::new(scale::comparison(), &scale::measure(rounds(11)))],
        Kind::Middleware => {
            vec![Section::new(middleware::comparison(), &middleware::measure(rounds(61)))]
        }
        Kind::Read => vec![
            Section::new(read::comparison(), &read::measure(&Size::GRID, rounds(31))),
            Section::new(read::polled_comparison(), &read::measure_polled(rounds(61))),
        ],
        Kind::Business => {
            let workload = Workload::one_route();
            let measured = record::measure(business::ARMS, &[(&workload, 1), (&workload, 2)], rounds(61));
            vec![Section::new(business::comparison(), &measured)]
        }
        Kind::Scrape => {
            let measured = scrape::measure(rounds(31));
            vec![
                Section::new(scrape::comparison(), &measured.times),
                Section::new(scrape::bytes_comparison(), &measured.bytes),
                Section::new(scrape::kept_comparison(), &measured.kept),
            ]
        }
        Kind::Errors => {
            let failures = Workload::failures();
            let measured = record::measure(errors::ARMS, &[(&failures, 1), (&failures, 2)], rounds(61));
            vec![Section::new(errors::comparison(), &measured).with_events(failures.events().len())]
        }
        Kind::Memory => {
            let program = env::current_exe()?;
            let weigh = |arm, size| memory::weigh_in_child(&program, arm, size);
            vec![Section::new(memory::comparison(), &memory::measure(&memory::sizes(), rounds(3), weigh)?)]
        }
        Kind::Idle => {
            let measured = idle::measure(rounds(3))?;
            vec![
                Section::new(idle::switches_comparison(), &measured.switches),
                Section::new(idle::processor_comparison(), &measured.processor),
                Section::new(idle::resident_comparison(), &measured.resident),
            ]
        }
        Kind::Load => {
            let measured = load::measure(options.load, rounds(11))?;
            vec![Section::new(load::comparison(options.load), &measured)]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_found_by_its_name_and_an_unknown_name_is_answered_with_the_known_ones() {
        for kind in Kind::ALL {
            assert_eq!(kinds(kind.name()), Ok(vec![kind]));
        }
        assert_eq!(kinds("all"), Ok(Kind::ALL.to_vec()));
        let error = kinds("recrod").unwrap_err();
        assert!(Kind::ALL.into_iter().all(|kind| error.contains(kind.name())), "{error}");
    }
}
