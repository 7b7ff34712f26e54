//! Prometheus, VictoriaMetrics, promtool and the parsers of Prometheus' Python client read the exposition.
//!
//! `cargo test -p tests --test scrapers -- --ignored` needs the Debian packages prometheus,
//! victoria-metrics and golang-github-prometheus-client-model-dev, and the PyPI packages prometheus-client, grpcio-tools
//! and grafana-foundation-sdk in the Python that `METRICS_TEST_PYTHON` names (default: `python3`).

mod deployed;
mod prometheus;
mod promtool;
mod promtool_rules;
mod python;
mod query;
mod victoria;
