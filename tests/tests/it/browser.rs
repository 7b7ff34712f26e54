//! The dashboard in a real browser, under real traffic.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, error};
use metrics_actix::{Identity, Metrics};
use metrics_core::alert::{Comparison, Metric, Rule};
use serde_json::{Value, json};
use tests::{Browser, Client, Example, Look, Server, settled};

mod exporters;

const TOKEN: &str = "read-0123456789abcdef";

/// WebDriver's code points of keys.
const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';

/// What a stranger would like a page to run, or to stumble over.
const HOSTILE: [&str; 8] = [
    "<script>window.pwned = 1</script>",
    "<img src=x onerror=\"window.pwned = 1\">",
    "\"><svg onload=window.pwned=1>",
    "</td></table><iframe src=\"javascript:parent.pwned=1\"></iframe>",
    "javascript:window.pwned=1//';window.pwned=1;{{7*7}}${7*7}",
    "__proto__",
    "田中さん 😀 \u{202e}esrever\u{202c} Ṱ̺̺o͞ ﷽",
    "&lt;b&gt; &amp; %00 %n '; DROP TABLE users; --",
];

fn shop(config: &mut ServiceConfig) {
    let hostile = |request: HttpRequest| async move {
        let turn: usize = request.match_info().query("turn").parse().unwrap_or(0);
        Err::<&str, _>(error::ErrorInternalServerError(HOSTILE[turn % HOSTILE.len()]))
    };
    config
        .route("/items/{id}", web::get().to(|| async { "a chair" }))
        .route("/missing", web::get().to(|| async { HttpResponse::NotFound().finish() }))
        .route("/<img src=x onerror=window.pwned=1>/{turn}", web::get().to(hostile))
        .route("/hostile/{turn}", web::get().to(hostile));
}

/// Somebody who calls the service all the time.
struct Traffic {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    fn start(client: Client) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for turn in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                client.send("GET", &format!("/items/{turn}"));
                if turn % 4 == 0 {
                    client.send("GET", "/missing");
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let joined = self.thread.take().map(JoinHandle::join);
        assert!(joined.is_none_or(|joined| joined.is_ok()) || std::thread::panicking());
    }
}

fn page(server: &Server) -> String {
    format!("http://{}/api/metrics/", server.addr())
}

/// Waits until figures come in.
fn wait_until_live(browser: &Browser) {
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    browser.wait("document.querySelector('[data-tile=total_calls]').dataset.value > 0");
    browser.wait("document.querySelectorAll('#routes tbody tr').length > 0");
}

/// The raw value of a tile.
fn tile(browser: &Browser, name: &str) -> f64 {
    let value = browser.get(&format!("Number(document.querySelector('[data-tile={name}]').dataset.value)"));
    value.as_f64().unwrap_or_else(|| panic!("{name} shows {value}"))
}

/// The raw values that a chart's newest point has.
fn values(browser: &Browser, chart: &str) -> Vec<f64> {
    let values = browser.get(&format!("document.querySelector({}).dataset.values", json!(chart)));
    let values = values.as_str().unwrap_or_default().split_whitespace();
    values.map(|value| value.parse().unwrap_or_else(|_| panic!("{chart} shows {value}"))).collect()
}

/// Waits until `shown` is what is `wanted`, which may change, and until there is any of it.
fn agree(what: &str, shown: impl Fn() -> Vec<f64>, wanted: impl Fn() -> Vec<f64>) {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let (shown, wanted) = (shown(), wanted());
        // This process reads a number to the last bit but one.
        let same = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12 * b.abs();
        if !shown.is_empty() && shown.len() == wanted.len() && shown.iter().zip(&wanted).all(same) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: the page shows {shown:?}, the endpoint {wanted:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn every_panel_shows_what_the_endpoints_say_and_has_nothing_to_complain_about() {
    let metrics = Metrics::builder("shop").api_key_header("x-api-key").reset_without_token().build().unwrap();
    let registry = metrics.registry();
    let analyses = registry.counter("analysis_requests").unwrap();
    analyses.add(42);
    registry.gauge("queue_length").unwrap().set(2.5);
    let (cache, db) = (registry.hit_ratio("cache").unwrap(), registry.timer("db_query").unwrap());
    let users = registry.unique("daily_active_users").unwrap();
    (0..3).for_each(|i: u64| {
        cache.hit();
        db.record(Duration::from_millis(1 + i));
        users.insert(i.to_le_bytes());
    });
    cache.miss();
    let server = Server::start(2, &metrics, shop);
    let client = server.client();
    let traffic = Traffic::start(server.client());
    let browser = Browser::start(Look::default());
    browser.open(&page(&server));
    wait_until_live(&browser);
    // It moves.
    let before = tile(&browser, "total_calls");
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value > {before}"));
    client.send("GET", "/hostile/0");
    drop(traffic);

    // Once nothing is sent any more, the page and the endpoints say the same.
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    let list = |value: &Value| value.as_array().unwrap().clone();
    let summary = client.metrics("GET", "summary?window=5m");
    let calls = summary["total_calls"].as_u64().unwrap();
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value == {calls}"));
    for (name, field) in [
        ("p50", "p50_response_time"),
        ("p95", "p95_response_time"),
        ("p99", "p99_response_time"),
        ("average", "avg_response_time"),
        ("error_rate", "error_rate"),
    ] {
        assert_eq!(tile(&browser, name), number(&summary[field]), "{name}");
    }

    // Charts of requests: their newest point in which there were any.
    let newest = || {
        let points = list(&client.metrics("GET", "history?window=5m")["points"]);
        points.into_iter().rfind(|point| point["total_calls"] != 0).unwrap()
    };
    for (chart, fields) in [
        (
            "#latency",
            &["p99_response_time", "p95_response_time", "p50_response_time", "avg_response_time"][..],
        ),
        ("#throughput", &["requests_per_second"]),
        ("#error-rate", &["client_error_rate", "server_error_rate"]),
    ] {
        let wanted = || fields.iter().map(|field| number(&newest()[*field])).collect();
        agree(chart, || values(&browser, chart), wanted);
    }
    let latencies = || list(&newest()["latencies"]).iter().rev().map(|pair| number(&pair[1])).collect();
    agree("#heat", || values(&browser, "#heat"), latencies);
    let points = || list(&client.metrics("GET", "history?window=5m")["points"]).len() as f64;
    let shown = browser.get("Number(document.querySelector('#latency').dataset.points)").as_f64().unwrap();
    assert!((points() - shown).abs() <= 3.0, "{shown} of {} points", points());

    let routes = client.metrics("GET", "routes?window=5m");
    for route in list(&routes["routes"]) {
        let name = format!("{} {}", route["method"].as_str().unwrap(), route["route"].as_str().unwrap());
        let calls = route["total_calls"].as_u64().unwrap();
        let row = format!(
            "[...document.querySelectorAll('#routes tbody tr')].find(row => row.dataset.key === {})",
            json!(name)
        );
        browser.wait(&format!("{row}.cells[2].textContent.replace(/\\D/g, '') == {calls}"));
    }
    let errors = list(&client.metrics("GET", "errors")["recent_errors"]).len().min(50);
    browser.wait(&format!("document.querySelectorAll('#recent-errors li').length == {errors}"));
    let consumers = list(&client.metrics("GET", "consumers?top=10")["consumers"]);
    browser.wait(&format!("document.querySelectorAll('#consumers tbody tr').length == {}", consumers.len()));
    for (i, consumer) in consumers.iter().enumerate() {
        let cell = |at: usize| format!("document.querySelectorAll('#consumers tbody tr')[{i}].cells[{at}]");
        assert_eq!(browser.get(&format!("{}.textContent", cell(0))), consumer["consumer"]);
        browser.wait(&format!("{}.textContent.replace(/\\D/g, '') == {}", cell(1), consumer["calls"]));
    }
    let active = list(&client.metrics("GET", "alerts")["alerts"]);
    let active = active.iter().filter(|alert| alert["state"] != "inactive").count();
    browser.wait(&format!("document.querySelectorAll('#alerts li').length == {active}"));
    assert_eq!(browser.get("document.querySelector('#alerts').hidden"), active == 0);

    // Metrics of the service's own: figures, and trends.
    let business = list(&client.metrics("GET", "business?window=5m")["metrics"]);
    assert_eq!(business.len(), 5);
    for metric in &business {
        let (name, kind) = (metric["name"].as_str().unwrap(), metric["kind"].as_str().unwrap());
        let card = format!("#business [data-key='{kind} {name}']");
        browser.wait(&format!("document.querySelector({})", json!(card)));
        let value = browser.get(&format!("Number(document.querySelector({}).dataset.value)", json!(card)));
        assert_eq!(number(&value), number(&metric["value"]), "{name}");
        let fields: &[&str] = match kind {
            "timer" => &["p99_time", "p95_time", "p50_time", "avg_time"],
            "hit_ratio" => &["hit_rate"],
            "counter" => &["per_second"],
            "unique_count" => &["today"],
            _ => &["value"],
        };
        let scale = if kind == "counter" { 60.0 } else { 1.0 };
        let newest = || {
            // So that it is not 0.
            analyses.add(7);
            let points = list(&client.metrics("GET", &format!("history?window=5m&metric={name}"))["points"]);
            let counted = |point: &&Value| match kind {
                "timer" => point["calls"] != 0,
                "hit_ratio" => point["hits"] != 0,
                _ => true,
            };
            let newest = points.iter().rfind(counted).cloned().unwrap_or_default();
            fields.iter().filter_map(|field| Some(newest[*field].as_f64()? * scale)).collect::<Vec<_>>()
        };
        agree(name, || values(&browser, &format!("{card} .chart")), newest);
        assert_eq!(newest().len(), fields.len(), "{name} has a trend");
    }

    // Resources change each second: what is shown is among what there was.
    for (chart, field) in [
        ("#cpu", "cpu_percent"),
        ("#memory", "resident_bytes"),
        ("#network", "network_received_per_second"),
        ("#lag", "worker_lags"),
        ("#busy", "worker_busy_percent"),
        ("#files", "open_files"),
    ] {
        browser.wait(&format!("document.querySelector('{chart}').dataset.points > 0"));
        let shown = values(&browser, chart)[0];
        let resources = client.metrics("GET", "resources?window=5m");
        let known = list(&resources["points"]).into_iter().map(|point| match &point[field] {
            Value::Array(workers) => workers.iter().map(number).fold(0.0, f64::max),
            value => number(value),
        });
        assert!(
            known.into_iter().any(|value| (value - shown).abs() <= 1e-12 * shown),
            "{chart} shows {shown}: {resources}"
        );
    }

    assert_eq!(browser.get("document.querySelector('#exporters').hidden"), true);

    // Limits are those of the rules.
    assert_eq!(browser.text("#latency-note"), "log scale; limits: P95 5 s, Average 3 s");
    assert_eq!(browser.text("#errors-note"), "% of requests; limits: Error rate 5%");
    assert_eq!(browser.text("#service"), "shop");
    let cost = browser.text("#cost");
    assert!(cost.contains("3 of 1,024 series") && cost.contains("per request"), "{cost}");
    assert!(cost.contains(" shards ") && cost.contains("history "), "{cost}");
    assert_eq!(metrics.registry().summary().total.calls, calls, "the page counts itself");

    // A reset is marked, and wipes no trend.
    client.metrics("POST", "reset");
    browser.wait("document.querySelector('#throughput').dataset.resets == 1");
    browser.wait("document.querySelector('#business .chart').dataset.resets == 1");
    browser.screenshot(&pictures().join("reset.png"));
    assert_eq!(tile(&browser, "total_calls"), calls as f64);

    let paint = browser.get("performance.getEntriesByName('first-contentful-paint')[0]?.startTime");
    let files = "performance.getEntriesByType('resource').filter(file => file.name.includes('/dashboard/'))";
    let weight = browser.get(&format!(
        "[...performance.getEntriesByType('navigation'), ...{files}].reduce((sum, file) => sum + file.encodedBodySize, 0)"
    ));
    println!("first contentful paint after {paint} ms; {weight} bytes, compressed");
    assert!((1.0..=61_440.0).contains(&number(&weight)), "{weight}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_click_on_an_endpoint_and_on_a_window_changes_what_is_shown() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(2, &metrics, shop);
    let _traffic = Traffic::start(server.client());
    let browser = Browser::start(Look::default());
    browser.open(&page(&server));
    wait_until_live(&browser);
    let row = |name: &str| format!("#routes tr[data-key='{name}'] button");
    browser.click(&row("GET /missing"));
    // Only that endpoint's calls, which all fail.
    browser.wait("document.querySelector('[data-tile=error_rate]').dataset.value == 100");
    assert_eq!(browser.text("#filtered"), "GET /missing");
    assert!(browser.get("location.hash").as_str().unwrap().contains("route=%2Fmissing"));
    // The trend of one endpoint has a point after ten seconds.
    browser.wait("document.querySelector('#error-rate').dataset.points > 0");
    browser.wait("document.querySelector('#error-rate canvas').ariaLabel.includes('4xx 100%')");
    browser.screenshot(&pictures().join("one-endpoint.png"));
    browser.click("#unfilter");
    browser.wait("document.querySelector('[data-tile=error_rate]').dataset.value < 100");

    for window in ["1m", "1h", "24h", "reset", "5m"] {
        browser.click(&format!("#windows label[data-window='{window}']"));
        browser.wait(&format!("location.hash.includes('window={window}')"));
        wait_until_live(&browser);
        browser.wait("document.querySelector('#throughput').dataset.points > 0");
    }

    // The table is sorted by its headers and narrowed by the search field, with the keyboard alone.
    let order =
        || browser.get("[...document.querySelectorAll('#routes tbody tr')].map(row => row.dataset.key)");
    assert_eq!(order(), json!(["GET /items/{id}", "GET /missing"]));
    browser.get("document.querySelector('th[data-column=errors] button').focus()");
    browser.press(ENTER);
    assert_eq!(order(), json!(["GET /missing", "GET /items/{id}"]));
    assert_eq!(browser.get("document.querySelector('th[data-column=errors]').ariaSort"), "descending");
    browser.press(TAB);
    assert_eq!(browser.get("document.activeElement.textContent"), "GET /missing");
    browser.type_into("#search", "ITEMS");
    assert_eq!(order(), json!(["GET /items/{id}"]));

    // What else might have put a second row of the same endpoint there, one is left.
    browser.get("document.querySelector('#routes tbody').append(document.querySelector('#routes tbody tr').cloneNode(true))");
    browser.wait("document.querySelectorAll('#routes tbody tr').length == 1");

    // While it is paused, nothing moves.
    browser.click("#pause");
    browser.wait("document.querySelector('#state').dataset.state === 'paused'");
    let calls = tile(&browser, "total_calls");
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(tile(&browser, "total_calls"), calls);
    browser.click("#pause");
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value > {calls}"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn hostile_text_runs_nothing_and_shows_as_it_is() {
    let metrics = Metrics::builder("<b>shop</b>")
        .consumer(|request| {
            let turn: usize = request.headers().get("x-turn")?.to_str().ok()?.parse().ok()?;
            Some(Identity::Name(HOSTILE[turn % HOSTILE.len()].to_owned()))
        })
        .build()
        .unwrap();
    let server = Server::start(1, &metrics, shop);
    for turn in 0..HOSTILE.len() {
        let mut raw = server.raw();
        for path in [
            format!("/hostile/{turn}"),
            format!("/%3Cimg%20src=x%20onerror=window.pwned=1%3E/{turn}"),
            "/items/1".into(),
        ] {
            raw.write(format!("GET {path} HTTP/1.1\r\nhost: test\r\nx-turn: {turn}\r\n\r\n"));
            raw.read_until("\r\n\r\n");
        }
    }
    settled(&metrics, 3 * HOSTILE.len() as u64);
    let browser = Browser::start(Look::default());
    // What stands in the address is a stranger's, too.
    let query = "window=__proto__&lang=constructor&method=%3Cimg%20src=x%20onerror=window.pwned=1%3E&route=%3Cscript%3Epwned=1%3C/script%3E";
    browser.open(&format!("{}#{query}", page(&server)));
    browser.wait("document.querySelector('#filtered').textContent.includes('<script>pwned=1</script>')");
    browser.click("#unfilter");
    wait_until_live(&browser);
    let texts = |selector: &str| -> Vec<Value> {
        let texts = browser.get(&format!(
            "[...document.querySelectorAll('{selector}')].map(element => element.textContent)"
        ));
        texts.as_array().unwrap().clone()
    };
    browser.wait("document.querySelectorAll('#consumers tbody tr').length > 0");
    let (messages, consumers) = (texts("#recent-errors li p"), texts("#consumers tbody th"));
    for text in HOSTILE {
        assert!(messages.contains(&text.into()), "{text} is not in {messages:?}");
        assert!(consumers.contains(&text.into()), "{text} is not in {consumers:?}");
    }
    assert_eq!(browser.text("#service"), "<b>shop</b>");
    let routes = texts("#routes tbody th");
    assert!(routes.iter().any(|route| route.as_str().unwrap().contains("onerror=")), "{routes:?}");
    browser.hover("#latency canvas");
    browser.screenshot(&pictures().join("hostile.png"));
    assert_eq!(browser.get("document.querySelectorAll('main img, iframe, svg, main script').length"), 0);
    assert_eq!(browser.get("window.pwned === undefined"), true);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_server_that_was_killed_and_started_again_is_recovered_from() {
    let demo = Example::start(&["--workers", "1", "--demo-traffic"]);
    let addr = demo.addr().to_string();
    let browser = Browser::start(Look::default());
    browser.open(&format!("http://{addr}/api/metrics/"));
    wait_until_live(&browser);
    drop(demo);
    browser.wait("document.querySelector('#state').dataset.state === 'stale'");
    assert!(browser.text("#state").starts_with("Stale for"), "{}", browser.text("#state"));
    // What was known is still there.
    assert!(tile(&browser, "total_calls") > 0.0);
    let demo = Example::start(&["--addr", &addr, "--workers", "1", "--demo-traffic"]);
    wait_until_live(&browser);
    let client = demo.client();
    let deadline = Instant::now() + Duration::from_secs(20);
    while tile(&browser, "total_calls")
        > client.metrics("GET", "summary?window=5m")["total_calls"].as_f64().unwrap()
    {
        assert!(Instant::now() < deadline, "the page shows what the first server counted");
        std::thread::sleep(Duration::from_millis(100));
    }
    // Calls that found nobody are all that the console was told of.
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("net::ERR_")), "{complaints:?}");
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_connection_that_fell_silent_is_given_up_and_made_again() {
    let demo = Example::start(&["--workers", "1", "--demo-traffic"]);
    let browser = Browser::start(Look::default());
    browser.open(&format!("http://{}/api/metrics/", demo.addr()));
    wait_until_live(&browser);
    // As after a sleep: the connection is open, and nothing comes.
    demo.signal("STOP");
    browser.wait("document.querySelector('#state').dataset.state === 'stale'");
    std::thread::sleep(Duration::from_secs(8));
    let calls = tile(&browser, "total_calls");
    demo.signal("CONT");
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value > {calls}"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_connection_that_fell_silent_shows_when_the_clock_was_put_back_too() {
    let demo = Example::start(&["--workers", "1", "--demo-traffic"]);
    let browser = Browser::start(Look::default());
    browser.open(&format!("http://{}/api/metrics/", demo.addr()));
    wait_until_live(&browser);
    demo.signal("STOP");
    // The page's clock alone, by an hour.
    browser.get("(() => { const now = Date.now; Date.now = () => now() - 3_600_000; return true; })()");
    browser.wait("document.querySelector('#state').dataset.state === 'stale'");
    demo.signal("CONT");
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_token_is_asked_for_and_kept_nowhere() {
    let metrics = Metrics::builder("guarded").read_token(TOKEN).build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    (0..20).for_each(|i| drop(client.send("GET", &format!("/items/{i}"))));
    let browser = Browser::start(Look::default());
    browser.open(&page(&server));
    browser.wait("document.querySelector('#token').open");
    assert_eq!(browser.get("document.querySelector('#token-wrong').hidden"), true);
    browser.screenshot(&pictures().join("token.png"));
    browser.type_into("#token-value", "wrong-0123456789abcdef");
    browser.press(ENTER);
    browser.wait("document.querySelector('#token').open && !document.querySelector('#token-wrong').hidden");
    browser.type_into("#token-value", TOKEN);
    browser.click("#token button");
    wait_until_live(&browser);
    assert_eq!(tile(&browser, "total_calls"), 20.0);
    let kept = browser.get("[document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage), location.href].join()");
    assert!(!kept.as_str().unwrap().contains(TOKEN), "{kept}");
    assert_eq!(browser.get("document.querySelector('#token-value').value"), "");
    browser.open("about:blank");
    browser.open(&page(&server));
    browser.wait("document.querySelector('#token').open");
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("401")), "{complaints:?}");
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_service_that_nobody_called_says_so() {
    let slow = Rule::new("slow", Metric::P95, Comparison::Above, 0.25);
    let metrics = Metrics::builder("quiet").without_default_alerts().alert(slow).build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let browser = Browser::start(Look::default());
    browser.open(&page(&server));
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    browser
        .wait("document.querySelector('#latency .empty').textContent === 'No requests in this window yet'");
    browser.wait("!document.querySelector('#recent-errors .empty').hidden");
    for tile in ["total_calls", "error_rate", "p99"] {
        assert_eq!(self::tile(&browser, tile), 0.0);
    }
    assert_eq!(browser.get("document.querySelector('#consumers').hidden"), true);
    assert_eq!(browser.get("document.querySelector('#business').hidden"), true);
    // The limits are those of the rules that there are.
    browser.wait("document.querySelector('#latency-note').textContent === 'log scale; limits: P95 250 ms'");
    assert_eq!(browser.text("#errors-note"), "% of requests");
    browser.screenshot(&pictures().join("quiet.png"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn it_fits_every_screen_and_speaks_korean() {
    let demo = Example::start(&["--workers", "2", "--demo-traffic"]);
    let page = format!("http://{}/api/metrics/", demo.addr());
    let korean = Some("ko-KR");
    // Long enough for trends of single endpoints, which come in steps of ten seconds.
    let deadline = Instant::now() + Duration::from_secs(45);
    for (name, look) in [
        ("desktop", Look::default()),
        ("dark", Look { dark: true, ..Look::default() }),
        ("korean", Look { language: korean, ..Look::default() }),
        ("phone", Look { phone: true, ..Look::default() }),
        ("phone-dark-korean", Look { phone: true, dark: true, language: korean }),
    ] {
        let browser = Browser::start(look);
        browser.open(&page);
        wait_until_live(&browser);
        // Sparklines are drawn for those that are in sight.
        browser.get("document.querySelector('#endpoints').scrollIntoView()");
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(3)));
        let drawn = "getContext('2d').getImageData(0, 0, spark.width, spark.height).data.some(Boolean)";
        browser.wait(&format!("[...document.querySelectorAll('.spark')].every(spark => spark.{drawn})"));
        if !look.phone {
            browser.hover("#latency canvas");
        }
        browser.screenshot(&pictures().join(format!("{name}.png")));
        let wide = browser.get("document.documentElement.scrollWidth > document.documentElement.clientWidth");
        assert_eq!(wide, false, "{name} is wider than its screen");
        let language =
            if look.language == korean { ("ko", "최근 오류") } else { ("en", "Recent errors") };
        assert_eq!(browser.get("document.documentElement.lang"), language.0);
        assert_eq!(browser.text("#recent-title"), language.1);
        assert_eq!(browser.get("[...document.querySelectorAll('[data-text]')].every(e => e.textContent && e.textContent !== 'undefined')"), true);
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{name}");
    }
}

/// Where people find the pictures.
fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots")
}
