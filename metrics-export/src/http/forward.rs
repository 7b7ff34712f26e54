//! A POST that a proxy forwards: the request names the whole URL (RFC 9112, 3.2.2), and no tunnel is opened.
//!
//! This is what proxies expect of `http` URLs: many open tunnels to port 443 only, as Squid does by default. ureq always
//! opens one.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, HeaderValue, Uri, header};

use super::exchange::{exchange, left};
use super::peer::Peer;
use super::proxy::login;
use super::response::HttpResponse;

/// The headers that say where a message and its connection end.
const FRAMING: [header::HeaderName; 3] =
    [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];

/// A proxy that forwards requests.
#[derive(Clone)]
pub(super) struct Forward {
    host: String,
    port: u16,
    login: Option<HeaderValue>,
}

impl Forward {
    pub(super) fn new(proxy: &ureq::Proxy) -> Self {
        Self { host: proxy.host().to_owned(), port: proxy.port(), login: login(proxy) }
    }

    /// Posts a body to an `http` URL.
    pub(super) fn post(
        &self,
        peer: &Peer,
        url: &Uri,
        headers: &HeaderMap,
        body: &[u8],
        timeout: Duration,
    ) -> Result<HttpResponse, String> {
        let deadline = Instant::now() + timeout;
        let mut stream = self.connect(deadline).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => peer.no_connection(timeout),
            _ => peer.io(&error, timeout),
        })?;
        let head = self.head(url, headers, body.len());
        exchange(&mut stream, &head, body, deadline).map_err(|error| peer.io(&error, timeout))
    }

    fn head(&self, url: &Uri, headers: &HeaderMap, length: usize) -> String {
        let host = url.authority().map_or("", |authority| authority.as_str());
        let mut head = format!("POST {url} HTTP/1.1\r\n");
        // A header that was set wins, as it does without a proxy, except where the framing depends on it.
        if !headers.contains_key(header::HOST) {
            head.extend(["host: ", host, "\r\n"]);
        }
        head.push_str("connection: close\r\n");
        if let Some(login) = &self.login
            && !headers.contains_key(header::PROXY_AUTHORIZATION)
        {
            push(&mut head, "proxy-authorization", login);
        }
        for (name, value) in headers.iter().filter(|(name, _)| !FRAMING.contains(name)) {
            push(&mut head, name.as_str(), value);
        }
        head.push_str(&format!("{}: {length}\r\n\r\n", header::CONTENT_LENGTH));
        head
    }

    /// Connects to the first address that accepts.
    fn connect(&self, deadline: Instant) -> io::Result<TcpStream> {
        let addresses = self.addresses(deadline)?;
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for (at, address) in addresses.iter().enumerate() {
            let others = (addresses.len() - at) as u32;
            match TcpStream::connect_timeout(
                address,
                (left(deadline)? / others).max(Duration::from_millis(1)),
            ) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Looks up the proxy, in a thread of its own, since a look-up has no timeout.
    fn addresses(&self, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let (port, (done, found)) = (self.port, sync_channel(1));
        thread::Builder::new().name("metrics-lookup".to_owned()).spawn(move || {
            // Nobody waits for it any more after the deadline.
            let _ = done.send((host.as_str(), port).to_socket_addrs().map(Iterator::collect));
        })?;
        match found.recv_timeout(left(deadline)?) {
            Ok(addresses) => addresses,
            Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
            Err(RecvTimeoutError::Disconnected) => Err(io::ErrorKind::Interrupted.into()),
        }
    }
}

/// Appends a header, whose value was checked when it was set.
fn push(head: &mut String, name: &str, value: &HeaderValue) {
    head.extend([name, ": ", &String::from_utf8_lossy(value.as_bytes()), "\r\n"]);
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_forwarded_request_names_the_whole_url_and_logs_in() {
        let forward = Forward::new(&ureq::Proxy::new("http://us%40er:hunter2@proxy:3128").unwrap());
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("a/b"))]);
        let head = forward.head(&"http://collector:4318/v1/metrics?x=1".parse().unwrap(), &headers, 7);
        let login = format!("proxy-authorization: Basic {}", STANDARD.encode("us@er:hunter2"));
        let lines: Vec<_> = head.split("\r\n").collect();
        let expected = [
            "POST http://collector:4318/v1/metrics?x=1 HTTP/1.1",
            "host: collector:4318",
            "connection: close",
            &login,
            "content-type: a/b",
            "content-length: 7",
            "",
            "",
        ];
        assert_eq!(lines, expected);
        for (url, line) in [
            ("http://[::1]:80", "POST http://[::1]:80/ HTTP/1.1\r\nhost: [::1]:80\r\n"),
            ("http://a/", "POST http://a/ HTTP/1.1\r\nhost: a\r\n"),
            ("http://a?x", "POST http://a/?x HTTP/1.1\r\nhost: a\r\n"),
        ] {
            assert!(forward.head(&url.parse().unwrap(), &headers, 0).starts_with(line), "{url}");
        }
    }

    #[test]
    fn a_header_that_was_set_is_sent_once() {
        let forward = Forward::new(&ureq::Proxy::new("http://us%40er:hunter2@proxy:3128").unwrap());
        let set = [
            (header::HOST, "virtual"),
            (header::PROXY_AUTHORIZATION, "Bearer abc"),
            (header::CONNECTION, "keep-alive"),
            (header::CONTENT_LENGTH, "1"),
            (header::TRANSFER_ENCODING, "chunked"),
        ];
        let headers = set.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect();
        let head = forward.head(&"http://a/".parse().unwrap(), &headers, 7);
        let mut lines: Vec<_> = head.trim_end().split("\r\n").skip(1).collect();
        lines.sort_unstable();
        let expected =
            ["connection: close", "content-length: 7", "host: virtual", "proxy-authorization: Bearer abc"];
        assert_eq!(lines, expected);
    }
}
