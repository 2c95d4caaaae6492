use std::{collections::BTreeMap, future::Future, marker::PhantomData, sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    Attempt, BoxFuture, DeliveryError, Envelope, Environment, ErrorKind, Init, Job, Payload, Provider, Ran, Receipt, ReportTo, Routes,
    Runner, SettingsError, Target,
    function::Function,
    mapping::{Mapped, Mapping},
    routes::wrong,
};

/// What one envelope's delivery came to.
#[derive(Debug)]
pub enum Handled {
    /// Of an envelope with one payload.
    One(Result<Receipt, DeliveryError>),
    /// Of each payload of a bulk envelope, by its place; those that an earlier attempt delivered are left out.
    Many(Vec<(usize, Result<Receipt, DeliveryError>)>),
    /// A remote worker has it and reports by itself, within this time.
    Handed(Duration),
}

/// One attempt at an envelope.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// What is to be done.
    pub envelope: &'a Envelope,
    /// 1 for the first.
    pub number: u32,
    /// The places of a bulk envelope's payloads that earlier attempts delivered.
    pub done: &'a [usize],
    /// Where and how a remote worker can report.
    pub report: Option<&'a ReportTo>,
}

/// A provider or a runner's route with its types erased: what the engine runs.
pub trait Task: Send + Sync {
    /// The provider's name.
    fn provider(&self) -> &'static str;
    /// [`Provider::timeout`].
    fn timeout(&self) -> Duration;
    /// Whether a remote worker may be given it, who needs to know how to report.
    fn hands_over(&self) -> bool {
        false
    }
    /// Parses the payload and delivers it; of a bulk envelope, the payloads that are not done.
    fn run<'a>(&'a self, run: Run<'a>) -> BoxFuture<'a, Handled>;
}

/// The attempt at an envelope, or at the part of it that has this key.
pub(crate) fn attempt(envelope: &Envelope, key: String, number: u32) -> Attempt {
    Attempt { key, task: envelope.task.clone(), number, trace: envelope.trace.clone() }
}

impl<P: Provider> Task for P {
    fn provider(&self) -> &'static str {
        P::NAME
    }

    fn timeout(&self) -> Duration {
        Provider::timeout(self)
    }

    fn run<'a>(&'a self, Run { envelope, number, done, .. }: Run<'a>) -> BoxFuture<'a, Handled> {
        let attempt = move |key| attempt(envelope, key, number);
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
            handled.sort_unstable_by_key(|(place, _)| *place);
            Handled::Many(handled)
        }
        .boxed()
    }
}

fn read<P: Payload>(kwargs: &str) -> Result<P, DeliveryError> {
    P::from_json(kwargs).map_err(|problems| DeliveryError::new(ErrorKind::InvalidPayload, problems.under("/kwargs").to_string()))
}

/// A runner with what one route says.
struct Routed<R: Runner> {
    runner: Arc<R>,
    route: R::Route,
}

impl<R: Runner> Task for Routed<R> {
    fn provider(&self) -> &'static str {
        R::NAME
    }

    fn timeout(&self) -> Duration {
        self.runner.timeout(&self.route)
    }

    fn hands_over(&self) -> bool {
        true
    }

    fn run<'a>(&'a self, Run { envelope, number, report, .. }: Run<'a>) -> BoxFuture<'a, Handled> {
        async move {
            match self.runner.run(&self.route, &Job { envelope, number, report }).await {
                Ok(Ran::Done(value)) => Handled::One(Ok(Receipt(value))),
                Ok(Ran::Handed(within)) => Handled::Handed(within),
                Err(error) => Handled::One(Err(error)),
            }
        }
        .boxed()
    }
}

/// Several that can do a task: the next one where one cannot be reached.
struct FailOver(Vec<Arc<dyn Task>>);

impl Task for FailOver {
    fn provider(&self) -> &'static str {
        self.0.first().map_or("none", |task| task.provider())
    }

    fn timeout(&self) -> Duration {
        self.0.iter().map(|task| task.timeout()).sum()
    }

    fn hands_over(&self) -> bool {
        self.0.iter().any(|task| task.hands_over())
    }

    fn run<'a>(&'a self, run: Run<'a>) -> BoxFuture<'a, Handled> {
        async move {
            let mut last = Handled::One(Err(DeliveryError::new(ErrorKind::UnknownProvider, "the route names nothing that does it")));
            for task in &self.0 {
                last = task.run(run).await;
                // Only what certainly did nothing, and nothing of it, is tried elsewhere.
                match &last {
                    Handled::One(Err(error)) if error.kind.elsewhere() => {}
                    _ => break,
                }
            }
            last
        }
        .boxed()
    }
}

type MakeRoute = Box<dyn Fn(Map<String, Value>) -> Result<Arc<dyn Task>, String> + Send + Sync>;

/// What this build can do, by task: plain maps, filled by visible calls.
#[derive(Default)]
pub struct Registry {
    tasks: BTreeMap<String, Slot>,
    providers: BTreeMap<&'static str, Arc<dyn Task>>,
    runners: BTreeMap<&'static str, MakeRoute>,
    routes: Routes<Option<Arc<dyn Task>>>,
}

enum Slot {
    On(Arc<dyn Task>),
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
        let prefix = prefix(P::NAME);
        match env.section(&prefix).and_then(|settings| P::new(settings, cx)) {
            Ok(provider) => self.insert(provider),
            Err(error) if error.missing && env.with_prefix(&prefix).next().is_none() => {
                for task in P::TASKS {
                    self.tasks.entry((*task).to_owned()).or_insert_with(|| Slot::Off(error.clone()));
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Adds a provider that is built already.
    pub fn insert<P: Provider>(&mut self, provider: P) {
        let provider = Arc::new(provider);
        for task in P::TASKS {
            self.tasks.insert((*task).to_owned(), Slot::On(provider.clone()));
        }
        self.providers.insert(P::NAME, provider);
    }

    /// Adds a runner with its settings from the environment.
    ///
    /// # Errors
    /// A setting is wrong.
    pub fn add_runner<R: Runner>(&mut self, env: &Environment, cx: &Init) -> Result<(), SettingsError> {
        let runner = Arc::new(R::new(env.section(&prefix(R::NAME))?, cx)?);
        let make = move |options: Map<String, Value>| {
            let route = serde_json::from_value(Value::from(options)).map_err(|error| error.to_string())?;
            runner.check(&route)?;
            Ok(Arc::new(Routed { runner: Arc::clone(&runner), route }) as _)
        };
        self.runners.insert(R::NAME, Box::new(make));
        Ok(())
    }

    /// Adds a Rust function as a task: its arguments are the task's `kwargs`, or `args` in the order of the fields, and its value is the task's return value.
    pub fn task<A, R, F, Fut>(&mut self, name: impl Into<String>, function: F)
    where
        A: DeserializeOwned + 'static,
        R: Serialize,
        F: Fn(A, Attempt) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, DeliveryError>> + Send + 'static,
    {
        self.tasks.insert(name.into(), Slot::On(Arc::new(Function { function, arguments: PhantomData })));
    }

    /// Reads `ERRAND_ROUTES`, when all that it can name was added.
    ///
    /// # Errors
    /// It is wrong, or names what this build does not have.
    pub fn read_routes(&mut self, env: &Environment) -> Result<(), SettingsError> {
        self.routes = Routes::from_env(env)?.try_map(|pattern, targets| {
            let tasks = targets.into_iter().map(|target| self.target(target)).collect::<Result<Option<Vec<_>>, _>>();
            match tasks.map_err(|problem| wrong(pattern, &problem))? {
                Some(mut tasks) if tasks.len() == 1 => Ok(tasks.pop()),
                tasks => Ok(tasks.map(|tasks| Arc::new(FailOver(tasks)) as _)),
            }
        })?;
        Ok(())
    }

    /// What a route names; `None` for functions, which have their names themselves.
    fn target(&self, target: Target) -> Result<Option<Arc<dyn Task>>, String> {
        let options = match target {
            Target::Provider(name) if name == Target::FUNCTION => return Ok(None),
            Target::Provider(name) => {
                let off = || format!("there is no provider {name}, or it is off for lack of settings");
                return self.providers.get(name.as_str()).cloned().map(Some).ok_or_else(off);
            }
            Target::Runner(options) if options.contains_key("task") => return self.mapped(options).map(Some),
            Target::Runner(options) => options,
        };
        let known = self.runners.iter().find(|(name, _)| options.contains_key(**name));
        let known = known.ok_or_else(|| {
            let names: Vec<&str> = self.runners.keys().copied().collect();
            format!("expected task, or one of the runners of this build: {}", names.join(", "))
        });
        known.and_then(|(_, make)| make(options)).map(Some)
    }

    /// A task of this build under another name.
    fn mapped(&self, options: Map<String, Value>) -> Result<Arc<dyn Task>, String> {
        let mapping: Mapping = serde_json::from_value(Value::from(options)).map_err(|error| error.to_string())?;
        match self.tasks.get(&mapping.task) {
            Some(Slot::On(task)) => Ok(Arc::new(Mapped { task: Arc::clone(task), mapping })),
            Some(Slot::Off(error)) => Err(format!("{} is off: set {}", mapping.task, error.name)),
            None => Err(format!("this build has no task {}", mapping.task)),
        }
    }

    /// What does a task: what its own route says, else what has its name, else what the route of its prefix says.
    ///
    /// # Errors
    /// This build has nothing for it, or what it has is off; the message says what to do.
    pub fn find(&self, name: &str) -> Result<&dyn Task, DeliveryError> {
        if let Some(Some(task)) = self.routes.exact(name) {
            return Ok(task.as_ref());
        }
        match (self.tasks.get(name), self.routes.prefix(name)) {
            (Some(Slot::On(task)), _) | (None, Some(Some(task))) => Ok(task.as_ref()),
            (Some(Slot::Off(error)), _) => Err(DeliveryError::new(ErrorKind::Misconfigured, format!("not configured: set {}", error.name))),
            (None, _) => {
                let known: Vec<&str> = self.tasks().chain(self.routes.patterns()).collect();
                Err(DeliveryError::new(
                    ErrorKind::UnknownProvider,
                    format!("this build has nothing that does the task; it has: {}", known.join(", ")),
                ))
            }
        }
    }

    /// The names of the tasks that this build knows, sorted.
    pub fn tasks(&self) -> impl Iterator<Item = &str> {
        self.tasks.keys().map(String::as_str)
    }

    /// The tasks whose provider is off, each with the setting that it lacks.
    pub fn off(&self) -> impl Iterator<Item = (&str, &SettingsError)> {
        self.tasks.iter().filter_map(|(task, slot)| match slot {
            Slot::On(_) => None,
            Slot::Off(error) => Some((task.as_str(), error)),
        })
    }
}

/// How the names of a provider's or runner's settings begin.
fn prefix(name: &str) -> String {
    format!("ERRAND_{}_", name.to_uppercase().replace('-', "_"))
}
