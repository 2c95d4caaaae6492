//! Signed HTTP calls to any URL.
