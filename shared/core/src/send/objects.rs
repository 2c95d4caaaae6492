use std::future::Future;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Envelope, StorageError};

/// Keeps the arguments that are too large for a queue, until they are delivered. What nobody deletes expires.
///
/// Keys are those of [`limits::object_key`](crate::limits::object_key); their part before the `/` says how long the object is needed.
pub trait Objects: Send + Sync + 'static {
    /// Keeps a text under a key that is new.
    fn put(&self, key: &str, content: String) -> impl Future<Output = Result<(), StorageError>> + Send;
    /// The text under a key, if it is there.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<String>, StorageError>> + Send;
    /// Forgets what is under a key, if there is something.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), StorageError>> + Send;
}

/// Reads the objects that others' messages point to.
pub trait ForeignObjects: Send + Sync + 'static {
    /// The text of an object, if it is there; at most [`OBJECT_LIMIT`](crate::OBJECT_LIMIT) bytes.
    fn fetch(&self, bucket: &str, key: &str) -> impl Future<Output = Result<Option<String>, StorageError>> + Send;
}

#[derive(Serialize, Deserialize)]
struct Arguments {
    args: Option<Box<RawValue>>,
    kwargs: Option<Box<RawValue>>,
}

impl Envelope {
    /// Takes the arguments out of the envelope, as the text of the object that is to be kept under `key`.
    #[must_use]
    pub fn check_in(&mut self, key: String) -> String {
        self.fingerprint = Some(self.content());
        self.claim_check = Some(key);
        let arguments = Arguments { args: self.args.take(), kwargs: self.kwargs.take() };
        // JSON that was parsed before: there is nothing here that serde can refuse.
        serde_json::to_string(&arguments).unwrap_or_default()
    }

    /// Puts the arguments back from the text of the object.
    ///
    /// # Errors
    /// It is no such text.
    pub fn check_out(&mut self, content: &str) -> Result<(), StorageError> {
        let arguments: Arguments =
            serde_json::from_str(content).map_err(|_| StorageError("the object is not what was kept there".to_owned()))?;
        (self.args, self.kwargs) = (arguments.args, arguments.kwargs);
        Ok(())
    }
}

crate::erased! {
    /// [`Objects`] with its type erased.
    DynObjects of Objects {
        fn put(key: &'a str, content: String) -> Result<(), StorageError>;
        fn get(key: &'a str) -> Result<Option<String>, StorageError>;
        fn delete(key: &'a str) -> Result<(), StorageError>;
    }
}

crate::erased! {
    /// [`ForeignObjects`] with its type erased.
    DynForeignObjects of ForeignObjects {
        fn fetch(bucket: &'a str, key: &'a str) -> Result<Option<String>, StorageError>;
    }
}
