//! A client that writes bytes: for what no HTTP library lets one do.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

/// A connection. Dropping it closes it in order; [`Raw::reset`] does not.
#[derive(Debug)]
pub struct Raw(TcpStream);

impl Raw {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("the timeout is not zero");
        stream.set_nodelay(true).expect("the socket is open");
        Self(stream)
    }

    /// Writes bytes. That the server has closed the connection is for the reader to find out.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref());
    }

    /// Sends a request without a body.
    pub fn request(&mut self, method: &str, path: &str) {
        self.write(format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n"));
    }

    /// Reads until what was read contains `text`. Gives all that was read.
    pub fn read_until(&mut self, text: &str) -> String {
        self.read_while(|read| !String::from_utf8_lossy(read).contains(text))
    }

    /// Reads as long as `go_on` says so of what was read, and the server sends. Gives all that was read.
    pub fn read_while(&mut self, go_on: impl Fn(&[u8]) -> bool) -> String {
        let (mut read, mut chunk) = (Vec::new(), [0; 4_096]);
        while go_on(&read) {
            match self.0.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(bytes) => read.extend_from_slice(&chunk[..bytes]),
            }
        }
        String::from_utf8_lossy(&read).into_owned()
    }

    /// Says that nothing more will be written (FIN), and reads on.
    pub fn finish(&mut self) {
        self.0.shutdown(std::net::Shutdown::Write).expect("the connection is open");
    }

    /// Closes the connection with RST instead of FIN.
    pub fn reset(self) {
        // Closing at once, with nothing to linger for.
        SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).expect("the socket is open");
    }
}
