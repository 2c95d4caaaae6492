//! What does a task: providers and what they take, runners, functions, and the routes between them.

mod function;
mod hand_over;
mod mapping;
mod payload;
mod payloads;
mod provider;
mod registry;
mod routes;
pub mod runner;
mod task;
mod text;
mod way;

pub use hand_over::HandOver;
pub use payload::{Lack, Lacks, Limits, Payload, Taker, Texts};
pub use payloads::{Payloads, Refusal};
pub use provider::{Attempt, Provider, Receipt};
pub use registry::Registry;
pub use routes::{Routes, Target};
pub use runner::{Job, Ran, ReportTo, Runner};
pub use task::{Parts, Task, Work};
pub use text::{Place, Text, is_mention};
pub use way::Way;
