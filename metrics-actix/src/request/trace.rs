//! The place of a request in a trace.

use actix_web::HttpRequest;
use metrics_core::TraceContext;
use metrics_monitor::policy::capture::CapturePolicy;
use metrics_monitor::policy::trace;

use super::headers::RequestHeaders;

/// The request's place in a trace, if the policy needs it.
pub(crate) fn trace(request: &HttpRequest, policy: &CapturePolicy) -> Option<TraceContext> {
    let headers = RequestHeaders { headers: request.headers(), authority: None };
    trace::first(&policy.trace_headers, &headers)
}
