//! All that is in the file, by version.

use rusqlite::{Connection, OptionalExtension};

use Migration::{Code, Sql};

/// Takes a file from one version to the next.
enum Migration {
    Sql(&'static str),
    Code(fn(&Connection) -> rusqlite::Result<()>),
}

/// Each version's step from the one before. One that is released is never changed.
const MIGRATIONS: [Migration; 8] = [
    Sql(include_str!("tables.sql")),
    Sql("ALTER TABLE dead_letters ADD COLUMN visible_at INTEGER NOT NULL DEFAULT 0"),
    Sql("CREATE TABLE notes (
        kind TEXT NOT NULL, -- errand_core::NoteKind
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        until INTEGER, -- milliseconds since 1970
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID"),
    Sql("CREATE TABLE written (at INTEGER NOT NULL) STRICT; -- one row: when it was last tried whether the file can be written, in milliseconds since 1970
    INSERT INTO written VALUES (0);
    CREATE TABLE parts (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID; -- of the tables that Database::upgrade keeps"),
    Sql("ALTER TABLE messages ADD COLUMN queue TEXT NOT NULL DEFAULT 'default';
    ALTER TABLE messages ADD COLUMN lane TEXT; -- on a first-in-first-out queue: all but the first of a lane are never visible
    DROP INDEX messages_by_visible_at;
    CREATE INDEX messages_by_visible_at ON messages (queue, visible_at, id);
    CREATE INDEX messages_by_lane ON messages (queue, lane, id) WHERE lane IS NOT NULL"),
    Sql("ALTER TABLE messages ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}'; -- JSON: MessageAttribute by name
    ALTER TABLE messages ADD COLUMN message_id TEXT; -- what an outside client knows it by
    ALTER TABLE messages ADD COLUMN deduplication_id TEXT;
    ALTER TABLE messages ADD COLUMN sent_at INTEGER NOT NULL DEFAULT 0; -- milliseconds since 1970
    ALTER TABLE messages ADD COLUMN first_received_at INTEGER; -- milliseconds since 1970
    CREATE TABLE deduplications (
        queue TEXT NOT NULL,
        lane TEXT NOT NULL,
        id TEXT NOT NULL,
        message_id TEXT NOT NULL,
        place INTEGER NOT NULL, -- of the message of that id
        until INTEGER NOT NULL, -- milliseconds since 1970
        PRIMARY KEY (queue, lane, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX deduplications_by_until ON deduplications (until)"),
    Sql(include_str!("conditions.sql")),
    Code(take_over_parts),
];

/// Caught mail as it was kept first.
const FIRST_MAIL: &str = "CREATE TABLE IF NOT EXISTS mail (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    received_at INTEGER NOT NULL,
    mail TEXT NOT NULL
) STRICT";

const SCHEDULES: &str = "CREATE TABLE IF NOT EXISTS schedules (
    name TEXT PRIMARY KEY,
    entry TEXT NOT NULL, -- JSON: Entry
    next_at INTEGER -- milliseconds since 1970; null while it is paused, or when it never runs again
) STRICT";

/// Brings a file to the newest version; answers whether it is of one that is known.
pub(crate) fn run(connection: &Connection) -> rusqlite::Result<bool> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let Some(missing) = MIGRATIONS.get(version as usize..) else { return Ok(false) };
    for migration in missing {
        match migration {
            Sql(sql) => connection.execute_batch(sql)?,
            Code(migrate) => migrate(connection)?,
        }
    }
    connection.pragma_update(None, "user_version", MIGRATIONS.len().to_string())?;
    Ok(true)
}

/// The tables of mail and schedules had versions of their own, in `parts`, and none before that.
fn take_over_parts(connection: &Connection) -> rusqlite::Result<()> {
    let mail: Option<u32> = connection.query_row("SELECT version FROM parts WHERE name = 'mail'", [], |row| row.get(0)).optional()?;
    if mail != Some(2) {
        connection.execute_batch(FIRST_MAIL)?;
        connection.execute_batch(include_str!("mail.sql"))?;
    }
    connection.execute_batch(SCHEDULES)?;
    connection.execute_batch("DROP TABLE parts")
}
