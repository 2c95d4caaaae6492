//! EventBridge Scheduler: delays beyond what a queue can hold.
