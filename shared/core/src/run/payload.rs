use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use serde_json::{Map, Value, value::RawValue};

use super::{
    mapping::Mapping,
    routes::{Resolve, contested},
};
use crate::{
    Aliases, Envelope, Environment, Fields, Place, Problem, Problems, Routes, SettingsError, Text, limits,
    settings::all::CONSUMER_SETTINGS, tell_unread,
};

/// What a provider takes: an envelope's `kwargs`. A crate's payload type is built without its client, so that a call can be checked
/// before it is queued.
pub trait Payload: Sized + Send + 'static {
    /// What a notification that names no template says on this channel: a JSON object whose texts are templates of the notification's fields.
    const NOTIFICATION: &'static str = "{}";

    /// What it takes as a JSON Schema (2020-12) with examples: what callers are told. `errand-testkit` holds it against [`Payload::read`].
    const SCHEMA: &'static str = r#"{"type": "object"}"#;

    /// What others call its fields, and what they are called here.
    const ALIASES: Aliases = &[];

    /// What kind of text stands at a place: how the values of variables are written there when a template is rendered. Places are told by the names
    /// that fields have here.
    fn text(place: &Place<'_>) -> Text {
        if place.field() == "html" { Text::Html } else { Text::Plain }
    }

    /// What is missing to deliver it where only some settings are set, which `has` tells by their names.
    fn lacks(&self, has: &dyn Fn(&str) -> bool) -> Option<Lack> {
        let _ = has;
        None
    }

    /// Reads the payload, noting every problem in `fields`. What is answered after a problem was noted is not used: read all fields before
    /// giving up, so that the caller is told everything at once. A field that it never asks for is one that nobody knows.
    ///
    /// A type that derives `serde::Deserialize` may answer [`Fields::deserialize`], which tells the first problem only.
    fn read(fields: &mut Fields<'_>) -> Option<Self>;

    /// Reads the payload of a call: a field that is not known is a problem.
    ///
    /// # Errors
    /// All that is wrong with it.
    fn from_json(kwargs: &str) -> Result<Self, Problems> {
        let mut fields = Fields::of(kwargs)?.strict();
        let payload = read(&mut fields);
        fields.finish(payload)
    }

    /// Reads the payload of a message, whose sender cannot be told: a field that is not known is logged, once.
    ///
    /// # Errors
    /// All that is wrong with it.
    fn from_message(task: &str, kwargs: &str) -> Result<Self, Problems> {
        let mut fields = Fields::of(kwargs)?.noting();
        let payload = read(&mut fields);
        tell_unread(task, &fields.unread());
        fields.finish(payload)
    }
}

fn read<P: Payload>(fields: &mut Fields<'_>) -> Option<P> {
    fields.aliases(P::ALIASES);
    P::read(fields)
}

/// Why a payload cannot be delivered with the settings that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// This setting must be set.
    Setting(&'static str),
    /// This field must be given, unless the setting is set.
    Field(&'static str, &'static str),
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(setting) => write!(f, "not configured: set {setting}"),
            Self::Field(_, setting) => write!(f, "is required, since {setting} is not set"),
        }
    }
}

/// Why a task cannot be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not known.
    Unknown,
    /// What does it is off.
    Off(Lack),
    /// Its payload is wrong.
    Payload(Problems),
}

fn check<P: Payload>(mut fields: Fields<'_>, settings: Option<&BTreeSet<String>>) -> Result<(), Refusal> {
    let payload = read::<P>(&mut fields);
    let payload = fields.finish(payload).map_err(Refusal::Payload)?;
    match settings.and_then(|settings| payload.lacks(&|name| settings.contains(name))) {
        None => Ok(()),
        Some(lack @ Lack::Field(field, _)) => Err(Refusal::Payload(Problems::at(&format!("/{field}"), lack.to_string()))),
        Some(lack) => Err(Refusal::Off(lack)),
    }
}

fn unknown<P: Payload>(mut fields: Fields<'_>) -> Vec<Problem> {
    let _ = read::<P>(&mut fields);
    fields.unknown()
}

/// [`Payload::text`] of a type.
pub type Texts = fn(&Place<'_>) -> Text;

/// What takes anything: the tasks of somebody's own code.
pub(crate) struct Anything;

impl Payload for Anything {
    fn read(_: &mut Fields<'_>) -> Option<Self> {
        Some(Self)
    }
}

/// What is known of a payload type.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    check: fn(Fields<'_>, Option<&BTreeSet<String>>) -> Result<(), Refusal>,
    unknown: fn(Fields<'_>) -> Vec<Problem>,
    aliases: Aliases,
    notification: &'static str,
    texts: Texts,
    schema: &'static str,
}

/// What callers can send: the tasks, each with the check of its payload, and the queues.
#[derive(Clone, Default)]
pub struct Payloads {
    /// With the providers that do the task: of several a route has to say which.
    tasks: BTreeMap<&'static str, Vec<(&'static str, Kind)>>,
    providers: BTreeMap<&'static str, Kind>,
    /// What the tasks of each route take: of several that do them, what the first does; `None` where that is for the user's own code to say.
    routes: Routes<Option<Kind>>,
    /// The settings of what delivers, by their names, where that is known.
    settings: Option<BTreeSet<String>>,
    /// Every queue that a task can be sent to, where that is known.
    queues: Option<Vec<String>>,
}

impl Payloads {
    /// Adds the payload type of a provider under its tasks. Providers whose payloads are the same are one to callers.
    #[must_use]
    pub fn with<P: Payload>(mut self, provider: &'static str, tasks: &[&'static str]) -> Self {
        let kind = Kind {
            check: check::<P>,
            unknown: unknown::<P>,
            aliases: P::ALIASES,
            notification: P::NOTIFICATION,
            texts: P::text,
            schema: P::SCHEMA,
        };
        for task in tasks {
            let kinds = self.tasks.entry(task).or_default();
            kinds.retain(|(other, known)| *other != provider && (known.schema, known.notification) != (kind.schema, kind.notification));
            kinds.push((provider, kind));
        }
        self.providers.insert(provider, kind);
        self
    }

    /// Adds the tasks of `ERRAND_ROUTES`.
    ///
    /// # Errors
    /// It is wrong, names a provider that there is not, or does not say which of two does a task.
    pub fn with_routes(self, env: &Environment) -> Result<Self, SettingsError> {
        let routes = Routes::from_env(env)?.resolve(&self)?.map(|kinds| kinds.into_iter().next().flatten());
        Ok(Self { routes, ..self })
    }

    /// With the names of the settings that what delivers has: what lacks one is refused then. Where nobody tells, nothing is known, and nothing refused.
    #[must_use]
    pub fn with_settings<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { settings: Some(names.into_iter().map(ToOwned::to_owned).collect()), ..self }
    }

    /// With nothing known of settings.
    #[must_use]
    pub fn without_settings(self) -> Self {
        Self { settings: None, ..self }
    }

    /// With the settings that `ERRAND_CONSUMER_SETTINGS` names, separated by commas: the deployment tells what the consumer has, which is another function.
    #[must_use]
    pub fn with_consumer(self, env: &Environment) -> Self {
        match env.get(&CONSUMER_SETTINGS) {
            Some(names) => self.with_settings(names.split(',').map(str::trim)),
            None => self,
        }
    }

    /// Says which queues a task can be sent to.
    #[must_use]
    pub fn with_queues<'a>(self, names: impl Iterator<Item = &'a str>) -> Self {
        Self { queues: Some(names.map(ToOwned::to_owned).collect()), ..self }
    }

    /// The queues that a task can be sent to, where that is known.
    #[must_use]
    pub fn queues(&self) -> Option<&[String]> {
        self.queues.as_deref()
    }

    /// What is known of a task: nothing, or that it takes anything, or what it takes.
    fn kind(&self, task: &str) -> Option<Option<Kind>> {
        let known = || self.named(task).map(Some);
        self.routes.exact(task).copied().or_else(known).or_else(|| self.routes.prefix(task).copied())
    }

    fn named(&self, task: &str) -> Option<Kind> {
        self.tasks.get(task).and_then(|kinds| kinds.first()).map(|(_, kind)| *kind)
    }

    /// Checks a call's payload; with `bulk`, an array of payloads.
    ///
    /// # Errors
    /// Why it is refused, with all that is wrong.
    pub fn check(&self, task: &str, kwargs: &str, bulk: bool) -> Result<(), Refusal> {
        self.check_by(|kwargs| Fields::of(kwargs).map(Fields::strict), task, kwargs, bulk)
    }

    fn check_by<'a>(
        &self,
        fields: impl Fn(&'a str) -> Result<Fields<'a>, Problems>,
        task: &str,
        kwargs: &'a str,
        bulk: bool,
    ) -> Result<(), Refusal> {
        let Some(kind) = self.kind(task).ok_or(Refusal::Unknown)? else { return Ok(()) };
        let check = |payload| (kind.check)(fields(payload).map_err(Refusal::Payload)?, self.settings.as_ref());
        if !bulk {
            return check(kwargs);
        }
        let items: Vec<&RawValue> = serde_json::from_str(kwargs)
            .map_err(|_| Refusal::Payload(Problems::whole("expected an array of payloads, since context.bulk is true")))?;
        let mut problems = Vec::new();
        for (place, item) in items.iter().enumerate() {
            match check(item.get()) {
                Ok(()) => {}
                Err(Refusal::Payload(wrong)) => problems.extend(wrong.under(&format!("/{place}")).0),
                Err(refusal) => return Err(refusal),
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Refusal::Payload(Problems(problems))) }
    }

    /// What is said of a task that cannot be called; `None` where it is its payload that is wrong.
    #[must_use]
    pub fn told(&self, refusal: &Refusal) -> Option<String> {
        match refusal {
            Refusal::Unknown => Some(format!("is no task that is known here; known are: {}", self.names().collect::<Vec<_>>().join(", "))),
            Refusal::Off(lack) => Some(lack.to_string()),
            Refusal::Payload(_) => None,
        }
    }

    /// Notes in `fields`, which an envelope was read from, that there is no such queue.
    pub fn check_queue(&self, fields: &mut Fields<'_>, envelope: &Envelope) {
        if let Some(queues) = &self.queues
            && !queues.contains(&envelope.queue)
        {
            fields.refuse("queue", format!("is no queue that is known here; known are: {}", queues.join(", ")));
        }
    }

    /// Notes in `fields`, which an envelope was read from, what is wrong with its task, payload and queue. What nobody knows in the payload becomes what it
    /// becomes in `fields`.
    pub fn check_envelope(&self, fields: &mut Fields<'_>, envelope: &Envelope) {
        self.check_queue(fields, envelope);
        // What is no task or no payload by its form is a problem already.
        if limits::task(&envelope.task).is_err() || (fields.has("kwargs") && envelope.kwargs.is_none()) {
            return;
        }
        if fields.is_strict() && envelope.has_args() && matches!(self.kind(&envelope.task), Some(Some(_))) {
            fields.refuse("args", format!("is for tasks of one's own: {} takes all that it reads in kwargs", envelope.task));
        }
        match self.check_by(|kwargs| fields.alike(kwargs), &envelope.task, envelope.payload(), envelope.context.bulk) {
            Ok(()) => {}
            Err(Refusal::Payload(problems)) => fields.adopt("kwargs", problems),
            Err(refusal) => fields.refuse("task", self.told(&refusal).unwrap_or_default()),
        }
    }

    /// The fields of a payload that is not whole yet, or not filled in, that its task does not know.
    #[must_use]
    pub fn unknown(&self, task: &str, payload: &str) -> Vec<Problem> {
        match (self.kind(task), Fields::of(payload)) {
            (Some(Some(kind)), Ok(fields)) => (kind.unknown)(fields.strict()),
            _ => Vec::new(),
        }
    }

    /// A task's payload with the names that its fields have here: see [`Payload::ALIASES`].
    #[must_use]
    pub fn with_own_names(&self, task: &str, mut payload: Map<String, Value>) -> Map<String, Value> {
        for (alias, name) in self.kind(task).flatten().map_or(&[][..], |kind| kind.aliases) {
            if !payload.contains_key(*name)
                && let Some(value) = payload.remove(*alias)
            {
                payload.insert((*name).to_owned(), value);
            }
        }
        payload
    }

    /// [`Payload::NOTIFICATION`] of a task, if it is known.
    #[must_use]
    pub fn notification(&self, task: &str) -> Option<&'static str> {
        self.kind(task).map(|kind| kind.map_or("{}", |kind| kind.notification))
    }

    /// [`Payload::text`] of a task: what somebody's own code takes is plain but for fields `html`.
    #[must_use]
    pub fn texts(&self, task: &str) -> Texts {
        self.kind(task).flatten().map_or(Anything::text, |kind| kind.texts)
    }

    /// [`Payload::SCHEMA`] of each task that a provider does.
    pub fn schemas(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.tasks.keys().filter_map(|task| Some((*task, self.kind(task).flatten().or_else(|| self.named(task))?.schema)))
    }

    /// The names of the tasks that providers do, and the patterns of routes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tasks.keys().copied().chain(self.routes.patterns())
    }
}

impl Resolve for Payloads {
    /// `None` where it is not known here what is taken.
    type Leg = Option<Kind>;

    fn provider(&self, name: &str) -> Result<Option<Kind>, String> {
        self.providers.get(name).copied().map(Some).ok_or_else(|| format!("there is no provider {name}"))
    }

    fn function(&self, _: &str) -> Result<Option<Kind>, String> {
        Ok(None)
    }

    fn runner(&self, _: &Map<String, Value>) -> Result<Option<Kind>, String> {
        Ok(None)
    }

    fn own(&self, task: &str) -> Option<Result<Option<Kind>, String>> {
        self.named(task).map(|kind| Ok(Some(kind)))
    }

    fn contested(&self) -> impl Iterator<Item = (&str, String)> {
        let several = self.tasks.iter().filter(|(_, kinds)| kinds.len() > 1);
        several.map(|(task, kinds)| (*task, contested(kinds.iter().map(|(provider, _)| *provider))))
    }

    /// A function, perhaps, which only its consumer knows.
    fn unknown(&self, _: &str) -> Result<Option<Kind>, String> {
        Ok(None)
    }

    fn mapped(&self, leg: Option<Kind>, mapping: &Arc<Mapping>) -> Option<Kind> {
        leg.filter(|_| mapping.payload.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Mail;

    impl Payload for Mail {
        const SCHEMA: &'static str = r#"{"title":"mail"}"#;

        fn read(fields: &mut Fields<'_>) -> Option<Self> {
            fields.required::<String>("to").map(|_| Self)
        }
    }

    struct Letter;

    impl Payload for Letter {
        fn read(fields: &mut Fields<'_>) -> Option<Self> {
            fields.required::<String>("street").map(|_| Self)
        }
    }

    fn routed(payloads: Payloads, routes: &str) -> Result<Payloads, String> {
        payloads.with_routes(&[("ERRAND_ROUTES", routes)].into_iter().collect()).map_err(|error| error.to_string())
    }

    fn takes(payloads: &Payloads, task: &str, kwargs: &str) -> bool {
        payloads.check(task, kwargs, false).is_ok()
    }

    #[test]
    fn two_payloads_of_one_task_need_a_route_that_says_which() {
        let both = || Payloads::default().with::<Mail>("ses", &["post"]).with::<Letter>("printer", &["post"]);
        assert_eq!(routed(both(), "{}").err().unwrap(), "ERRAND_ROUTES: post: ses and printer do it: say which, or in which order");
        let payloads = routed(both(), r#"{"post":["printer","ses"],"mine":{"task":"post"}}"#).unwrap();
        for task in ["post", "mine"] {
            assert!(takes(&payloads, task, r#"{"street":"x"}"#) && !takes(&payloads, task, r#"{"to":"x"}"#), "{task}");
        }
        let alike = Payloads::default().with::<Mail>("ses", &["post"]).with::<Mail>("smtp", &["post"]);
        assert!(routed(alike, "{}").is_ok(), "to callers they are one");
    }

    #[test]
    fn a_mapping_takes_what_its_task_takes_unless_it_makes_the_payload_itself() {
        let payloads = || Payloads::default().with::<Mail>("ses", &["post"]);
        let routes = r#"{"same":{"task":"post"},"made":{"task":"post","payload":{"to":"/args/0"}},"mine":{"task":"a.function"},"app":{"http":"https://x"}}"#;
        let routed_payloads = routed(payloads(), routes).unwrap();
        assert!(takes(&routed_payloads, "same", r#"{"to":"x"}"#) && !takes(&routed_payloads, "same", "{}"));
        assert!(["made", "mine", "app"].iter().all(|task| takes(&routed_payloads, task, "{}")));
        assert_eq!(
            routed(payloads(), r#"{"a":{"task":"b"},"b":{"task":"a"}}"#).err().unwrap(),
            "ERRAND_ROUTES: a: it leads back to itself: a > b > a"
        );
    }
}
