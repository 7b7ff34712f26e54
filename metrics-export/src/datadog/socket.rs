//! The part of HTTP/1.1 over a Unix socket that an Agent needs: one POST per connection, and the head of its answer.
//!
//! Not with ureq, whose connectors are exempt from semantic versioning.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use metrics_core::InvalidSetting;
use socket2::{Domain, SockAddr, Type};
use ureq::http::{HeaderName, HeaderValue};

use super::origin::MSGPACK;
use crate::http::{HttpResponse, invalid_header, retry_after_of};
use crate::push::{Failed, checked};
use crate::secret::Secret;

/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// The most headers of an answer.
const MAX_HEADERS: usize = 64;

/// An Agent's socket.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    /// The headers of each request, besides its own.
    headers: Vec<(String, Secret)>,
}

impl Socket {
    /// The socket at a path, which `field` was set to, for requests with these headers.
    pub(super) fn new(
        field: &'static str,
        path: impl AsRef<Path>,
        headers: Vec<(String, Secret)>,
    ) -> Result<Self, InvalidSetting> {
        let path = path.as_ref().to_owned();
        if SockAddr::unix(&path).is_err() {
            return Err(InvalidSetting::new(field, path.display(), "the path of a socket, up to 107 bytes"));
        }
        for (name, value) in &headers {
            let is_valid =
                HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value.expose()).is_ok();
            is_valid.then_some(()).ok_or_else(|| invalid_header(name))?;
        }
        Ok(Self { path, headers })
    }

    /// Posts a body until the deadline.
    pub(super) fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        deadline: Instant,
    ) -> Result<(), Failed> {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {MSGPACK}\r\n\
             content-length: {}\r\n",
            body.len()
        );
        let own = self.headers.iter().map(|(name, value)| (&**name, value.expose()));
        for (name, value) in own.chain(headers.iter().copied()) {
            request.extend([name, ": ", value, "\r\n"]);
        }
        request.push_str("\r\n");
        let answer = self.connect(deadline).and_then(|mut stream| {
            write_all(&mut stream, request.as_bytes(), deadline)?;
            write_all(&mut stream, body, deadline)?;
            read_answer(&mut stream, deadline)
        });
        let path = self.path.display();
        let answer = answer.map_err(|error| {
            Failed::temporary(match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it did not answer in time".to_owned(),
                io::ErrorKind::InvalidData => "its answer is not HTTP".to_owned(),
                io::ErrorKind::NotFound => format!("there is no socket {path}"),
                io::ErrorKind::ConnectionRefused => format!("nobody listens on the socket {path}"),
                io::ErrorKind::PermissionDenied => {
                    format!("this process must not write to the socket {path}")
                }
                kind => format!("the socket {path}: {kind}"),
            })
        })?;
        checked(answer).map(drop)
    }

    /// Connects without waiting: if the Agent's backlog is full, this fails at once.
    fn connect(&self, deadline: Instant) -> io::Result<UnixStream> {
        left(deadline)?;
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Blocking, it would wait for room in the backlog, without a timeout.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(&self.path)?)?;
        socket.set_nonblocking(false)?;
        Ok(OwnedFd::from(socket).into())
    }
}

/// The time left until the deadline; an error if there is none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn write_all(stream: &mut UnixStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads the head of an answer. What follows it is not read to its end.
fn read_answer(stream: &mut UnixStream, deadline: Instant) -> io::Result<HttpResponse> {
    let mut head = Vec::new();
    let mut buffer = [0; 1 << 10];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => head.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if let Some(answer) = answer(&head)? {
            return Ok(answer);
        }
        if head.len() >= MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// Parses a head; `None` if it is incomplete.
fn answer(head: &[u8]) -> io::Result<Option<HttpResponse>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    if response.parse(head).map_err(|_| invalid())?.is_partial() {
        return Ok(None);
    }
    let status = response.code.filter(|status| (100..600).contains(status)).ok_or_else(invalid)?;
    let retry_after = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("retry-after"));
    let retry_after = retry_after.and_then(|header| str::from_utf8(header.value).ok());
    Ok(Some(HttpResponse {
        status,
        retry_after: retry_after.and_then(|text| retry_after_of(text, SystemTime::now())),
        #[cfg(feature = "sentry")]
        rate_limits: None,
        body: Ok(Vec::new()),
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// Posts to a listener that sends this answer, or none. Returns what the listener read, and the result.
    fn posted(said: Option<&'static str>, timeout: Duration) -> (String, Result<(), Failed>) {
        let path = std::env::temp_dir().join(format!("metrics-{}.socket", crate::random::uuid()));
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut read = vec![0; 1 << 10];
            let mut end = 0;
            while !read[..end].ends_with(b"\r\n\r\nbody") {
                end += stream.read(&mut read[end..]).unwrap();
            }
            match said {
                Some(said) => stream.write_all(said.as_bytes()).unwrap(),
                // Waits until the other side gives up.
                None => drop(stream.read(&mut [0])),
            }
            String::from_utf8(read[..end].to_vec()).unwrap()
        });
        let own = vec![("Datadog-Meta-Lang".to_owned(), "rust".into())];
        let socket = Socket::new("agent_url", &path, own).unwrap();
        let result = socket.post("/v0.4/traces", &[("x-a", "b")], b"body", Instant::now() + timeout);
        let read = server.join().unwrap();
        std::fs::remove_file(&path).unwrap();
        (read, result)
    }

    #[test]
    fn a_post_over_a_socket_reads_the_answer() {
        let minute = Duration::from_secs(60);
        let (read, result) = posted(Some("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"), minute);
        assert!(read.starts_with("POST /v0.4/traces HTTP/1.1\r\nhost: localhost\r\n"), "{read}");
        assert!(
            read.contains("\r\nDatadog-Meta-Lang: rust\r\n") && read.contains("\r\nx-a: b\r\n\r\nbody"),
            "{read}"
        );
        assert!(read.contains("\r\ncontent-length: 4\r\n"), "{read}");
        assert_eq!(result, Ok(()));
        let failed = |said| posted(Some(said), minute).1.unwrap_err();
        let busy = failed("HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\n\r\n");
        assert_eq!((busy.retry_after, busy.permanent), (Some(Duration::from_secs(7)), false));
        assert!(failed("HTTP/1.1 404 Not Found\r\n\r\n").permanent);
        for wrong in ["SSH-2.0\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 200"] {
            assert!(!failed(wrong).permanent, "{wrong}");
        }
    }

    #[test]
    fn a_silent_socket_times_out_and_a_missing_one_is_an_error() {
        let (_, result) = posted(None, Duration::from_millis(50));
        assert_eq!(result, Err(Failed::temporary("it did not answer in time")));
        let socket = Socket::new("agent_url", "/nowhere/apm.socket", Vec::new()).unwrap();
        let result = socket.post("/", &[], b"", Instant::now() + Duration::from_secs(60));
        assert_eq!(result, Err(Failed::temporary("there is no socket /nowhere/apm.socket")));
    }

    #[test]
    fn a_full_backlog_fails_at_once() {
        let path = std::env::temp_dir().join(format!("metrics-{}.socket", crate::random::uuid()));
        let listener = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        // The connection is not accepted, as when the Agent is stopped.
        listener.listen(0).unwrap();
        let minute = Instant::now() + Duration::from_secs(60);
        let socket = Socket::new("agent_url", &path, Vec::new()).unwrap();
        let waiting: Vec<_> = (0..8).map_while(|_| socket.connect(minute).ok()).collect();
        assert!((1..8).contains(&waiting.len()), "{}", waiting.len());
        let result = socket.post("/", &[], b"", minute);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(result, Err(Failed::temporary("it did not answer in time")));
        assert!(Instant::now() < minute);
    }
}
