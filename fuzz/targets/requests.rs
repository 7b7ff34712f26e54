//! Checks that a service's figures are exactly what a model counts, whatever requests do and however they end, and that
//! each endpoint of the monitor answers each caller as the docs promise.
//!
//! A run is a sequence of requests through the middleware, in process: `input.rs` has what they do, `service.rs` is the
//! application, `client.rs` calls it, `model.rs` counts along, and `check.rs` compares. Services are kept from run to
//! run, with their models, since to start one takes longer than a run. So a finding may need the runs before it.

#![no_main]

#[path = "requests/check.rs"]
mod check;
#[path = "requests/client.rs"]
mod client;
#[path = "requests/config.rs"]
mod config;
#[path = "requests/input.rs"]
mod input;
#[path = "requests/model.rs"]
mod model;
#[path = "requests/own.rs"]
mod own;
#[path = "requests/places.rs"]
mod places;
#[path = "requests/service.rs"]
mod service;

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::rt::Runtime;
use libfuzzer_sys::fuzz_target;

use crate::client::Client;
use crate::config::{CONFIGS, Config};
use crate::input::Input;

static REQUESTS: AtomicU64 = AtomicU64::new(0);
static RUNS: AtomicU64 = AtomicU64::new(0);

/// The client of each configuration, once there is one.
type Clients = [RefCell<Option<Client>>; CONFIGS];

thread_local! {
    // Never dropped: what actix-web keeps for the thread may be gone by then.
    static RUNTIME: ManuallyDrop<Runtime> = ManuallyDrop::new(Runtime::new().expect("there is a runtime"));
    static CLIENTS: ManuallyDrop<Clients> = ManuallyDrop::new([const { RefCell::new(None) }; CONFIGS]);
}

fuzz_target!(|input: Input| {
    let number = usize::from(input.config) % CONFIGS;
    let kept = CLIENTS.with(|clients| clients[number].take()).filter(|_| !input.restarts);
    let client = RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let mut client = match kept {
                Some(client) => client,
                None => Client::start(Config::new(number)).await,
            };
            client.run(input.steps).await;
            client
        })
    });
    CLIENTS.with(|clients| clients[number].replace(Some(client)));
    RUNS.fetch_add(1, Ordering::Relaxed);
});

/// Tells how far it is.
fn count_request() {
    let requests = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
    if requests % 100_000 == 0 {
        eprintln!("{requests} requests in {} runs", RUNS.load(Ordering::Relaxed));
    }
}
