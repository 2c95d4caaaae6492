//! Checks a task and hands it to a transport.
