use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    marker::PhantomData,
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    function::Function,
    hand_over::{Elsewhere, HandOver},
    mapping::{Mapped, Mapping},
    routes::{Found, Resolve, contested, wrong},
    task::Routed,
    way::Way,
};
use crate::{
    Attempt, DeliveryError, Dispatch, DynTransport, Envelope, Environment, ErrorKind, Fields, Init, Invocation, Provider, Routes, Runner,
    Setting, SettingsError, Target, Task,
};

type Leg = Arc<dyn Task>;
type MakeRoute = Box<dyn Fn(&Map<String, Value>) -> Result<Leg, String> + Send + Sync>;

/// What this build can do, by task: plain maps, filled by visible calls.
#[derive(Default)]
pub struct Registry {
    invocation: Invocation,
    tasks: BTreeMap<String, Slot>,
    providers: BTreeMap<&'static str, Leg>,
    runners: BTreeMap<&'static str, MakeRoute>,
    /// The transports that tasks can be handed to, each as the one that does it.
    transports: BTreeMap<String, (Elsewhere, [Leg; 1])>,
    /// The transport that brings what this build does itself.
    home: String,
    /// Those that run tasks before they answer a call: what comes here all the same is done as what home brings.
    inline: BTreeSet<String>,
    routes: Routes<Vec<Leg>>,
    settings: Vec<Setting>,
}

/// What has a task's name.
#[derive(Default)]
struct Slot {
    /// The providers that do it, or the function: of several a route has to say which.
    on: Vec<Leg>,
    /// What the last provider lacks that is off.
    off: Option<SettingsError>,
}

impl Registry {
    /// A registry for invocations of this length; the default one is for those of 30 seconds.
    #[must_use]
    pub fn new(invocation: Invocation) -> Self {
        Self { invocation, ..Self::default() }
    }

    /// Adds a provider with its settings from the environment. Where another one does the same task already, `ERRAND_ROUTES` has to say which.
    ///
    /// A provider that needs a setting and has none at all is off: its tasks are answered with what to set.
    ///
    /// # Errors
    /// One that has some of its settings but not all, or a wrong one; or its calls may take longer than an invocation.
    pub fn add<P: Provider>(&mut self, env: &Environment, cx: &Init) -> Result<(), SettingsError> {
        self.settings.extend(P::SETTINGS);
        env.check_no_references(P::SETTINGS)?;
        match P::new(env, cx) {
            Ok(provider) => {
                let fits = self.invocation.check(P::NAME, provider.timeout());
                fits.map_err(|problem| SettingsError::invalid(Invocation::SETTING, &problem))?;
                self.insert(provider);
            }
            Err(error) if error.missing && !P::SETTINGS.iter().any(|setting| env.has(setting)) => {
                for task in P::TASKS {
                    self.slot(task).off = Some(error.clone());
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Adds a provider that is built already. It stands in for one of the same name, wherever that was named; beside one of another name it is as one that was
    /// [added](Registry::add).
    pub fn insert<P: Provider>(&mut self, provider: P) {
        let provider: Leg = Arc::new(provider);
        for task in P::TASKS {
            self.slot(task).take(Arc::clone(&provider));
        }
        self.providers.insert(P::NAME, provider);
    }

    /// Adds a runner with its settings from the environment.
    ///
    /// # Errors
    /// A setting is wrong.
    pub fn add_runner<R: Runner>(&mut self, env: &Environment, cx: &Init) -> Result<(), SettingsError> {
        self.settings.extend(R::SETTINGS);
        env.check_no_references(R::SETTINGS)?;
        let runner = Arc::new(R::new(env, cx)?);
        let make = move |options: &Map<String, Value>| {
            let circuit = Value::from(options.clone()).to_string();
            let route = Fields::value(&circuit).map_err(|problems| problems.to_string())?;
            runner.check(&route)?;
            Ok(Arc::new(Routed { runner: Arc::clone(&runner), route, circuit }) as _)
        };
        self.runners.insert(R::NAME, Box::new(make));
        Ok(())
    }

    /// Adds the transports that tasks can be handed to.
    pub fn add_transports(&mut self, dispatch: &Dispatch) {
        dispatch.transports().home.as_ref().clone_into(&mut self.home);
        for (alias, transport, destinations) in dispatch.elsewhere() {
            if transport.runs() {
                self.inline.insert(alias.to_string());
                continue;
            }
            let elsewhere = Elsewhere::new(alias, Arc::clone(transport), destinations.clone());
            self.transports.insert(alias.to_string(), (elsewhere.clone(), [Arc::new(elsewhere)]));
        }
    }

    /// Adds a Rust function as a task: its arguments are the task's `kwargs`, or `args` in the order of the fields, and its value is the task's return value. It takes
    /// the place of a function of the same name; of a provider of that task `ERRAND_ROUTES` tells it.
    pub fn task<A, R, F, Fut>(&mut self, name: impl Into<String>, function: F)
    where
        A: DeserializeOwned + Send + Sync + 'static,
        R: Serialize,
        F: Fn(A, Attempt) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, DeliveryError>> + Send + 'static,
    {
        let timeout = self.invocation.longest_call();
        self.slot(&name.into()).take(Arc::new(Function { function, timeout, arguments: PhantomData }));
    }

    fn slot(&mut self, task: &str) -> &mut Slot {
        self.tasks.entry(task.to_owned()).or_default()
    }

    /// Reads `ERRAND_ROUTES`, when all that it can name was added.
    ///
    /// # Errors
    /// It is wrong, names what this build does not have or what does not fit into an invocation, or does not say which of two does a task.
    pub fn read_routes(&mut self, env: &Environment) -> Result<(), SettingsError> {
        let routes = Routes::from_env(env)?.resolve(self)?;
        for (pattern, legs) in routes.iter() {
            for leg in legs {
                self.invocation.check(leg.provider(), leg.timeout()).map_err(|problem| wrong(pattern, &problem))?;
            }
        }
        self.routes = routes;
        Ok(())
    }

    /// What becomes of an envelope: it is handed to the transport that it names, or [done](Registry::find) by what does its task.
    ///
    /// # Errors
    /// This build has nothing for it, or what it has is off; the message says what to do.
    pub fn way(&self, envelope: &Envelope) -> Result<Way<'_>, DeliveryError> {
        match envelope.backend.as_deref().filter(|backend| *backend != self.home && !self.inline.contains(*backend)) {
            None => self.find(&envelope.task),
            Some(backend) => match self.transports.get(backend) {
                Some((_, legs)) => Ok(Way::of(legs)),
                None => Err(DeliveryError::new(ErrorKind::Misconfigured, self.unknown_transport(backend))),
            },
        }
    }

    /// The transport of this name, unless it is home, or there is none.
    #[must_use]
    pub fn transport(&self, name: &str) -> Option<&dyn DynTransport> {
        self.transports.get(name).map(|(elsewhere, _)| elsewhere.transport())
    }

    fn unknown_transport(&self, name: &str) -> String {
        let known: Vec<&str> = self.transports.keys().map(String::as_str).collect();
        format!("there is no transport {name}; ERRAND_TRANSPORTS names: {}", known.join(", "))
    }

    /// What does a task: what its own route says, else what has its name, else what the route of its prefix says.
    ///
    /// # Errors
    /// This build has nothing for it, or what it has is off; the message says what to do.
    pub fn find(&self, name: &str) -> Result<Way<'_>, DeliveryError> {
        match self.routes.find(name, || self.tasks.get(name)?.legs()) {
            Some(Found::Own(legs)) => legs.map(Way::of).map_err(|why| DeliveryError::new(ErrorKind::Misconfigured, why)),
            Some(Found::Route(_, legs)) if !legs.is_empty() => Ok(Way::of(legs)),
            _ => {
                let known: Vec<&str> = self.tasks().chain(self.routes.patterns()).collect();
                let why = format!("this build has nothing that does the task; it has: {}", known.join(", "));
                Err(DeliveryError::new(ErrorKind::UnknownProvider, why))
            }
        }
    }

    /// The names of the tasks that this build knows, sorted.
    pub fn tasks(&self) -> impl Iterator<Item = &str> {
        self.tasks.keys().map(String::as_str)
    }

    /// The settings of the providers and runners that were added.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The tasks that nothing does since their provider is off, each with the setting that it lacks.
    pub fn off(&self) -> impl Iterator<Item = (&str, &SettingsError)> {
        self.tasks.iter().filter(|(_, slot)| slot.on.is_empty()).filter_map(|(task, slot)| Some((task.as_str(), slot.off.as_ref()?)))
    }
}

impl Slot {
    /// Adds one, in the place of one of the same provider.
    fn take(&mut self, leg: Leg) {
        self.on.retain(|other| other.provider() != leg.provider());
        self.on.push(leg);
    }

    /// The one that does it, or why none does; `None` where nothing has the name.
    fn legs(&self) -> Option<Result<&[Leg], String>> {
        match (&*self.on, &self.off) {
            (one @ [_], _) => Some(Ok(one)),
            ([], off) => off.as_ref().map(|error| Err(format!("not configured: set {}", error.name))),
            _ => Some(Err(self.contested())),
        }
    }

    fn contested(&self) -> String {
        contested(self.on.iter().map(|leg| leg.provider()))
    }
}

impl Resolve for Registry {
    type Leg = Leg;

    fn provider(&self, name: &str) -> Result<Leg, String> {
        self.providers.get(name).cloned().ok_or_else(|| format!("there is no provider {name}, or it is off for lack of settings"))
    }

    fn function(&self, task: &str) -> Result<Leg, String> {
        let slot = self.tasks.get(task);
        let function = slot.and_then(|slot| slot.on.iter().find(|leg| leg.provider() == Target::FUNCTION));
        function.cloned().ok_or_else(|| "this build has no function of that name".to_owned())
    }

    fn runner(&self, options: &Map<String, Value>) -> Result<Leg, String> {
        let known = self.runners.iter().find(|(name, _)| options.contains_key(**name));
        let known = known.ok_or_else(|| {
            let names: Vec<&str> = self.runners.keys().copied().collect();
            format!("expected task, or one of the runners of this build: {}", names.join(", "))
        });
        known.and_then(|(_, make)| make(options))
    }

    fn transport(&self, hand_over: &HandOver) -> Result<Leg, String> {
        if hand_over.transport == self.home {
            return Err(hand_over.is_home());
        }
        if self.inline.contains(&hand_over.transport) {
            return Err(format!(
                "{} runs tasks for calls that name it, and for those that name none by ERRAND_TRANSPORT",
                hand_over.transport
            ));
        }
        let (elsewhere, _) = self.transports.get(&hand_over.transport).ok_or_else(|| self.unknown_transport(&hand_over.transport))?;
        Ok(Arc::new(elsewhere.of_route(hand_over)?))
    }

    fn own(&self, task: &str) -> Option<Result<Leg, String>> {
        let legs = self.tasks.get(task)?.legs()?.map(|legs| legs.first().cloned());
        legs.map_err(|why| format!("{task}: {why}")).transpose()
    }

    fn contested(&self) -> impl Iterator<Item = (&str, String)> {
        self.tasks.iter().filter(|(_, slot)| slot.on.len() > 1).map(|(task, slot)| (task.as_str(), slot.contested()))
    }

    fn unknown(&self, task: &str) -> Result<Leg, String> {
        Err(format!("this build has no task {task}"))
    }

    fn mapped(&self, leg: Leg, mapping: &Arc<Mapping>) -> Leg {
        Arc::new(Mapped::new(leg, mapping))
    }
}
