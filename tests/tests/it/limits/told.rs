//! What reaches people outside of the service while strangers make alerts come and go, and errors with made-up texts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::error::ErrorForbidden;
use metrics_actix::sentry::Sentry;
use metrics_core::alert::{Comparison, Metric, Rule, Scope};
use metrics_core::objective::Objective;
use tests::{Fault, Receiver, Stub};

use super::*;

/// Calls of a route that fails, and of one that does not.
const CALLS: usize = 40;

/// Texts and routes that strangers make up, in a row.
const MADE_UP: usize = 200;

/// Is set when it is dropped, also when the test fails.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn refuses(text: web::Path<String>) -> impl Future<Output = actix_web::Result<HttpResponse>> {
    std::future::ready(Err(ErrorForbidden(text.into_inner())))
}

#[test]
fn an_operator_is_told_what_fails_while_others_make_up_errors_and_alerts() {
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let receiver = Receiver::start(Vec::new());
    let sent = Arc::new(Mutex::new(String::new()));
    let stub = Stub::start(Fault::None, {
        let sent = Arc::clone(&sent);
        move |body| {
            sent.lock().unwrap().push_str(&String::from_utf8_lossy(body));
            Vec::new()
        }
    });
    let dsn = format!("{}/42", stub.url().replacen("://", "://key@", 1));
    let of_routes = |name, metric| Rule::new(name, metric, Comparison::AtLeast, 1.0).scope(Scope::EachRoute);
    let name = |request: &HttpRequest| request.headers().get("x-name")?.to_str().ok().map(str::to_owned);
    let metrics = Metrics::builder("shop")
        .with_registry(with_routes(Registry::builder().max_series(3 * ROWS).build().unwrap(), ROWS))
        .route_with(name)
        .objective(Objective::availability(99.0).routes(["/items/{id}", "/fails"]))
        .without_default_alerts()
        .alert(Rule::new("failing", Metric::ServerErrors, Comparison::AtLeast, CALLS as f64))
        // Strangers make one for each name.
        .alert(of_routes("made_up", Metric::ClientErrors))
        .alertmanager(format!("http://{}", hangs.local_addr().unwrap()))
        .alert_webhook(receiver.url("/hook"))
        .exporter(Sentry::builder().dsn(dsn).client_errors(true).build().unwrap())
        .build()
        .unwrap();
    let server = Server::start(2, &metrics, |config| {
        shop(config);
        config.route("/refuses/{text}", web::get().to(refuses));
    });
    let client = server.client();
    ask("nothing", &client);

    let is_over = Arc::new(AtomicBool::new(false));
    let refused = std::thread::scope(|scope| {
        let over = Over(Arc::clone(&is_over));
        let attack = scope.spawn(|| {
            let mut refused = 0;
            while refused == 0 || !is_over.load(Ordering::Relaxed) {
                send(&server, MADE_UP, |i| {
                    format!("GET /refuses/{} HTTP/1.1\r\nx-name: /made/up/{}", word(refused + i), i % ROWS)
                });
                refused += MADE_UP;
            }
            refused
        });
        for i in 0..CALLS {
            assert_eq!(client.send("GET", "/fails").status, 500);
            assert_eq!(client.send("GET", &format!("/items/{i}")).status, 200);
        }
        ask("made-up errors and alerts", &client);
        // The notice is among those of strangers, whose number is bounded by that of routes.
        let about_failing = |post: &Value| {
            let notices = post["notices"].as_array().unwrap();
            notices.iter().any(|notice| notice["rule"] == "failing" && notice["value"] == CALLS as f64)
        };
        let begun = Instant::now();
        while !about_failing(&receiver.next().1) {
            assert!(begun.elapsed() < LONG, "nobody is told");
        }
        println!("{:40} {:?}", "a notice of what fails", begun.elapsed());
        ask("made-up errors and alerts", &client);
        // Exact, whatever else was asked for.
        let begun = Instant::now();
        loop {
            let answer = client.metrics("GET", "objectives");
            let objective = &answer["objectives"][0];
            if objective["valid"] == 2 * CALLS && objective["good"] == CALLS {
                break;
            }
            assert!(begun.elapsed() < LONG, "{answer}");
            std::thread::sleep(Duration::from_millis(100));
        }
        println!("{:40} {:?}", "samples of objectives", begun.elapsed());
        ask("made-up errors and alerts", &client);
        drop(over);
        attack.join().unwrap()
    });
    let delivery = client.metrics("GET", "alerts")["delivery"].clone();
    assert_eq!(delivery["destinations"][0]["sent"], 0, "{delivery}");
    assert_eq!(delivery["destinations"][1]["dropped"], 0, "{delivery}");
    let total = client.metrics("GET", "summary");
    assert_eq!(total["total_errors"], CALLS + refused);
    drop(server);
    actix_web::rt::System::new().block_on(metrics.shutdown(LONG));
    let sent = sent.lock().unwrap();
    assert!(sent.contains(r#""fingerprint":["GET /fails","500",""]"#), "Sentry has no group of what failed");
    let counts = &metrics.exporters()[0];
    let known = counts.errors_sent + counts.errors_dropped + counts.errors_missed;
    println!("{refused} made-up errors; Sentry: {counts:?}");
    assert_eq!(known, (CALLS + refused) as u64, "{counts:?}");
}
