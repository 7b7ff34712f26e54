//! Alerts in a real Alertmanager.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use metrics_actix::Metrics;
use serde_json::Value;
use tests::Server;

use crate::alerts::error_rate;

/// A running Alertmanager without receivers. Dropping it ends the process.
struct Alertmanager {
    process: Child,
    folder: PathBuf,
    base: String,
}

impl Alertmanager {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("metrics-alertmanager-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let config = folder.join("alertmanager.yml");
        fs::write(&config, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={free}"))
            .args(["--cluster.listen-address=", "--log.level=error"])
            .stderr(Stdio::inherit())
            .spawn()
            .expect("prometheus-alertmanager starts");
        Self { process, folder, base: format!("http://{free}") }
    }

    /// Waits until its alerts fulfil a condition, and returns them.
    fn alerts(&self, until: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = ureq::get(format!("{}/api/v2/alerts", self.base)).call();
            let text = answer.ok().and_then(|mut answer| answer.body_mut().read_to_string().ok());
            let alerts: Option<Vec<Value>> = text.and_then(|text| serde_json::from_str(&text).ok());
            if let Some(alerts) = alerts.as_ref().filter(|alerts| until(alerts)) {
                return alerts.clone();
            }
            assert!(Instant::now() < deadline, "{alerts:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // If it cannot be removed, it stays among the temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn shop(config: &mut ServiceConfig) {
    config
        .route("/items/{id}", web::get().to(|| async { "a chair" }))
        .route("/fails", web::get().to(|| async { HttpResponse::InternalServerError().finish() }));
}

#[test]
#[ignore = "needs prometheus-alertmanager"]
fn an_alertmanager_sees_an_alert_while_it_fires_and_no_longer() {
    let alertmanager = Alertmanager::start();
    alertmanager.alerts(<[Value]>::is_empty);
    let metrics = Metrics::builder("shop")
        .instance("host-1")
        .public_url("https://ops.example.com/shop/")
        .without_default_alerts()
        .alert(error_rate())
        .alertmanager(&alertmanager.base)
        .build()
        .unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    client.send("GET", "/fails");
    let alerts = alertmanager.alerts(|alerts| !alerts.is_empty());
    let [alert] = alerts.as_slice() else { panic!("{alerts:?}") };
    assert_eq!(alert["status"]["state"], "active");
    let labels = serde_json::json!({
        "alertname": "error_rate", "service": "shop", "instance": "host-1", "severity": "warning"
    });
    assert_eq!(alert["labels"], labels);
    assert_eq!(alert["generatorURL"], "https://ops.example.com/shop/");
    assert_eq!(alert["annotations"]["summary"], "error rate 100 % over 1 min (limit 5 %)");

    for i in 0..50 {
        client.send("GET", &format!("/items/{i}"));
    }
    alertmanager.alerts(<[Value]>::is_empty);
    assert_eq!(client.metrics("GET", "alerts")["delivery"]["failed"], 0);
}
