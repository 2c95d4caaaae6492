CREATE TABLE IF NOT EXISTS errand_outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT, -- the order
    event TEXT NOT NULL, -- JSON: a CloudEvent
    key TEXT, -- what order is kept within
    queue TEXT, -- the queue that it is for
    written_at INTEGER NOT NULL DEFAULT (unixepoch()) -- seconds since 1970
) STRICT;
