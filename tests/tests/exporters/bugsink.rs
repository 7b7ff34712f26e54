//! A real event server, PyPI's bugsink, which takes what Sentry's clients send.

use std::time::Duration;

use actix_web::rt;
use metrics_actix::Metrics;
use metrics_actix::sentry::Sentry;
use serde_json::Value;
use tests::{Folder, Process, Server, free_port, python, settled};

use crate::sentry::shop;

/// Its settings: everything in one folder, events processed before they are answered and checked against Sentry's
/// schema, and no connection to anybody else.
const SETTINGS: &str = r#"
import os
from bugsink.settings.default import *

SECRET_KEY = "a secret of a test has to have fifty characters or more"
FOLDER = os.path.dirname(__file__)
DATABASES["default"]["NAME"] = os.path.join(FOLDER, "events.sqlite3")
DATABASES["snappea"]["NAME"] = os.path.join(FOLDER, "tasks.sqlite3")
SNAPPEA = {"TASK_ALWAYS_EAGER": True}
ALLOWED_HOSTS = ["127.0.0.1"]
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
BUGSINK = {
    "BASE_URL": "http://127.0.0.1:" + os.environ["PORT"],
    "SINGLE_USER": True,
    "SINGLE_TEAM": True,
    "PHONEHOME": False,
    "VALIDATE_ON_DIGEST": "strict",
}
"#;

/// A running bugsink with one project. Dropping it ends the process.
struct Bugsink {
    _process: Process,
    dsn: String,
    base: String,
    token: String,
    _folder: Folder,
}

impl Bugsink {
    fn start() -> Self {
        let folder = Folder::new("bugsink");
        folder.write("bugsink_conf.py", SETTINGS);
        let port = free_port().to_string();
        let manage = |arguments: &[&str]| {
            let mut command = python("bugsink-manage");
            command.args(arguments).current_dir(folder.path()).env("PORT", &port);
            command
        };
        let said = |arguments: &[&str]| {
            let output = manage(arguments).output().expect("bugsink-manage starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout).expect("it is UTF-8");
            text.lines().last().expect("it says something").trim().to_owned()
        };
        said(&["migrate"]);
        let make = "from projects.models import Project; print(Project.objects.create(name='shop').dsn)";
        let dsn = said(&["shell", "--command", make]);
        let token = said(&["create_auth_token"]);
        let base = format!("http://127.0.0.1:{port}");
        let mut process =
            Process::start(&mut manage(&["runserver", &format!("127.0.0.1:{port}"), "--noreload"]));
        process.until("bugsink answers", || ureq::get(format!("{base}/health/ready")).call().ok());
        Self { _process: process, dsn, base, token, _folder: folder }
    }

    /// What its API lists.
    fn list(&self, path: &str) -> Vec<Value> {
        let request = ureq::get(format!("{}/api/canonical/0/{path}", self.base));
        let answer = request.header("authorization", format!("Bearer {}", self.token)).call();
        let text = answer.and_then(|mut answer| answer.body_mut().read_to_string()).expect("it answers");
        let mut answer: Value = serde_json::from_str(&text).expect("it answers in JSON");
        let Value::Array(list) = answer["results"].take() else { panic!("{path}: {answer}") };
        list
    }
}

#[test]
#[ignore = "needs Python with bugsink"]
fn an_event_server_has_one_issue_for_each_kind_of_failure_with_all_of_its_events() {
    let bugsink = Bugsink::start();
    let sentry = Sentry::builder().dsn(bugsink.dsn.as_str()).events_per_minute(1_000);
    let metrics = Metrics::builder("shop").version("1.2.3").environment("test").instance("node-1");
    let metrics = metrics.exporter(sentry.build().unwrap()).build().unwrap();
    let server = Server::start(2, &metrics, shop);
    let requests = [("orders", 11, 503), ("panics", 3, 0), ("refuses", 5, 403), ("fine", 20, 200)];
    for (path, calls, status) in requests {
        for number in 0..calls {
            let mut client = server.raw();
            let body = "body=hunter2";
            client.write(format!(
                "POST /{path}/{number}?token=hunter2 HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            ));
            let answer = client.read_while(|_| true);
            // A panic closes the connection.
            let expected = if status == 0 { String::new() } else { format!("HTTP/1.1 {status} ") };
            assert!(answer.starts_with(&expected) && answer.is_empty() == (status == 0), "{answer}");
        }
    }
    settled(&metrics, requests.iter().map(|(_, calls, _)| calls).sum());
    drop(server);
    assert!(rt::System::new().block_on(metrics.shutdown(Duration::from_secs(60))));
    let counts = metrics.exporters().remove(0);
    assert_eq!((counts.rejected, counts.errors_dropped, counts.last_error.as_deref()), (0, 0, None));

    let mut issues: Vec<_> = bugsink
        .list("issues/?project=1")
        .into_iter()
        .map(|issue| {
            let [kind, transaction] = ["calculated_type", "transaction"].map(|name| issue[name].to_string());
            assert_eq!(issue["events_at"], serde_json::json!(["shop@1.2.3"]), "{issue}");
            (issue["digested_event_count"].as_u64(), kind, transaction)
        })
        .collect();
    issues.sort();
    let [panics, orders] = issues.as_slice() else { panic!("{issues:?}") };
    assert_eq!((panics.0, panics.1.as_str()), (Some(3), "\"panic\""));
    assert_eq!((orders.0, orders.1.as_str()), (Some(11), "\"HTTP 503\""));
    assert_eq!(orders.2, "\"POST /orders/{id}\"");
}
