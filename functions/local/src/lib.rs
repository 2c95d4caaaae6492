//! All of Errand in one process on one SQLite file.
