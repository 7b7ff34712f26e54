//! Scrapes that are mounted apart, and that share a path with the page or another endpoint.

use super::*;

#[actix_web::test]
async fn where_the_page_and_the_scrapes_share_a_path_accept_decides() {
    for scrapes_first in [false, true] {
        for normalised in [false, true] {
            let metrics = Metrics::builder("shop").build().unwrap();
            let app = App::new();
            let app = if scrapes_first {
                app.configure(metrics.prometheus_at("/metrics")).configure(metrics.routes("/metrics"))
            } else {
                app.configure(metrics.routes("/metrics")).configure(metrics.prometheus_at("/metrics"))
            };
            let app = app.wrap(Condition::new(normalised, NormalizePath::trim())).wrap(metrics.middleware());
            let app = browser(init_service(app).await, |request| request.to_request());
            for path in ["/metrics", "/metrics/"] {
                for (accept, expected) in [
                    (BROWSER, "text/html"),
                    (SCRAPER, "application/openmetrics-text"),
                    ("text/plain;version=0.0.4", "text/plain"),
                    (
                        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
                        "application/vnd.google.protobuf",
                    ),
                    ("*/*", "text/plain"),
                ] {
                    let (_, status, kind, _) = app.get(path, accept).await;
                    let case = format!("{path}, {accept}, scrapes first: {scrapes_first}, {normalised}");
                    assert_eq!((status, kind.as_str()), (200, expected), "{case}");
                }
            }
            assert_eq!(app.get("/metrics/summary", "*/*").await.2, "application/json");
        }
    }
}

#[actix_web::test]
async fn scrapes_at_the_path_of_another_endpoint_are_for_scrapers_only() {
    for scrapes_first in [false, true] {
        let metrics = Metrics::builder("shop").build().unwrap();
        let app = App::new();
        let at = "/metrics/summary";
        let app = if scrapes_first {
            app.configure(metrics.prometheus_at(at)).configure(metrics.routes("/metrics"))
        } else {
            app.configure(metrics.routes("/metrics")).configure(metrics.prometheus_at(at))
        };
        let app = browser(init_service(app.wrap(metrics.middleware())).await, |request| request.to_request());
        for (accept, expected) in [
            (BROWSER, "application/json"),
            ("*/*", "application/json"),
            (SCRAPER, "application/openmetrics-text"),
        ] {
            assert_eq!(app.get(at, accept).await.2, expected, "{accept}, scrapes first: {scrapes_first}");
        }
        // By themselves, they are for everybody.
        assert_eq!(app.get("/metrics/prometheus", BROWSER).await.2, "text/plain");
    }
}

#[actix_web::test]
async fn scrapes_by_themselves_are_for_everybody() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let app = App::new()
        .service(web::scope("/x").configure(metrics.routes("/metrics")))
        .configure(metrics.prometheus_at("/metrics"))
        .wrap(metrics.middleware());
    let app = browser(init_service(app).await, |request| request.to_request());
    assert_eq!(app.get("/metrics", BROWSER).await.2, "text/plain");
    assert_eq!(app.get("/metrics/", "*/*").await.2, "text/plain");
    // The page of another mount is not at that path.
    assert_eq!(app.get("/x/metrics", "*/*").await.2, "text/html");
    assert_eq!(app.get("/x/metrics", SCRAPER).await.2, "application/openmetrics-text");
}

#[actix_web::test]
async fn the_scrapes_at_the_path_of_the_open_page_need_their_token() {
    let metrics = Metrics::builder("shop").read_token("0123456789abcdef").build().unwrap();
    let app = App::new().configure(metrics.routes("/metrics")).configure(metrics.prometheus_at("/metrics"));
    let app = browser(init_service(app.wrap(metrics.middleware())).await, |request| request.to_request());
    assert_eq!(app.get("/metrics", SCRAPER).await.1, 401);
    assert_eq!(app.get("/metrics", "*/*").await.1, 401);
    assert_eq!(app.get("/metrics", BROWSER).await.1, 200);
}
