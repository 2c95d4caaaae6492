use std::time::Duration;

use errand_core::{Init, OptionError, Problems, Secret};
use errand_http::Credential;
use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisError, RedisResult, TlsCertificates};

use crate::{Redis, Timeouts};

/// The longest time that an option may allow, in seconds: what waits longer outlives most invocations.
const LONGEST: f64 = 60.0;

/// What is said of a URL that is none.
const NO_URL: &str = "expected a URL such as redis://host:6379/0, or rediss:// for TLS";

/// Where a Redis is, as the options of an alias say it. See [`options!`](crate::options).
#[derive(Default)]
pub struct Place {
    /// `redis://user:password@host:6379/0`, `rediss://` for TLS, or `unix:///path`; in place of the next six. Or where that is kept.
    pub url: Option<String>,
    /// Its host, without a port.
    pub host: Option<String>,
    /// Its port; 6379 when it is not said.
    pub port: Option<u16>,
    /// The number of the database; 0 when it is not said.
    pub db: Option<u32>,
    /// The user of the server's access lists; `default` when it is not said.
    pub username: Option<String>,
    /// The password, or where it is kept.
    pub password: Option<String>,
    /// Whether TLS is spoken.
    pub ssl: Option<bool>,
    /// Certificates to trust in place of the web's usual ones, as PEM; or where they are kept.
    pub ssl_ca_data: Option<String>,
    /// How long a connection may take to be made, in seconds; 2 when it is not said.
    pub connect_timeout: Option<f64>,
    /// How long an answer may take to come, in seconds; 2 when it is not said.
    pub socket_timeout: Option<f64>,
}

/// Declares the options of a transport that speaks to Redis: where that is, under the names that redis-py has for it, and what stands in the braces. Its `place` takes the
/// former out of them.
///
/// ```
/// errand_redis::options! {
///     /// What an alias says.
///     pub struct Options {
///         /// The stream.
///         stream_name: Option<String>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! options {
    ($(#[$doc:meta])* $visible:vis struct $name:ident { $($(#[$about:meta])* $seen:vis $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(::serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        $visible struct $name {
            url: Option<String>,
            host: Option<String>,
            port: Option<u16>,
            db: Option<u32>,
            username: Option<String>,
            password: Option<String>,
            ssl: Option<bool>,
            ssl_ca_data: Option<String>,
            connect_timeout: Option<f64>,
            socket_timeout: Option<f64>,
            $($(#[$about])* $seen $field: $type,)*
        }

        impl $name {
            /// Where Redis is, which these options then say no more.
            pub(crate) fn place(&mut self) -> $crate::Place {
                $crate::Place {
                    url: self.url.take(),
                    host: self.host.take(),
                    port: self.port.take(),
                    db: self.db.take(),
                    username: self.username.take(),
                    password: self.password.take(),
                    ssl: self.ssl.take(),
                    ssl_ca_data: self.ssl_ca_data.take(),
                    connect_timeout: self.connect_timeout.take(),
                    socket_timeout: self.socket_timeout.take(),
                }
            }
        }
    };
}

impl Place {
    /// The Redis that is there. Nobody is called yet.
    ///
    /// # Errors
    /// An option is wrong, by itself or beside another; or the function that is starting has no clock.
    pub fn open(self, cx: &Init) -> Result<Redis, OptionError> {
        let timeouts = Timeouts {
            connect: seconds("/connect_timeout", self.connect_timeout)?,
            answer: seconds("/socket_timeout", self.socket_timeout)?,
        };
        let is_plain = match &self.url {
            // What a reference leads to is seen when it is read.
            Some(url) => url.starts_with("redis:") || url.starts_with("unix:"),
            None => self.ssl != Some(true),
        };
        if self.ssl_ca_data.is_some() && is_plain {
            return Err(Problems::at("/ssl_ca_data", "needs TLS: say ssl, or a rediss:// URL").into());
        }
        let certificates = self.ssl_ca_data.as_ref().map(|pem| Credential::from_option("ssl_ca_data", &Secret::new(pem), cx, certificates));
        let password =
            self.password.as_ref().map(|password| Credential::from_option("password", &Secret::new(password), cx, |it| Ok(it.clone())));
        let server = match &self.url {
            Some(url) => {
                if let Some(name) = self.beside_url() {
                    return Err(Problems::at(name, "is said by the url: expected one of them").into());
                }
                Credential::from_option("url", &Secret::new(url), cx, server)?
            }
            None => Credential::of(self.by_host()?),
        };
        Ok(Redis::new(server, timeouts, cx)?.with(password.transpose()?, certificates.transpose()?))
    }

    /// An option that says what a URL says.
    fn beside_url(&self) -> Option<&'static str> {
        let said = [
            ("/host", self.host.is_some()),
            ("/port", self.port.is_some()),
            ("/db", self.db.is_some()),
            ("/username", self.username.is_some()),
            ("/password", self.password.is_some()),
            ("/ssl", self.ssl.is_some()),
        ];
        said.into_iter().find_map(|(name, is_said)| is_said.then_some(name))
    }

    fn by_host(&self) -> Result<Client, Problems> {
        let Some(host) = self.host.clone() else { return Err(Problems::at("/host", "is required, or a url: where Redis is")) };
        if host.is_empty() || host.contains([':', '/', '@']) && host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(Problems::at("/host", "expected the name or address of a host, without a port"));
        }
        if self.username.is_some() && self.password.is_none() {
            return Err(Problems::at("/password", "is required beside a username"));
        }
        let at = |error: RedisError| Problems::at("/host", format!("expected another: {}", error.category()));
        let info = (host.clone(), self.port.unwrap_or(6379)).into_connection_info().map_err(at)?;
        let mut redis = info.redis_settings().clone().set_db(self.db.unwrap_or_default().into());
        if let Some(username) = &self.username {
            redis = redis.set_username(username);
        }
        let mut info = info.set_redis_settings(redis);
        if self.ssl == Some(true) {
            let address = ConnectionAddr::TcpTls { host, port: self.port.unwrap_or(6379), insecure: false, tls_params: None };
            info = info.set_addr(address);
        }
        Client::open(info).map_err(at)
    }
}

/// What certificates to trust must look like. What is no PEM is read as none, and would trust nobody.
fn certificates(pem: &Secret) -> Result<Secret, String> {
    if pem.expose().contains("-----BEGIN CERTIFICATE-----") { Ok(pem.clone()) } else { Err("expected certificates as PEM".to_owned()) }
}

/// The same server with a password, and with these certificates to trust alone.
///
/// # Errors
/// It is not spoken to by TLS, or has other certificates than there can be.
pub(crate) fn complete(server: Client, password: Option<&Secret>, certificates: Option<&Secret>) -> RedisResult<Client> {
    let mut info = server.get_connection_info().clone();
    if let Some(password) = password {
        let redis = info.redis_settings().clone().set_password(password.expose());
        info = info.set_redis_settings(redis);
    }
    match certificates {
        Some(pem) => Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(pem.expose().as_bytes().to_vec()) }),
        None => Client::open(info),
    }
}

/// The server that a URL names.
///
/// # Errors
/// It is no such URL. It is not repeated, since it may hold a password.
pub fn server(url: &Secret) -> Result<Client, String> {
    let client = Client::open(url.expose()).map_err(|_| NO_URL.to_owned())?;
    match client.get_connection_info().addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => {
            Err("expected a URL without #insecure: certificates are always checked".to_owned())
        }
        _ => Ok(client),
    }
}

fn seconds(pointer: &str, said: Option<f64>) -> Result<Duration, Problems> {
    match said {
        None => Ok(Timeouts::USUAL),
        Some(seconds) if seconds > 0.0 && seconds <= LONGEST => Ok(Duration::from_secs_f64(seconds)),
        Some(_) => Err(Problems::at(pointer, format!("expected a number of seconds above 0, up to {LONGEST}"))),
    }
}
