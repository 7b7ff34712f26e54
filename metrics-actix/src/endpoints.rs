//! The HTTP endpoints: they translate between actix-web and the figures, and hold nothing of their own.

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource};
use metrics_core::{Registry, Summary};
use metrics_export::json::{Answer, ErrorsBody, Failure, RoutesBody, SummaryBody};
use serde::Serialize;

use crate::builder::Shared;
use crate::method::MethodLabel;

/// Names our resources, so that the middleware can leave their calls out.
const OWN_RESOURCE: &str = "metrics-actix";

/// Whether a request matched one of our endpoints.
pub(crate) fn is_own(request: &HttpRequest) -> bool {
    request.match_name().is_some_and(|name| name.starts_with(OWN_RESOURCE))
}

/// All endpoints under `prefix`.
pub(crate) fn configure(shared: Arc<Shared>, prefix: &str) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let path = prefix.trim_matches('/');
    let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
    move |config| {
        let read = |name, body| read_resource(&prefix, name, shared.registry.clone(), body);
        config.service(read("summary", |summary| json(&Answer::new(SummaryBody::from(summary)))));
        config.service(read("routes", |summary| json(&Answer::new(RoutesBody::from(summary)))));
        config.service(read("errors", |summary| json(&Answer::new(ErrorsBody::from(summary)))));
        if shared.reset {
            config.service(reset_resource(&prefix, shared.registry.clone()));
        }
    }
}

type Body = fn(&Summary) -> HttpResponse;

fn read_resource(prefix: &str, name: &str, registry: Registry, body: Body) -> Resource {
    let get = move || {
        let registry = registry.clone();
        async move { merged(move || registry.summary()).await.map_or_else(|failure| failure, |s| body(&s)) }
    };
    resource(prefix, name, "GET, HEAD").route(web::get().to(get.clone())).route(web::head().to(get))
}

fn reset_resource(prefix: &str, registry: Registry) -> Resource {
    let post = move || {
        let registry = registry.clone();
        async move {
            let closed = merged(move || registry.reset()).await;
            closed.map_or_else(|failure| failure, |closed| json(&Answer::new(SummaryBody::from(&closed))))
        }
    };
    resource(prefix, "reset", "POST").route(web::post().to(post))
}

/// A resource that answers every method but those of its routes with 405.
fn resource(prefix: &str, name: &str, allow: &'static str) -> Resource {
    let refuse = move |request: HttpRequest| async move {
        // The label, so that what strangers send is not sent back.
        let method = MethodLabel::of(request.method()).name();
        let message = format!("{method} is not supported here; allowed: {allow}");
        let mut response = failure(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message);
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allow));
        response
    };
    web::resource(format!("{prefix}/{name}"))
        .name(&format!("{OWN_RESOURCE}:{prefix}/{name}"))
        .default_service(web::to(refuse))
}

/// Reads on a thread of the blocking pool: merging takes up to milliseconds, in which a worker would serve nobody.
async fn merged(read: impl FnOnce() -> Summary + Send + 'static) -> Result<Summary, HttpResponse> {
    let message = "the server is shutting down";
    web::block(read).await.map_err(|_| failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message))
}

fn json(body: &impl Serialize) -> HttpResponse {
    respond(StatusCode::OK, body)
}

fn failure(status: StatusCode, code: &str, message: &str) -> HttpResponse {
    respond(status, &Failure::new(code, message))
}

fn respond(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    response.json(body)
}
