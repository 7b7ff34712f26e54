//! A collector that misbehaves in a chosen way, and can be healed.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

use crate::Certificates;

/// How connections go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Requests are answered correctly.
    None,
    /// Connections are refused.
    Refused,
    /// Connections are accepted, and nothing is read or written.
    BlackHole,
    /// Requests are read and processed, and never answered.
    HalfOpen,
    /// The answer arrives byte by byte.
    Slow,
    /// Connections are reset in the middle of the answer.
    Reset,
    /// Requests are answered with 429 and 500 in turn.
    Refusing,
    /// Every third request is answered with 503, and not processed.
    EveryThird,
    /// The TLS handshake begins and never continues.
    SlowHandshake,
}

/// The pause between two bytes of a slow answer.
const BYTE_EVERY: Duration = Duration::from_millis(100);

/// Processes a body that arrived, and returns the answer's body.
pub type Take = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

/// A running collector. Its threads end with the test's process, or once it is dropped.
#[derive(Debug)]
pub struct Stub {
    addr: SocketAddr,
    shared: Arc<Shared>,
    authority: Option<String>,
    /// Accepts connections, unless they are refused.
    listening: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    fault: Mutex<Fault>,
    take: Box<Take>,
    tls: Option<Arc<ServerConfig>>,
    answers: AtomicUsize,
    stopped: AtomicBool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl Stub {
    /// Starts on a free port, with TLS if the fault needs it.
    pub fn start(fault: Fault, take: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let (tls, authority) = if fault == Fault::SlowHandshake {
            let (config, authority) = certificates();
            (Some(Arc::new(config)), Some(authority))
        } else {
            (None, None)
        };
        let shared = Arc::new(Shared {
            fault: Mutex::new(fault),
            take: Box::new(take),
            tls,
            answers: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let listening = (fault != Fault::Refused).then(|| listen(listener, &shared));
        Self { addr, shared, authority, listening: Mutex::new(listening) }
    }

    /// Answers correctly, over TLS with this certificate.
    pub fn with_tls(
        listener: TcpListener,
        made: &Certificates,
        take: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let addr = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            fault: Mutex::new(Fault::None),
            take: Box::new(take),
            tls: Some(Arc::new(tls_server(made))),
            answers: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let listening = Mutex::new(Some(listen(listener, &shared)));
        Self { addr, shared, authority: Some(made.authority.clone()), listening }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// The certificate to trust, if it speaks TLS.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// Answers correctly from now on.
    pub fn heal(&self) {
        self.set(Fault::None);
    }

    /// Goes wrong in this way from the next connection on.
    ///
    /// # Panics
    ///
    /// When connections were refused, and another program took the port meanwhile.
    pub fn set(&self, fault: Fault) {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        *self.shared.fault() = fault;
        if fault == Fault::Refused {
            self.wake(listening.take());
        } else if listening.is_none() {
            let listener = TcpListener::bind(self.addr).expect("the port is still free");
            *listening = Some(listen(listener, &self.shared));
        }
    }

    /// Wakes the thread that accepts connections, and waits until it has ended.
    fn wake(&self, listening: Option<JoinHandle<()>>) {
        if let Some(listening) = listening {
            let _ = TcpStream::connect(self.addr);
            // It does not panic.
            let _ = listening.join();
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let listening = self.listening.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        self.wake(listening);
    }
}

fn listen(listener: TcpListener, shared: &Arc<Shared>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if shared.stopped.load(Ordering::Relaxed) || *shared.fault() == Fault::Refused {
                return;
            }
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.serve(stream));
        }
    })
}

impl Shared {
    fn fault(&self) -> MutexGuard<'_, Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let fault = *self.fault();
        match (fault, &self.tls) {
            // It was accepted just before connections are refused.
            (Fault::Refused, _) => return Ok(()),
            (Fault::BlackHole, _) => self.hold(&stream),
            (Fault::SlowHandshake, _) => {
                // The beginning of a TLS record that never ends.
                (&stream).read_exact(&mut [0; 1])?;
                (&stream).write_all(&[22, 3, 3])?;
                self.hold(&stream);
            }
            (_, Some(tls)) => {
                let session = ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
                self.answer(fault, &mut StreamOwned::new(session, &stream))?;
            }
            (_, None) => self.answer(fault, &mut &stream)?,
        }
        if fault == Fault::HalfOpen {
            self.hold(&stream);
        }
        if fault == Fault::Reset {
            // Closes at once, with a reset.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    }

    fn answer(&self, fault: Fault, stream: &mut (impl Read + Write)) -> io::Result<()> {
        let body = read_request(stream)?;
        let status = match fault {
            Fault::Refusing => [429, 500][self.answers.fetch_add(1, Ordering::Relaxed) % 2],
            Fault::EveryThird => [200, 200, 503][self.answers.fetch_add(1, Ordering::Relaxed) % 3],
            _ => 200,
        };
        let is_processed =
            status == 200 && matches!(fault, Fault::None | Fault::HalfOpen | Fault::EveryThird);
        let taken = is_processed.then(|| (self.take)(&body));
        let text = taken.unwrap_or_default();
        let head = format!(
            "HTTP/1.1 {status} \r\nretry-after: 0\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        let answer = [head.as_bytes(), &text].concat();
        match fault {
            Fault::HalfOpen => Ok(()),
            Fault::Reset => stream.write_all(&answer[..answer.len() / 2]),
            Fault::Slow => {
                answer.iter().try_for_each(|byte| {
                    thread::sleep(BYTE_EVERY);
                    stream.write_all(&[*byte])
                })?;
                // A client that waited for the whole answer was told that its request was processed.
                (self.take)(&body);
                Ok(())
            }
            _ => stream.write_all(&answer),
        }?;
        stream.flush()
    }

    /// Keeps a connection open until the client leaves or the stub is healed, at most for ten seconds.
    fn hold(&self, stream: &TcpStream) {
        // So that checking for the client does not block.
        let _ = stream.set_read_timeout(Some(Duration::from_millis(1)));
        for _ in 0..200 {
            let is_over = self.stopped.load(Ordering::Relaxed) || *self.fault() == Fault::None;
            if is_over || matches!(stream.peek(&mut [0]), Ok(0)) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Reads one request, and returns its decompressed body.
fn read_request(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length = header("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    if header("content-encoding:") != Some("gzip") {
        return Ok(body);
    }
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

/// The settings of a server with a certificate for 127.0.0.1, and its authority's certificate in PEM.
fn certificates() -> (ServerConfig, String) {
    let made = Certificates::new(&["127.0.0.1"]);
    (tls_server(&made), made.authority)
}

/// The settings of a server with this certificate.
fn tls_server(made: &Certificates) -> ServerConfig {
    let certificate = CertificateDer::from_pem_slice(made.certificate.as_bytes()).expect("it is PEM");
    let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).expect("it is PEM");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("ring has the ciphers").with_no_client_auth();
    config.with_single_cert(vec![certificate], key).expect("the key is that of the certificate")
}
