//! The address of a Redis: one server, a cluster, or a master found by Sentinels.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use metrics_core::InvalidSetting;
use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};

/// The address of a Redis.
#[derive(Clone)]
pub(super) enum Address {
    Single(ConnectionInfo),
    /// Some nodes of a cluster; the client finds the others.
    #[cfg(feature = "redis-cluster")]
    Cluster {
        nodes: Vec<ConnectionInfo>,
        /// The authorities to trust and the client's certificate, for nodes found later too; `None` for those that
        /// the system trusts, and no certificate.
        #[cfg(feature = "redis-tls-no-provider")]
        certificates: Option<redis::TlsCertificates>,
    },
    /// Sentinels, the name of the master, and the login for the master.
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        master: String,
        login: RedisConnectionInfo,
        /// Which of them is asked first, modulo their number.
        turn: Arc<AtomicUsize>,
    },
}

const ENCODED: &str = "a user and a password that are percent-encoded: @ as %40, : as %3A, / as %2F, # as %23, ? as %3F, \
    % as %25";

const ADDRESSES: &str = "redis://[user:password@]host[:port][/database], \
    redis+cluster://[user:password@]host:port,host:port, \
    redis+sentinel://[user:password@]host:port,host:port/master[/database], and rediss for TLS";

impl Address {
    /// # Errors
    ///
    /// Returns an error if it is not an address. The error does not repeat it, since it may hold a password.
    pub(super) fn parse(address: &str) -> Result<Self, InvalidSetting> {
        let (scheme, rest) = address.split_once("://").ok_or_else(|| refused(ADDRESSES))?;
        let (scheme, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        if scheme == "rediss" && cfg!(not(feature = "redis-tls-no-provider")) {
            return Err(refused("redis://, or rediss:// with the cargo feature `redis-tls`"));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // The login ends at the last `@` before the path; an earlier one, or a `/`, `?` or `#` in it, was not encoded.
        let login_end = authority.rfind('@');
        if login_end.is_some_and(|end| authority[..end].contains('@'))
            || (login_end.is_none() && path.contains('@'))
        {
            return Err(refused(ENCODED));
        }
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let login = if login.is_empty() { String::new() } else { format!("{login}@") };
        let nodes = |login: &str| {
            let urls = hosts.split(',').map(|host| info(&format!("{scheme}://{login}{host}")));
            urls.collect::<Result<Vec<_>, _>>()
        };
        match kind {
            "" if scheme == "redis" || scheme == "rediss" => Ok(Self::Single(info(address)?)),
            #[cfg(feature = "redis-cluster")]
            "cluster" => Ok(Self::Cluster {
                nodes: nodes(&login)?,
                #[cfg(feature = "redis-tls-no-provider")]
                certificates: None,
            }),
            #[cfg(not(feature = "redis-cluster"))]
            "cluster" => Err(refused("redis://, or redis+cluster:// with the cargo feature `redis-cluster`")),
            "sentinel" => {
                let (master, database) = path.split_once('/').unwrap_or((path, "0"));
                if master.is_empty() {
                    return Err(refused(
                        "redis+sentinel://host:port,host:port/master[/database], with the master's name",
                    ));
                }
                let login = info(&format!("{scheme}://{login}master/{database}"))?;
                Ok(Self::Sentinel {
                    sentinels: nodes("")?,
                    master: master.to_owned(),
                    login: login.redis_settings().clone(),
                    turn: Arc::default(),
                })
            }
            _ => Err(refused(ADDRESSES)),
        }
    }

    /// Logs in to the Sentinels; an empty user is the default one.
    pub(super) fn log_in_to_sentinels(&mut self, user: &str, password: &str) -> Result<(), InvalidSetting> {
        let Self::Sentinel { sentinels, .. } = self else {
            let allowed = "only with a redis+sentinel:// address";
            return Err(InvalidSetting::secret("sentinel_login", allowed));
        };
        if password.is_empty() {
            return Err(InvalidSetting::secret("sentinel_login", "a password that is not empty"));
        }
        for sentinel in sentinels {
            let login = sentinel.redis_settings().clone().set_password(password);
            let login = if user.is_empty() { login } else { login.set_username(user) };
            *sentinel = sentinel.clone().set_redis_settings(login);
        }
        Ok(())
    }

    /// Whether it is reached over TLS.
    #[cfg(feature = "redis-tls-no-provider")]
    pub(super) fn is_tls(&self) -> bool {
        let nodes = match self {
            Self::Single(info) => std::slice::from_ref(info),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster { nodes, .. } => nodes,
            Self::Sentinel { sentinels, .. } => sentinels,
        };
        nodes.iter().any(|node| matches!(node.addr(), redis::ConnectionAddr::TcpTls { .. }))
    }

    /// Uses these certificates, and trusts no other authorities than theirs, if any. `setting` is the setting that they
    /// come from.
    #[cfg(feature = "redis-tls-no-provider")]
    pub(super) fn use_certificates(
        &mut self,
        setting: &'static str,
        certificates: &redis::TlsCertificates,
    ) -> Result<(), InvalidSetting> {
        let with = |info: &ConnectionInfo| {
            let client = redis::Client::build_with_tls(info.clone(), certificates.clone());
            let allowed = "valid certificates in PEM, and only with a rediss:// address";
            let client = client.map_err(|_| InvalidSetting::secret(setting, allowed))?;
            Ok(client.get_connection_info().clone())
        };
        match self {
            Self::Single(info) => *info = with(info)?,
            Self::Sentinel { sentinels, .. } => {
                for sentinel in sentinels {
                    *sentinel = with(sentinel)?;
                }
            }
            #[cfg(feature = "redis-cluster")]
            Self::Cluster { nodes, certificates: kept } => {
                nodes.iter().try_for_each(|node| with(node).map(drop))?;
                *kept = Some(certificates.clone());
            }
        }
        Ok(())
    }
}

fn info(url: &str) -> Result<ConnectionInfo, InvalidSetting> {
    // The cause is left out, since it may quote a password.
    let info = url.into_connection_info().map_err(|_| refused(ADDRESSES))?;
    // RESP3 sends the password with HELLO, and a server that does not know HELLO quotes it in its error.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
    Ok(info.set_redis_settings(settings))
}

fn refused(allowed: &'static str) -> InvalidSetting {
    InvalidSetting::secret("redis address", allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_each_kind_are_parsed() {
        let single = Address::parse("redis://ann:secret@127.0.0.1:6380/2").unwrap();
        let Address::Single(single) = single else { panic!() };
        assert_eq!(single.redis_settings().username(), Some("ann"));
        assert_eq!(single.redis_settings().db(), 2);
        let newer = Address::parse("redis://ann:secret@a/0?protocol=resp3").unwrap();
        assert!(
            matches!(newer, Address::Single(info) if info.redis_settings().protocol() == ProtocolVersion::RESP2)
        );
        let sentinel = Address::parse("redis+sentinel://:secret@a:26379,b:26379/mymaster/3").unwrap();
        let Address::Sentinel { sentinels, master, login, .. } = sentinel else { panic!() };
        assert_eq!((sentinels.len(), master.as_str(), login.db()), (2, "mymaster", 3));
        assert_eq!(login.password(), Some("secret"));
        #[cfg(feature = "redis-cluster")]
        {
            let cluster = Address::parse("redis+cluster://a:7000,b:7001").unwrap();
            let Address::Cluster { nodes, .. } = cluster else { panic!() };
            assert_eq!(nodes.len(), 2);
        }
    }

    #[test]
    fn sentinels_have_a_login_of_their_own() {
        let mut address = Address::parse("redis+sentinel://ann:secret@a:1,b:2/main").unwrap();
        address.log_in_to_sentinels("watch", "p@ss").unwrap();
        let Address::Sentinel { sentinels, login, .. } = &address else { panic!() };
        let logins = sentinels.iter().map(|sentinel| sentinel.redis_settings()).chain([login]);
        let logins: Vec<_> = logins.map(|login| (login.username(), login.password())).collect();
        let of_sentinel = (Some("watch"), Some("p@ss"));
        assert_eq!(logins, [of_sentinel, of_sentinel, (Some("ann"), Some("secret"))]);
        let refused = |mut address: Address, password| {
            address.log_in_to_sentinels("", password).unwrap_err().to_string()
        };
        assert_eq!(
            refused(Address::parse("redis://a").unwrap(), "hunter2"),
            "sentinel_login is invalid; allowed: only with a redis+sentinel:// address"
        );
        assert!(refused(address, "").ends_with("allowed: a password that is not empty"));
    }

    #[test]
    fn a_password_that_is_not_encoded_is_refused_with_how_to_encode_it() {
        for address in
            ["redis://:hunter2@a@b", "redis://u:hunter2/x@b:6379", "redis+sentinel://:hunter2@x@a:1/m"]
        {
            let Err(error) = Address::parse(address) else { panic!("{address}") };
            let error = error.to_string();
            assert!(error.contains("@ as %40") && !error.contains("hunter2"), "{error}");
        }
        assert!(Address::parse("redis://:p%40ss%2F@b:6379/1").is_ok());
    }

    #[test]
    fn an_invalid_address_is_refused_and_not_repeated() {
        for address in
            ["", "127.0.0.1:6379", "http://hunter2@a", "redis://hunter2:hunter2@", "redis+sentinel://hunter2"]
        {
            let Err(error) = Address::parse(address) else { panic!("{address}") };
            let error = error.to_string();
            assert!(error.starts_with("redis address is invalid; allowed: redis"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
