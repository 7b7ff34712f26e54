//! A connection to a Redis: commands in, answers out, each step within a time limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[cfg(feature = "redis-cluster")]
use redis::cluster::{ClusterClient, ClusterConnection};
use redis::{
    Client, Cmd, Connection, ConnectionAddr, ConnectionInfo, ConnectionLike, IntoConnectionInfo, RedisError,
    ServerError, Value,
};

use super::address::Address;
use super::server::{SENTINEL, Server};
use super::within::within;

/// The target of what is logged about a Redis.
pub(super) const TARGET: &str = "metrics_export::fleet";

/// A connection. After an error from [`run`](Link::run) it is out of step with the server: drop it.
pub(super) struct Link {
    connection: Open,
    server: Server,
    /// Which Sentinel is asked first, if the server was found by one.
    turn: Option<Arc<AtomicUsize>>,
}

enum Open {
    Single(Connection),
    #[cfg(feature = "redis-cluster")]
    Cluster(Box<ClusterConnection>),
}

impl Link {
    /// Connects. Connecting, sending and receiving take at most `timeout` each.
    pub(super) fn connect(address: &Address, timeout: Duration) -> Result<Self, String> {
        match address {
            Address::Single(info) => {
                let (connection, server) = single("Redis", info.clone(), timeout)?;
                Ok(Self { connection: Open::Single(connection), server, turn: None })
            }
            Address::Sentinel { sentinels, master, login, turn } => {
                // ORDERING: Relaxed, here and below; a number that nothing else depends on.
                let first = turn.load(Ordering::Relaxed) % sentinels.len().max(1);
                let (before, from) = sentinels.split_at(first);
                let (connection, server) = by_sentinels(from.iter().chain(before), master, login, timeout)?;
                Ok(Self { connection: Open::Single(connection), server, turn: Some(Arc::clone(turn)) })
            }
            #[cfg(feature = "redis-cluster")]
            Address::Cluster {
                nodes,
                #[cfg(feature = "redis-tls-no-provider")]
                certificates,
            } => {
                let client = ClusterClient::builder(nodes.clone());
                #[cfg(feature = "redis-tls-no-provider")]
                let client = match certificates {
                    Some(certificates) => client.certs(certificates.clone()),
                    None => client,
                };
                let client = client
                    .connection_timeout(timeout)
                    .response_timeout(timeout)
                    // Once more after a slot moved. The next write retries what fails beyond that.
                    .retries(2)
                    .build();
                let names = nodes.iter().map(|node| node.addr().to_string()).collect::<Vec<_>>();
                let server = Server::new("the Redis Cluster", names.join(","), timeout);
                // It connects to each node in turn.
                let limit = connect_limit(timeout).saturating_mul(nodes.len() as u32);
                let connection = within(limit, || client.and_then(|client| client.get_connection()));
                let connection = connection.ok_or_else(|| server.is_late(limit))?;
                let connection = connection.map_err(|error| server.describe(&error))?;
                Ok(Self { connection: Open::Cluster(Box::new(connection)), server, turn: None })
            }
        }
    }

    /// Checks that a server that a Sentinel found is still the master. It may have become a replica, which answers
    /// readers with what it had then.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not.
    pub(super) fn check_role(&mut self) -> Result<(), String> {
        match (&mut self.connection, &self.turn) {
            (Open::Single(connection), Some(_)) => is_master(connection, &self.server),
            _ => Ok(()),
        }
    }

    /// Sends commands and returns one answer for each, in order: the server's reply, or why it refused the command.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection breaks. Some of the commands may have been carried out.
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
        let server = &self.server;
        let broken = |error: RedisError| server.describe(&error);
        match &mut self.connection {
            Open::Single(connection) => {
                let turn = &self.turn;
                let refused = |error: ServerError| {
                    // Only a user who may not ask for its role gets here. Another Sentinel may know the master.
                    if let (Some(turn), "READONLY") = (turn, error.code()) {
                        turn.fetch_add(1, Ordering::Relaxed);
                    }
                    server.refusal(error.code(), error.details())
                };
                let packed: Vec<u8> = commands.iter().flat_map(Cmd::get_packed_command).collect();
                connection.send_packed_command(&packed).map_err(broken)?;
                for _ in commands {
                    take(match connection.recv_response().map_err(broken)? {
                        Value::ServerError(error) => Err(refused(error)),
                        value => Ok(value),
                    });
                }
            }
            #[cfg(feature = "redis-cluster")]
            Open::Cluster(connection) => {
                for command in commands {
                    take(match connection.req_command(command) {
                        Ok(Value::ServerError(error)) => Err(server.refusal(error.code(), error.details())),
                        Ok(value) => Ok(value),
                        // A cluster that is down or short of a node heals, and then needs a new connection.
                        Err(error) if error.code().is_some() && !error.is_cluster_error() => {
                            Err(server.describe(&error))
                        }
                        Err(error) => return Err(broken(error)),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Connects to the master that one of the Sentinels names. One that was cut off may still name the old master, which
/// is a replica by now, so the server is asked, too.
fn by_sentinels<'a>(
    sentinels: impl Iterator<Item = &'a ConnectionInfo>,
    master: &str,
    login: &redis::RedisConnectionInfo,
    timeout: Duration,
) -> Result<(Connection, Server), String> {
    let mut why = "the address names no Sentinel".to_owned();
    for sentinel in sentinels {
        let found = single(SENTINEL, sentinel.clone(), timeout);
        let found = found.and_then(|(link, server)| find_master(link, &server, master));
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
        let connected = single("the master", info.set_redis_settings(login.clone()), timeout);
        let connected = connected.and_then(|(mut connection, server)| {
            is_master(&mut connection, &server).map(|()| (connection, server))
        });
        match connected {
            Ok(connection) => return Ok(connection),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// Asks a server whether it is a master. One that does not tell this user passes for one.
fn is_master(connection: &mut Connection, server: &Server) -> Result<(), String> {
    let answer = connection.req_command(&redis::cmd("ROLE")).map_err(|error| server.describe(&error))?;
    match answer {
        Value::Array(role) if matches!(role.first(), Some(Value::BulkString(role)) if role != b"master") => {
            Err(format!("{server} is a replica, although a Sentinel names it; that Sentinel may be cut off"))
        }
        _ => Ok(()),
    }
}

/// Asks a Sentinel for the address of a master.
fn find_master(mut sentinel: Connection, server: &Server, master: &str) -> Result<(String, u16), String> {
    let mut command = redis::cmd("SENTINEL");
    command.arg("get-master-addr-by-name").arg(master);
    let answer = sentinel.req_command(&command).map_err(|error| server.describe(&error))?;
    if let Value::ServerError(error) = answer {
        return Err(server.refusal(error.code(), error.details()));
    }
    let address: Option<(String, u16)> = redis::from_redis_value(answer)
        .map_err(|_| format!("{server} did not answer like a Sentinel; check its address"))?;
    address.ok_or_else(|| format!("{server} knows no master {master:?}; check its name in the address"))
}

fn single(
    role: &'static str,
    info: ConnectionInfo,
    timeout: Duration,
) -> Result<(Connection, Server), String> {
    let server = Server::new(role, info.addr().to_string(), timeout);
    let limit = connect_limit(timeout);
    let connect = move || Client::open(info).and_then(|client| client.get_connection_with_timeout(timeout));
    let connection = within(limit, connect).ok_or_else(|| server.is_late(limit))?;
    let connection = connection.and_then(|connection| {
        connection.set_read_timeout(Some(timeout))?;
        connection.set_write_timeout(Some(timeout))?;
        Ok(connection)
    });
    connection.map(|connection| (connection, server.clone())).map_err(|error| server.describe(&error))
}

/// How long connecting takes at most: looking up the name, connecting to one of its addresses, and TLS and the login.
fn connect_limit(timeout: Duration) -> Duration {
    timeout.saturating_mul(3)
}
