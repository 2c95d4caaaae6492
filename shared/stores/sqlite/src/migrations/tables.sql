-- What is known of each envelope: errand_core::Record as JSON, and what is searched for beside it.
CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    position TEXT NOT NULL UNIQUE, -- errand_core::position: the newest last
    task TEXT NOT NULL,
    status TEXT NOT NULL,
    changed_at INTEGER NOT NULL, -- milliseconds since 1970
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_by_status ON tasks (status, position);
CREATE INDEX tasks_by_task ON tasks (task, position);

-- Messages that are waiting or in flight.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL,
    visible_at INTEGER NOT NULL, -- milliseconds since 1970
    receive_count INTEGER NOT NULL DEFAULT 0, -- also tells one receipt from the next
    in_flight INTEGER NOT NULL DEFAULT 0 -- 1 from a receipt until it is hidden on purpose
) STRICT;
CREATE INDEX messages_by_visible_at ON messages (visible_at, id);

-- What was given up.
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL,
    attributes TEXT NOT NULL, -- JSON object: DeadLetter::attributes
    buried_at INTEGER NOT NULL -- milliseconds since 1970
) STRICT;
