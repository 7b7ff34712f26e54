//! An incident for the demo: a route that turns slow, and then fails for one customer.

use std::time::{Duration, Instant};

use actix_web::error;
use actix_web::rt::time::sleep;

/// How long all is well.
const SLOW_AFTER: Duration = Duration::from_secs(10);
const FAILS_AFTER: Duration = Duration::from_secs(20);

/// How long the route takes from then on.
const SLOW: Duration = Duration::from_millis(400);

/// The customer that it fails for.
const VICTIM: &str = "Ann";

/// The incident, if the demo shows one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incident(Option<Instant>);

impl Incident {
    pub(crate) fn new(happens: bool) -> Self {
        Self(happens.then(Instant::now))
    }

    /// What happens to a customer's request for an order.
    pub(crate) async fn strike(self, customer: Option<&str>, order: u64) -> actix_web::Result<()> {
        let Some(begun) = self.0 else { return Ok(()) };
        let since = begun.elapsed();
        if since >= SLOW_AFTER {
            sleep(SLOW).await;
        }
        if since >= FAILS_AFTER && customer == Some(VICTIM) {
            let message = format!("the stock database has no shard for order {order}");
            return Err(error::ErrorInternalServerError(message));
        }
        Ok(())
    }
}
