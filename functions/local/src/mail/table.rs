use std::sync::Arc;

use errand_core::{StorageError, Timestamp};
use errand_store_sqlite::Database;
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::watch;

use super::{Mail, address};

/// The caught mails, in the server's database. They stay until they are deleted.
#[derive(Clone)]
pub(crate) struct LocalMail {
    database: Database,
    /// Told when one has come.
    arrivals: Arc<watch::Sender<()>>,
}

/// A mail as it is caught.
#[derive(Default)]
pub(crate) struct Caught {
    pub(crate) mail: Mail,
    /// Of two mails with the same key one is kept.
    pub(crate) key: Option<String>,
    pub(crate) task_id: Option<String>,
    /// The message as it came, where it came as one.
    pub(crate) source: Option<Vec<u8>>,
}

/// A mail with what is added to it when it is kept.
pub(super) struct Kept {
    pub(super) id: i64,
    pub(super) received_at: Timestamp,
    pub(super) task_id: Option<String>,
    pub(super) mail: Mail,
}

/// What a list shows of a mail.
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) received_at: Timestamp,
    pub(super) head: Head,
}

/// What is read for a list, where the whole mail can be large.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) subject: String,
    /// How many are attached.
    pub(super) files: usize,
}

/// Which mails are wanted.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Search {
    /// To this address, also as `cc` or `bcc`.
    pub(super) to: Option<String>,
    /// With all these words, in whatever letters, in sender, recipients, subject or text.
    pub(super) words: String,
    /// Older than the mail with this id.
    pub(super) before: Option<i64>,
    /// Newer than that.
    pub(super) after: Option<i64>,
    pub(super) limit: usize,
}

/// Which rows a [`Search`] is for, by its parameters in order.
const FOUND: &str = "FROM mail WHERE id < ?1 AND id > ?2 AND (?3 IS NULL OR instr(recipients, ?3) > 0)
    AND NOT EXISTS (SELECT 1 FROM json_each(?4) WHERE instr(words, value) = 0) ORDER BY id DESC LIMIT ?5";

impl LocalMail {
    /// The caught mails of a database.
    pub(crate) fn new(database: Database) -> Self {
        Self { database, arrivals: Arc::new(watch::Sender::new(())) }
    }

    /// Keeps a mail; answers its id.
    pub(crate) async fn keep(&self, caught: Caught) -> Result<i64, StorageError> {
        let Caught { mail, key, task_id, source } = caught;
        let recipients: Vec<String> = [&mail.to, &mail.cc, &mail.bcc].into_iter().flatten().map(|mailbox| address(mailbox)).collect();
        let recipients = format!(" {} ", recipients.join(" "));
        let (to, cc) = (mail.to.join(" "), mail.cc.join(" "));
        let text = mail.text.as_deref().or(mail.html.as_deref()).unwrap_or_default();
        let words = [&mail.from, &to, &cc, &recipients, &mail.subject, text].join("\n").to_lowercase();
        let head = Head { from: mail.from.clone(), to: mail.to.clone(), subject: mail.subject.clone(), files: mail.attachments.len() };
        let now = Timestamp::now().millis();
        let insert = move |connection: &Connection| {
            connection.execute(
                "INSERT INTO mail (key, task_id, received_at, recipients, head, words, mail, source) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                ON CONFLICT (key) DO NOTHING",
                params![key, task_id, now, recipients, json(&head)?, words, json(&mail)?, source],
            )?;
            match key {
                Some(key) => connection.query_row("SELECT id FROM mail WHERE key = ?1", [key], |row| row.get(0)),
                None => Ok(connection.last_insert_rowid()),
            }
        };
        let id = self.database.write(insert).await?;
        self.arrivals.send_replace(());
        Ok(id)
    }

    /// Tells, from now on, when a mail has come.
    pub(super) fn arrivals(&self) -> watch::Receiver<()> {
        self.arrivals.subscribe()
    }

    /// What there is to list, the newest first.
    pub(super) async fn entries(&self, search: Search) -> Result<Vec<Entry>, StorageError> {
        let entry =
            |row: &Row<'_>| Ok(Entry { id: row.get(0)?, received_at: Timestamp::from_millis(row.get(1)?), head: from_json(row, 2)? });
        self.found("id, received_at, head", search, entry).await
    }

    /// Whole mails, the newest first.
    pub(super) async fn mails(&self, search: Search) -> Result<Vec<Kept>, StorageError> {
        self.found("id, received_at, task_id, mail", search, kept).await
    }

    async fn found<T: Send + 'static>(
        &self,
        columns: &'static str,
        search: Search,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<Vec<T>, StorageError> {
        let to = search.to.map(|to| format!(" {} ", address(&to)));
        let words: Vec<String> = search.words.to_lowercase().split_whitespace().map(ToOwned::to_owned).collect();
        let (before, after) = (search.before.unwrap_or(i64::MAX), search.after.unwrap_or(0));
        let limit = u32::try_from(search.limit).unwrap_or(u32::MAX);
        self.database
            .read(move |connection| {
                let mut query = connection.prepare_cached(&format!("SELECT {columns} {FOUND}"))?;
                query.query_map(params![before, after, to, json(&words)?, limit], read)?.collect()
            })
            .await
    }

    /// One mail.
    pub(super) async fn get(&self, id: i64) -> Result<Option<Kept>, StorageError> {
        let get = move |connection: &Connection| {
            connection.query_row("SELECT id, received_at, task_id, mail FROM mail WHERE id = ?1", [id], kept).optional()
        };
        self.database.read(get).await
    }

    /// One mail's message as it came, where it came as one.
    pub(super) async fn source(&self, id: i64) -> Result<Option<Vec<u8>>, StorageError> {
        let get = move |connection: &Connection| {
            connection.query_row("SELECT source FROM mail WHERE id = ?1", [id], |row| row.get(0)).optional().map(Option::flatten)
        };
        self.database.read(get).await
    }

    /// Forgets one mail, or all; answers how many there were.
    pub(super) async fn delete(&self, id: Option<i64>) -> Result<usize, StorageError> {
        self.database.write(move |connection| connection.execute("DELETE FROM mail WHERE ?1 IS NULL OR id = ?1", [id])).await
    }
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept { id: row.get(0)?, received_at: Timestamp::from_millis(row.get(1)?), task_id: row.get(2)?, mail: from_json(row, 3)? })
}

fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let json: String = row.get(column)?;
    serde_json::from_str(&json).map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn local_mail() -> (tempfile::TempDir, LocalMail) {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("errand.sqlite3")).await.unwrap();
        (folder, LocalMail::new(database))
    }

    fn mail(to: &str, subject: &str) -> Caught {
        let mail = Mail { to: vec![to.to_owned()], subject: subject.to_owned(), text: Some("100 % sure".to_owned()), ..Mail::default() };
        Caught { mail, ..Caught::default() }
    }

    async fn found(caught: &LocalMail, search: Search) -> Vec<i64> {
        caught.entries(Search { limit: 10, ..search }).await.unwrap().iter().map(|entry| entry.id).collect()
    }

    #[tokio::test]
    async fn mails_are_found_by_recipient_and_words() {
        let (_folder, caught) = local_mail().await;
        caught.keep(mail("Ann <Ann@example.com>", "Grüße")).await.unwrap();
        let mut second = mail("bob@example.com", "Order 7");
        second.mail.bcc = vec!["ann@example.com".to_owned()];
        caught.keep(second).await.unwrap();
        let to = |to: &str| Search { to: Some(to.to_owned()), ..Search::default() };
        let words = |words: &str| Search { words: words.to_owned(), ..Search::default() };
        assert_eq!(found(&caught, to("ANN@example.com")).await, [2, 1]);
        assert_eq!(found(&caught, to("bob@example.com")).await, [2]);
        assert!(found(&caught, to("nn@example.com")).await.is_empty(), "an address is a whole one");
        assert_eq!(found(&caught, words("GRÜ ann")).await, [1]);
        assert_eq!(found(&caught, words("% order")).await, [2]);
        assert_eq!(found(&caught, Search { after: Some(1), ..Search::default() }).await, [2]);
        assert_eq!(found(&caught, Search { before: Some(2), ..Search::default() }).await, [1]);
    }

    #[tokio::test]
    async fn one_of_each_key_is_kept_and_no_id_comes_again() {
        let (_folder, caught) = local_mail().await;
        let keyed = || Caught { key: Some("k".to_owned()), ..mail("a@example.com", "x") };
        assert_eq!((caught.keep(keyed()).await, caught.keep(keyed()).await), (Ok(1), Ok(1)));
        assert_eq!(caught.delete(Some(7)).await, Ok(0));
        assert_eq!(caught.delete(None).await, Ok(1));
        assert!(caught.keep(mail("a@example.com", "x")).await.unwrap() > 1);
    }
}
