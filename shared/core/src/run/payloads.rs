use std::{
    any::TypeId,
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use serde_json::{Map, Value, value::RawValue};

use super::{
    hand_over::HandOver,
    mapping::Mapping,
    payload::{Anything, read},
    routes::{Found, Resolve, contested},
};
use crate::{
    Aliases, DEFAULT_QUEUE, Envelope, Environment, Fields, Lack, Payload, Problem, Problems, Routes, SettingsError, Taker, Target, Texts,
    Transports, limits, settings::all::CONSUMER_SETTINGS,
};

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

/// A provider with what it takes, of any type.
trait Take: Send + Sync {
    fn provider(&self) -> &'static str;
    fn payload(&self) -> TypeId;
    fn check(&self, fields: Fields<'_>, settings: Option<&BTreeSet<String>>) -> Result<(), Refusal>;
    fn unknown(&self, fields: Fields<'_>) -> Vec<Problem>;
    fn aliases(&self) -> Aliases;
    fn notification(&self) -> &'static str;
    fn texts(&self) -> Texts;
}

impl<P: Payload> Take for Taker<P> {
    fn provider(&self) -> &'static str {
        self.provider
    }

    fn payload(&self) -> TypeId {
        TypeId::of::<P>()
    }

    fn check(&self, mut fields: Fields<'_>, settings: Option<&BTreeSet<String>>) -> Result<(), Refusal> {
        let payload = read(&mut fields, self.limits);
        let payload = fields.finish(payload).map_err(Refusal::Payload)?;
        match settings.and_then(|settings| self.lack(&payload, &|name| settings.contains(name))) {
            None => Ok(()),
            Some(lack @ Lack::Field(field, _)) => Err(Refusal::Payload(Problems::at(&format!("/{field}"), lack.to_string()))),
            Some(lack) => Err(Refusal::Off(lack)),
        }
    }

    fn unknown(&self, mut fields: Fields<'_>) -> Vec<Problem> {
        let _ = read(&mut fields, self.limits);
        fields.unknown()
    }

    fn aliases(&self) -> Aliases {
        P::ALIASES
    }

    fn notification(&self) -> &'static str {
        P::NOTIFICATION
    }

    fn texts(&self) -> Texts {
        P::text
    }
}

/// Providers that take the same payload: to callers they are one.
#[derive(Clone)]
pub(crate) struct Kind {
    first: Arc<dyn Take>,
    others: Vec<Arc<dyn Take>>,
}

impl Kind {
    fn takers(&self) -> impl Iterator<Item = &dyn Take> {
        std::iter::once(&self.first).chain(&self.others).map(AsRef::as_ref)
    }

    /// Checks a payload for the first of them that is on.
    fn check<'a>(&self, fields: impl Fn() -> Result<Fields<'a>, Problems>, settings: Option<&BTreeSet<String>>) -> Result<(), Refusal> {
        let mut off = None;
        for taker in self.takers() {
            match taker.check(fields().map_err(Refusal::Payload)?, settings) {
                Err(Refusal::Off(lack)) => off = off.or(Some(lack)),
                checked => return checked,
            }
        }
        off.map_or(Ok(()), |lack| Err(Refusal::Off(lack)))
    }
}

/// What callers can send: the tasks, each with the check of its payload, and the queues.
#[derive(Clone, Default)]
pub struct Payloads {
    /// With what the providers that do the task take: of several kinds a route has to say which.
    tasks: BTreeMap<&'static str, Vec<Kind>>,
    providers: BTreeMap<&'static str, Kind>,
    /// What the tasks of each route take: of several that do them, what the first does; `None` where that is for the user's own code to say.
    routes: Routes<Option<Kind>>,
    /// What the routes say that hand their tasks over to a transport, and do nothing else; of the others nothing: their tasks are for our own consumer.
    hand_overs: Routes<Option<HandOver>>,
    /// The transports that a task can be handed to, where that is known.
    transports: Option<Transports>,
    /// The settings of what delivers, by their names, where that is known.
    settings: Option<BTreeSet<String>>,
    /// Every queue that a task can be sent to, where that is known.
    queues: Option<Vec<String>>,
}

impl Payloads {
    /// Adds a provider with what it takes, and its tasks. Providers whose payloads are the same are one to callers.
    #[must_use]
    pub fn with<P: Payload>(mut self, taker: Taker<P>, tasks: &[&'static str]) -> Self {
        let taker: Arc<dyn Take> = Arc::new(taker);
        for task in tasks {
            let kinds = self.tasks.entry(task).or_default();
            match kinds.iter_mut().find(|kind| kind.first.payload() == taker.payload()) {
                Some(kind) => kind.others.push(Arc::clone(&taker)),
                None => kinds.push(Kind { first: Arc::clone(&taker), others: Vec::new() }),
            }
        }
        self.providers.insert(taker.provider(), Kind { first: taker, others: Vec::new() });
        self
    }

    /// Adds the tasks of `ERRAND_ROUTES`.
    ///
    /// # Errors
    /// It is wrong, names a provider that there is not, or does not say which of two does a task.
    pub fn with_routes(self, env: &Environment) -> Result<Self, SettingsError> {
        let said = Routes::from_env(env)?;
        let routes = said.resolve(&self)?.map(|kinds| kinds.into_iter().next().flatten());
        let hand_overs = said.map(|targets| match <[Target; 1]>::try_from(targets) {
            Ok([Target::Transport(hand_over)]) => Some(hand_over),
            _ => None,
        });
        Ok(Self { routes, hand_overs, ..self })
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

    /// Says which transports a task can be handed to: before routes are added, which may name them.
    #[must_use]
    pub fn with_transports(self, transports: Transports) -> Self {
        Self { transports: Some(transports), ..self }
    }

    /// The transports that a task can be handed to, where that is known.
    #[must_use]
    pub fn transports(&self) -> Option<&Transports> {
        self.transports.as_ref()
    }

    /// Writes into the envelope of a call what it is handed to. That is what it says itself, else what its task's route says, which is our own queue unless the route is to a
    /// transport alone, else the default. Of what goes home it is nothing; elsewhere, the `queue` that is said is one of the broker's, and no more one of ours.
    pub fn choose(&self, envelope: &mut Envelope) {
        let Some(transports) = &self.transports else { return };
        let chosen = self.named_transport(envelope, &transports.home).unwrap_or(&transports.default).to_owned();
        envelope.backend = (chosen != *transports.home).then_some(chosen);
        let Some((alias, destinations)) = envelope.backend.as_deref().and_then(|alias| transports.all.get_key_value(alias)) else { return };
        let queue = mem::replace(&mut envelope.queue, DEFAULT_QUEUE.to_owned());
        let said = envelope.destination.take().or_else(|| (queue != DEFAULT_QUEUE).then_some(queue));
        let of_route = || {
            let hand_over = self.route(&envelope.task)?.filter(|hand_over| hand_over.transport == **alias)?;
            hand_over.destination.clone()
        };
        envelope.destination = Some(said.or_else(of_route).unwrap_or_else(|| destinations.nearest(DEFAULT_QUEUE).to_owned()));
    }

    /// The route of a task, if it has one, with what that says of a transport.
    fn route(&self, task: &str) -> Option<Option<&HandOver>> {
        match self.hand_overs.find(task, || self.tasks.get(task)) {
            Some(Found::Route(_, said)) => Some(said.as_ref()),
            Some(Found::Own(_)) | None => None,
        }
    }

    /// The transport that an envelope names, or its task's route.
    fn named_transport<'a>(&'a self, envelope: &'a Envelope, home: &'a str) -> Option<&'a str> {
        let of_route = || Some(self.route(&envelope.task)?.map_or(home, |hand_over| &hand_over.transport));
        envelope.backend.as_deref().or_else(of_route)
    }

    /// The transport other than ours that an envelope goes to where this is the default, by its name.
    fn elsewhere<'a>(&'a self, envelope: &'a Envelope, default: fn(&Transports) -> &str) -> Option<&'a str> {
        let transports = self.transports.as_ref()?;
        let named = self.named_transport(envelope, &transports.home).unwrap_or_else(|| default(transports));
        (*named != *transports.home).then_some(named)
    }

    /// Whether the envelope of a call is for others to do, who know what it may hold.
    #[must_use]
    pub fn is_for_others(&self, envelope: &Envelope) -> bool {
        self.elsewhere(envelope, |transports| &transports.default).is_some()
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
        self.routes.find(task, || self.named(task)).map(|found| match found {
            Found::Route(_, known) => known.clone(),
            Found::Own(known) => Some(known),
        })
    }

    fn named(&self, task: &str) -> Option<Kind> {
        self.tasks.get(task).and_then(|kinds| kinds.first()).cloned()
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
        let check = |payload| kind.check(|| fields(payload), self.settings.as_ref());
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

    /// Notes in `fields`, which the envelope of a call was read from, that there is no such transport, or that it has no such queue.
    pub fn check_place(&self, fields: &mut Fields<'_>, envelope: &Envelope) {
        self.check_backend(fields, envelope);
        let Some(alias) = self.elsewhere(envelope, |transports| &transports.default) else {
            if envelope.destination.is_some() {
                fields.refuse("destination", "is for transports that hand over to others: here a task names a queue");
            }
            return self.check_queue(fields, envelope);
        };
        let Some(destinations) = self.transports.as_ref().and_then(|transports| transports.all.get(alias)) else { return };
        if envelope.destination.as_deref().is_some_and(|destination| !destinations.has(destination)) {
            fields.refuse("destination", destinations.unknown(alias));
        } else if fields.has("queue") && envelope.destination.is_none() && !destinations.has(&envelope.queue) {
            fields.refuse("queue", destinations.unknown(alias));
        }
    }

    fn check_backend(&self, fields: &mut Fields<'_>, envelope: &Envelope) {
        if let (Some(transports), Some(backend)) = (&self.transports, envelope.backend.as_deref())
            && !transports.all.contains_key(backend)
        {
            fields.refuse("backend", transports.unknown());
        }
    }

    fn check_queue(&self, fields: &mut Fields<'_>, envelope: &Envelope) {
        match (&self.queues, limits::queue(&envelope.queue)) {
            (Some(queues), _) if !queues.contains(&envelope.queue) => {
                fields.refuse("queue", format!("is no queue that is known here; known are: {}", queues.join(", ")));
            }
            (None, Err(expected)) => fields.refuse("queue", format!("expected {expected}")),
            _ => {}
        }
    }

    /// Notes in `fields`, which the envelope of a call was read from, what is wrong with its task, payload and place. What nobody knows in the payload becomes what it
    /// becomes in `fields`.
    pub fn check_call(&self, fields: &mut Fields<'_>, envelope: &Envelope) {
        self.check_place(fields, envelope);
        if !self.is_for_others(envelope) {
            self.check_task(fields, envelope);
        }
    }

    /// The same of an envelope that is to go to our own consumer, as a message does: its `queue` is one of ours, and what it is to be handed to is the consumer's to see to.
    pub fn check_message(&self, fields: &mut Fields<'_>, envelope: &Envelope) {
        self.check_backend(fields, envelope);
        self.check_queue(fields, envelope);
        if self.elsewhere(envelope, |transports| &transports.home).is_none() {
            self.check_task(fields, envelope);
        }
    }

    fn check_task(&self, fields: &mut Fields<'_>, envelope: &Envelope) {
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
            (Some(Some(kind)), Ok(fields)) => kind.first.unknown(fields.strict()),
            _ => Vec::new(),
        }
    }

    /// A task's payload with the names that its fields have here: see [`Payload::ALIASES`].
    #[must_use]
    pub fn with_own_names(&self, task: &str, mut payload: Map<String, Value>) -> Map<String, Value> {
        for (alias, name) in self.kind(task).flatten().map_or(&[][..], |kind| kind.first.aliases()) {
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
        self.kind(task).map(|kind| kind.map_or("{}", |kind| kind.first.notification()))
    }

    /// [`Payload::text`] of a task: what somebody's own code takes is plain but for fields `html`.
    #[must_use]
    pub fn texts(&self, task: &str) -> Texts {
        self.kind(task).flatten().map_or(Anything::text, |kind| kind.first.texts())
    }

    /// The tasks that providers do, each with the type of its payload.
    pub fn types(&self) -> impl Iterator<Item = (&'static str, TypeId)> {
        self.tasks.keys().filter_map(|task| Some((*task, self.kind(task).flatten().or_else(|| self.named(task))?.first.payload())))
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
        self.providers.get(name).cloned().map(Some).ok_or_else(|| format!("there is no provider {name}"))
    }

    fn function(&self, _: &str) -> Result<Option<Kind>, String> {
        Ok(None)
    }

    fn runner(&self, _: &Map<String, Value>) -> Result<Option<Kind>, String> {
        Ok(None)
    }

    fn transport(&self, hand_over: &HandOver) -> Result<Option<Kind>, String> {
        let Some(Transports { all, home, .. }) = &self.transports else { return Ok(None) };
        match all.get(hand_over.transport.as_str()) {
            _ if hand_over.transport == **home => Err(hand_over.is_home()),
            Some(destinations) => hand_over.check(destinations).map(|()| None),
            None => Err(format!("{} {}", hand_over.transport, self.transports.as_ref().map(Transports::unknown).unwrap_or_default())),
        }
    }

    fn own(&self, task: &str) -> Option<Result<Option<Kind>, String>> {
        self.named(task).map(|kind| Ok(Some(kind)))
    }

    fn contested(&self) -> impl Iterator<Item = (&str, String)> {
        let several = self.tasks.iter().filter(|(_, kinds)| kinds.len() > 1);
        several.map(|(task, kinds)| (*task, contested(kinds.iter().flat_map(Kind::takers).map(Take::provider))))
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
        let both = || Payloads::default().with(Taker::<Mail>::of("ses"), &["post"]).with(Taker::<Letter>::of("printer"), &["post"]);
        assert_eq!(routed(both(), "{}").err().unwrap(), "ERRAND_ROUTES: post: ses and printer do it: say which, or in which order");
        let payloads = routed(both(), r#"{"post":["printer","ses"],"mine":{"task":"post"}}"#).unwrap();
        for task in ["post", "mine"] {
            assert!(takes(&payloads, task, r#"{"street":"x"}"#) && !takes(&payloads, task, r#"{"to":"x"}"#), "{task}");
        }
        let alike = Payloads::default().with(Taker::<Mail>::of("ses"), &["post"]).with(Taker::<Mail>::of("smtp"), &["post"]);
        assert!(routed(alike, "{}").is_ok(), "to callers they are one");
    }

    #[test]
    fn a_mapping_takes_what_its_task_takes_unless_it_makes_the_payload_itself() {
        let payloads = || Payloads::default().with(Taker::<Mail>::of("ses"), &["post"]);
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
