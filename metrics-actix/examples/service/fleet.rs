//! The demo as one instance of a fleet.

use metrics_actix::Builder;

use crate::options::Options;

/// Joins the fleet of the Redis that the options name, if they name one.
#[cfg(feature = "redis")]
pub(crate) fn join(builder: Builder, options: &Options) -> Result<Builder, Box<dyn std::error::Error>> {
    use metrics_actix::fleet::FleetSettings;
    let Some(redis) = &options.redis else { return Ok(builder) };
    let mut settings = FleetSettings::new(redis)?;
    if let Some(interval) = options.interval {
        settings = settings.interval(interval);
    }
    let mut builder = builder.version(env!("CARGO_PKG_VERSION")).fleet(settings);
    if let Some(instance) = &options.instance {
        builder = builder.instance(instance);
    }
    Ok(builder)
}

#[cfg(not(feature = "redis"))]
pub(crate) fn join(builder: Builder, options: &Options) -> Result<Builder, Box<dyn std::error::Error>> {
    match options.redis {
        Some(_) => {
            Err("--redis needs the feature redis: cargo run --features redis --example service".into())
        }
        None => Ok(builder),
    }
}
