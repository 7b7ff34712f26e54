//! A connection to a Redis: commands in, answers out, each step within a time.

use std::time::Duration;

#[cfg(feature = "redis-cluster")]
use redis::cluster::{ClusterClient, ClusterConnection};
use redis::{
    Client, Cmd, Connection, ConnectionAddr, ConnectionInfo, ConnectionLike, IntoConnectionInfo, Value,
};

use super::address::Address;

/// A connection. Once a command failed for any other reason than that the server refused it, it is of no use any more.
pub(super) enum Link {
    Single(Connection),
    #[cfg(feature = "redis-cluster")]
    Cluster(Box<ClusterConnection>),
}

impl Link {
    /// Connects. Every step of connecting, sending and receiving takes at most `timeout`.
    pub(super) fn connect(address: &Address, timeout: Duration) -> Result<Self, String> {
        match address {
            Address::Single(info) => single(info.clone(), timeout).map(Self::Single),
            Address::Sentinel { sentinels, master, login } => {
                let mut why = "there are no Sentinels".to_owned();
                for sentinel in sentinels {
                    let found = single(sentinel.clone(), timeout).and_then(|link| ask(link, master));
                    match found {
                        Ok((host, port)) => {
                            let info = ConnectionAddr::Tcp(host, port)
                                .into_connection_info()
                                .map_err(|error| error.to_string())?;
                            let addr = match sentinel.addr() {
                                ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                                    let ConnectionAddr::Tcp(host, port) = info.addr() else { continue };
                                    ConnectionAddr::TcpTls {
                                        host: host.clone(),
                                        port: *port,
                                        insecure: *insecure,
                                        tls_params: tls_params.clone(),
                                    }
                                }
                                _ => info.addr().clone(),
                            };
                            let info = info.set_addr(addr).set_redis_settings(login.clone());
                            // Another Sentinel may know of a later one.
                            match single(info, timeout) {
                                Ok(link) => return Ok(Self::Single(link)),
                                Err(error) => why = error,
                            }
                        }
                        Err(error) => why = error,
                    }
                }
                Err(why)
            }
            #[cfg(feature = "redis-cluster")]
            Address::Cluster {
                nodes,
                #[cfg(feature = "redis-tls")]
                authorities,
            } => {
                let client = ClusterClient::builder(nodes.clone());
                #[cfg(feature = "redis-tls")]
                let client = match authorities {
                    Some(authorities) => client.certs(authorities.clone()),
                    None => client,
                };
                let client = client
                    .connection_timeout(timeout)
                    .response_timeout(timeout)
                    // Once more after a slot moved; what fails beyond that is tried again with the next write.
                    .retries(2)
                    .build();
                let link = client.and_then(|client| client.get_connection());
                link.map(|link| Self::Cluster(Box::new(link))).map_err(|error| error.to_string())
            }
        }
    }

    /// Sends commands and gives their answers, in order: what the server says, or why it refuses.
    ///
    /// # Errors
    ///
    /// When the connection breaks. How many of the commands were carried out is not known then.
    pub(super) fn run(&mut self, commands: &[Cmd]) -> Result<Vec<Result<Value, String>>, String> {
        let mut answers = Vec::with_capacity(commands.len());
        self.run_each(commands, |answer| answers.push(answer))?;
        Ok(answers)
    }

    /// The same, but hands on each answer as it comes, so that not all of them take memory at one time.
    pub(super) fn run_each(
        &mut self,
        commands: &[Cmd],
        mut take: impl FnMut(Result<Value, String>),
    ) -> Result<(), String> {
        match self {
            Self::Single(link) => {
                let packed: Vec<u8> = commands.iter().flat_map(Cmd::get_packed_command).collect();
                link.send_packed_command(&packed).map_err(|error| error.to_string())?;
                for _ in commands {
                    take(match link.recv_response() {
                        Ok(Value::ServerError(error)) => Err(error.to_string()),
                        Ok(value) => Ok(value),
                        Err(error) => return Err(error.to_string()),
                    });
                }
            }
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(link) => {
                for command in commands {
                    take(match link.req_command(command) {
                        Ok(Value::ServerError(error)) => Err(error.to_string()),
                        Ok(value) => Ok(value),
                        // A cluster that is down or short of a node heals, and then other nodes have to be asked.
                        Err(error) if error.code().is_some() && !error.is_cluster_error() => {
                            Err(error.to_string())
                        }
                        Err(error) => return Err(error.to_string()),
                    });
                }
            }
        }
        Ok(())
    }
}

fn single(info: ConnectionInfo, timeout: Duration) -> Result<Connection, String> {
    let link = Client::open(info).and_then(|client| client.get_connection_with_timeout(timeout));
    let link = link.and_then(|link| {
        link.set_read_timeout(Some(timeout))?;
        link.set_write_timeout(Some(timeout))?;
        Ok(link)
    });
    link.map_err(|error| error.to_string())
}

/// Asks a Sentinel where a master is.
fn ask(mut sentinel: Connection, master: &str) -> Result<(String, u16), String> {
    let mut command = redis::cmd("SENTINEL");
    command.arg("get-master-addr-by-name").arg(master);
    let answer = sentinel.req_command(&command).map_err(|error| error.to_string())?;
    let address: Option<(String, u16)> =
        redis::from_redis_value(answer).map_err(|error| error.to_string())?;
    address.ok_or_else(|| format!("the Sentinel knows no master {master:?}"))
}
