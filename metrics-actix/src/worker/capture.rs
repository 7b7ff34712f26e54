//! What a worker keeps of a single request besides its figures: errors, slow requests, exemplars and samples.

use std::time::Duration;

use actix_web::HttpRequest;
use metrics_core::{Consumer, EndpointId, Outcome, RequestContext};
use metrics_monitor::policy::capture::Captured;
use metrics_monitor::policy::mistakes::Mistake;

use super::AppWorker;
use crate::request::context::{context, request_id};
use crate::request::span;

/// A request that has ended, and was counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) endpoint: EndpointId,
    pub(crate) outcome: Outcome,
    pub(crate) nanos: u64,
    /// Whether it took long enough to be [captured](AppWorker::capture), even if it did not fail.
    pub(crate) is_slow: bool,
}

impl AppWorker {
    /// Captures a request that ended. Called for those that failed, with their message; for those that were slow; and
    /// for all, if an exporter wants a random sample.
    #[cold]
    #[inline(never)]
    pub(crate) fn capture(
        &self,
        ended: Ended,
        message: Option<&str>,
        consumer: Option<Consumer>,
        request: Option<&HttpRequest>,
    ) {
        let Ended { endpoint, outcome, nanos, is_slow } = ended;
        let policy = &self.policy().capture;
        let randomness = self.randomness();
        let (is_wanted, is_exemplar) = (policy.is_wanted(nanos, randomness), nanos >= policy.exemplar_nanos);
        let ranks = is_slow && self.recorder().ranks(endpoint, nanos);
        if !is_wanted && !is_exemplar && !ranks && message.is_none() {
            return;
        }
        let (recorder, elapsed) = (self.recorder(), Duration::from_nanos(nanos));
        self.look_for_shadow(outcome, request);
        // A request without a response has no headers any more.
        let mut context = context(request, consumer, policy, &self.worker.shared.traces);
        let trace = context.trace;
        if ranks {
            context.request_id = request_id(request, policy);
            recorder.list_slow(endpoint, outcome, nanos, &context);
        }
        if let Some(message) = message {
            let id = || request_id(request, policy);
            recorder.log_error_with_id(endpoint, outcome, elapsed, message, context, id);
        }
        if let Some(context) = trace
            && policy.is_exemplar(&context)
            && (is_exemplar || message.is_some())
        {
            recorder.keep_exemplar(endpoint, outcome, elapsed, context.trace);
        }
        if is_wanted {
            recorder.log_request(endpoint, outcome, elapsed, trace, randomness);
        }
    }

    /// As [`AppWorker::capture`], of a request whose body is still being sent: logs its error, and returns what is
    /// needed at the end of the body.
    #[cold]
    #[inline(never)]
    pub(crate) fn capture_head(
        &self,
        endpoint: EndpointId,
        outcome: Outcome,
        elapsed: Duration,
        message: Option<&str>,
        consumer: Option<Consumer>,
        request: Option<&HttpRequest>,
    ) -> Option<Captured> {
        let policy = &self.policy().capture;
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let randomness = self.randomness();
        let (is_wanted, is_slow) = (policy.is_wanted(nanos, randomness), nanos >= policy.exemplar_nanos);
        if !is_wanted && !is_slow && message.is_none() {
            return None;
        }
        self.look_for_shadow(outcome, request);
        let context = context(request, consumer, policy, &self.worker.shared.traces);
        let trace = context.trace;
        if let Some(message) = message {
            let id = || request_id(request, policy);
            self.recorder().log_error_with_id(endpoint, outcome, elapsed, message, context, id);
        }
        Some(Captured { trace, randomness })
    }

    /// Captures a request whose body has ended. One of which nothing was captured before is slow by its body alone, and
    /// its trace is that of the current span, if there is one: its headers are not there any more.
    #[cold]
    #[inline(never)]
    pub(crate) fn capture_body(
        &self,
        endpoint: EndpointId,
        outcome: Outcome,
        nanos: u64,
        consumer: Option<Consumer>,
        captured: Option<Captured>,
    ) {
        let policy = &self.policy().capture;
        let late = || Captured { trace: span::current(), randomness: 1.0 };
        let Captured { trace, randomness } = captured.unwrap_or_else(late);
        let (recorder, elapsed) = (self.recorder(), Duration::from_nanos(nanos));
        if recorder.ranks(endpoint, nanos) {
            let context = RequestContext { trace, consumer, ..RequestContext::default() };
            recorder.list_slow(endpoint, outcome, nanos, &context);
        }
        if let Some(context) = trace
            && policy.is_exemplar(&context)
            && (nanos >= policy.exemplar_nanos || outcome.is_error())
        {
            recorder.keep_exemplar(endpoint, outcome, elapsed, context.trace);
        }
        if policy.is_wanted(nanos, randomness) {
            recorder.log_request(endpoint, outcome, elapsed, trace, randomness);
        }
    }

    /// Tells if one of the monitor's own endpoints is in this app, but something else answered its path with 404.
    fn look_for_shadow(&self, outcome: Outcome, request: Option<&HttpRequest>) {
        if let (Outcome::Status(404), Some(request)) = (outcome, request)
            && let Some(path) = self.mounts.shadowed(request, self.worker.shared.monitor.endpoints())
        {
            self.policy().mistakes.tell(Mistake::Shadowed { path });
        }
    }

    /// A random number for a request, if an exporter wants a random sample.
    fn randomness(&self) -> f64 {
        if self.policy().capture.share > 0.0 { self.worker.sampler.draw() } else { 1.0 }
    }
}
