//! Prints each message, for trying out.
