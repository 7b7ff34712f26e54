//! A demo service with metrics: `cargo run --release --example service -- --demo-traffic`.

mod business;
mod exporters;
mod fleet;
mod incident;
mod options;
mod shop;
mod traffic;

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use metrics_actix::prometheus::Exposition;
use metrics_actix::{Builder, Metrics, Until};
use metrics_core::objective::Objective;

use crate::business::Business;
use crate::incident::Incident;
use crate::options::Options;

/// Where the endpoints are mounted.
const METRICS: &str = "/api/metrics";

/// Where Prometheus scrapes by default.
const PROMETHEUS: &str = "/metrics";

fn main() -> ExitCode {
    let options = match Options::from_args() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    if let Some(job) = &options.objective_rules {
        return print_rules(job);
    }
    // Bound before the runtime starts, so that a port in use is one clear error line.
    let listener = match TcpListener::bind(options.addr) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("error: cannot listen on {}: {error}; choose another with --addr", options.addr);
            return ExitCode::FAILURE;
        }
    };
    match serve(&options, listener) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the rules of the objectives for Prometheus.
fn print_rules(job: &str) -> ExitCode {
    let builder = objectives(Metrics::builder("shop"));
    let rules = builder
        .build()
        .map_err(|error| error.to_string())
        .and_then(|metrics| metrics.objective_rules(job).map_err(|error| error.to_string()));
    match rules {
        Ok(rules) => {
            print!("{rules}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// The shop's objectives: that it answers, and how fast.
fn objectives(builder: Builder) -> Builder {
    let orders = ["/api/v1/orders", "/api/v1/orders/{order_id}"];
    let in_time = Objective::latency(95.0, Duration::from_millis(100)).name("orders_in_time");
    builder
        .objective(Objective::availability(99.9).routes(["/items/{id}", "/search"]).routes(orders))
        .objective(in_time.routes(orders))
        .apdex(Duration::from_millis(100))
}

#[actix_web::main]
async fn serve(options: &Options, listener: TcpListener) -> Result<(), Box<dyn std::error::Error>> {
    let addr = listener.local_addr()?;
    let mut builder = Metrics::builder("shop")
        .version(env!("CARGO_PKG_VERSION"))
        // So that `/export` is timed to its last line, not to its first.
        .measure(Until::BodyEnd)
        .api_key_header(shop::API_KEY)
        .consumer_alias(shop::customer)
        .prometheus(Exposition::builder().top_consumers(5).build()?)
        .exclude("/favicon.ico");
    if addr.ip().is_loopback() {
        builder = builder.reset_without_token();
    }
    if let Some(file) = &options.history {
        builder = builder.history_file(file);
    }
    if let Some(every) = options.interval {
        builder = builder.history_interval(every);
    }
    if options.incident {
        // What leads to the cause: paths, and links to the traces that the clients send.
        builder = builder.keep_paths(true).trace_url("http://127.0.0.1:16686/trace/{trace_id}");
    }
    let metrics = fleet::join(exporters::add(objectives(builder), options)?, options)?.build()?;
    let business = Business::new(metrics.registry())?;
    let incident = Incident::new(options.incident);
    let app_metrics = metrics.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(business.clone()))
            .app_data(web::Data::new(incident))
            .configure(app_metrics.routes(METRICS))
            .configure(app_metrics.prometheus_at(PROMETHEUS))
            .configure(shop::routes)
            .default_service(web::to(shop::nothing_here))
            .wrap(app_metrics.middleware())
    })
    .workers(options.workers)
    .listen(listener)?
    .run();
    announce(addr, &metrics);
    if options.redis.is_some() {
        println!("  fleet       http://{addr}{METRICS}/fleet/instances");
    }
    let traffic = (options.demo_traffic || options.incident).then(|| traffic::start(addr, options.incident));
    let unsent = metrics.run(server).await;
    if let Some(traffic) = traffic {
        traffic.stop();
    }
    let unsent = unsent?;
    if !unsent.is_empty() {
        eprintln!("warning: {unsent}");
    }
    Ok(())
}

/// Prints the addresses to open.
fn announce(addr: SocketAddr, metrics: &Metrics) {
    println!("The {} service listens on http://{addr}", metrics.service());
    println!("  dashboard   http://{addr}{METRICS}/");
    println!("  summary     http://{addr}{METRICS}/summary");
    println!("  by route    http://{addr}{METRICS}/routes");
    println!("  history     http://{addr}{METRICS}/history?window=5m");
    println!("  alerts      http://{addr}{METRICS}/alerts");
    println!("  objectives  http://{addr}{METRICS}/objectives");
    println!("  errors      http://{addr}{METRICS}/errors");
    println!("  own metrics http://{addr}{METRICS}/business");
    println!("  resources   http://{addr}{METRICS}/resources");
    println!("  consumers   http://{addr}{METRICS}/consumers?top=5");
    println!("  exporters   http://{addr}{METRICS}/exporters");
    println!("  Prometheus  http://{addr}{PROMETHEUS}");
    if addr.ip().is_loopback() {
        println!("  reset       curl -X POST http://{addr}{METRICS}/reset");
    } else {
        println!(
            "The demo has no token, so it shows errors and consumers only to requests from this machine."
        );
    }
    println!(
        "Try http://{addr}/items/7 or http://{addr}/events (a stream that stays open), or restart with --demo-traffic. \
         Press Ctrl-C to stop."
    );
}
