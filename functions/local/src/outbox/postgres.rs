use std::{path::Path, sync::Arc, time::Duration};

use errand_core::{Digest, Timestamp};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres::{Client, Config, Error, Row as Found};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::table::{self, BATCH, Held, Row, SLOTS, TableName};

/// How long to wait for the server to take a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// What libpq calls the file of certificates that a server's must lead to; the client's library does not know it.
const ROOTS: &str = "sslrootcert";

/// A table of a PostgreSQL database, over one connection.
pub(super) struct Postgres {
    client: Client,
    name: TableName,
}

impl Postgres {
    pub(super) async fn open(url: &str, name: &TableName) -> Result<Self, String> {
        let (url, roots) = without_roots(url);
        let mut config: Config = url.parse().map_err(|error: Error| failed(&error))?;
        config.connect_timeout(CONNECT).application_name("errand outbox");
        let tls = MakeRustlsConnect::new(tls(roots.as_deref())?);
        let (client, connection) = config.connect(tls).await.map_err(|error| failed(&error))?;
        // What ends it fails the next statement as well.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { client, name: name.clone() })
    }

    pub(super) async fn create(&self) -> Result<(), String> {
        self.client.batch_execute(&table::create(include_str!("postgres.sql"), &self.name)).await.map_err(|error| failed(&error))
    }

    /// A lock of this session: the server lets go of it when the connection ends, however it does.
    pub(super) async fn lock(&self, slot: u8) -> Result<bool, String> {
        let [a, b, c, d, ..] = *Digest::of_parts(&["outbox", &self.name.to_string()]).bytes();
        let (table, slot) = (i32::from_be_bytes([a, b, c, d]), i32::from(slot));
        let row = self.client.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&table, &slot]).await;
        row.and_then(|row| row.try_get(0)).map_err(|error| failed(&error))
    }

    pub(super) async fn take(&self, slots: &[u8], held: &Held) -> Result<Vec<Row>, String> {
        let sql = format!(
            "SELECT position, event::text, key::text, queue::text, (extract(epoch FROM written_at) * 1000)::bigint FROM {}
             WHERE mod(hashtext(coalesce(key::text, position::text))::bigint + 2147483648, {SLOTS}) = ANY($1)
             AND CASE WHEN key IS NULL THEN position <> ALL($2) ELSE key::text <> ALL($3) END
             ORDER BY position LIMIT {BATCH}",
            self.name.quoted(),
        );
        let slots: Vec<i64> = slots.iter().copied().map(i64::from).collect();
        let rows = self.client.query(&sql, &[&slots, &held.positions, &held.keys]).await;
        rows.and_then(|rows| rows.iter().map(row).collect()).map_err(|error| failed(&error))
    }

    pub(super) async fn forget(&self, positions: &[i64]) -> Result<(), String> {
        let sql = format!("DELETE FROM {} WHERE position = ANY($1)", self.name.quoted());
        self.client.execute(&sql, &[&positions]).await.map(drop).map_err(|error| failed(&error))
    }
}

fn row(found: &Found) -> Result<Row, Error> {
    Ok(Row {
        position: found.try_get(0)?,
        event: found.try_get(1)?,
        key: found.try_get(2)?,
        queue: found.try_get(3)?,
        written_at: Timestamp::from_millis(found.try_get::<_, Option<i64>>(4)?.unwrap_or_else(|| Timestamp::now().millis())),
    })
}

/// A URL without what names its certificates, and that.
fn without_roots(url: &str) -> (String, Option<String>) {
    let Some((place, options)) = url.split_once('?') else { return (url.to_owned(), None) };
    let (roots, others): (Vec<&str>, Vec<&str>) = options.split('&').partition(|option| option.split('=').next() == Some(ROOTS));
    let roots = roots.first().and_then(|option| option.split_once('=')).map(|(_, file)| file.to_owned());
    (format!("{place}?{}", others.join("&")), roots)
}

/// TLS that trusts the web's certificates, or those of a file alone.
fn tls(roots: Option<&str>) -> Result<ClientConfig, String> {
    let mut store = RootCertStore::empty();
    match roots {
        None => drop(store.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned())),
        Some(file) => {
            let told = |error: &dyn std::fmt::Display| format!("{ROOTS}: {file}: {error}");
            for certificate in CertificateDer::pem_file_iter(Path::new(file)).map_err(|error| told(&error))? {
                store.add(certificate.map_err(|error| told(&error))?).map_err(|error| told(&error))?;
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    Ok(builder.map_err(|error| format!("TLS: {error}"))?.with_root_certificates(store).with_no_client_auth())
}

/// What the server or the connection says; the rows that it may be about are left out.
fn failed(error: &Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("PostgreSQL: {}", told.message()),
        None => format!("PostgreSQL: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificates_of_a_url_are_taken_out_of_it() {
        let without = |url| {
            let (url, roots) = without_roots(url);
            assert!(url.parse::<Config>().is_ok(), "{url}");
            (url, roots)
        };
        assert_eq!(without("postgres://u@h/d"), ("postgres://u@h/d".to_owned(), None));
        let (url, roots) = without("postgres://u@h/d?sslmode=require&sslrootcert=/etc/rds.pem");
        assert_eq!((url.as_str(), roots.as_deref()), ("postgres://u@h/d?sslmode=require", Some("/etc/rds.pem")));
        assert!(tls(Some("/nowhere.pem")).unwrap_err().starts_with("sslrootcert: /nowhere.pem: ") && tls(None).is_ok());
    }
}
