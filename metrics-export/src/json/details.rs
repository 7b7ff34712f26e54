//! What identifies a single request, in the bodies that list some.

use std::sync::Arc;

use metrics_core::{RequestDetails, TraceContext};
use serde::Serialize;

/// What is known of a request besides its figures; `null` where it is not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct DetailsBody {
    trace_id: Option<String>,
    consumer: Option<String>,
    request_id: Option<String>,
    path: Option<String>,
    worker: Option<u32>,
}

impl DetailsBody {
    pub(super) fn new(trace: Option<TraceContext>, details: &RequestDetails) -> Self {
        let RequestDetails { consumer, request_id, path, worker } = details;
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        Self {
            trace_id: trace.map(|trace| trace.trace.to_string()),
            consumer: text(consumer),
            request_id: text(request_id),
            path: text(path),
            worker: *worker,
        }
    }
}
