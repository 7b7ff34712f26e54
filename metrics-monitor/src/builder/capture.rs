//! The builder's settings for single requests: which ones are kept, and what of them.

use std::time::Duration;

use metrics_core::TraceContext;

use super::Builder;
use crate::framework::ReadTraces;

/// # What is kept of single requests
impl<H> Builder<H> {
    /// Sets the duration from which on a request is slow and kept as an exemplar; `None` for no exemplars; default: 1
    /// s.
    ///
    /// In the formats that have exemplars, Prometheus sees, for each endpoint, the trace of the latest request that was
    /// slow or failed and had a valid `traceparent` header (W3C's Trace Context) of a sampled trace. If an
    /// [exporter](Builder::exporter) wants errors or single requests, `x-datadog-trace-id` with its companions and
    /// `sentry-trace` are read, too. The first valid one in this order counts; with the Datadog exporter, Datadog's
    /// comes first.
    ///
    /// These headers are only read for such requests and those that an exporter wants, and only if there is a response:
    /// not after a panic, not if the client disconnected, and not if an inner middleware returned an error.
    pub fn slow_requests(mut self, threshold: impl Into<Option<Duration>>) -> Self {
        self.settings.slow = threshold.into();
        self
    }

    /// Lets traces that the caller does not record (`traceparent: ...-00`) be exemplars, too; default: sampled traces
    /// only, as OpenTelemetry does, since a link to a trace that nobody stored leads nowhere. For services that decide
    /// what to store after a trace has ended.
    ///
    /// Errors and requests that exporters get always have their trace id, and whether it is sampled: the id connects
    /// what several services report about one request, even if no trace is stored.
    pub fn unsampled_exemplars(mut self) -> Self {
        self.settings.unsampled_exemplars = true;
        self
    }

    /// Sets the headers with a request id, which is kept for failed and slow requests; default: `x-request-id`, then
    /// `x-amzn-trace-id`. The first header that is present counts. With an empty list, no id is kept.
    ///
    /// These headers are only read for such requests, and only if there is a response. At most 64 bytes are kept.
    pub fn request_id_headers<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.settings.request_id_headers =
            names.into_iter().map(|name| name.into().to_ascii_lowercase()).collect();
        self
    }

    /// Sets the URL of a trace, such as `https://jaeger.example/trace/{trace_id}`, for links on the dashboard, in alert
    /// notices and in Sentry's events; default: no links. `{trace_id}` stands for the id, 32 hexadecimal digits. At
    /// most 2,048 bytes.
    pub fn trace_url(mut self, url: impl Into<String>) -> Self {
        self.settings.service.trace_url = Some(url.into());
        self
    }

    /// Sets whether to keep the paths of failed and slow requests, without their queries, and the most frequent paths
    /// that matched no route; default: `false`.
    ///
    /// Paths can contain secrets, such as `/reset/<token>`, and everybody who may read `GET errors` sees them. At most
    /// 128 bytes are kept.
    pub fn keep_paths(mut self, keep: bool) -> Self {
        self.settings.keep_paths = keep;
        self
    }
}

/// # What is kept of single requests
impl<H: ReadTraces> Builder<H> {
    /// Sets the function that reads the trace of a failed or slow request from wherever the application keeps it, for
    /// example if the trace starts in this service. Default, and if it returns `None`: the current span of `tracing`,
    /// with the adapter's feature `tracing-opentelemetry`, and then the request's headers, if the caller sent a trace.
    ///
    /// Called on the worker, once the response exists, and only for requests that failed, were slow, or were sampled.
    /// So it can read what a middleware or handler left in the request's extensions. Not called for requests without a
    /// response.
    ///
    /// One of the [hooks](Builder::hooks): setting other hooks later replaces it.
    pub fn trace_context(
        self,
        read: impl Fn(&H::Request) -> Option<TraceContext> + Send + Sync + 'static,
    ) -> Self {
        Self { hooks: self.hooks.trace_context(read), settings: self.settings }
    }
}
