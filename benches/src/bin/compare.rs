//! Prints what each arm takes, and the design's figures met or missed.

#![forbid(unsafe_code)]

use std::fs::File;
use std::process::ExitCode;
use std::str::FromStr;

use benches::arms::ARMS;
use benches::figures::Figure;
use benches::load::{Load, LoadError};
use benches::machine::Machine;
use benches::report::Report;
use benches::{Workload, load, middleware, record};

const USAGE: &str = "\
Usage: cargo run --profile bench -p benches --bin compare -- [KIND] [OPTIONS]

  KIND             what is compared: record (the default), middleware, or load, for whole servers
  --rounds N       rounds over all arms; the default is 61, for load 11
  --json PATH      write the results there, too
  --check          exit with 1 if a figure is missed by more than the noise

Of load, which needs Linux and wrk:
  --seconds N      seconds of load on each server in a round; the default is 4
  --workers N      worker threads of a server; the default is 1
  --connections N  connections that are kept busy; the default is 32";

struct Options {
    kind: Kind,
    rounds: Option<usize>,
    json: Option<File>,
    check: bool,
    load: Load,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Record,
    Middleware,
    Load,
}

fn main() -> ExitCode {
    match options() {
        Ok(Some(options)) => compare(options),
        Ok(None) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("compare: {error} (see --help)");
            ExitCode::from(2)
        }
    }
}

/// What the command line asks for; `None` is a call for help.
fn options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options =
        Options { kind: Kind::Record, rounds: None, json: None, check: false, load: Load::default() };
    let mut arguments = lexopt::Parser::from_env();
    let (mut kinds, mut of_load) = (0, None);
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(kind) if kinds == 0 => {
                kinds = 1;
                options.kind = kind.parse()?;
            }
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
                // Now, and not after the run: a path that cannot be written to is found out at once.
                let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                options.json = Some(file);
            }
            Long("check") => options.check = true,
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    match of_load {
        Some(option) if options.kind != Kind::Load => Err(format!("{option} is an option of load").into()),
        _ => Ok(Some(options)),
    }
}

fn at_least_1(option: &str, arguments: &mut lexopt::Parser) -> Result<usize, lexopt::Error> {
    use lexopt::ValueExt;
    match arguments.value()?.parse()? {
        0 => Err(format!("{option} must be at least 1").into()),
        value => Ok(value),
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "record" => Ok(Self::Record),
            "middleware" => Ok(Self::Middleware),
            "load" => Ok(Self::Load),
            _ => Err(format!("{name:?} is none of record, middleware and load")),
        }
    }
}

fn compare(options: Options) -> ExitCode {
    if cfg!(debug_assertions) {
        eprintln!("compare: built without optimisation, so the figures mean nothing (use --profile bench)");
    }
    let report = match report(&options) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("compare: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{report}");
    if let Some(Err(error)) = options.json.map(|file| report.write_json(file)) {
        eprintln!("compare: cannot write the JSON: {error}");
        return ExitCode::FAILURE;
    }
    if options.check && report.figures().iter().any(Figure::clearly_missed) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn report(options: &Options) -> Result<Report, LoadError> {
    let machine = Machine::this();
    let rounds = |default| options.rounds.unwrap_or(default);
    Ok(match options.kind {
        Kind::Record => {
            let (six, many) = (Workload::six_routes(), Workload::many_routes());
            let measured = record::measure(ARMS, &[(&six, 1), (&six, 2), (&many, 1)], rounds(61));
            Report::new(record::comparison(), machine, &measured).with_events(six.events().len())
        }
        Kind::Middleware => Report::new(middleware::comparison(), machine, &middleware::measure(rounds(61))),
        Kind::Load => {
            let measured = load::measure(options.load, rounds(11))?;
            Report::new(load::comparison(options.load), machine, &measured)
        }
    })
}
