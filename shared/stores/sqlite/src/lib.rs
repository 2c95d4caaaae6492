//! A store and a queue in one SQLite file.
