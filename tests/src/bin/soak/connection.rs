//! A client of HTTP/1.1 that tells how far it came.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

/// Longer than any answer takes, even on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that is kept alive.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Whether the server closes the connection after it.
    pub(crate) is_last: bool,
}

impl Connection {
    pub(crate) fn to(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Sends a request and reads its whole answer.
    pub(crate) fn exchange(
        &mut self,
        method: &str,
        path: &str,
        head: &str,
        body: &str,
    ) -> io::Result<Answer> {
        let length = if body.is_empty() && method == "GET" {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        self.write(format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{head}{length}\r\n{body}"))?;
        self.answer()
    }

    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Reads a whole answer.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let head = self.read_to(b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no answer of HTTP: {head}")))?;
        let header = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let mut body = Vec::new();
        if header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.read_to(b"\r\n")?;
                let size = String::from_utf8_lossy(&line);
                let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
                let mut chunk = self.take(size + 2)?;
                if size == 0 {
                    break;
                }
                chunk.truncate(size);
                body.append(&mut chunk);
            }
        } else if let Some(length) = header("content-length").and_then(|length| length.parse().ok()) {
            body = self.take(length)?;
        }
        Ok(Answer { status, body, is_last: header("connection") == Some("close") })
    }

    /// Reads to these bytes and returns all up to their end.
    pub(crate) fn read_to(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                return Ok(self.read.drain(..at + end.len()).collect());
            }
            self.fill()?;
        }
    }

    fn take(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < bytes {
            self.fill()?;
        }
        Ok(self.read.drain(..bytes).collect())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16_384];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => {
                self.read.extend_from_slice(&chunk[..bytes]);
                Ok(())
            }
        }
    }

    /// Closes the connection with RST instead of FIN.
    pub(crate) fn reset(self) {
        // If that fails, it is closed with FIN, which tells the server as much.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}
