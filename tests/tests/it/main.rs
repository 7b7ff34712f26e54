//! End-to-end tests with real servers and real connections.

mod access;
mod alertmanager;
mod alerts;
mod browser;
mod dashboard;
mod deploy;
mod endpoints;
mod environments;
mod example;
mod exporters;
mod facade;
mod figures;
mod floods;
mod idle;
mod inventory;
mod lanes;
mod mounts;
mod neighbours;
mod options;
mod outcomes;
mod prometheus;
mod requests;
mod route_names;
mod routes;
mod storms;
mod windows;
