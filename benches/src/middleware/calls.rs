//! Calls of an arm's app: what a server's worker does around the middleware, without sockets and without HTTP's text.

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_http::{Request, Response};
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::rt::SystemRunner;
use actix_web::test::init_service;
use actix_web::{App, Error};
use fastrand::Rng;

use crate::middleware::{AppService, Arm, Shape, Visitor};

/// Requests that are made at a time, outside the measured time. At most 128, the size of the pool of request heads: a
/// server returns a head to the pool and takes it again, and never frees one.
const BATCH: usize = 64;

/// Seeds the ids in the requests.
const SEED: u64 = 0xca11;

/// An arm's app, which runs on the thread that made it.
pub struct Caller {
    app: Box<dyn CallAll>,
    random: Rng,
}

impl Caller {
    /// Makes the arm's app on `system`.
    pub fn new(arm: Arm, system: &Rc<SystemRunner>) -> Self {
        Self { app: arm.visit(InProcess(system)), random: Rng::with_seed(SEED) }
    }

    /// Makes `calls` calls, one after the other. Returns by how much the meter rose during the calls alone, without the
    /// time to make the requests.
    pub fn call(&mut self, shape: Shape, calls: usize, meter: Meter<'_>) -> u64 {
        let mut rose = 0;
        for first in (0..calls).step_by(BATCH) {
            let batch = BATCH.min(calls - first);
            let requests = (0..batch).map(|_| shape.request(&mut self.random)).collect();
            rose += self.app.call_all(requests, meter);
        }
        rose
    }

    /// Times `calls` calls.
    pub fn time(&mut self, shape: Shape, calls: usize) -> Duration {
        let zero = Instant::now();
        Duration::from_nanos(self.call(shape, calls, &|| zero.elapsed().as_nanos() as u64))
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

/// Anything that only rises, such as the time.
pub type Meter<'a> = &'a dyn Fn() -> u64;

/// An app of any type.
trait CallAll {
    /// Returns by how much the meter rises while the requests are answered.
    fn call_all(&self, requests: Vec<Request>, meter: Meter<'_>) -> u64;
}

struct Called<S> {
    system: Rc<SystemRunner>,
    service: S,
}

impl<S, B> CallAll for Called<S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    fn call_all(&self, requests: Vec<Request>, meter: Meter<'_>) -> u64 {
        self.system.block_on(async {
            let before = meter();
            for request in requests {
                let response = self.service.call(request).await.expect("the app answers every request");
                use_up(response.into()).await;
            }
            meter() - before
        })
    }
}

/// Consumes a response as a server does: returns the request to its pool, writes the head, reads the body to its end
/// and drops it. Some middlewares do part of their work there.
async fn use_up<B: MessageBody>(response: Response<B>) {
    let (head, body) = response.into_parts();
    drop(black_box(head));
    if matches!(body.size(), BodySize::None | BodySize::Sized(0)) {
        return;
    }
    let mut body = pin!(body);
    while let Some(piece) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
        black_box(piece.ok());
    }
}

/// Builds the app on this thread.
struct InProcess<'a>(&'a Rc<SystemRunner>);

impl Visitor for InProcess<'_> {
    type Output = Box<dyn CallAll>;

    fn visit<T: AppService>(self, app: impl Fn() -> App<T> + Clone + Send + 'static) -> Self::Output {
        let service = self.0.block_on(init_service(app()));
        Box::new(Called { system: Rc::clone(self.0), service })
    }
}
