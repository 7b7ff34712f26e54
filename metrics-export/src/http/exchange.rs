//! One exchange of HTTP/1.1 on a connection of its own: a request, and its answer.
//!
//! Not with ureq, whose connectors are exempt from semantic versioning.

use std::io::{self, Read, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use httparse::Status;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::response::{HttpResponse, MAX_ANSWER};

/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// The most headers of an answer.
const MAX_HEADERS: usize = 100;

/// A connection whose reads and writes end at a deadline.
pub(crate) trait Timed: Read + Write {
    fn read_within(&self, timeout: Duration) -> io::Result<()>;
    fn write_within(&self, timeout: Duration) -> io::Result<()>;
}

impl Timed for TcpStream {
    fn read_within(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))
    }

    fn write_within(&self, timeout: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(timeout))
    }
}

#[cfg(unix)]
impl Timed for UnixStream {
    fn read_within(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))
    }

    fn write_within(&self, timeout: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(timeout))
    }
}

/// The time left until a deadline; an error if there is none.
pub(crate) fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Sends a request, which must ask for the connection to be closed, and reads the answer. An answer that is not HTTP is
/// [`io::ErrorKind::InvalidData`].
///
/// Once the head has arrived, the exchange has succeeded: the rest of the body is read as far as it arrives by the
/// deadline.
pub(crate) fn exchange(
    stream: &mut impl Timed,
    head: &str,
    body: &[u8],
    deadline: Instant,
) -> io::Result<HttpResponse> {
    // A server that refuses a request may answer, and close, before it has read all of it.
    let sent = write_all(stream, head.as_bytes(), deadline).and_then(|()| write_all(stream, body, deadline));
    match (sent, read_answer(stream, deadline)) {
        (Ok(()), answer) | (Err(_), answer @ Ok(_)) => answer,
        (Err(error), Err(_)) => Err(error),
    }
}

fn write_all(stream: &mut impl Timed, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.write_within(left(deadline)?)?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read_answer(stream: &mut impl Timed, deadline: Instant) -> io::Result<HttpResponse> {
    let mut received = Vec::new();
    let head = loop {
        if let Some((end, head)) = parse(&received)? {
            received.drain(..end);
            // Interim answers precede the one that counts.
            if head.status >= 200 {
                break head;
            }
            continue;
        }
        if received.len() >= MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if read_more(stream, &mut received, deadline)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let body = read_body(stream, received, &head.headers, deadline);
    Ok(HttpResponse::new(head.status, &head.headers, body))
}

/// Appends what has arrived. Returns how many bytes; 0 at the end.
fn read_more(stream: &mut impl Timed, received: &mut Vec<u8>, deadline: Instant) -> io::Result<usize> {
    let mut buffer = [0; 8 << 10];
    loop {
        stream.read_within(left(deadline)?)?;
        match stream.read(&mut buffer) {
            Ok(read) => {
                received.extend_from_slice(&buffer[..read]);
                return Ok(read);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

struct Head {
    status: u16,
    headers: HeaderMap,
}

/// Parses a head, and returns where it ends; `None` if it is incomplete.
fn parse(bytes: &[u8]) -> io::Result<Option<(usize, Head)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let Status::Complete(end) = response.parse(bytes).map_err(|_| invalid())? else { return Ok(None) };
    let status = response.code.filter(|status| (100..600).contains(status)).ok_or_else(invalid)?;
    let mut kept = HeaderMap::new();
    for header in response.headers.iter() {
        let pair = (HeaderName::from_bytes(header.name.as_bytes()), HeaderValue::from_bytes(header.value));
        if let (Ok(name), Ok(value)) = pair {
            kept.append(name, value);
        }
    }
    Ok(Some((end, Head { status, headers: kept })))
}

/// Reads a body, of which `received` has arrived already. The error says why it was not received.
fn read_body(
    stream: &mut impl Timed,
    mut received: Vec<u8>,
    headers: &HeaderMap,
    deadline: Instant,
) -> Result<Vec<u8>, String> {
    let value = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let is_chunked = value(header::TRANSFER_ENCODING)
        .is_some_and(|coding| coding.to_ascii_lowercase().ends_with("chunked"));
    let length = value(header::CONTENT_LENGTH).and_then(|length| length.trim().parse::<usize>().ok());
    let mut chunks = Chunks::default();
    loop {
        if is_chunked {
            if chunks.advance(&received).ok_or("its answer is malformed")? {
                return Ok(chunks.body);
            }
        } else if let Some(length) = length
            && received.len() >= length
        {
            received.truncate(length);
            return Ok(received);
        }
        if received.len() as u64 > MAX_ANSWER {
            return Err("its answer is too large".to_owned());
        }
        match read_more(stream, &mut received, deadline) {
            Ok(0) if !is_chunked && length.is_none() => return Ok(received),
            Ok(0) => return Err("its answer was cut off".to_owned()),
            Ok(_) => {}
            Err(_) => return Err("the rest of its answer did not arrive".to_owned()),
        }
    }
}

/// The chunks that have arrived (RFC 9112, 7.1).
#[derive(Default)]
struct Chunks {
    /// Where the next chunk begins.
    next: usize,
    body: Vec<u8>,
}

impl Chunks {
    /// Takes the chunks that are complete. Returns whether the last one was; `None` if one is malformed.
    fn advance(&mut self, bytes: &[u8]) -> Option<bool> {
        loop {
            match httparse::parse_chunk_size(&bytes[self.next..]).ok()? {
                // Fields after the last chunk are not read.
                Status::Complete((_, 0)) => return Some(true),
                Status::Complete((begin, size)) => {
                    let begin = self.next + begin;
                    let end = begin.checked_add(usize::try_from(size).ok()?)?;
                    if bytes.len() < end.checked_add(2)? {
                        return Some(false);
                    }
                    self.body.extend_from_slice(&bytes[begin..end]);
                    self.next = end + 2;
                }
                Status::Partial => return Some(false),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A connection that takes what is written, and returns the parts of an answer one by one.
    struct Script {
        parts: VecDeque<Vec<u8>>,
        written: Vec<u8>,
        takes: usize,
    }

    impl Read for Script {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(part) = self.parts.pop_front() else { return Ok(0) };
            buffer[..part.len()].copy_from_slice(&part);
            Ok(part.len())
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.written.len() >= self.takes {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.written.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Timed for Script {
        fn read_within(&self, _: Duration) -> io::Result<()> {
            Ok(())
        }

        fn write_within(&self, _: Duration) -> io::Result<()> {
            Ok(())
        }
    }

    /// Exchanges, with an answer that arrives in pieces of this many bytes.
    fn answered(answer: &str, piece: usize, takes: usize) -> io::Result<HttpResponse> {
        let parts = answer.as_bytes().chunks(piece).map(<[u8]>::to_vec).collect();
        let mut script = Script { parts, written: Vec::new(), takes };
        exchange(&mut script, "head", b"body", Instant::now() + Duration::from_secs(60))
    }

    #[test]
    fn an_answer_is_read_however_its_body_is_framed_and_cut() {
        for (answer, status, body) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}more", 200, "{}"),
            ("HTTP/1.0 404 \r\n\r\nuntil the end", 404, "until the end"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n",
                200,
                "abcd",
            ),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\ncontent-length: 0\r\n\r\n", 204, ""),
        ] {
            for piece in [1, 3, 1_000] {
                let response = answered(answer, piece, 100).unwrap();
                assert_eq!(
                    (response.status, response.body.as_deref()),
                    (status, Ok(body.as_bytes())),
                    "{answer}"
                );
            }
        }
    }

    #[test]
    fn the_answer_counts_even_if_the_request_was_not_read_to_its_end() {
        let refused = answered("HTTP/1.1 413 \r\ncontent-length: 0\r\n\r\n", 100, 1).unwrap();
        assert_eq!(refused.status, 413);
        assert_eq!(answered("", 1, 1).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn what_is_not_http_or_incomplete_is_an_error() {
        for wrong in
            ["SSH-2.0\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "\0\0\x12\x04\0\0\0\0\0", "HTTP/1.1 999 \r\n\r\n"]
        {
            assert_eq!(answered(wrong, 100, 100).unwrap_err().kind(), io::ErrorKind::InvalidData, "{wrong}");
        }
        assert_eq!(answered("HTTP/1.1 200", 100, 100).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        for cut in [
            "content-length: 3\r\n\r\nab",
            "transfer-encoding: chunked\r\n\r\n3\r\nab",
            "transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nab",
            "transfer-encoding: chunked\r\n\r\nx\r\n",
        ] {
            let response = answered(&format!("HTTP/1.1 200 OK\r\n{cut}"), 100, 100).unwrap();
            assert!(response.status == 200 && response.body.is_err(), "{cut}");
        }
    }
}
