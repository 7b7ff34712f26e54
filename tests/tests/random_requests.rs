//! Totals stay exact and memory stays flat under random requests.
//!
//! This is a separate test binary because it measures the resident memory of the whole process.

use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, error};
use metrics_actix::Metrics;
use metrics_core::Registry;

fn shop(config: &mut ServiceConfig) {
    let fails = || async { Err::<&str, _>(error::ErrorInternalServerError("out of chairs")) };
    config
        .route("/items/{id}", web::get().to(|| async { "a chair" }))
        .route("/static/{file}*", web::get().to(|| async { "" }))
        .route("/fails", web::get().to(fails));
}

/// Sends random requests through the middleware of two apps on one worker, as a server does.
#[actix_web::test]
async fn a_hundred_thousand_random_requests_grow_no_table() {
    random_requests(100_000).await;
}

#[actix_web::test]
#[ignore = "takes a minute: run with --ignored"]
async fn a_million_random_requests_grow_no_table() {
    random_requests(1_000_000).await;
}

async fn random_requests(requests: u64) {
    const SERIES: usize = 20;
    const CONSUMERS: usize = 100;
    let registry = Registry::builder().max_series(SERIES).max_consumers(CONSUMERS).build().unwrap();
    let metrics =
        Metrics::builder("shop").with_registry(registry).api_key_header("x-api-key").build().unwrap();
    let apps = [
        init_service(App::new().configure(shop).wrap(metrics.middleware())).await,
        init_service(App::new().configure(shop).wrap(metrics.middleware())).await,
    ];
    let mut rng = fastrand::Rng::with_seed(7);
    let mut text = move |characters: &str, len: usize| -> String {
        let characters: Vec<char> = characters.chars().collect();
        (0..len).map(|_| characters[rng.usize(..characters.len())]).collect()
    };
    let mut rng = fastrand::Rng::with_seed(8);
    let mut resident = 0;
    for i in 0..requests {
        if i == requests / 2 {
            resident = resident_bytes();
        }
        let method = match rng.u8(..4) {
            0 => "GET".to_owned(),
            1 => "POST".to_owned(),
            _ => text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1 + i as usize % 12),
        };
        let path = match rng.u8(..5) {
            0 => format!("/items/{}", rng.u64(..)),
            1 => format!("/static/{}", text("abc/.-", 20)),
            2 => "/fails".to_owned(),
            _ => format!("/{}", text("abcdefgh/%20~:@!$&'()*+,;=", 1 + i as usize % 60)),
        };
        let method = actix_web::http::Method::from_bytes(method.as_bytes()).unwrap();
        let Ok(uri) = path.parse::<actix_web::http::Uri>() else { panic!("{path}") };
        let request = TestRequest::with_uri(&uri.to_string())
            .method(method)
            .insert_header(("user-agent", text("abcdef0123456789", 30)))
            .insert_header(("x-api-key", text("0123456789abcdef", 1 + i as usize % 20)));
        let response = call_service(&apps[i as usize % 2], request.to_request()).await;
        actix_web::test::read_body(response).await;
    }
    let grown = resident_bytes().saturating_sub(resident);
    let snapshot = metrics.registry().snapshot();
    let (health, summary) = (snapshot.health(), snapshot.summary());
    println!("{requests} requests; over the last half, resident memory grew by {} KiB", grown / 1_024);
    assert_eq!(summary.total.calls, requests);
    assert_eq!((summary.in_flight, summary.total.aborted), (0, 0));
    assert!(summary.endpoints.len() <= SERIES + 1 && health.endpoints <= SERIES as u64);
    assert!(snapshot.consumers().len() <= CONSUMERS + 4);
    assert_eq!(snapshot.consumers().iter().map(|consumer| consumer.calls).sum::<u64>(), requests);
    assert!(grown < 1 << 20, "{grown} bytes");
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}
