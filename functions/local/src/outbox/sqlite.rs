use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use errand_core::{Digest, Timestamp};
use rusqlite::{
    Connection, OpenFlags, Row as Found, ToSql,
    functions::{Context, FunctionFlags},
    params,
    types::ValueRef,
};

use super::table::{self, BATCH, Held, Row, SLOTS, TableName};

/// How long to wait for the application to let the file be written.
const PATIENCE: Duration = Duration::from_secs(10);

/// A table of a SQLite file. What it does takes the time of the disk, and nothing else goes on in this process meanwhile.
pub(super) struct Sqlite {
    connection: Connection,
    name: TableName,
    /// Where the files are that stand for groups of keys.
    locks: PathBuf,
    held: Vec<File>,
}

impl Sqlite {
    pub(super) fn open(file: &Path, name: &TableName) -> Result<Self, String> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(file, flags)?;
            connection.busy_timeout(PATIENCE)?;
            connection.create_scalar_function("errand_slot", 1, FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC, slot)?;
            Ok(connection)
        };
        let connection = open().map_err(|error: rusqlite::Error| format!("SQLite: {}: {error}", file.display()))?;
        let mut locks = file.as_os_str().to_owned();
        locks.push(format!("-{name}-relays"));
        Ok(Self { connection, name: name.clone(), locks: locks.into(), held: Vec::new() })
    }

    pub(super) fn create(&self) -> Result<(), String> {
        self.connection.execute_batch(&table::create(include_str!("sqlite.sql"), &self.name)).map_err(|error| failed(&error))
    }

    pub(super) fn lock(&mut self, slot: u8) -> Result<bool, String> {
        let told = |error: std::io::Error| format!("cannot use {}: {error}", self.locks.display());
        std::fs::create_dir_all(&self.locks).map_err(told)?;
        let file = File::create(self.locks.join(slot.to_string())).map_err(told)?;
        match file.try_lock() {
            Ok(()) => self.held.push(file),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(told(error)),
        }
        Ok(true)
    }

    pub(super) fn take(&self, slots: &[u8], held: &Held) -> Result<Vec<Row>, String> {
        let name = self.name.quoted();
        // Of another type than they should be, columns are read as they are written.
        let sql = format!(
            "SELECT position, CAST(event AS TEXT), CAST(key AS TEXT), CAST(queue AS TEXT), CAST(coalesce(written_at, unixepoch()) AS INTEGER) FROM {name}
             WHERE errand_slot(coalesce(key, position)) IN (SELECT value FROM json_each(?1))
             AND CASE WHEN key IS NULL THEN position NOT IN (SELECT value FROM json_each(?2))
                 ELSE CAST(key AS TEXT) NOT IN (SELECT value FROM json_each(?3)) END
             ORDER BY position LIMIT ?4"
        );
        let read = || {
            let mut take = self.connection.prepare_cached(&sql)?;
            let rows = take.query_map(params![json(slots), json(&held.positions), json(&held.keys), BATCH], row)?;
            rows.collect::<rusqlite::Result<Vec<Row>>>()
        };
        read().map_err(|error| failed(&error))
    }

    pub(super) fn forget(&self, positions: &[i64]) -> Result<(), String> {
        let sql = format!("DELETE FROM {} WHERE position IN (SELECT value FROM json_each(?1))", self.name.quoted());
        let forget = |positions: &dyn ToSql| self.connection.prepare_cached(&sql)?.execute([positions]);
        forget(&json(positions)).map(drop).map_err(|error| failed(&error))
    }
}

/// A list as one value.
fn json<T: serde::Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).unwrap_or_default()
}

/// The group that a key is in, or the position of what has none.
fn slot(context: &Context<'_>) -> rusqlite::Result<u8> {
    let key = match context.get_raw(0) {
        ValueRef::Integer(number) => number.to_string().into_bytes(),
        ValueRef::Text(text) | ValueRef::Blob(text) => text.to_owned(),
        ValueRef::Real(_) | ValueRef::Null => Vec::new(),
    };
    Ok(Digest::of(&key).bytes()[0] % SLOTS)
}

fn row(found: &Found<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        position: found.get(0)?,
        event: found.get(1)?,
        key: found.get(2)?,
        queue: found.get(3)?,
        written_at: Timestamp::from_millis(found.get::<_, i64>(4)?.saturating_mul(1000)),
    })
}

fn failed(error: &rusqlite::Error) -> String {
    format!("SQLite: {error}")
}
