//! The dashboard: a page, its style and its scripts, from the binary.
//!
//! They hold no figures and no names, so they need no token; the page asks for the one that the endpoints need.

use std::sync::{Arc, OnceLock};

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Route};
use hmac_sha256::Hash;

use crate::access::Tokens;
use crate::builder::Shared;
use crate::endpoints::resource;
#[cfg(feature = "gzip")]
use crate::gzip;
use crate::{answer, live};

/// What the page may do: load its own files, and ask the endpoints beside it. Scripts cannot make elements from text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// One of the page's files, as the directory `dashboard` has it.
struct File {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
    made: OnceLock<Made>,
}

/// What is made of a file when it is first asked for.
struct Made {
    etag: String,
    #[cfg(feature = "gzip")]
    gzip: Vec<u8>,
}

impl File {
    const fn new(name: &'static str, content_type: &'static str, text: &'static str) -> Self {
        Self { name, content_type, text, made: OnceLock::new() }
    }

    fn made(&self) -> &Made {
        self.made.get_or_init(|| Made {
            etag: format!("\"{}\"", hex(&Hash::hash(self.text.as_bytes())[..8])),
            #[cfg(feature = "gzip")]
            gzip: gzip::packed(self.text.as_bytes()),
        })
    }

    /// Answers with the file, or that whoever asks has it already.
    fn answer(&'static self, request: &HttpRequest) -> HttpResponse {
        let Made { etag, .. } = self.made();
        let known = request.headers().get(header::IF_NONE_MATCH);
        let known = known.and_then(|known| known.to_str().ok()).unwrap_or_default();
        let unchanged = known.split(',').any(|known| known.trim().trim_start_matches("W/") == etag);
        let status = if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        let mut response = HttpResponse::build(status);
        response
            .insert_header((header::CONTENT_TYPE, self.content_type))
            // Kept, but asked for again: a new version of the service has new files.
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            // Weak, for the compressed file is another one, byte by byte.
            .insert_header((header::ETAG, format!("W/{etag}")))
            .insert_header((header::VARY, "accept-encoding"))
            .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::REFERRER_POLICY, "no-referrer"))
            .insert_header(("cross-origin-resource-policy", "same-origin"));
        if unchanged {
            return response.finish();
        }
        #[cfg(feature = "gzip")]
        if gzip::is_accepted(request) {
            return response
                .insert_header((header::CONTENT_ENCODING, "gzip"))
                .body(self.made().gzip.as_slice());
        }
        response.body(self.text)
    }
}

static PAGE: File = File::new("", "text/html; charset=utf-8", include_str!("dashboard/index.html"));

const SCRIPT: &str = "text/javascript; charset=utf-8";

static FILES: [File; 15] = [
    File::new("style.css", "text/css; charset=utf-8", include_str!("dashboard/style.css")),
    File::new("icon.svg", "image/svg+xml", include_str!("dashboard/icon.svg")),
    File::new("main.js", SCRIPT, include_str!("dashboard/main.js")),
    File::new("business.js", SCRIPT, include_str!("dashboard/business.js")),
    File::new("server.js", SCRIPT, include_str!("dashboard/server.js")),
    File::new("charts.js", SCRIPT, include_str!("dashboard/charts.js")),
    File::new("exporters.js", SCRIPT, include_str!("dashboard/exporters.js")),
    File::new("fleet.js", SCRIPT, include_str!("dashboard/fleet.js")),
    File::new("heat.js", SCRIPT, include_str!("dashboard/heat.js")),
    File::new("limits.js", SCRIPT, include_str!("dashboard/limits.js")),
    File::new("scales.js", SCRIPT, include_str!("dashboard/scales.js")),
    File::new("panels.js", SCRIPT, include_str!("dashboard/panels.js")),
    File::new("dom.js", SCRIPT, include_str!("dashboard/dom.js")),
    File::new("format.js", SCRIPT, include_str!("dashboard/format.js")),
    File::new("words.js", SCRIPT, include_str!("dashboard/words.js")),
];

/// Mounts the page under `prefix`, and the events that it lives on. `endpoints` are the names of those beside it.
pub(crate) fn configure(
    config: &mut ServiceConfig,
    shared: &Arc<Shared>,
    prefix: &str,
    endpoints: Vec<&'static str>,
) {
    let open = Tokens::default();
    if let Some((parent, last)) = prefix.rsplit_once('/') {
        // Relative, so that it is right behind a proxy that mounts the service somewhere else, too.
        let location = format!("./{last}/");
        let redirect = both(|route| {
            let location = location.clone();
            route.to(move || {
                let location = location.clone();
                async move {
                    HttpResponse::TemporaryRedirect()
                        .insert_header((header::LOCATION, location))
                        .insert_header((header::CACHE_CONTROL, "no-store"))
                        .finish()
                }
            })
        });
        config.service(resource(parent, last, "GET, HEAD", redirect, &open));
    }
    let page = both(|route| route.to(|request: HttpRequest| async move { PAGE.answer(&request) }));
    config.service(resource(prefix, "", "GET, HEAD", page, &open));
    let files = both(|route| route.to(file));
    config.service(resource(prefix, "dashboard/{file}", "GET, HEAD", files, &open));
    let (live, endpoints) = (Arc::clone(shared), Arc::<[_]>::from(endpoints));
    let events = web::get().to(move |request: HttpRequest| {
        let (live, endpoints) = (Arc::clone(&live), Arc::clone(&endpoints));
        async move { live::answer(&live, &endpoints, &request) }
    });
    config.service(resource(prefix, "events", "GET", [events], &shared.read_tokens));
}

fn both(route: impl Fn(Route) -> Route) -> [Route; 2] {
    [web::get(), web::head()].map(route)
}

async fn file(name: web::Path<String>, request: HttpRequest) -> HttpResponse {
    match FILES.iter().find(|file| *file.name == **name) {
        Some(file) => file.answer(&request),
        None => answer::failure(StatusCode::NOT_FOUND, "not_found", "the dashboard has no such file"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "gzip")]
    fn the_page_and_all_its_files_are_small() {
        let sizes = FILES.iter().chain([&PAGE]).map(|file| (file.name, file.made().gzip.len()));
        let sizes: Vec<_> = sizes.collect();
        println!("{sizes:?}");
        assert!(sizes.iter().map(|(_, size)| size).sum::<usize>() <= 60 << 10, "{sizes:?}");
    }

    #[test]
    fn the_page_names_only_files_that_there_are_and_holds_no_code_of_its_own() {
        let mut texts = FILES.iter().chain([&PAGE]).map(|file| file.text);
        assert!(texts.all(|text| !text.contains("innerHTML") && !text.contains("https://")));
        let page = PAGE.text;
        for link in page.split("dashboard/").skip(1) {
            let name = link.split('"').next().unwrap();
            assert!(FILES.iter().any(|file| file.name == name), "{name}");
        }
        assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("onclick"));
        assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=").count());
        for import in FILES.iter().flat_map(|file| file.text.split(" from \"./").skip(1)) {
            let name = import.split('"').next().unwrap();
            assert!(FILES.iter().any(|file| file.name == name), "{name}");
        }
    }

    #[test]
    fn every_word_is_there_in_both_languages() {
        let words = FILES.iter().find(|file| file.name == "words.js").unwrap().text;
        let (english, korean) = words.split_once("const korean = {").unwrap();
        let names = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
            lines.filter_map(|line| Some(line.split_once(": ")?.0.to_owned())).collect()
        };
        let korean = korean.split("\n};").next().unwrap();
        assert!(names(english).len() > 50);
        assert_eq!(names(english), names(korean));
    }

    #[actix_web::test]
    async fn at_the_root_there_is_the_page_and_nothing_to_be_led_to_it() {
        let metrics = crate::Metrics::builder("test").build().unwrap();
        let app = actix_web::test::init_service(actix_web::App::new().configure(metrics.routes("/"))).await;
        for (path, status) in [("/", 200), ("/dashboard/main.js", 200), ("/dashboard/other", 404)] {
            let request = actix_web::test::TestRequest::with_uri(path).to_request();
            let response = actix_web::test::call_service(&app, request).await;
            assert_eq!(response.status(), status, "{path}");
        }
    }
}
