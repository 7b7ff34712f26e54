//! A server at the other end, and what went wrong with it, in words: who, what happened, and what to do.

use std::fmt;
use std::time::Duration;

use metrics_core::visible;
use redis::RedisError;

/// The longest text of a server that is shown, in bytes.
const MAX_TEXT: usize = 200;

/// How a server says that a user lacks a right inside a script.
const SCRIPT_DENIED: &str = "user executing the script can't";

/// The role of a Sentinel.
pub(super) const SENTINEL: &str = "the Sentinel";

/// A Redis or a Sentinel, as messages name it.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// Such as `Redis`.
    role: &'static str,
    /// Host and port.
    address: String,
    timeout: Duration,
}

impl Server {
    pub(super) fn new(role: &'static str, address: String, timeout: Duration) -> Self {
        Self { role, address, timeout }
    }

    /// Connecting took too long. A refused or silent port is told by [`describe`](Self::describe), so it is mostly the name.
    pub(super) fn is_late(&self, limit: Duration) -> String {
        format!(
            "{self} was not reached within {}; check that it is running and that DNS answers",
            shown(limit)
        )
    }

    /// What went wrong with a connection. The system's own words for a time limit would be "Resource temporarily
    /// unavailable".
    pub(super) fn describe(&self, error: &RedisError) -> String {
        if error.is_timeout() {
            return format!("{self} did not answer within {}", shown(self.timeout));
        }
        if error.is_connection_refusal() {
            return format!("{self} refused the connection; check that it is running, and its port");
        }
        if let Some(code) = error.code() {
            return self.refusal(code, error.detail());
        }
        // Text of the server, if any, is in the detail: it quotes no login, since RESP2 sends it with AUTH.
        let text = error.to_string();
        if text.contains("failed to lookup address") {
            return format!("the host of {self} was not found; check its name and DNS");
        }
        if text.contains("Password authentication failed") {
            return self.refusal("WRONGPASS", None);
        }
        // A certificate without trust ends the connection, too, and says so itself.
        if error.is_connection_dropped() && !text.contains("certificate") {
            return format!("{self} closed the connection; if it expects TLS, use rediss://");
        }
        format!("{self}: {}", visible(&text, MAX_TEXT))
    }

    /// Why the server refused a command: its own words, and what to do.
    pub(super) fn refusal(&self, code: &str, details: Option<&str>) -> String {
        let next = match code {
            // The login of an address is for the master.
            "NOAUTH" if self.role == SENTINEL => "; set its password with `sentinel_login`",
            "WRONGPASS" if self.role == SENTINEL => "; check user and password of `sentinel_login`",
            "NOAUTH" => "; put the password into the address, as in redis://:password@host",
            "WRONGPASS" => "; check user and password in the address, and percent-encode them",
            "ERR" if details.is_some_and(|text| text.contains(SCRIPT_DENIED)) => {
                "; allow the user the commands and keys that docs/fleet.md lists"
            }
            "NOPERM" => "; allow the user the commands and keys that docs/fleet.md lists",
            "LOADING" => "; it is still loading its data; this is retried",
            "MISCONF" => {
                "; it cannot save its data: check its disk, or set stop-writes-on-bgsave-error to no"
            }
            "OOM" => "; it is out of memory: raise maxmemory, or choose a policy that evicts",
            "READONLY" => "; it is a replica: name the master, or its Sentinels with redis+sentinel://",
            "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT" => {
                "; it is a node of a cluster: use redis+cluster:// with the cargo feature `redis-cluster`"
            }
            _ => "",
        };
        let details = details.map_or(String::new(), |text| format!(" {}", visible(text, MAX_TEXT)));
        format!("{self} answered {}{details}{next}", visible(code, MAX_TEXT))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role, self.address)
    }
}

fn shown(timeout: Duration) -> String {
    let millis = timeout.as_millis();
    match millis % 1_000 {
        0 => format!("{} s", millis / 1_000),
        _ => format!("{millis} ms"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn server(millis: u64) -> Server {
        Server::new("Redis", "cache:6379".to_owned(), Duration::from_millis(millis))
    }

    #[test]
    fn a_broken_connection_names_the_server_the_cause_and_the_next_step() {
        let describe =
            |kind: io::ErrorKind, millis| server(millis).describe(&RedisError::from(io::Error::from(kind)));
        let late = "Redis cache:6379 did not answer within";
        assert_eq!(describe(io::ErrorKind::WouldBlock, 1_000), format!("{late} 1 s"));
        assert_eq!(describe(io::ErrorKind::TimedOut, 250), format!("{late} 250 ms"));
        let refused = describe(io::ErrorKind::ConnectionRefused, 1_000);
        assert!(refused.starts_with("Redis cache:6379 refused the connection; check"), "{refused}");
        let lookup = io::Error::other("failed to lookup address information: Name or service not known");
        let missing = server(1).describe(&RedisError::from(lookup));
        assert_eq!(missing, "the host of Redis cache:6379 was not found; check its name and DNS");
    }

    #[test]
    fn a_refusal_has_the_servers_words_and_the_next_step() {
        let refusal = |code, details| server(1).refusal(code, Some(details));
        for (code, next) in [
            ("NOAUTH", "; put the password into the address"),
            ("WRONGPASS", "; check user and password"),
            ("NOPERM", "; allow the user"),
            ("LOADING", "; it is still loading"),
            ("MISCONF", "; it cannot save its data"),
            ("OOM", "; it is out of memory"),
            ("READONLY", "; it is a replica"),
            ("MOVED", "; it is a node of a cluster: use redis+cluster://"),
        ] {
            let said = refusal(code, "be\u{202e}cause\n");
            let begin = format!("Redis cache:6379 answered {code} be\\u{{202e}}cause\\n{next}");
            assert!(said.starts_with(&begin), "{said}");
        }
        assert_eq!(server(1).refusal("ERR", None), "Redis cache:6379 answered ERR");
        let sentinel = |code| Server { role: SENTINEL, ..server(1) }.refusal(code, None);
        for code in ["NOAUTH", "WRONGPASS"] {
            let said = sentinel(code);
            assert!(said.starts_with(&format!("the Sentinel cache:6379 answered {code}; ")), "{said}");
            assert!(said.ends_with("`sentinel_login`"), "{said}");
        }
    }
}
