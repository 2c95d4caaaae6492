use std::{collections::BTreeMap, time::Duration};

use futures_util::FutureExt;
use serde_json::value::RawValue;

use crate::{Attempt, BoxFuture, DeliveryError, Envelope, Environment, ErrorKind, Init, Payload, Provider, Receipt, SettingsError};

/// What one envelope's delivery came to.
#[derive(Debug)]
pub enum Handled {
    /// Of an envelope with one payload.
    One(Result<Receipt, DeliveryError>),
    /// Of each payload of a bulk envelope, by its place; those that an earlier attempt delivered are left out.
    Many(Vec<(usize, Result<Receipt, DeliveryError>)>),
}

/// A provider with its types erased: what the engine runs.
pub trait Task: Send + Sync {
    /// The provider's name.
    fn provider(&self) -> &'static str;
    /// [`Provider::timeout`].
    fn timeout(&self) -> Duration;
    /// Parses the payload and delivers it; of a bulk envelope, the payloads that are not in `done`.
    fn run<'a>(&'a self, envelope: &'a Envelope, number: u32, done: &'a [usize]) -> BoxFuture<'a, Handled>;
}

impl<P: Provider> Task for P {
    fn provider(&self) -> &'static str {
        P::NAME
    }

    fn timeout(&self) -> Duration {
        Provider::timeout(self)
    }

    fn run<'a>(&'a self, envelope: &'a Envelope, number: u32, done: &'a [usize]) -> BoxFuture<'a, Handled> {
        let attempt = move |key| Attempt { key, task: envelope.task.clone(), number, trace: envelope.trace.clone() };
        async move {
            if !envelope.context.bulk {
                return Handled::One(match read::<P::Payload>(envelope.payload()) {
                    Ok(payload) => self.deliver(payload, &attempt(envelope.id.clone())).await,
                    Err(error) => Err(error),
                });
            }
            let items = match serde_json::from_str::<Vec<&RawValue>>(envelope.payload()) {
                Ok(items) => items,
                Err(_) => {
                    return Handled::One(Err(DeliveryError::new(
                        ErrorKind::InvalidPayload,
                        "/kwargs: expected an array of payloads, since context.bulk is true",
                    )));
                }
            };
            let (mut places, mut payloads, mut handled) = (Vec::new(), Vec::new(), Vec::new());
            for (place, item) in items.into_iter().enumerate().filter(|(place, _)| !done.contains(place)) {
                match read::<P::Payload>(item.get()) {
                    Ok(payload) => {
                        places.push(place);
                        payloads.push((attempt(format!("{}-{place}", envelope.id)), payload));
                    }
                    Err(error) => handled.push((place, Err(error))),
                }
            }
            handled.extend(places.into_iter().zip(self.deliver_bulk(payloads).await));
            handled.sort_by_key(|(place, _)| *place);
            Handled::Many(handled)
        }
        .boxed()
    }
}

fn read<P: Payload>(kwargs: &str) -> Result<P, DeliveryError> {
    P::from_json(kwargs).map_err(|problems| DeliveryError::new(ErrorKind::InvalidPayload, problems.under("/kwargs").to_string()))
}

/// The providers of this build, by task: a plain map, filled by visible calls.
#[derive(Default)]
pub struct Registry {
    tasks: BTreeMap<&'static str, Slot>,
}

enum Slot {
    On(std::sync::Arc<dyn Task>),
    Off(SettingsError),
}

impl Registry {
    /// Adds a provider with its settings from the environment. A task that two providers do is the later one's, unless that is off.
    ///
    /// A provider that needs a setting and has none at all is off: its tasks are answered with what to set.
    ///
    /// # Errors
    /// One that has some of its settings but not all, or a wrong one.
    pub fn add<P: Provider>(&mut self, env: &Environment, cx: &Init) -> Result<(), SettingsError> {
        let prefix = format!("ERRAND_{}_", P::NAME.to_uppercase().replace('-', "_"));
        match env.section(&prefix).and_then(|settings| P::new(settings, cx)) {
            Ok(provider) => self.insert(provider),
            Err(error) if error.missing && env.with_prefix(&prefix).next().is_none() => {
                for task in P::TASKS {
                    self.tasks.entry(task).or_insert_with(|| Slot::Off(error.clone()));
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Adds a provider that is built already.
    pub fn insert<P: Provider>(&mut self, provider: P) {
        let provider = std::sync::Arc::new(provider);
        for task in P::TASKS {
            self.tasks.insert(task, Slot::On(provider.clone()));
        }
    }

    /// What does a task.
    ///
    /// # Errors
    /// This build has no provider for it, or the one it has is off; the message says what to do.
    pub fn task(&self, name: &str) -> Result<&dyn Task, DeliveryError> {
        match self.tasks.get(name) {
            Some(Slot::On(task)) => Ok(task.as_ref()),
            Some(Slot::Off(error)) => Err(DeliveryError::new(ErrorKind::Misconfigured, format!("not configured: set {}", error.name))),
            None => {
                let known: Vec<&str> = self.tasks().collect();
                Err(DeliveryError::new(
                    ErrorKind::UnknownProvider,
                    format!("this build has no provider for the task; it has: {}", known.join(", ")),
                ))
            }
        }
    }

    /// The names of the tasks that this build knows, sorted.
    pub fn tasks(&self) -> impl Iterator<Item = &'static str> {
        self.tasks.keys().copied()
    }

    /// The tasks whose provider is off, each with the setting that it lacks.
    pub fn off(&self) -> impl Iterator<Item = (&'static str, &SettingsError)> {
        self.tasks.iter().filter_map(|(task, slot)| match slot {
            Slot::On(_) => None,
            Slot::Off(error) => Some((*task, error)),
        })
    }
}
