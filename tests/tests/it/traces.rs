//! Traces that begin in the application, not with its caller.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use metrics_actix::Metrics;
use metrics_core::{TraceContext, TraceId};
use tests::{Server, settled};

const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const TRACEPARENT: (&str, &str) = ("traceparent", "00-11111111111111111111111111111111-b7ad6b7169203331-01");

/// What an application leaves in a request's extensions.
struct Begun(u128);

fn shop(config: &mut ServiceConfig) {
    let fails = |request: HttpRequest| async move {
        if request.match_info().query("begins") == "true" {
            request.extensions_mut().insert(Begun(TRACE));
        }
        HttpResponse::InternalServerError().finish()
    };
    config.route("/fails/{begins}", web::get().to(fails));
}

#[test]
fn a_trace_that_begins_here_is_that_of_the_error_the_slow_request_and_the_exemplar() {
    let metrics = Metrics::builder("shop")
        .trace_context(|request| {
            let trace = TraceId::new(request.extensions().get::<Begun>()?.0)?;
            Some(TraceContext { trace, parent: None, sampled: true })
        })
        .build()
        .unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    client.send_with("GET", "/fails/true", &[TRACEPARENT]);
    settled(&metrics, 1);
    let exemplar = metrics.registry().snapshot().exemplars()[0].trace;
    assert_eq!(exemplar, TraceId::new(TRACE).unwrap());
    client.send_with("GET", "/fails/false", &[TRACEPARENT]);
    client.send("GET", "/fails/false");
    settled(&metrics, 3);
    for (name, list) in [("errors", "recent_errors"), ("slow", "requests")] {
        let answer = client.metrics("GET", name);
        let mut traces: Vec<_> =
            answer[list].as_array().unwrap().iter().map(|row| row["trace_id"].as_str()).collect();
        traces.sort_unstable();
        let expected = [None, Some("0af7651916cd43dd8448eb211c80319c"), Some(&*"1".repeat(32))];
        assert_eq!(traces, expected, "{answer}");
    }
}
