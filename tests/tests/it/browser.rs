//! The dashboard in a real browser, under real traffic.

mod accessibility;
mod address;
mod causes;
mod connection;
mod controls;
mod exporters;
mod follow;
mod incident;
mod paint;
mod panels;
mod requests;
mod screens;
mod strangers;
mod support;
