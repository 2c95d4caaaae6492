//! The one list of what this build contains: providers, transports, stores.
