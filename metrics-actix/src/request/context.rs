//! What is kept of a failed or slow request besides its figures.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use metrics_core::{Consumer, RequestContext, TraceContext};
use metrics_monitor::policy::capture::CapturePolicy;
use metrics_monitor::policy::trace;

use super::headers::RequestHeaders;
use super::span;

/// The application's hook for the trace of a request.
pub(crate) type ReadTrace = dyn Fn(&HttpRequest) -> Option<TraceContext> + Send + Sync;

/// What the policy keeps of a request, but for its [id](request_id). One without a response has nothing but its
/// consumer.
pub(crate) fn context<'a>(
    request: Option<&'a HttpRequest>,
    consumer: Option<Consumer>,
    policy: &CapturePolicy,
    read_trace: Option<&ReadTrace>,
) -> RequestContext<'a> {
    let Some(request) = request else { return RequestContext { consumer, ..RequestContext::default() } };
    RequestContext {
        trace: read_trace
            .and_then(|read| read(request))
            .or_else(span::current)
            .or_else(|| trace(request, policy)),
        consumer,
        request_id: None,
        path: policy.keep_paths.then(|| request.path()),
    }
}

/// The id of a request, in the first header of the policy's that it has. Looks through all headers for each.
pub(crate) fn request_id<'a>(request: Option<&'a HttpRequest>, policy: &CapturePolicy) -> Option<&'a str> {
    // Not by `get`, which allocates for names that are not in the standard.
    let header =
        |name: &str| request?.headers().iter().find(|(own, _)| own.as_str().eq_ignore_ascii_case(name));
    let id = policy.request_id_headers.iter().find_map(|name| Some(header(name)?.1));
    id.and_then(|id| id.to_str().ok())
}

/// W3C's header, as a name that need not be made for each request.
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

fn trace(request: &HttpRequest, policy: &CapturePolicy) -> Option<TraceContext> {
    // Of a flood of errors, hardly any has a trace.
    if trace::is_w3c_alone(&policy.trace_headers) && !request.headers().contains_key(&TRACEPARENT) {
        return None;
    }
    let headers = RequestHeaders { headers: request.headers(), authority: None };
    trace::first(&policy.trace_headers, &headers)
}
