//! HTTP/1.1 over a Unix socket, as far as an Agent needs it: one POST a connection, of which the head of the answer is read.
//!
//! By hand, since the connectors of ureq may change with any of its versions.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Type};

use super::agent::{HEADERS, MSGPACK};
use crate::http::{Answer, retry_after_of};
use crate::push::{Failed, checked};

/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// Where an Agent listens.
#[derive(Debug)]
pub(super) struct Socket(PathBuf);

impl Socket {
    pub(super) fn new(path: impl AsRef<Path>) -> Self {
        Self(path.as_ref().to_owned())
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
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {MSGPACK}\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in HEADERS.iter().chain(headers) {
            request.extend([name, ": ", value, "\r\n"]);
        }
        request.push_str("\r\n");
        let head = self.connect(deadline).and_then(|mut stream| {
            write_all(&mut stream, request.as_bytes(), deadline)?;
            write_all(&mut stream, body, deadline)?;
            read_head(&mut stream, deadline)
        });
        let head = head.map_err(|error| {
            Failed::temporary(match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it did not answer in time".to_owned(),
                kind => kind.to_string(),
            })
        })?;
        let answer = answer(&head).ok_or_else(|| Failed::temporary("what it answered is not HTTP"))?;
        checked(answer).map(drop)
    }

    /// Where so many wait already that nobody else can, there is no waiting for that: it fails at once.
    fn connect(&self, deadline: Instant) -> io::Result<UnixStream> {
        left(deadline)?;
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // To connect takes no time here, or cannot be done now.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(&self.0)?)?;
        socket.set_nonblocking(false)?;
        Ok(OwnedFd::from(socket).into())
    }
}

/// How long it is to the deadline.
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

/// What comes up to the empty line, and perhaps some of what is behind it.
fn read_head(stream: &mut UnixStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1 << 10];
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        if head.len() >= MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => head.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(head)
}

/// What a head says.
fn answer(head: &[u8]) -> Option<Answer> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let mut status = lines.next()?.split(' ');
    status.next().filter(|version| version.starts_with("HTTP/1."))?;
    let status = status.next()?.parse().ok().filter(|status| (100..600).contains(status))?;
    let retry_after = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))
        .and_then(|(_, value)| retry_after_of(value, std::time::SystemTime::now()));
    Some(Answer {
        status,
        retry_after,
        #[cfg(feature = "sentry")]
        rate_limits: None,
        body: Ok(Vec::new()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// Posts to a listener that reads all and answers with this, or not at all: what it read, and what became of it.
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
                // Until the other side gives up.
                None => drop(stream.read(&mut [0])),
            }
            String::from_utf8(read[..end].to_vec()).unwrap()
        });
        let result =
            Socket::new(&path).post("/v0.4/traces", &[("x-a", "b")], b"body", Instant::now() + timeout);
        let read = server.join().unwrap();
        std::fs::remove_file(&path).unwrap();
        (read, result)
    }

    #[test]
    fn a_socket_is_posted_to_and_its_answer_is_understood() {
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
    fn a_socket_that_says_nothing_is_left_in_time_and_one_that_is_not_there_is_told() {
        let (_, result) = posted(None, Duration::from_millis(50));
        assert_eq!(result, Err(Failed::temporary("it did not answer in time")));
        let result =
            Socket::new("/nowhere/apm.socket").post("/", &[], b"", Instant::now() + Duration::from_secs(60));
        assert_eq!(result, Err(Failed::temporary("entity not found")));
    }

    #[test]
    fn where_nobody_else_can_wait_it_is_not_waited_for() {
        let path = std::env::temp_dir().join(format!("metrics-{}.socket", crate::random::uuid()));
        let listener = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        // Nobody accepts, as where the Agent is stopped.
        listener.listen(0).unwrap();
        let minute = Instant::now() + Duration::from_secs(60);
        let socket = Socket::new(&path);
        let waiting: Vec<_> = (0..8).map_while(|_| socket.connect(minute).ok()).collect();
        assert!((1..8).contains(&waiting.len()), "{}", waiting.len());
        let result = socket.post("/", &[], b"", minute);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(result, Err(Failed::temporary("it did not answer in time")));
        assert!(Instant::now() < minute);
    }
}
