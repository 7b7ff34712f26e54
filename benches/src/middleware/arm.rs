//! The arms: the same app, bare or wrapped in one of the middlewares.

use std::str::FromStr;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::{App, Error};
use metrics_actix::datadog::Datadog;
use metrics_actix::elasticsearch::Elasticsearch;
use metrics_actix::otlp::Otlp;
use metrics_actix::sentry::Sentry;
use metrics_actix::{HttpOptions, Metrics};
use metrics_core::Registry;

use crate::figures::{BARE, OURS};
use crate::middleware::app::routes;
use crate::middleware::clock::ReadClock;
use crate::middleware::{peers, sink};

pub(crate) const CLOCK: &str = "clock";
pub(crate) const FLOODED: &str = "ours, flooded";
pub(crate) const EXPORTING: &str = "ours, with exporters";
pub(crate) const ACTIX_WEB_PROM: &str = "actix-web-prom";
pub(crate) const OPENTELEMETRY: &str = "opentelemetry";
pub(crate) const ACTIX_WEB_METRICS: &str = "actix-web-metrics";

/// The middleware around the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    /// Nothing.
    Bare,
    /// The floor of everything that measures a latency: two readings of the processor's time-stamp counter.
    Clock,
    /// Ours.
    Ours,
    /// Ours with room for one error in its log. In a flood of errors hardly any is kept, and here that does not depend
    /// on how fast they come.
    Flooded,
    /// Ours, which sends figures, errors and slow traces to four destinations each second.
    Exporting,
    /// `actix-web-prom`.
    ActixWebProm,
    /// `RequestMetrics` of `opentelemetry-instrumentation-actix-web`.
    OpenTelemetry,
    /// `actix-web-metrics`, with the Prometheus recorder of the `metrics` facade.
    ActixWebMetrics,
}

impl Arm {
    /// Those that are compared, the bare one first.
    pub const ALL: [Self; 7] = [
        Self::Bare,
        Self::Clock,
        Self::Ours,
        Self::Exporting,
        Self::ActixWebProm,
        Self::OpenTelemetry,
        Self::ActixWebMetrics,
    ];

    /// Its name in tables, in JSON, in criterion and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => BARE,
            Self::Clock => CLOCK,
            Self::Ours => OURS,
            Self::Flooded => FLOODED,
            Self::Exporting => EXPORTING,
            Self::ActixWebProm => ACTIX_WEB_PROM,
            Self::OpenTelemetry => OPENTELEMETRY,
            Self::ActixWebMetrics => ACTIX_WEB_METRICS,
        }
    }

    /// Calls the visitor with a factory of the arm's app, whose type differs between arms.
    ///
    /// All apps of the factory share the metrics, as the workers of a server do.
    pub fn visit<V: Visitor>(self, visitor: V) -> V::Output {
        let app = || App::new().configure(routes);
        match self {
            Self::Bare => visitor.visit(app),
            Self::Clock => {
                let clock = ReadClock::new();
                visitor.visit(move || app().wrap(clock))
            }
            Self::Ours => {
                let metrics = Metrics::builder("bench").build().expect("the name is valid");
                visitor.visit(move || app().wrap(metrics.middleware()))
            }
            Self::Flooded => {
                let registry = Registry::builder().error_log_capacity(1).build().expect("one is in range");
                let metrics = Metrics::builder("bench").with_registry(registry).build();
                let metrics = metrics.expect("the name is valid");
                visitor.visit(move || app().wrap(metrics.middleware()))
            }
            Self::Exporting => {
                let metrics = exporting();
                visitor.visit(move || app().wrap(metrics.middleware()))
            }
            Self::ActixWebProm => {
                let metrics = peers::actix_web_prom();
                visitor.visit(move || app().wrap(metrics.clone()))
            }
            Self::OpenTelemetry => {
                let metrics = peers::opentelemetry();
                visitor.visit(move || app().wrap(metrics.clone()))
            }
            Self::ActixWebMetrics => {
                let metrics = peers::actix_web_metrics();
                visitor.visit(move || app().wrap(metrics.clone()))
            }
        }
    }
}

/// Ours with all of its destinations, which accept everything.
fn exporting() -> Metrics {
    let (addr, second) = (sink::start(), Duration::from_secs(1));
    let (url, dsn) = (format!("http://{addr}"), format!("http://key@{addr}/1"));
    let options = || HttpOptions::new().interval(second);
    let otlp = Otlp::builder().endpoint(&*url).http(options()).build();
    let datadog = Datadog::builder().agent_url(&*url).http(options()).slow(second).build();
    let sentry = Sentry::builder().dsn(dsn).release("bench").http(options()).build();
    let elastic = Elasticsearch::builder(&*url).http(options()).build();
    Metrics::builder("bench")
        .exporter(otlp.expect("the settings are in range"))
        .exporter(datadog.expect("the settings are in range"))
        .exporter(elastic.expect("the settings are in range"))
        .exporter(sentry.expect("the settings are in range"))
        .build()
        .expect("the name is valid")
}

/// Uses an arm's app, of any type.
pub trait Visitor {
    /// The result.
    type Output;

    /// Uses the app; `app` makes one for each worker.
    fn visit<T: AppService>(self, app: impl Fn() -> App<T> + Clone + Send + 'static) -> Self::Output;
}

/// What receives an app's requests: the outermost middleware, or the router without one.
pub trait AppService:
    ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<Self::Body>,
        Error = Error,
        InitError = (),
        Service: Service<ServiceRequest, Future: 'static> + 'static,
        Future: 'static,
    > + 'static
{
    /// The bodies of its responses.
    type Body: MessageBody + 'static;
}

impl<T, B> AppService for T
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
            Service: Service<ServiceRequest, Future: 'static> + 'static,
            Future: 'static,
        > + 'static,
    B: MessageBody + 'static,
{
    type Body = B;
}

impl FromStr for Arm {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|arm| arm.name() == name).ok_or_else(|| {
            format!("{name:?} is not an arm; the arms are {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}
