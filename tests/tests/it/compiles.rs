//! What applications write around the monitor, in the shapes that most of them have. That it compiles is the test.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::web::ServiceConfig;
use actix_web::{App, Error, HttpServer, web};
use metrics_actix::Metrics;
use metrics_core::Registry;

fn create_app(
    metrics: Metrics,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .configure(metrics.routes("/api/metrics"))
        .configure(metrics.prometheus_at("/metrics"))
        .service(web::resource("/items").wrap(metrics.route_marker()).to(|| async { "" }))
        .wrap(metrics.middleware())
}

/// What is made of a reference may outlive it.
fn configure(metrics: &Metrics) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let (routes, scrapes) = (metrics.routes("/api/metrics"), metrics.prometheus_at("/metrics"));
    move |config| {
        config.configure(routes).configure(scrapes);
    }
}

#[actix_web::test]
async fn an_app_is_made_by_a_function_and_keeps_nothing_of_a_reference() {
    let app = {
        let metrics = Metrics::builder("shop").build().unwrap();
        create_app(metrics.clone()).configure(configure(&metrics))
    };
    let app = init_service(app).await;
    for path in ["/items", "/metrics"] {
        assert_eq!(call_service(&app, TestRequest::with_uri(path).to_request()).await.status(), 200);
    }
}

/// As the `main` of most services.
fn run() -> std::io::Result<()> {
    let registry = Registry::builder().max_series(100).build()?;
    let metrics = Metrics::builder("shop").with_registry(registry).build()?;
    let orders = metrics.registry().counter("orders")?;
    let _ = HttpServer::new(move || {
        orders.increment();
        create_app(metrics.clone())
    });
    Ok(())
}

#[test]
fn a_main_that_returns_an_io_result_builds_everything() {
    run().unwrap();
    let refused = || -> std::io::Result<()> {
        Metrics::builder("shop").read_token("short").build()?;
        Ok(())
    };
    let error = refused().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("read_token"), "{error}");
}
