//! The load: <https://github.com/wg/wrk>.

use std::io;
use std::process::Stdio;

use tokio::process::Command;

use crate::load::LoadError;

/// An installed `wrk`.
pub(super) struct Wrk {
    connections: usize,
}

impl Wrk {
    /// Checks that it is installed.
    pub(super) async fn new(connections: usize) -> Result<Self, LoadError> {
        // It prints its version and exits with an error, since it got no URL.
        let version =
            Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        match version {
            Ok(_) => Ok(Self { connections }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(LoadError::NoWrk),
            Err(error) => Err(error.into()),
        }
    }

    /// Requests the URL repeatedly for one second and returns the number of answers, which must all be successes.
    pub(super) async fn run_for_a_second(&self, url: &str) -> Result<u64, LoadError> {
        // One thread of wrk is enough load for several workers.
        let output = Command::new("wrk")
            .args(["-t1", &format!("-c{}", self.connections), "-d1s", url])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(LoadError::Wrk(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        requests(&text).map_err(LoadError::Wrk)
    }
}

fn requests(output: &str) -> Result<u64, String> {
    let complaint = |line: &&str| line.starts_with("Socket errors") || line.starts_with("Non-2xx");
    let mut lines = output.lines().map(str::trim);
    if let Some(complaint) = lines.clone().find(complaint) {
        return Err(complaint.to_owned());
    }
    let count = lines.find_map(|line| line.split_once(" requests in ")?.0.parse().ok());
    count.filter(|&requests| requests > 0).ok_or_else(|| "there were no answers".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
Running 4s test @ http://127.0.0.1:8080/items/4711
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   382.42us  120.31us   4.08ms   84.31%
    Req/Sec    83.05k     3.41k   89.45k    70.00%
  330483 requests in 4.00s, 40.66MB read
Requests/sec:  82606.15
Transfer/sec:     10.16MB
";

    #[test]
    fn requests_are_those_of_the_whole_run() {
        assert_eq!(requests(OUTPUT), Ok(330_483));
    }

    #[test]
    fn a_run_with_bad_answers_or_with_none_does_not_count() {
        let bad = format!("{OUTPUT}  Non-2xx or 3xx responses: 12\n");
        assert_eq!(requests(&bad), Err("Non-2xx or 3xx responses: 12".to_owned()));
        let errors = format!("{OUTPUT}  Socket errors: connect 0, read 3, write 0, timeout 0\n");
        assert!(requests(&errors).is_err());
        assert!(requests(&OUTPUT.replace("330483", "0")).is_err());
        assert!(requests("").is_err());
    }
}
