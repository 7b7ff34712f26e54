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
    traces: &TraceSources,
) -> RequestContext<'a> {
    let Some(request) = request else { return RequestContext { consumer, ..RequestContext::default() } };
    RequestContext {
        trace: traces.of(request, policy),
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

/// Where the trace of a request is read from, the first source that has one.
pub(crate) struct TraceSources {
    hook: Option<Box<ReadTrace>>,
    /// The headers without one of which no request has a trace, as names that need not be made for each request.
    announcing: Vec<HeaderName>,
}

impl TraceSources {
    pub(crate) fn new(hook: Option<Box<ReadTrace>>, policy: &CapturePolicy) -> Self {
        let names = policy.trace_headers.iter().copied().filter_map(trace::announced_by);
        Self { hook, announcing: names.map(HeaderName::from_static).collect() }
    }

    fn of(&self, request: &HttpRequest, policy: &CapturePolicy) -> Option<TraceContext> {
        let hook = self.hook.as_ref().and_then(|read| read(request));
        hook.or_else(span::current).or_else(|| self.in_headers(request, policy))
    }

    fn in_headers(&self, request: &HttpRequest, policy: &CapturePolicy) -> Option<TraceContext> {
        // Of a flood of errors, hardly any has a trace.
        if !self.announcing.iter().any(|name| request.headers().contains_key(name)) {
            return None;
        }
        let headers = RequestHeaders { headers: request.headers(), authority: None };
        trace::first(&policy.trace_headers, &headers)
    }
}
