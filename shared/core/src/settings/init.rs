use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    sync::Arc,
    time::Duration,
};

use crate::{Clock, Invocation, SettingsError};

/// How long every call of a service may take, in place of what each has for itself: for tests, whose services answer at once or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallTimeout(pub Duration);

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

    /// How long the function that is starting runs at a time: the [`Invocation`] among the values, or the default one.
    #[must_use]
    pub fn invocation(&self) -> Invocation {
        self.shared::<Invocation>().copied().unwrap_or_default()
    }

    /// How long a call of a service may take that has `usual` for it: that, or the [`CallTimeout`] among the values.
    #[must_use]
    pub fn call_timeout(&self, usual: Duration) -> Duration {
        self.shared::<CallTimeout>().map_or(usual, |CallTimeout(timeout)| *timeout)
    }

    /// What tells the time: the [`Clock`] among the values, as an `Arc<dyn Clock>`.
    ///
    /// # Errors
    /// The function that is starting has none.
    pub fn clock(&self) -> Result<Arc<dyn Clock>, SettingsError> {
        self.shared::<Arc<dyn Clock>>().cloned()
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
