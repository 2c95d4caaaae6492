//! Jobs for the workers of RQ (Redis Queue), as its own client writes them. <https://python-rq.org/docs/jobs/>

mod job;
mod options;
mod result;

mod transport;

pub use options::Options;
pub use transport::Rq;
