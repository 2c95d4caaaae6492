use std::future::Future;

use crate::{Header, StorageError, TaskResult};

/// What a store knows of an id: what is told of it, and what that does not tell of its envelope.
pub type Known = (TaskResult, Header);

/// Tells what is known of one id: a part of [`Claims`](crate::Claims) and of [`Results`](crate::Results).
pub trait Lookup: Send + Sync + 'static {
    /// What is known of an id; with its header, [`Header::envelope`] makes its envelope again.
    fn get(&self, id: &str) -> impl Future<Output = Result<Option<Known>, StorageError>> + Send;
}
