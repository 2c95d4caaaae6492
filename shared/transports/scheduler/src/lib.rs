//! EventBridge Scheduler: delays beyond what a queue can hold, and schedules that recur.

mod delay;
mod expression;
#[cfg(test)]
mod reading;
mod recurring;
mod scheduler;

pub use scheduler::EventBridgeScheduler;
