use std::{fmt, path::Path, str::FromStr};

use errand_core::{Secret, Timestamp};
use errand_relay::Event;

#[cfg(feature = "postgres")]
use super::postgres::Postgres;
use super::sqlite::Sqlite;

/// How many groups keys are in: a key is in one of them, and a group is worked on by one relay at a time.
pub(super) const SLOTS: u8 = 16;

/// The most rows that are taken at once. What is published and not forgotten when a relay is killed is published again: no more than these.
pub(super) const BATCH: u16 = 200;

/// The name of the table in the statements that make it.
const NAME: &str = "errand_outbox";

/// An event that waits.
#[derive(Clone)]
pub(super) struct Row {
    /// Its place in the order.
    pub(super) position: i64,
    /// JSON.
    pub(super) event: String,
    pub(super) key: Option<String>,
    pub(super) queue: Option<String>,
    pub(super) written_at: Timestamp,
}

impl Row {
    pub(super) fn event(&self) -> Event {
        let Self { position, event, key, queue, written_at } = self.clone();
        Event { name: position.to_string(), content: Ok(event), key, queue, written_at: Some(written_at) }
    }
}

/// What waits, and is passed over until it is tried again: keys, and rows without one.
#[derive(Default)]
pub(super) struct Held {
    pub(super) keys: Vec<String>,
    pub(super) positions: Vec<i64>,
}

impl Held {
    pub(super) fn add(&mut self, row: &Row) {
        match &row.key {
            Some(key) => self.keys.push(key.clone()),
            None => self.positions.push(row.position),
        }
    }
}

/// The name of a table, with that of its schema before it where there is one.
#[derive(Clone)]
pub(crate) struct TableName(String);

impl TableName {
    /// As SQL has it.
    pub(super) fn quoted(&self) -> String {
        let parts: Vec<String> = self.0.split('.').map(|part| format!("\"{part}\"")).collect();
        parts.join(".")
    }
}

impl FromStr for TableName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if text.split('.').count() <= 2 && text.split('.').all(named) {
            Ok(Self(text.to_owned()))
        } else {
            Err("expected the name of a table, as errand_outbox or shop.errand_outbox")
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which keys a relay is for: the first of two is `1/2`.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    number: u8,
    of: u8,
}

impl Part {
    /// The groups of keys that it is for, in the order in which they are taken: two that want the same wait for each other and not both.
    pub(super) fn slots(self) -> Vec<u8> {
        (0..SLOTS).filter(|slot| slot % self.of == self.number - 1).collect()
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let part = text.split_once('/').and_then(|(number, of)| Some(Self { number: number.parse().ok()?, of: of.parse().ok()? }));
        let fits = |part: &Self| (1..=SLOTS).contains(&part.of) && (1..=part.of).contains(&part.number);
        part.filter(fits).ok_or_else(|| format!("expected one of up to {SLOTS}, as 1/2 and 2/2"))
    }
}

/// A table of events in a database of an application.
pub(super) enum Table {
    Sqlite(Sqlite),
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
}

impl Table {
    /// Opens a database: a `postgres://` URL, or the path of a file.
    ///
    /// # Errors
    /// It cannot be opened, or this build has nothing that reads it.
    pub(super) async fn open(database: &Secret, name: &TableName) -> Result<Self, String> {
        let place = database.expose();
        if place.starts_with("postgres://") || place.starts_with("postgresql://") {
            #[cfg(feature = "postgres")]
            return Ok(Self::Postgres(Postgres::open(place, name).await?));
            #[cfg(not(feature = "postgres"))]
            return Err("PostgreSQL: build with the feature postgres".to_owned());
        }
        Ok(Self::Sqlite(Sqlite::open(Path::new(place.strip_prefix("sqlite:").unwrap_or(place)), name)?))
    }

    /// Makes the table, if it is not there.
    pub(super) async fn create(&self) -> Result<(), String> {
        match self {
            Self::Sqlite(table) => table.create(),
            #[cfg(feature = "postgres")]
            Self::Postgres(table) => table.create().await,
        }
    }

    /// Takes a group of keys for this relay alone, for as long as it lives; answers whether it was free.
    pub(super) async fn lock(&mut self, slot: u8) -> Result<bool, String> {
        match self {
            Self::Sqlite(table) => table.lock(slot),
            #[cfg(feature = "postgres")]
            Self::Postgres(table) => table.lock(slot).await,
        }
    }

    /// The first events of these groups that wait, in their order, but for those that are held.
    pub(super) async fn take(&self, slots: &[u8], held: &Held) -> Result<Vec<Row>, String> {
        match self {
            Self::Sqlite(table) => table.take(slots, held),
            #[cfg(feature = "postgres")]
            Self::Postgres(table) => table.take(slots, held).await,
        }
    }

    /// Forgets events that have ended.
    pub(super) async fn forget(&self, positions: &[i64]) -> Result<(), String> {
        match self {
            Self::Sqlite(table) => table.forget(positions),
            #[cfg(feature = "postgres")]
            Self::Postgres(table) => table.forget(positions).await,
        }
    }
}

/// The statement that makes a table, for one of this name.
pub(super) fn create(sql: &str, name: &TableName) -> String {
    sql.replace(NAME, &name.quoted())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_all_keys_between_them_and_none_twice() {
        for of in 1..=SLOTS {
            let parts = (1..=of).flat_map(|number| format!("{number}/{of}").parse::<Part>().unwrap().slots());
            let mut slots: Vec<u8> = parts.collect();
            slots.sort_unstable();
            assert_eq!(slots, (0..SLOTS).collect::<Vec<_>>(), "{of}");
        }
        assert!(["", "1", "0/1", "2/1", "1/17", "1/0", "a/b", "1/2/3"].iter().all(|text| text.parse::<Part>().is_err()));
    }

    #[test]
    fn a_name_cannot_end_what_it_stands_in() {
        let quoted = |text: &str| text.parse::<TableName>().map(|name| name.quoted());
        assert_eq!(
            (quoted("errand_outbox").unwrap().as_str(), quoted("shop.Out").unwrap().as_str()),
            ("\"errand_outbox\"", "\"shop\".\"Out\"")
        );
        assert!(["", "a.b.c", "a b", "a\"", "a;", ".a"].iter().all(|text| quoted(text).is_err()));
    }

    #[test]
    fn the_page_of_the_outbox_has_the_tables_as_they_are() {
        let page = include_str!("../../../../docs/outbox.md");
        assert!([include_str!("sqlite.sql"), include_str!("postgres.sql")].iter().all(|sql| page.contains(sql)));
    }
}
