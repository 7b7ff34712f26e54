//! Exporters against destinations that fail, and against the real things.
//!
//! `cargo test -p tests --test exporters -- --ignored` needs rsyslog with rsyslog-elasticsearch, and in the Python that
//! `METRICS_TEST_PYTHON` names (default: `python3`) PyPI's ddapm-test-agent (with ddsketch and msgpack),
//! opentelemetry-proto and sentry-relay, and npm's typescript and @elastic/ecs in the folder that `METRICS_TEST_NODE_MODULES` names.

mod adjusted;
mod agent;
mod allocator;
mod beside;
mod bulk;
mod datadog;
mod decode;
mod ecs;
mod endurance;
mod faults;
mod http;
mod load;
mod otlp;
mod sentry;
mod stub;
mod support;
