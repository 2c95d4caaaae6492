//! EventBridge Scheduler: delays beyond what a queue can hold, and schedules that recur.

mod delay;
mod expression;
mod recurring;
mod scheduler;

pub use scheduler::EventBridgeScheduler;
