//! The settings of a registry.

use crate::histogram::Layout;
use crate::labels::outcome::Granularity;
use crate::record::shared::RegistrySettings;
use crate::registry::Registry;
use crate::setting::InvalidSetting;

/// Builds a [`Registry`] with settings of your own.
///
/// ```
/// use metrics_core::{Granularity, Registry};
/// // Three digits, and each status by itself: for a service with few routes.
/// let registry = Registry::builder().significant_digits(3).granularity(Granularity::Exact).build()?;
/// let refused = Registry::builder().max_series(0).build().unwrap_err();
/// assert_eq!(refused.to_string(), "max_series is 0; allowed: 1 to 65536");
/// # Ok::<(), metrics_core::InvalidSetting>(())
/// ```
#[derive(Debug, Clone)]
pub struct RegistryBuilder {
    max_series: usize,
    max_consumers: usize,
    significant_digits: u8,
    error_log_capacity: usize,
    request_log_capacity: usize,
    granularity: Granularity,
}

impl Default for RegistryBuilder {
    fn default() -> Self {
        Self {
            max_series: 1_024,
            max_consumers: 10_000,
            significant_digits: 2,
            error_log_capacity: 128,
            request_log_capacity: 1_024,
            granularity: Granularity::default(),
        }
    }
}

impl RegistryBuilder {
    /// Sets the maximum number of endpoints, 1 to 65,536; default 1,024. Requests of further endpoints are counted as
    /// `_other`.
    ///
    /// [`UNMATCHED`](crate::UNMATCHED) paths have a row for each of [`METHODS`](crate::METHODS) besides them.
    ///
    /// Costs 264 bytes per endpoint in each shard (4 KiB with [`Granularity::Exact`]), but only once the endpoint is
    /// used.
    pub fn max_series(mut self, endpoints: usize) -> Self {
        self.max_series = endpoints;
        self
    }

    /// Sets the maximum number of consumers, 0 to 1,048,576; default 10,000. Requests of further consumers are counted
    /// as `_other`. Consumers that the application [vouches for](crate::Registry::vouched_consumer) do not count; they
    /// have 10,000 rows of their own.
    ///
    /// Costs 8 bytes per consumer in each shard that counts consumers, and 64 bytes more for each one that it saw.
    pub fn max_consumers(mut self, consumers: usize) -> Self {
        self.max_consumers = consumers;
        self
    }

    /// Sets the significant decimal digits of latencies, 1 to 3; default 2. The relative error is below 6.25, 0.79 or
    /// 0.098 %.
    ///
    /// Each octave of latencies in use costs 128 B, 1 KiB or 8 KiB per endpoint, group of statuses and shard.
    pub fn significant_digits(mut self, digits: u8) -> Self {
        self.significant_digits = digits;
        self
    }

    /// Sets how many recent errors of each [`ErrorPriority`](crate::ErrorPriority) are kept, and how many are listed in
    /// total, 1 to 65,536; default 128. Each one costs about 2,100 bytes.
    pub fn error_log_capacity(mut self, errors: usize) -> Self {
        self.error_log_capacity = errors;
        self
    }

    /// Sets how many single requests the request log keeps, 1 to 65,536; default 1,024. Each costs about 200 bytes, but
    /// only once a request is logged or a reader reads the log.
    pub fn request_log_capacity(mut self, requests: usize) -> Self {
        self.request_log_capacity = requests;
        self
    }

    /// Sets which statuses share a latency histogram; default [`Granularity::Class`].
    pub fn granularity(mut self, granularity: Granularity) -> Self {
        self.granularity = granularity;
        self
    }

    /// Builds the registry.
    ///
    /// # Errors
    ///
    /// Returns an error if a number is out of its range. The error names the setter, the number and the range.
    pub fn build(self) -> Result<Registry, InvalidSetting> {
        let significant_digits = usize::from(self.significant_digits);
        check("max_series", self.max_series, 1, 1 << 16)?;
        check("max_consumers", self.max_consumers, 0, 1 << 20)?;
        check("error_log_capacity", self.error_log_capacity, 1, 1 << 16)?;
        check("request_log_capacity", self.request_log_capacity, 1, 1 << 16)?;
        check("significant_digits", significant_digits, 1, 3)?;
        let layout = Layout::for_digits(self.significant_digits).unwrap_or(Layout::TWO_DIGITS);
        Ok(Registry::with(RegistrySettings {
            max_series: self.max_series,
            max_consumers: self.max_consumers,
            layout,
            error_log_capacity: self.error_log_capacity,
            request_log_capacity: self.request_log_capacity,
            granularity: self.granularity,
        }))
    }
}

fn check(field: &'static str, value: usize, min: usize, max: usize) -> Result<(), InvalidSetting> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(InvalidSetting::new(field, value, format!("{min} to {max}")))
    }
}

impl Registry {
    /// Creates a registry with the default settings: see [`RegistryBuilder`].
    pub fn new() -> Self {
        RegistryBuilder::default().build().expect("the default settings are in range")
    }

    /// Returns a builder for a registry with settings of your own.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_range_is_refused_with_its_setter_and_the_range() {
        let message = |builder: RegistryBuilder| builder.build().unwrap_err().to_string();
        let new = RegistryBuilder::default;
        assert_eq!(message(new().max_series(0)), "max_series is 0; allowed: 1 to 65536");
        assert_eq!(message(new().max_series(65_537)), "max_series is 65537; allowed: 1 to 65536");
        assert_eq!(message(new().significant_digits(4)), "significant_digits is 4; allowed: 1 to 3");
        assert_eq!(message(new().error_log_capacity(0)), "error_log_capacity is 0; allowed: 1 to 65536");
        assert_eq!(message(new().request_log_capacity(0)), "request_log_capacity is 0; allowed: 1 to 65536");
    }

    #[test]
    fn the_ends_of_every_range_are_allowed() {
        for (series, digits, errors) in [(1, 1, 1), (65_536, 3, 65_536)] {
            let builder = RegistryBuilder::default().max_series(series).significant_digits(digits);
            assert!(builder.error_log_capacity(errors).request_log_capacity(errors).build().is_ok());
        }
    }
}
