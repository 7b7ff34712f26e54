//! A client of HTTP/2 that does what HTTP libraries do not: it gives the server no room for bodies.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;

/// A connection, with prior knowledge that the server speaks HTTP/2. Dropping it closes it.
#[derive(Debug)]
pub struct Http2 {
    stream: TcpStream,
    next_stream: u32,
    read: Vec<u8>,
    ok: usize,
    others: usize,
    bodies: Vec<u8>,
    pinged: u64,
    /// The number of the last ping that the server answered.
    answered: u64,
}

impl Http2 {
    /// Connects to the server at this address. Streams have room for this many bytes of a body.
    ///
    /// # Panics
    ///
    /// When nothing listens there.
    pub fn connect(addr: SocketAddr, window: u32) -> Self {
        let mut stream = TcpStream::connect(addr).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("the timeout is not zero");
        stream.set_nodelay(true).expect("the socket is open");
        // SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, section 6.5.2).
        let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
        let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &*frame(SETTINGS, 0, 0, &settings)].concat();
        stream.write_all(&hello).expect("the server reads");
        let (read, bodies) = (Vec::new(), Vec::new());
        Self { stream, next_stream: 1, read, ok: 0, others: 0, bodies, pinged: 0, answered: 0 }
    }

    /// Sends a GET without waiting for its answer. Returns the number of its stream.
    ///
    /// # Panics
    ///
    /// When the path has more than 126 bytes, or the server closed the connection.
    pub fn get(&mut self, path: &str) -> u32 {
        // Method GET and scheme http from the static table; path and authority literally (RFC 7541).
        let length = u8::try_from(path.len()).ok().filter(|&length| length < 127).expect("the path is short");
        let mut block = vec![0x82, 0x86, 0x04, length];
        block.extend(path.bytes());
        block.extend([0x01, 4]);
        block.extend(b"test");
        let number = self.next_stream;
        self.next_stream += 2;
        // It ends with its head.
        self.stream.write_all(&frame(HEADERS, 0x5, number, &block)).expect("the server reads");
        number
    }

    /// Gives a stream up.
    ///
    /// # Panics
    ///
    /// When the server closed the connection.
    pub fn reset(&mut self, number: u32) {
        self.stream.write_all(&frame(RST_STREAM, 0, number, &8_u32.to_be_bytes())).expect("the server reads");
    }

    /// Waits until the server has read everything that was sent so far: it answers a ping after what came before it.
    ///
    /// # Panics
    ///
    /// When the server does not answer within 20 s.
    pub fn wait_until_read(&mut self) {
        self.pinged += 1;
        self.stream.write_all(&frame(PING, 0, 0, &self.pinged.to_be_bytes())).expect("the server reads");
        let begun = Instant::now();
        while self.answered < self.pinged {
            assert!(begun.elapsed() < Duration::from_secs(20), "the server does not answer a ping");
            self.read_for(Duration::from_millis(1));
        }
    }

    /// Reads for this time and answers pings, as a living client does. Returns how many answers with the status 200, and
    /// how many others, have begun since the start.
    pub fn read_for(&mut self, time: Duration) -> (usize, usize) {
        let (begun, mut chunk) = (Instant::now(), [0; 16_384]);
        while begun.elapsed() < time {
            match self.stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(bytes) => self.read.extend_from_slice(&chunk[..bytes]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => break,
            }
            while let Some((kind, flags, payload)) = self.next_frame() {
                match kind {
                    // The first entry of a response's block is its status; 200 has number 8 in the static table.
                    HEADERS if payload.first() == Some(&0x88) => self.ok += 1,
                    HEADERS => self.others += 1,
                    DATA => self.bodies.extend(payload),
                    PING if flags & ACK != 0 => {
                        let number = payload.try_into().expect("a ping has 8 bytes");
                        self.answered = u64::from_be_bytes(number);
                    }
                    PING => {
                        let _ = self.stream.write_all(&frame(PING, ACK, 0, &payload));
                    }
                    SETTINGS if flags & ACK == 0 => {
                        let _ = self.stream.write_all(&frame(SETTINGS, ACK, 0, &[]));
                    }
                    _ => {}
                }
            }
        }
        (self.ok, self.others)
    }

    /// The bodies that were read so far, or what there was room for, in the order of their arrival. A connection has
    /// room for 65,535 bytes in all.
    pub fn bodies(&self) -> String {
        String::from_utf8_lossy(&self.bodies).into_owned()
    }

    fn next_frame(&mut self) -> Option<(u8, u8, Vec<u8>)> {
        let &[high, middle, low, kind, flags, ..] = self.read.as_slice() else { return None };
        let end = 9 + u32::from_be_bytes([0, high, middle, low]) as usize;
        if self.read.len() < end {
            return None;
        }
        let frame: Vec<_> = self.read.drain(..end).collect();
        Some((kind, flags, frame[9..].to_vec()))
    }
}

/// A frame (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}
