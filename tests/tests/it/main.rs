//! End-to-end tests: real servers, real connections, no stand-ins.

mod endpoints;
mod example;
mod figures;
mod outcomes;
mod routes;
