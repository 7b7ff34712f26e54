//! Fleets on a real Redis: which figures are exact, and what happens when instances or Redis die.
//!
//! `cargo test -p tests --test fleet -- --ignored` needs Debian's package redis-server.

mod alerts;
mod attack;
mod cluster;
mod dashboard;
mod epochs;
mod exact;
mod faults;
mod fixture;
mod heirs;
mod hostile;
mod lease;
mod mixed;
mod objectives;
mod proxy;
mod rolling;
mod run;
mod sentinel;
mod tls;
