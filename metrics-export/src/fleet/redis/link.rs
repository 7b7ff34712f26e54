//! A connection to a Redis: commands in, answers out, each step within a time limit.

use std::time::Duration;

#[cfg(feature = "redis-cluster")]
use redis::cluster::{ClusterClient, ClusterConnection};
use redis::{
    Client, Cmd, Connection, ConnectionAddr, ConnectionInfo, ConnectionLike, IntoConnectionInfo, RedisError,
    Value,
};

use super::address::Address;

/// A connection. After an error from [`run`](Link::run) it is out of step with the server: drop it.
pub(super) struct Link {
    connection: Open,
    timeout: Duration,
}

enum Open {
    Single(Connection),
    #[cfg(feature = "redis-cluster")]
    Cluster(Box<ClusterConnection>),
}

impl Link {
    /// Connects. Connecting, sending and receiving take at most `timeout` each.
    pub(super) fn connect(address: &Address, timeout: Duration) -> Result<Self, String> {
        let connection = match address {
            Address::Single(info) => Open::Single(single(info.clone(), timeout)?),
            Address::Sentinel { sentinels, master, login } => {
                Open::Single(by_sentinels(sentinels, master, login, timeout)?)
            }
            #[cfg(feature = "redis-cluster")]
            Address::Cluster {
                nodes,
                #[cfg(feature = "redis-tls-no-provider")]
                authorities,
            } => {
                let client = ClusterClient::builder(nodes.clone());
                #[cfg(feature = "redis-tls-no-provider")]
                let client = match authorities {
                    Some(authorities) => client.certs(authorities.clone()),
                    None => client,
                };
                let client = client
                    .connection_timeout(timeout)
                    .response_timeout(timeout)
                    // Once more after a slot moved. The next write retries what fails beyond that.
                    .retries(2)
                    .build();
                let connection = client.and_then(|client| client.get_connection());
                Open::Cluster(Box::new(connection.map_err(|error| describe(&error, timeout))?))
            }
        };
        Ok(Self { connection, timeout })
    }

    /// Sends commands and returns one answer for each, in order: the server's reply, or why it refused the command.
    ///
    /// # Errors
    ///
    /// If the connection breaks. Some of the commands may have been carried out.
    pub(super) fn run(&mut self, commands: &[Cmd]) -> Result<Vec<Result<Value, String>>, String> {
        let mut answers = Vec::with_capacity(commands.len());
        self.run_each(commands, |answer| answers.push(answer))?;
        Ok(answers)
    }

    /// Like [`run`](Link::run), but hands on each answer as it comes, so that they are never all in memory at one time.
    pub(super) fn run_each(
        &mut self,
        commands: &[Cmd],
        mut take: impl FnMut(Result<Value, String>),
    ) -> Result<(), String> {
        let broken = |error: RedisError| describe(&error, self.timeout);
        match &mut self.connection {
            Open::Single(connection) => {
                let packed: Vec<u8> = commands.iter().flat_map(Cmd::get_packed_command).collect();
                connection.send_packed_command(&packed).map_err(broken)?;
                for _ in commands {
                    take(match connection.recv_response().map_err(broken)? {
                        Value::ServerError(error) => Err(error.to_string()),
                        value => Ok(value),
                    });
                }
            }
            #[cfg(feature = "redis-cluster")]
            Open::Cluster(connection) => {
                for command in commands {
                    take(match connection.req_command(command) {
                        Ok(Value::ServerError(error)) => Err(error.to_string()),
                        Ok(value) => Ok(value),
                        // A cluster that is down or short of a node heals, and then needs a new connection.
                        Err(error) if error.code().is_some() && !error.is_cluster_error() => {
                            Err(error.to_string())
                        }
                        Err(error) => return Err(broken(error)),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Connects to the master that one of the Sentinels names.
fn by_sentinels(
    sentinels: &[ConnectionInfo],
    master: &str,
    login: &redis::RedisConnectionInfo,
    timeout: Duration,
) -> Result<Connection, String> {
    let mut why = "the address names no Sentinel".to_owned();
    for sentinel in sentinels {
        let found = single(sentinel.clone(), timeout).and_then(|link| find_master(link, master, timeout));
        let (host, port) = match found {
            Ok(found) => found,
            Err(error) => {
                why = error;
                continue;
            }
        };
        let addr = match sentinel.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        let info = addr.into_connection_info().map_err(|error| error.to_string())?;
        // If it fails, another Sentinel may know a newer master.
        match single(info.set_redis_settings(login.clone()), timeout) {
            Ok(connection) => return Ok(connection),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// Asks a Sentinel for the address of a master.
fn find_master(mut sentinel: Connection, master: &str, timeout: Duration) -> Result<(String, u16), String> {
    let mut command = redis::cmd("SENTINEL");
    command.arg("get-master-addr-by-name").arg(master);
    let answer = sentinel.req_command(&command).map_err(|error| describe(&error, timeout))?;
    let address: Option<(String, u16)> =
        redis::from_redis_value(answer).map_err(|error| error.to_string())?;
    address.ok_or_else(|| format!("the Sentinel knows no master {master:?}"))
}

fn single(info: ConnectionInfo, timeout: Duration) -> Result<Connection, String> {
    let connection = Client::open(info).and_then(|client| client.get_connection_with_timeout(timeout));
    let connection = connection.and_then(|connection| {
        connection.set_read_timeout(Some(timeout))?;
        connection.set_write_timeout(Some(timeout))?;
        Ok(connection)
    });
    connection.map_err(|error| describe(&error, timeout))
}

/// What went wrong with a connection. The system's own words for a time limit would be "Resource temporarily
/// unavailable".
fn describe(error: &RedisError, timeout: Duration) -> String {
    if error.is_timeout() {
        let millis = timeout.as_millis();
        return match millis % 1_000 {
            0 => format!("Redis did not answer within {} s", millis / 1_000),
            _ => format!("Redis did not answer within {millis} ms"),
        };
    }
    if error.is_connection_refusal() {
        return format!("cannot connect to Redis: {error}");
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_time_limit_and_a_refused_connection_are_described_in_plain_words() {
        let describe = |kind: io::ErrorKind, timeout| {
            describe(&RedisError::from(io::Error::from(kind)), Duration::from_millis(timeout))
        };
        assert_eq!(describe(io::ErrorKind::WouldBlock, 1_000), "Redis did not answer within 1 s");
        assert_eq!(describe(io::ErrorKind::TimedOut, 250), "Redis did not answer within 250 ms");
        let refused = describe(io::ErrorKind::ConnectionRefused, 1_000);
        assert!(refused.starts_with("cannot connect to Redis: "), "{refused}");
    }
}
