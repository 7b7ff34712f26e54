//! The real things read what is exposed: Prometheus, promtool and the parsers of Python's client.
//!
//! `cargo test -p tests --test scrapers -- --ignored` needs Debian's packages prometheus and
//! golang-github-prometheus-client-model-dev, and PyPI's prometheus-client, grpcio-tools and grafana-foundation-sdk in the Python
//! that `METRICS_TEST_PYTHON` names (default: `python3`).

mod prometheus;
mod promtool;
mod python;
