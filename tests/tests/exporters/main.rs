//! Exporters against failing destinations, and against real ones.
//!
//! `cargo test -p tests --test exporters -- --ignored` needs squid, and rsyslog with rsyslog-elasticsearch; PyPI's
//! ddapm-test-agent (with ddsketch and msgpack), opentelemetry-proto, sentry-relay, rotel and bugsink, in the Python of
//! `METRICS_TEST_PYTHON` (default: `python3`); and npm's typescript and @elastic/ecs, in the folder of
//! `METRICS_TEST_NODE_MODULES`.

mod agent;
mod allocator;
mod beside;
mod bugsink;
mod bulk;
mod datadog;
mod decode;
mod ecs;
mod ending;
mod endurance;
mod faults;
mod http;
mod load;
mod otlp;
mod pieces;
mod rotel;
mod sentry;
mod squid;
