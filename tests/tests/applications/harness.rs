//! Runs an application with and without the monitor, and compares what its clients get.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::{App, Error, HttpServer};
use metrics_actix::{Metrics, Until};
use tests::settled;

/// What an `App` is made of, with whatever middlewares: `fn app() -> App<impl Inner>`.
pub(crate) trait Inner:
    ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<Self::Body>,
        Error = Error,
        InitError = (),
    > + 'static
{
    type Body: MessageBody + 'static;
}

impl<T, B> Inner for T
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    type Body = B;
}

/// How an application is reached.
#[derive(Debug, Clone)]
pub(crate) enum Listen {
    Tcp,
    Tls(Box<rustls::ServerConfig>),
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

/// A running application.
pub(crate) struct Running {
    /// Where it listens, unless that is a Unix socket.
    pub(crate) addr: Option<SocketAddr>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start<T: Inner>(app: impl Fn() -> App<T> + Clone + Send + 'static, listen: Listen) -> Self {
        let (started, wait) = mpsc::channel();
        let run = move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(1);
                let server = match listen {
                    Listen::Tcp => server.bind("127.0.0.1:0"),
                    Listen::Tls(config) => server.bind_rustls_0_23("127.0.0.1:0", *config),
                    #[cfg(unix)]
                    Listen::Unix(path) => server.bind_uds(path),
                };
                let server = server.unwrap();
                let addr = server.addrs().first().copied();
                let server = server.run();
                started.send((addr, server.handle())).unwrap();
                server.await.unwrap();
            });
        };
        let thread = Some(std::thread::spawn(run));
        let (addr, handle) = wait.recv().expect("the application starts");
        Self { addr, handle, thread }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.handle.stop(true));
        let joined = self.thread.take().map(JoinHandle::join);
        assert!(joined.is_none_or(|joined| joined.is_ok()) || std::thread::panicking());
    }
}

/// What clients sent and got, as text. Bytes that are no text are escaped.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    text: String,
}

impl Transcript {
    /// Adds an answer, and what it answers.
    pub(crate) fn add(&mut self, request: &str, answer: &Answer) {
        let head = answer.head.join("\n");
        writeln!(self.text, "> {request}\n{head}\n\n{}\n", answer.body.escape_ascii()).unwrap();
    }
}

/// An answer: its head with sorted lines, and its body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) head: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Splits an answer as it was sent. Dates, also those of cookies, become `*`, and the order of headers is left out.
    pub(crate) fn parse(sent: &[u8]) -> Self {
        let end = sent.windows(4).position(|end| end == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(sent[..end].to_vec()).unwrap();
        let (status, headers) = head.split_once("\r\n").unwrap_or((&head, ""));
        let mask = |line: &str| match line.split_once("; Expires=") {
            Some((cookie, expires)) if line.starts_with("set-cookie: ") => {
                let rest = expires.find(';').map_or("", |end| &expires[end..]);
                format!("{cookie}; Expires=*{rest}")
            }
            _ if line.starts_with("date: ") => "date: *".to_owned(),
            _ => line.to_owned(),
        };
        let mut lines: Vec<_> = headers.lines().map(mask).collect();
        lines.sort();
        lines.insert(0, status.to_owned());
        Self { head: lines, body: sent[end + 4..].to_vec() }
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends bytes over a connection of its own, and reads the answer: as long as it says, or until the server closes the
/// connection.
pub(crate) fn exchange(connection: impl Read + Write, sent: &[u8]) -> Answer {
    exchange_until(connection, sent, |answer| {
        answer.header("content-length").is_some_and(|length| length.parse() == Ok(answer.body.len()))
    })
}

/// The same, until the answer is complete.
pub(crate) fn exchange_until(
    mut connection: impl Read + Write,
    sent: &[u8],
    complete: impl Fn(&Answer) -> bool,
) -> Answer {
    connection.write_all(sent).unwrap();
    let (mut got, mut buffer) = (Vec::new(), [0; 65_536]);
    loop {
        let read =
            connection.read(&mut buffer).unwrap_or_else(|error| panic!("{error}: {}", got.escape_ascii()));
        got.extend_from_slice(&buffer[..read]);
        let has_head = got.windows(4).any(|end| end == b"\r\n\r\n");
        if read == 0 || (has_head && complete(&Answer::parse(&got))) {
            return Answer::parse(&got);
        }
    }
}

/// A client over TCP.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    addr: SocketAddr,
    transcript: &'a mut Transcript,
}

impl Client<'_> {
    pub(crate) fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(self.addr).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        connection
    }

    /// Sends a request: its first line without the version, further header lines, and the body.
    pub(crate) fn send(&mut self, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{request} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        if !body.is_empty() {
            write!(head, "content-length: {}\r\n", body.len()).unwrap();
        }
        let sent = [head.as_bytes(), b"\r\n", body].concat();
        let answer = exchange(self.connect(), &sent);
        self.transcript.add(request, &answer);
        answer
    }

    /// Like `send`, but leaves the answer out of the transcript.
    pub(crate) fn quiet(&self, request: &str, headers: &[(&str, &str)]) -> Answer {
        let mut unused = Transcript::default();
        Client { addr: self.addr, transcript: &mut unused }.send(request, headers, b"")
    }

    /// Adds an answer that was received in another way.
    pub(crate) fn add(&mut self, request: &str, answer: &Answer) {
        self.transcript.add(request, answer);
    }
}

/// Calls that must have been counted: method, route, status, number.
pub(crate) type Counted = (&'static str, &'static str, u16, u64);

/// Runs an application over TCP, and its clients, with and without the monitor.
pub(crate) fn same<T: Inner>(app: fn() -> App<T>, talk: fn(&mut Client<'_>), counted: &[Counted]) {
    let talk = |running: &Running, transcript: &mut Transcript| {
        talk(&mut Client { addr: running.addr.unwrap(), transcript });
    };
    same_over(app, || Listen::Tcp, talk, counted);
}

/// The same, however the application is reached.
pub(crate) fn same_over<T: Inner>(
    app: fn() -> App<T>,
    listen: impl Fn() -> Listen,
    talk: impl Fn(&Running, &mut Transcript),
    counted: &[Counted],
) {
    let run = |running: Running| {
        let mut transcript = Transcript::default();
        talk(&running, &mut transcript);
        transcript.text
    };
    let plain = run(Running::start(app, listen()));
    assert!(!plain.is_empty());
    for until in [Until::Head, Until::BodyEnd] {
        let metrics = Metrics::builder("application").measure(until).build().unwrap();
        let shared = metrics.clone();
        let monitored = move || app().configure(shared.routes("/api/metrics")).wrap(shared.middleware());
        assert_eq!(run(Running::start(monitored, listen())), plain, "{until:?}");

        let summary = settled(&metrics, counted.iter().map(|(.., calls)| calls).sum());
        let mut seen = BTreeMap::new();
        for endpoint in &summary.endpoints {
            for (outcome, calls) in &endpoint.figures.outcomes {
                let name = &endpoint.name;
                seen.insert((name.method.to_string(), name.route.to_string(), outcome.to_string()), *calls);
            }
        }
        let expected: BTreeMap<_, _> = counted
            .iter()
            .map(|(method, route, status, calls)| {
                (((*method).to_owned(), (*route).to_owned(), status.to_string()), *calls)
            })
            .collect();
        assert_eq!(seen, expected, "{until:?}");
        assert_eq!((summary.in_flight, summary.open_streams, summary.total.aborted), (0, 0, 0), "{until:?}");
    }
}
