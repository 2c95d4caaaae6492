//! What messages come from, and where they go that are given up.

mod dead_letters;
mod message;
mod queues;

pub use dead_letters::{Buried, DeadLetters, DynDeadLetters, Epitaph};
pub use message::{DeadLetter, DynQueue, Message, Queue};
pub use queues::{Address, QueueSettings, Queues, celery_queue, is_fifo};
