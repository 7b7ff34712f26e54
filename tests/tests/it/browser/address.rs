//! The page at each address that leads to it, with and without a slash, whatever a middleware does to slashes.

use std::net::SocketAddr;
use std::sync::mpsc;

use actix_web::dev::ServerHandle;
use actix_web::middleware::{Condition, NormalizePath, TrailingSlash};
use actix_web::{App, HttpServer};
use metrics_actix::Metrics;
use tests::{Browser, Look};

use super::support::shop;

/// Starts a server whose normaliser is outside of the middleware. It ends with the process, or at `stop`.
fn serve(slash: Option<TrailingSlash>) -> (SocketAddr, ServerHandle) {
    let metrics = Metrics::builder("shop").build().unwrap();
    let (started, starts) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let app = move || {
                App::new()
                    .configure(metrics.routes("/api/metrics"))
                    .configure(shop)
                    .wrap(metrics.middleware())
                    .wrap(Condition::new(slash.is_some(), NormalizePath::new(slash.unwrap_or_default())))
            };
            let server = HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
            let addr = server.addrs()[0];
            let server = server.run();
            started.send((addr, server.handle())).unwrap();
            server.await.unwrap();
        });
    });
    starts.recv().unwrap()
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_page_is_live_at_its_address_with_and_without_a_slash_whatever_is_done_to_slashes() {
    let all = [TrailingSlash::Trim, TrailingSlash::Always, TrailingSlash::MergeOnly];
    for slash in [None].into_iter().chain(all.map(Some)) {
        let (addr, server) = serve(slash);
        let browser = Browser::start(Look::default());
        for path in ["/api/metrics", "/api/metrics/"] {
            browser.open(&format!("http://{addr}{path}"));
            browser.wait("document.querySelector('#state').dataset.state === 'live'");
            let address = browser.get("location.pathname");
            assert_eq!(address.as_str(), Some("/api/metrics/"), "{path} with {slash:?}");
        }
        // Not even the script in the page is against its policy. Files beside the page may have been missed before the
        // slash was there.
        let complaints = browser.complaints();
        assert!(complaints.iter().all(|complaint| complaint.contains("404")), "{complaints:?}");
        assert!(slash.is_some_and(|slash| matches!(slash, TrailingSlash::Always)) || complaints.is_empty());
        futures_util::FutureExt::now_or_never(server.stop(false));
    }
}
