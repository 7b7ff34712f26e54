//! Exporters against destinations that fail, and against the real things.
//!
//! `cargo test -p tests --test exporters -- --ignored` needs rsyslog with rsyslog-elasticsearch, and in the Python that
//! `METRICS_TEST_PYTHON` names (default: `python3`) PyPI's ddapm-test-agent and opentelemetry-proto.

mod decode;
mod faults;
mod stub;
