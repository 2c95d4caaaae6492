use std::{collections::BTreeMap, sync::Arc};

use serde_json::value::RawValue;

use crate::{
    Destinations, DynCheck, DynTransport, Environment, Fields, Init, OptionError, SettingsError, Transport, limits,
    settings::all::TRANSPORTS,
};

/// What envelopes can be handed to under one name.
#[derive(Clone)]
pub(super) struct Alias {
    pub(super) transport: Arc<dyn DynTransport>,
    pub(super) check: Option<Arc<dyn DynCheck>>,
    /// Of home none is asked for: a task names one of our own queues there.
    pub(super) destinations: Destinations,
}

type Make = Box<dyn Fn(&str, Said, &Init) -> Result<Alias, OptionError> + Send + Sync>;

/// The names of the transports that a call can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transports {
    /// All of them, each with its queues.
    pub all: BTreeMap<Arc<str>, Destinations>,
    /// The one that this deployment's own consumer works off.
    pub home: Arc<str>,
    /// The one that is taken where nothing is said.
    pub default: Arc<str>,
}

impl Transports {
    /// What is said of a name that is none of them.
    pub(crate) fn unknown(&self) -> String {
        format!("is no transport that is known here; known are: {}", self.all.keys().map(AsRef::as_ref).collect::<Vec<_>>().join(", "))
    }
}

/// The kinds of transports that a build has: a plain map, filled by visible calls. `CHECKED`: the health of their aliases is told as well; a function that tells of none
/// does not link what that takes, as it links of a store the roles that it uses.
#[derive(Default)]
pub struct Backends<const CHECKED: bool>(BTreeMap<&'static str, Make>);

impl<const CHECKED: bool> Backends<CHECKED> {
    /// Adds a kind of transport, in place of one of the same name.
    pub fn add<T: Transport>(&mut self) {
        let make = |alias: &str, Said { options, destinations, .. }: Said, cx: &Init| {
            let transport = Arc::new(T::new(alias, Fields::value(&options)?, cx)?);
            for (place, destination) in destinations.iter().enumerate() {
                transport.takes(destination).map_err(|why| wrong(&format!("/{alias}/queues/{place}: {why}")))?;
            }
            let check = if CHECKED { Some(Arc::clone(&transport) as Arc<dyn DynCheck>) } else { None };
            Ok(Alias { transport, check, destinations })
        };
        self.0.insert(T::BACKEND, Box::new(make));
    }

    /// The alias of a kind that says no options.
    pub(super) fn plain(&self, backend: &str, cx: &Init) -> Result<Alias, SettingsError> {
        let said = Said { backend: backend.to_owned(), options: "{}".to_owned(), destinations: Destinations::default() };
        self.make(backend, said, cx)
    }

    /// The aliases of `ERRAND_TRANSPORTS`, but for the one named `home`, which is not for that setting to say.
    pub(super) fn read(&self, env: &Environment, home: &str, cx: &Init) -> Result<BTreeMap<Arc<str>, Alias>, SettingsError> {
        let said = said(env.get(&TRANSPORTS).unwrap_or("{}"))?;
        let alias = |(name, said): (String, Said)| {
            if name == home {
                return Err(wrong(&format!("/{name}: is what this deployment's own consumer works off: the other one needs another name")));
            }
            let alias = self.make(&name, said, cx)?;
            Ok((Arc::from(name), alias))
        };
        said.into_iter().map(alias).collect()
    }

    fn make(&self, name: &str, said: Said, cx: &Init) -> Result<Alias, SettingsError> {
        let make = self.0.get(said.backend.as_str()).ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().copied().collect();
            wrong(&format!("/{name}/backend: this build has no transport {}; it has: {}", said.backend, known.join(", ")))
        })?;
        make(name, said, cx).map_err(|error| match error {
            OptionError::Options(problems) => wrong(&problems.under(&format!("/{name}/options")).to_string()),
            OptionError::Setting(error) => error,
        })
    }
}

/// What the setting says of an alias.
struct Said {
    backend: String,
    options: String,
    destinations: Destinations,
}

/// The kinds of transports that `ERRAND_TRANSPORTS` names.
///
/// # Errors
/// It is wrong.
pub fn backends_of(env: &Environment) -> Result<Vec<String>, SettingsError> {
    Ok(said(env.get(&TRANSPORTS).unwrap_or("{}"))?.into_values().map(|said| said.backend).collect())
}

fn said(json: &str) -> Result<BTreeMap<String, Said>, SettingsError> {
    let read = || {
        let mut fields = Fields::of(json)?.strict();
        let said = fields.each(|name, fields| {
            if let Err(expected) = limits::backend(name) {
                fields.refuse("backend", format!("stands under no name of a transport: expected {expected}"));
            }
            let options = fields.json("options", '{', "an object").map_or("{}", RawValue::get).to_owned();
            let destinations = Destinations::read(fields);
            Some(Said { backend: fields.required("backend")?, options, destinations })
        });
        fields.finish(Some(said))
    };
    read().map_err(|problems| wrong(&problems.to_string()))
}

fn wrong(problem: &str) -> SettingsError {
    SettingsError::invalid(TRANSPORTS.name, problem)
}
