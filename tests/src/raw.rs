//! A client that writes raw bytes, for what HTTP libraries do not allow.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

/// A connection. Dropping it closes it with FIN; [`Raw::reset`] closes it with RST.
#[derive(Debug)]
pub struct Raw(TcpStream);

impl Raw {
    /// Connects to the server at this address.
    pub fn to(addr: SocketAddr) -> Self {
        Self::new(TcpStream::connect(addr).expect("the server listens"))
    }

    /// The same from another address of this machine, such as 127.0.0.2 on Linux.
    pub fn from_address(source: IpAddr, addr: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("there is a socket");
        socket.bind(&SocketAddr::from((source, 0)).into()).expect("it is an address of this machine");
        socket.connect(&addr.into()).expect("the server listens");
        Self::new(socket.into())
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("the timeout is not zero");
        stream.set_nodelay(true).expect("the socket is open");
        Self(stream)
    }

    /// Writes bytes. Errors are ignored: a closed connection shows when reading.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref());
    }

    /// Sends a request without a body.
    pub fn request(&mut self, method: &str, path: &str) {
        self.write(format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n"));
    }

    /// Reads until the bytes read contain `text`, or the server closes. Returns everything read.
    pub fn read_until(&mut self, text: &str) -> String {
        self.read_while(|read| !String::from_utf8_lossy(read).contains(text))
    }

    /// Reads while `go_on` returns true for the bytes read, and until the server closes. Returns everything read.
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

    /// Closes the writing side (FIN); reading stays possible.
    pub fn finish(&mut self) {
        self.0.shutdown(std::net::Shutdown::Write).expect("the connection is open");
    }

    /// Closes the connection with RST instead of FIN.
    pub fn reset(self) {
        // Without lingering, the drop sends RST.
        SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).expect("the socket is open");
    }
}
