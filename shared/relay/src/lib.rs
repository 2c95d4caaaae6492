//! Events that an application writes into a table in its own transaction, on their way to a transport: what is common to a stream of DynamoDB and a table of SQL.
//!
//! In order per key: none is published before all of its key that were written before it have been, or are dead letters. At least once: one is only let go of when the transport
//! has taken it, under an id that is made of the event's own; what was taken and not noted is published again. Never lost: what is not published is buried whole.

mod event;
mod lanes;
mod relay;

pub use event::{Event, Unreadable};
pub use relay::{Fate, Holds, Patience, Relay};
