//! A Redis for one measurement, and commands to it.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often an instance writes.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A Redis on a free port. Dropping it ends the process.
pub(crate) struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { process, port })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn link(&self) -> Result<BufReader<TcpStream>, Box<dyn Error>> {
        for _ in 0..100 {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                return Ok(BufReader::new(stream));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("redis-server does not listen".into())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a command and reads its answer: one line, or a string.
pub(crate) fn command(
    link: &mut BufReader<TcpStream>,
    arguments: &[&[u8]],
) -> Result<String, Box<dyn Error>> {
    let mut sent = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        sent.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        sent.extend_from_slice(argument);
        sent.extend_from_slice(b"\r\n");
    }
    link.get_mut().write_all(&sent)?;
    let mut line = String::new();
    link.read_line(&mut line)?;
    if let Some(length) = line.strip_prefix('$') {
        let mut text = vec![0; length.trim().parse::<usize>()? + 2];
        link.read_exact(&mut text)?;
        return Ok(String::from_utf8(text)?);
    }
    if line.starts_with('-') { Err(line.into()) } else { Ok(line) }
}
