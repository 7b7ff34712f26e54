//! The traces of spans, as OpenTelemetry knows them. Without the feature `tracing-opentelemetry` there are none.

use metrics_core::TraceContext;

/// The trace of the span that this thread is in.
#[cfg(feature = "tracing-opentelemetry")]
pub(crate) fn current() -> Option<TraceContext> {
    use opentelemetry::Context;
    use opentelemetry::trace::TraceContextExt;
    // Spans of OpenTelemetry's own middlewares are no spans of `tracing`.
    let of_context = || Context::map_current(|context| trace_context(context.span().span_context()));
    span_context(&tracing::Span::current()).or_else(of_context)
}

#[cfg(not(feature = "tracing-opentelemetry"))]
pub(crate) fn current() -> Option<TraceContext> {
    None
}

/// Returns the trace of a span of `tracing`, for [`Builder::trace_context`](crate::Builder::trace_context); `None` if
/// the span is disabled, or the subscriber has no layer of `tracing-opentelemetry` 0.34.
///
/// Use it for spans that have ended by the time the response reaches the middleware, such as the root span of an inner
/// `tracing_actix_web::TracingLogger`:
///
/// ```
/// use actix_web::HttpMessage;
/// use metrics_actix::{Metrics, span_context};
///
/// # struct RootSpan(tracing::Span);
/// # impl std::ops::Deref for RootSpan {
/// #     type Target = tracing::Span;
/// #     fn deref(&self) -> &tracing::Span {
/// #         &self.0
/// #     }
/// # }
/// let metrics = Metrics::builder("orders")
///     .trace_context(|request| span_context(request.extensions().get::<RootSpan>()?))
///     .build()?;
/// # Ok::<(), metrics_actix::BuildError>(())
/// ```
#[cfg(feature = "tracing-opentelemetry")]
pub fn span_context(span: &tracing::Span) -> Option<TraceContext> {
    use opentelemetry::trace::TraceContextExt;
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    trace_context(span.context().span().span_context())
}

#[cfg(feature = "tracing-opentelemetry")]
fn trace_context(span: &opentelemetry::trace::SpanContext) -> Option<TraceContext> {
    use metrics_core::{SpanId, TraceId};
    Some(TraceContext {
        trace: TraceId::new(u128::from_be_bytes(span.trace_id().to_bytes()))?,
        parent: SpanId::new(u64::from_be_bytes(span.span_id().to_bytes())),
        sampled: span.is_sampled(),
    })
}
