//! A scrape by Prometheus: rendered off the worker, into buffers that are used again.

use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, AcceptEncoding, Encoding, Header, HeaderMap, HeaderValue};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use metrics_export::prometheus::Format;

use crate::answer;
use crate::builder::Shared;

/// Scrapes that may be rendered at one time: two servers that watch each other's backs. Each keeps a buffer.
const MAX_SCRAPES: usize = 2;

/// When to come back if there are more, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Answers a scrape.
pub(crate) async fn answer(shared: Arc<Shared>, request: HttpRequest) -> HttpResponse {
    let format = accepted(request.headers());
    let gzip = accepts_gzip(&request);
    let Ok(running) = shared.background.begin() else {
        return unavailable("the server is shutting down, or too many are asking");
    };
    let Some(mut scrape) = Scrapes::begin(&shared.scrapes) else {
        return unavailable("too many are scraping; try again");
    };
    let rendered = web::block(move || {
        let body = scrape.buffers.render(&shared, format, gzip);
        drop((scrape, running));
        body
    });
    let Ok(body) = rendered.await else { return unavailable("the server is shutting down") };
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, format.content_type()))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::VARY, "accept, accept-encoding"));
    if gzip {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    response.body(body)
}

fn unavailable(why: &str) -> HttpResponse {
    let mut response = answer::failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

/// The format that the request's `Accept` headers ask for.
fn accepted(headers: &HeaderMap) -> Format {
    let values: Vec<_> = headers.get_all(header::ACCEPT).filter_map(|value| value.to_str().ok()).collect();
    Format::negotiate(&values.join(","))
}

/// Whether the request asks for gzip more than for nothing at all.
fn accepts_gzip(request: &HttpRequest) -> bool {
    let asked = cfg!(feature = "gzip") && request.headers().contains_key(header::ACCEPT_ENCODING);
    let supported = [Encoding::gzip(), Encoding::identity()];
    let negotiate = |accept: AcceptEncoding| accept.negotiate(supported.iter());
    asked && AcceptEncoding::parse(request).ok().and_then(negotiate) == Some(Encoding::gzip())
}

/// The buffers that are free. As many as may be in use at one time, so that having one is the permission to scrape.
#[derive(Debug)]
pub(crate) struct Scrapes(Mutex<Vec<Buffers>>);

impl Default for Scrapes {
    fn default() -> Self {
        Self(Mutex::new((0..MAX_SCRAPES).map(|_| Buffers::default()).collect()))
    }
}

impl Scrapes {
    /// Begins a scrape, if there may be one more.
    fn begin(this: &Arc<Self>) -> Option<Scrape> {
        let buffers = this.0.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Scrape { buffers, scrapes: Arc::clone(this) })
    }
}

/// A scrape under way; ends when dropped.
#[derive(Debug)]
struct Scrape {
    buffers: Buffers,
    scrapes: Arc<Scrapes>,
}

impl Drop for Scrape {
    fn drop(&mut self) {
        let buffers = std::mem::take(&mut self.buffers);
        self.scrapes.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffers);
    }
}

/// What a scrape is written into. They grow to the largest that there was, and stay so.
#[derive(Debug, Default)]
struct Buffers {
    rendered: Vec<u8>,
    #[cfg(feature = "gzip")]
    packed: Vec<u8>,
}

impl Buffers {
    /// A copy of exactly the size, so that a slow client keeps no buffer from the next scrape.
    fn render(&mut self, shared: &Shared, format: Format, gzip: bool) -> Bytes {
        let (snapshot, resources) = (shared.registry.snapshot(), shared.resources.exposed());
        let exporters = shared.exporting.counts();
        shared.exposition.render_with(&snapshot, &resources, &exporters, format, &mut self.rendered);
        Bytes::copy_from_slice(if gzip { self.pack() } else { &self.rendered })
    }

    #[cfg(feature = "gzip")]
    fn pack(&mut self) -> &[u8] {
        use std::io::Write;
        self.packed.clear();
        let packed = std::mem::take(&mut self.packed);
        // The fastest level: what is so much alike packs well at any.
        let mut encoder = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        let packed = encoder.write_all(&self.rendered).and_then(|()| encoder.finish());
        self.packed = packed.expect("a vector takes all that is written");
        &self.packed
    }

    #[cfg(not(feature = "gzip"))]
    fn pack(&mut self) -> &[u8] {
        &self.rendered
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use actix_web::rt::time::{sleep, timeout};
    use actix_web::test::{TestRequest, call_service, init_service};

    #[test]
    fn gzip_is_for_those_who_ask_for_it() {
        for (encodings, expected) in [
            (None, false),
            (Some("gzip"), true),
            (Some("gzip, deflate, br"), true),
            (Some("br;q=1.0, gzip;q=0.8"), true),
            // Whatever we like.
            (Some("*"), false),
            (Some("identity"), false),
            (Some("br"), false),
            (Some("gzip;q=0"), false),
            (Some("gzip;q=0.1, identity;q=0.5"), false),
            (Some(""), false),
            (Some(";;,q=x"), false),
        ] {
            let mut request = TestRequest::get();
            if let Some(encodings) = encodings {
                request = request.insert_header((header::ACCEPT_ENCODING, encodings));
            }
            let asked = accepts_gzip(&request.to_http_request());
            assert_eq!(asked, expected && cfg!(feature = "gzip"), "{encodings:?}");
        }
    }

    #[test]
    fn several_accept_headers_are_one() {
        let request = TestRequest::get()
            .append_header((header::ACCEPT, "text/html"))
            .append_header((header::ACCEPT, "application/openmetrics-text"))
            .to_http_request();
        assert_eq!(accepted(request.headers()), Format::OpenMetrics);
    }

    #[test]
    fn no_more_than_two_scrape_at_one_time() {
        let scrapes = Arc::default();
        let first = Scrapes::begin(&scrapes);
        let second = Scrapes::begin(&scrapes);
        assert!(first.is_some() && second.is_some() && Scrapes::begin(&scrapes).is_none());
        drop(first);
        assert!(Scrapes::begin(&scrapes).is_some());
    }

    #[actix_web::test]
    async fn a_client_that_goes_away_takes_no_scrape_with_it() {
        let metrics = crate::Metrics::builder("orders").build().unwrap();
        let app = init_service(actix_web::App::new().configure(metrics.prometheus_at("/metrics"))).await;
        let scrape = || call_service(&app, TestRequest::with_uri("/metrics").to_request());
        for _ in 0..2 * MAX_SCRAPES {
            // Begun and dropped.
            timeout(Duration::ZERO, scrape()).await.ok();
        }
        let free = || metrics.shared.scrapes.0.lock().unwrap().len();
        for _ in 0..500 {
            if free() == MAX_SCRAPES {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(free(), MAX_SCRAPES);
        assert_eq!(scrape().await.status(), StatusCode::OK);
    }
}
