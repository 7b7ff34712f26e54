//! What reached a service, noted by a middleware around the monitor's. It knows nothing of the monitor.
//!
//! A client whose connection breaks cannot tell whether its last request arrived. Each client sends one request at a
//! time, numbered, so its last number and the outcome of that request tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::{Data, Query};
use serde_json::{Value, json};

use crate::mutex::lock;

/// The last request of each client.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    last: Mutex<BTreeMap<u32, Arrived>>,
}

/// A request that arrived.
#[derive(Debug, Clone, Default)]
struct Arrived {
    number: u64,
    /// A status, `aborted` or `panicked`; empty while it is not known.
    outcome: String,
    streams: bool,
    truncated: bool,
}

/// Which request of which client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    lane: u32,
    number: u64,
}

impl Witness {
    /// The last request of a client: its number, and its outcome once that is settled.
    pub(crate) fn last(&self, lane: u32) -> Value {
        self.with(|last| last.get(&lane).cloned().unwrap_or_default().shown())
    }

    /// The same for all clients.
    pub(crate) fn all(&self) -> Value {
        let shown = |(lane, arrived): (&u32, &Arrived)| (lane.to_string(), arrived.shown());
        self.with(|last| Value::Object(last.iter().map(shown).collect()))
    }

    fn with<T>(&self, read: impl FnOnce(&mut BTreeMap<u32, Arrived>) -> T) -> T {
        read(&mut lock(&self.last))
    }

    fn change(&self, mark: Mark, change: impl FnOnce(&mut Arrived)) {
        self.with(|last| {
            let arrived = last.entry(mark.lane).or_default();
            // An earlier request that ends late has been settled without it.
            if arrived.number == mark.number {
                change(arrived);
            }
        });
    }

    fn begin(self: &Arc<Self>, mark: Mark) -> Begun {
        let arrived = Arrived { number: mark.number, ..Arrived::default() };
        self.with(|last| last.insert(mark.lane, arrived));
        Begun { witness: Arc::clone(self), mark, outcome: None }
    }

    /// Watches the body of a response until it is dropped.
    pub(crate) fn stream(self: &Arc<Self>, mark: Mark) -> Streaming {
        self.change(mark, |arrived| arrived.streams = true);
        Streaming { witness: Arc::clone(self), mark, whole: false }
    }
}

impl Arrived {
    fn shown(&self) -> Value {
        let outcome = if self.streams { "" } else { &self.outcome };
        json!([self.number, outcome, self.truncated])
    }
}

impl Mark {
    /// The request that a query names.
    pub(crate) fn of(query: &str) -> Option<Self> {
        let Query(pairs) = Query::<BTreeMap<String, String>>::from_query(query).ok()?;
        let number = |name: &str| pairs.get(name)?.parse::<u64>().ok();
        Some(Self { lane: number("lane")?.try_into().ok()?, number: number("n")? })
    }
}

/// A request under way.
struct Begun {
    witness: Arc<Witness>,
    mark: Mark,
    outcome: Option<u16>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        let outcome = match self.outcome {
            Some(status) => status.to_string(),
            None if std::thread::panicking() => "panicked".to_owned(),
            None => "aborted".to_owned(),
        };
        self.witness.change(self.mark, |arrived| arrived.outcome = outcome);
    }
}

/// A body under way.
pub(crate) struct Streaming {
    witness: Arc<Witness>,
    mark: Mark,
    /// Whether all of it was taken.
    pub(crate) whole: bool,
}

impl Drop for Streaming {
    fn drop(&mut self) {
        let truncated = !self.whole;
        self.witness.change(self.mark, |arrived| (arrived.streams, arrived.truncated) = (false, truncated));
    }
}

/// The middleware.
pub(crate) async fn watch<B: MessageBody>(
    witness: Data<Witness>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let Some(mark) = Mark::of(request.query_string()) else { return next.call(request).await };
    let mut begun = witness.begin(mark);
    let response = next.call(request).await;
    let status = match &response {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    begun.outcome = Some(status.as_u16());
    response
}
