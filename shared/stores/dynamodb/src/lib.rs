//! A store in one DynamoDB table.
//!
//! The table has the partition key `id` (S); a global secondary index `by-time` with the partition key `shard` (N), the sort key `position` (S)
//! and the projected attribute `task`; and the time-to-live attribute `ttl`, which is for clean-up alone and never compared. A claim and its
//! outcome are one write each, and no write reads first. Notes are items of the same table.

mod item;
mod list;
mod notes;
mod store;
mod table;
mod value;

pub use store::DynamoStore;
