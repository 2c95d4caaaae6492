//! Azure Storage's queues, over their REST API.

mod options;
mod transport;

pub use options::Options;
pub use transport::StorageQueue;
