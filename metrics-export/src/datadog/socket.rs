//! HTTP/1.1 over a Unix socket, as an Agent speaks it: one POST per connection.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use metrics_core::InvalidSetting;
use socket2::{Domain, SockAddr, Type};
use ureq::http::{HeaderName, HeaderValue};

use super::origin::MSGPACK;
use crate::http::{Peer, exchange, invalid_header, left, secret_words};
use crate::push::{Failed, checked};
use crate::secret::Secret;

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
        let timeout = deadline.saturating_duration_since(Instant::now());
        let peer = Peer::new(format!("the socket {}", self.path.display()));
        let mut stream = self.connect(deadline).map_err(|error| {
            Failed::temporary(match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("{peer} does not exist; check that the Agent is running, and mount its socket")
                }
                io::ErrorKind::ConnectionRefused => {
                    format!("nothing is listening on {peer}; check that the Agent is running")
                }
                io::ErrorKind::PermissionDenied => {
                    format!("this process has no permission to write to {peer}; check its user and the socket's mode")
                }
                io::ErrorKind::WouldBlock => format!("{peer} accepted no connection: its queue is full"),
                _ => peer.io(&error, timeout),
            })
        })?;
        let answer = exchange(&mut stream, &request, body, deadline);
        let answer = answer.map_err(|error| Failed::temporary(peer.io(&error, timeout)))?;
        let secrets: Vec<_> =
            self.headers.iter().flat_map(|(_, value)| secret_words(value.expose())).collect();
        checked(answer.explained(&peer, &secrets)).map(drop)
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::thread;
    use std::time::Duration;

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
        let own = [("Datadog-Meta-Lang", "rust"), ("x-api-key", "hunter2")];
        let own = own.map(|(name, value)| (name.to_owned(), value.into())).into();
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
        let quoted = failed("HTTP/1.1 403 Forbidden\r\ncontent-length: 14\r\n\r\nno key hunter2");
        assert!(quoted.reason.contains(": \"no key ***\""), "{}", quoted.reason);
        for wrong in ["SSH-2.0\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 200"] {
            assert!(!failed(wrong).permanent, "{wrong}");
        }
    }

    #[test]
    fn a_silent_socket_times_out_and_a_missing_one_is_an_error() {
        let (_, result) = posted(None, Duration::from_millis(50));
        assert!(result.unwrap_err().reason.contains(".socket did not answer within 0.05 s"));
        let socket = Socket::new("agent_url", "/nowhere/apm.socket", Vec::new()).unwrap();
        let result = socket.post("/", &[], b"", Instant::now() + Duration::from_secs(60));
        let missing = "the socket /nowhere/apm.socket does not exist; check that the Agent is running, and mount its \
                       socket";
        assert_eq!(result, Err(Failed::temporary(missing)));
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
        assert!(result.unwrap_err().reason.contains(".socket accepted no connection: its queue is full"));
        assert!(Instant::now() < minute);
    }
}
