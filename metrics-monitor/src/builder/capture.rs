//! What the builder takes about single requests: which are kept, and what of them.

use std::time::Duration;

use metrics_core::TraceContext;

use super::Builder;
use crate::framework::ReadTraces;

impl<H> Builder<H> {
    /// The duration from which a request is slow, and kept as an exemplar; `None` for no exemplars; default: 1 s.
    ///
    /// For each endpoint, Prometheus is shown the trace of the latest request that was slow or failed and had a valid
    /// `traceparent` header (W3C's Trace Context) of a sampled trace, in the formats that have exemplars. If an
    /// [exporter](Builder::exporter) wants errors or single requests, the trace may also be in `x-datadog-trace-id` and
    /// its companions or in `sentry-trace`; the first valid one in this order counts, with the Datadog exporter
    /// Datadog's first.
    ///
    /// Only such requests, and those that an exporter wants, have these headers read, and only with a response: not
    /// after a panic, not if the client went away, and not if an inner middleware returned an error.
    pub fn slow_requests(mut self, threshold: impl Into<Option<Duration>>) -> Self {
        self.settings.slow = threshold.into();
        self
    }

    /// Lets traces that the caller does not record (`traceparent: ...-00`) be exemplars, too; default: sampled traces
    /// only, as OpenTelemetry does, since a link to a trace that nobody stored leads nowhere. For services that decide
    /// what to store after a trace has ended.
    ///
    /// The errors and requests that exporters get have the id of their trace in any case, and whether it is sampled:
    /// the id joins what several services say about one request, also without a stored trace.
    pub fn unsampled_exemplars(mut self) -> Self {
        self.settings.unsampled_exemplars = true;
        self
    }

    /// The headers with a request id, which is kept for failed and slow requests; default: `x-request-id`, then
    /// `x-amzn-trace-id`. The first one that a request has counts. An empty list keeps none.
    ///
    /// Only such requests have these headers read, and only with a response. At most 64 bytes are kept.
    pub fn request_id_headers<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.settings.request_id_headers =
            names.into_iter().map(|name| name.into().to_ascii_lowercase()).collect();
        self
    }

    /// Where people look at a trace, such as `https://jaeger.example/trace/{trace_id}`: the dashboard makes links of
    /// the ids of traces; default: no links. `{trace_id}` stands for the id, 32 hexadecimal digits.
    pub fn trace_url(mut self, url: impl Into<String>) -> Self {
        self.settings.trace_url = Some(url.into());
        self
    }

    /// Whether the paths of failed and slow requests are kept, without their queries, and the most frequent paths that
    /// matched no route; default: `false`.
    ///
    /// Paths can hold secrets, such as `/reset/<token>`. Whoever may read `GET errors` sees them. At most 128 bytes are
    /// kept.
    pub fn keep_paths(mut self, keep: bool) -> Self {
        self.settings.keep_paths = keep;
        self
    }
}

impl<H: ReadTraces> Builder<H> {
    /// Reads the trace of a failed or slow request from wherever the application keeps it, such as a trace that begins
    /// here; default, and where this returns `None`: the request's headers, if the caller sent a trace.
    ///
    /// Called on the worker, after the response is made, and only for requests that failed, were slow, or were sampled.
    /// So it finds what a middleware or a handler left in the request's extensions. Not called for requests without a
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
