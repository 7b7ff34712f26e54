//! The destinations of the demo's figures.

use std::error::Error;

use metrics_actix::Builder;

use crate::options::Options;

/// Adds the destinations that the options name.
pub(crate) fn add(builder: Builder, options: &Options) -> Result<Builder, Box<dyn Error>> {
    let builder = match &options.otlp {
        Some(url) => otlp(builder, url)?,
        None => builder,
    };
    let builder = match &options.datadog {
        Some(url) => datadog(builder, url)?,
        None => builder,
    };
    let builder = match &options.sentry {
        Some(dsn) => sentry(builder, dsn)?,
        None => builder,
    };
    match &options.ecs_log {
        Some(path) => ecs_log(builder, path),
        None => Ok(builder),
    }
}

#[cfg(feature = "otlp")]
fn otlp(builder: Builder, url: &str) -> Result<Builder, Box<dyn Error>> {
    let otlp = metrics_actix::otlp::Otlp::builder().endpoint(url).from_env();
    Ok(builder.exporter(otlp.build()?))
}

#[cfg(not(feature = "otlp"))]
fn otlp(_: Builder, _: &str) -> Result<Builder, Box<dyn Error>> {
    Err("--otlp needs the feature otlp: cargo run --features otlp --example service -- --otlp URL".into())
}

#[cfg(feature = "datadog")]
fn datadog(builder: Builder, url: &str) -> Result<Builder, Box<dyn Error>> {
    let datadog = metrics_actix::datadog::Datadog::builder().agent_url(url).from_env();
    Ok(builder.exporter(datadog.build()?))
}

#[cfg(not(feature = "datadog"))]
fn datadog(_: Builder, _: &str) -> Result<Builder, Box<dyn Error>> {
    Err("--datadog needs the feature datadog: cargo run --features datadog --example service -- --datadog URL".into())
}

#[cfg(feature = "sentry")]
fn sentry(builder: Builder, dsn: &str) -> Result<Builder, Box<dyn Error>> {
    let sentry = metrics_actix::sentry::Sentry::builder().dsn(dsn).from_env();
    Ok(builder.exporter(sentry.build().map_err(|error| format!("--sentry: {error}"))?))
}

#[cfg(not(feature = "sentry"))]
fn sentry(_: Builder, _: &str) -> Result<Builder, Box<dyn Error>> {
    Err("--sentry needs the feature sentry: cargo run --features sentry --example service -- --sentry DSN"
        .into())
}

#[cfg(feature = "ecs-log")]
fn ecs_log(builder: Builder, path: &str) -> Result<Builder, Box<dyn Error>> {
    let log = metrics_actix::ecs::EcsLog::builder().path(path).build();
    let log = log.map_err(|error| format!("--ecs-log: {error}"))?;
    Ok(builder.exporter(log))
}

#[cfg(not(feature = "ecs-log"))]
fn ecs_log(_: Builder, _: &str) -> Result<Builder, Box<dyn Error>> {
    Err("--ecs-log needs the feature ecs-log: cargo run --features ecs-log --example service -- --ecs-log PATH".into())
}
