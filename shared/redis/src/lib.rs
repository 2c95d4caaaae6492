//! Connections to Redis, for all that speaks to it: where it is ([`Place`], whose options users know from their own clients), one connection that is made late and kept
//! ([`Redis`]), and what its errors mean.

mod connection;
mod failure;
mod kind;
mod place;

pub use connection::{Again, Redis, Timeouts};
pub use place::{Place, server};
/// The client, so that its types are those of this crate.
pub use redis;
