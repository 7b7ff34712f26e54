//! The least that a middleware does to measure a latency.

use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use actix_web::Error;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use pin_project_lite::pin_project;
use quanta::Clock;

/// Reads the processor's time-stamp counter before and after each call, and drops the readings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadClock(&'static Clock);

impl ReadClock {
    pub(crate) fn new() -> Self {
        // One for all, so that a call counts no reference to it.
        static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::new);
        Self(&CLOCK)
    }
}

impl<S, B> Transform<S, ServiceRequest> for ReadClock
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = ReadClockService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(ReadClockService { service, clock: self.0 }))
    }
}

pub(crate) struct ReadClockService<S> {
    service: S,
    clock: &'static Clock,
}

impl<S, B> Service<ServiceRequest> for ReadClockService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = Timed<S::Future>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let start = self.clock.raw();
        Timed { call: self.service.call(request), clock: self.clock, start }
    }
}

pin_project! {
    pub(crate) struct Timed<F> {
        #[pin]
        call: F,
        clock: &'static Clock,
        start: u64,
    }
}

impl<F: Future> Future for Timed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.call.poll(cx));
        black_box(this.clock.raw().wrapping_sub(*this.start));
        Poll::Ready(result)
    }
}
