use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
};

use crate::SettingsError;

/// What a function has for its providers to share, by type: the HTTP client, the AWS configuration. Built once, without I/O.
#[derive(Default)]
pub struct Init {
    shared: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl Init {
    /// Adds a value, in place of one of the same type.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.shared.insert(TypeId::of::<T>(), Box::new(value));
        self
    }

    /// The value of this type.
    ///
    /// # Errors
    /// The function that is starting has none: its `main` must give one.
    pub fn shared<T: Send + Sync + 'static>(&self) -> Result<&T, SettingsError> {
        self.shared
            .get(&TypeId::of::<T>())
            .and_then(|value| value.downcast_ref())
            .ok_or_else(|| SettingsError::invalid(type_name::<T>(), "this function's main does not provide it"))
    }
}
