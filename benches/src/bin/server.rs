//! Serves the app of the middleware benches, wrapped in one of the middlewares.

#![forbid(unsafe_code)]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use actix_web::dev::Server;
use actix_web::rt::System;
use actix_web::{App, HttpServer};
use benches::middleware::{AppService, Arm, Visitor};

const USAGE: &str = "\
Usage: cargo run --profile bench -p benches --bin server -- --arm ARM [--addr ADDRESS] [--workers N]

  --arm ARM       what the app is wrapped in: bare, clock, ours, actix-web-prom, opentelemetry,
                  or \"ours, with exporters\"
  --addr ADDRESS  the address to listen on; default: 127.0.0.1:0, which is any free port
  --workers N     worker threads, 1 to 256; default: 1

It prints its URL as soon as it listens.";

#[derive(Clone, Copy)]
struct Options {
    arm: Arm,
    address: SocketAddr,
    workers: usize,
}

fn main() -> ExitCode {
    match options() {
        Ok(Some(options)) => match System::new().block_on(serve(options)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("server: cannot serve on {}: {error}", options.address);
                ExitCode::FAILURE
            }
        },
        Ok(None) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("server: {error} (see --help)");
            ExitCode::from(2)
        }
    }
}

/// Parses the command line; `None` asks for help.
fn options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut arm = None;
    let (mut address, mut workers) = (SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 1);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("arm") => arm = Some(arguments.value()?.parse()?),
            Long("addr") => address = arguments.value()?.parse()?,
            Long("workers") => {
                workers = arguments.value()?.parse()?;
                if !(1..=256).contains(&workers) {
                    return Err(format!("--workers is {workers}; allowed: 1 to 256").into());
                }
            }
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    let arm = arm.ok_or("--arm is missing")?;
    Ok(Some(Options { arm, address, workers }))
}

async fn serve(options: Options) -> io::Result<()> {
    let (addresses, server) = options.arm.visit(Serve(options))?;
    for address in addresses {
        println!("http://{address}");
    }
    server.await
}

/// Binds a server of the app.
struct Serve(Options);

impl Visitor for Serve {
    type Output = io::Result<(Vec<SocketAddr>, Server)>;

    fn visit<T: AppService>(self, app: impl Fn() -> App<T> + Clone + Send + 'static) -> Self::Output {
        let server = HttpServer::new(app).workers(self.0.workers).bind(self.0.address)?;
        Ok((server.addrs(), server.run()))
    }
}
