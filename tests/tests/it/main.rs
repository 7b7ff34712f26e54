//! End-to-end tests: real servers, real connections, no stand-ins.

mod access;
mod alertmanager;
mod alerts;
mod endpoints;
mod example;
mod figures;
mod neighbours;
mod options;
mod outcomes;
mod routes;
mod storms;
mod windows;
