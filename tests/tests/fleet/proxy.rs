//! A proxy that cuts connections.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Forwards what clients send, up to a number of bytes for each connection, and then cuts it. Ends with the process.
pub(crate) struct Proxy {
    port: u16,
    allowed: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let allowed = Arc::new(AtomicUsize::new(usize::MAX));
        let limit = Arc::clone(&allowed);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let limit = Arc::clone(&limit);
                thread::spawn(move || forward(client, server, &limit));
                thread::spawn(move || forward(back.0, back.1, &AtomicUsize::new(usize::MAX)));
            }
        });
        Self { port, allowed }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Cuts each connection after this many bytes, including those already open.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.allowed.store(bytes, Ordering::Relaxed);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, allowed: &AtomicUsize) {
    let (mut buffer, mut sent) = ([0; 4_096], 0);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let left = allowed.load(Ordering::Relaxed).saturating_sub(sent);
        if to.write_all(&buffer[..read.min(left)]).is_err() || read > left {
            break;
        }
        sent += read;
    }
    // Either may be closed already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
