//! Datadog's Agent for tests, ddapm-test-agent, and the Python that it is installed in.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::{Folder, python};

/// The checks of traces that need no set-up of other libraries.
const CHECKS: &str =
    "trace_count_header,meta_tracer_version_header,trace_content_length,trace_peer_service,trace_dd_service";

/// The name of its socket.
const SOCKET: &str = "apm.socket";

/// A running agent, which answers 400 to traces that fail a check. Dropping it ends the process.
pub(crate) struct Agent {
    process: Child,
    url: String,
    otlp: String,
    otlp_grpc: String,
    /// The folder of its socket.
    folder: Folder,
}

impl Agent {
    /// Starts one. It is tried again where another program took one of its ports first.
    pub(crate) fn start() -> Self {
        (0..3).find_map(|_| Self::listening()).expect("ddapm-test-agent starts")
    }

    /// One that listens everywhere; `None` if it ended before.
    fn listening() -> Option<Self> {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let [port, http, grpc] = [free(), free(), free()];
        let folder = Folder::new("agent");
        let process = python("ddapm-test-agent")
            .args(["--host", "127.0.0.1", "--port", &port])
            .args(["--otlp-http-port", &http, "--otlp-grpc-port", &grpc])
            .arg("--trace-uds-socket")
            .arg(folder.path().join(SOCKET))
            .env("ENABLED_CHECKS", CHECKS)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ddapm-test-agent starts");
        let mut agent = Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
            otlp: format!("http://127.0.0.1:{http}"),
            otlp_grpc: format!("http://127.0.0.1:{grpc}"),
            folder,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        // It opens one after the other.
        while !agent.listens(grpc.parse().expect("it is a port")) {
            if agent.process.try_wait().is_ok_and(|ended| ended.is_some()) {
                return None;
            }
            assert!(Instant::now() < deadline, "ddapm-test-agent does not listen");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(agent)
    }

    /// Whether it takes requests at all of its addresses.
    fn listens(&self, grpc: u16) -> bool {
        #[cfg(unix)]
        if std::os::unix::net::UnixStream::connect(self.folder.path().join(SOCKET)).is_err() {
            return false;
        }
        let answers = |url: &str| get(&format!("{url}/test/session/requests")).is_some();
        answers(&self.url) && answers(&self.otlp) && TcpStream::connect(("127.0.0.1", grpc)).is_ok()
    }

    /// The URL for stats and traces.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The URL of its socket.
    pub(crate) fn socket_url(&self) -> String {
        format!("unix://{}", self.folder.path().join(SOCKET).display())
    }

    /// The URL for OTLP.
    pub(crate) fn otlp_url(&self) -> &str {
        &self.otlp
    }

    /// The URL for OTLP over gRPC.
    pub(crate) fn otlp_grpc_url(&self) -> &str {
        &self.otlp_grpc
    }

    /// The OTLP requests that arrived, as it decoded them.
    pub(crate) fn metrics(&self) -> Vec<Value> {
        let text = get(&format!("{}/test/session/metrics", self.otlp)).expect("it answers");
        serde_json::from_str(&text).unwrap()
    }

    /// The requests with stats and traces that arrived, as JSON with headers, and bodies in base64.
    pub(crate) fn requests(&self) -> String {
        get(&format!("{}/test/session/requests", self.url)).expect("it answers")
    }

    /// How often each check of traces passed and failed, as JSON.
    pub(crate) fn checks(&self) -> Value {
        let text =
            get(&format!("{}/test/trace_check/summary?return_all=true", self.url)).expect("it answers");
        serde_json::from_str(&text).unwrap()
    }
}

/// The body of a 2xx.
fn get(url: &str) -> Option<String> {
    ureq::get(url).call().ok()?.body_mut().read_to_string().ok()
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
