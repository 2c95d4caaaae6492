use std::{
    collections::BTreeMap,
    iter::{repeat_with, zip},
    mem, ptr,
    sync::Arc,
};

use futures_util::future::join_all;
use serde_json::value::RawValue;

use super::backends::Alias;
use crate::{
    Backends, Destinations, Digest, DynCheck, DynHold, DynObjects, DynTransport, Envelope, Environment, HandedOn, Init, PublishError,
    Published, SettingsError, Timestamp, TransportLimits, Transports, settings::all::TRANSPORT,
};

/// Hands each envelope to the transport that it names: one of these aliases; or to what can hold it back until then, where that transport cannot.
///
/// One alias is home: what this deployment's own consumer works off. An envelope that names none goes there, as do callbacks, moves and replays, from where the consumer hands over
/// what is for another. What is too large for home goes to the object store first, which only our own consumer reads.
#[derive(Clone)]
pub struct Dispatch {
    aliases: Arc<BTreeMap<Arc<str>, Alias>>,
    home: Arc<str>,
    default: Arc<str>,
    hold: Option<Arc<dyn DynHold>>,
    objects: Option<Arc<dyn DynObjects>>,
}

/// What takes an envelope on.
#[derive(Clone, Copy)]
enum Carrier<'a> {
    /// To this alias, at once.
    Alias(&'a str, &'a dyn DynTransport),
    /// To home, from where our consumer hands it to this alias when it is due.
    Home(&'a dyn DynTransport, &'a str),
    /// To what holds it until it is due, for this alias where that is not home.
    Hold(&'a dyn DynHold, Option<&'a str>),
}

/// Envelopes of the same carrier, and whose answers they are.
struct Batch<'a> {
    carrier: Carrier<'a>,
    places: Vec<usize>,
    envelopes: Vec<Envelope>,
}

type Sent = Vec<Result<Published, PublishError>>;

/// Who has an envelope that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken<'a> {
    /// The name of what it is for, or of what holds it.
    pub by: &'a str,
    /// What was answered, where it was handed to others, for them to do.
    pub elsewhere: Option<Published>,
    /// Whether it was run: its record tells how it ended.
    pub ran: bool,
}

impl Dispatch {
    /// Of one transport alone, under this name: what this deployment's own consumer works off.
    #[must_use]
    pub fn of(home: &str, transport: Arc<dyn DynTransport>) -> Self {
        let home: Arc<str> = Arc::from(home);
        let alias = Alias { transport, check: None, destinations: Destinations::default() };
        let aliases = BTreeMap::from([(Arc::clone(&home), alias)]);
        Self { aliases: Arc::new(aliases), default: Arc::clone(&home), home, hold: None, objects: None }
    }

    /// `fill` adds the kinds of transports. The aliases of `ERRAND_TRANSPORTS`, and the one named as `home`, which is of the kind of that name and has no options. `ERRAND_TRANSPORT` says which is taken where
    /// nothing is said: home, unless it is set.
    ///
    /// # Errors
    /// A setting is wrong, names what there is not, or is missing.
    pub fn from_env<const CHECKED: bool>(
        env: &Environment,
        fill: impl FnOnce(&mut Backends<CHECKED>),
        home: &str,
        cx: &Init,
    ) -> Result<Self, SettingsError> {
        let mut backends = Backends::default();
        fill(&mut backends);
        let mut aliases = BTreeMap::from([(Arc::from(home), backends.plain(home, cx)?)]);
        aliases.extend(backends.read(env, home, cx)?);
        let default = Arc::from(env.get(&TRANSPORT).unwrap_or(home));
        if !aliases.contains_key(&default) {
            let known: Vec<&str> = aliases.keys().map(AsRef::as_ref).collect();
            let problem = format!("there is no transport {default}; ERRAND_TRANSPORTS names: {}", known.join(", "));
            return Err(SettingsError::invalid(TRANSPORT.name, &problem));
        }
        Ok(Self { aliases: Arc::new(aliases), default, home: Arc::from(home), hold: None, objects: None })
    }

    /// With one more alias, which has these queues.
    #[must_use]
    pub fn with(mut self, alias: &str, transport: Arc<dyn DynTransport>, destinations: Destinations) -> Self {
        Arc::make_mut(&mut self.aliases).insert(Arc::from(alias), Alias { transport, check: None, destinations });
        self
    }

    /// With what holds envelopes that are due later than their transport can wait.
    #[must_use]
    pub fn with_hold(self, hold: Option<Arc<dyn DynHold>>) -> Self {
        Self { hold, ..self }
    }

    /// With what takes arguments that no transport can carry.
    #[must_use]
    pub fn with_objects(self, objects: Option<Arc<dyn DynObjects>>) -> Self {
        Self { objects, ..self }
    }

    /// Their names and queues, and which of them is home and which the default.
    #[must_use]
    pub fn transports(&self) -> Transports {
        let all = self.aliases.iter().map(|(name, alias)| (Arc::clone(name), alias.destinations.clone())).collect();
        Transports { all, home: Arc::clone(&self.home), default: Arc::clone(&self.default) }
    }

    /// All but the one that is home, by their names, with their queues.
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<dyn DynTransport>, &Destinations)> {
        let elsewhere = self.aliases.iter().filter(|(name, _)| **name != self.home);
        elsewhere.map(|(name, alias)| (name, &alias.transport, &alias.destinations))
    }

    /// What tells whether each alias works, by its name, as far as this build asks.
    pub fn checks(&self) -> impl Iterator<Item = (&str, Arc<dyn DynCheck>)> {
        self.aliases.iter().filter_map(|(name, alias)| Some((name.as_ref(), Arc::clone(alias.check.as_ref()?))))
    }

    /// Whether there is an object store.
    #[must_use]
    pub fn has_objects(&self) -> bool {
        self.objects.is_some()
    }

    /// Sends an envelope to our own consumer, whoever it is for in the end; answers the name of that. Its arguments may have gone to the object store on the way.
    ///
    /// # Errors
    /// It was not sent, or not surely.
    pub async fn publish(&self, envelope: &mut Envelope, now: Timestamp) -> Result<&str, PublishError> {
        self.name_destination(envelope);
        let carrier = self.carrier(envelope, now, false)?;
        self.publish_by(carrier, envelope, now).await?;
        Ok(carrier.name())
    }

    async fn publish_by(&self, carrier: Carrier<'_>, envelope: &mut Envelope, now: Timestamp) -> Result<Published, PublishError> {
        let sent = self.publish_one(carrier, envelope).await;
        match (sent, &self.objects) {
            (Err(PublishError::TooLarge { .. }), Some(objects)) if self.comes_back(carrier) && envelope.claim_check.is_none() => {
                let key = object_key(envelope, now);
                let content = envelope.check_in(key.clone());
                objects.put(&key, content).await.map_err(|error| PublishError::Unavailable(error.0))?;
                self.publish_one(carrier, envelope).await
            }
            (sent, _) => sent,
        }
    }

    /// Sends envelopes together, each to whom it is for; answers each with who has it, in their order.
    pub async fn publish_all(&self, envelopes: Vec<Envelope>, now: Timestamp) -> Vec<(Envelope, Result<Taken<'_>, PublishError>)> {
        let mut answers: Vec<Option<(Envelope, Result<Taken<'_>, PublishError>)>> = envelopes.iter().map(|_| None).collect();
        let mut batches: Vec<Batch<'_>> = Vec::new();
        for (place, mut envelope) in envelopes.into_iter().enumerate() {
            self.name_destination(&mut envelope);
            match self.carrier(&envelope, now, true) {
                Err(error) => answers[place] = Some((envelope, Err(error))),
                Ok(carrier) => match batches.iter_mut().find(|batch| batch.carrier.is(carrier)) {
                    Some(batch) => {
                        batch.places.push(place);
                        batch.envelopes.push(envelope);
                    }
                    None => batches.push(Batch { carrier, places: vec![place], envelopes: vec![envelope] }),
                },
            }
        }
        for (Batch { carrier, places, envelopes }, sent) in join_all(batches.into_iter().map(|batch| self.hand_over_all(batch))).await {
            let sent = sent.into_iter().map(|sent| sent.map(|published| self.taken(carrier, published))).chain(repeat_with(unanswered));
            for (place, answer) in zip(places, zip(envelopes, sent)) {
                answers[place] = Some(answer);
            }
        }
        let mut answers: Vec<_> = answers.into_iter().flatten().collect();
        // What no transport can carry goes by the object store, where there is one.
        for (envelope, sent) in &mut answers {
            if matches!(sent, Err(PublishError::TooLarge { .. })) && self.objects.is_some() {
                *sent = match self.carrier(envelope, now, true) {
                    Ok(carrier) => self.publish_by(carrier, envelope, now).await.map(|published| self.taken(carrier, published)),
                    Err(error) => Err(error),
                };
            }
        }
        answers
    }

    /// Puts envelopes on their own queue again, whatever they wait for: what is due later than a queue can wait comes early, and is hidden then.
    pub async fn requeue(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        match self.aliases.get(&self.home) {
            Some(alias) => alias.transport.publish(envelopes).await,
            None => envelopes.iter().map(|_| unanswered()).collect(),
        }
    }

    /// Takes back what waits for its time outside of a queue, as far as that can be done. What comes all the same finds its id ended or moved.
    ///
    /// # Errors
    /// It may still come.
    pub async fn withdraw(&self, id: &str, run_after: Timestamp) -> Result<(), PublishError> {
        match &self.hold {
            Some(hold) => hold.withdraw(id, run_after).await,
            None => Ok(()),
        }
    }

    /// The name of what an envelope is handed to.
    ///
    /// # Errors
    /// It can go nowhere.
    pub fn route(&self, envelope: &Envelope, now: Timestamp) -> Result<&str, PublishError> {
        self.carrier(envelope, now, true).map(|carrier| carrier.name())
    }

    /// The name of the transport that an envelope is handed to at once, where that is not home.
    #[must_use]
    pub fn elsewhere_at_once(&self, envelope: &Envelope, now: Timestamp) -> Option<&str> {
        match self.carrier(envelope, now, true) {
            Ok(Carrier::Alias(name, _)) if *name != *self.home => Some(name),
            _ => None,
        }
    }

    /// Whose workers have an envelope when it is sent now, where they are asked how it ended. Of a bulk nobody could tell which payload a result is of.
    #[must_use]
    pub fn handed_on(&self, envelope: &Envelope, now: Timestamp) -> Option<HandedOn> {
        let Ok(Carrier::Alias(name, transport)) = self.carrier(envelope, now, true) else { return None };
        let within = transport.reads_results().filter(|_| *name != *self.home && !envelope.context.bulk)?;
        Some(HandedOn::now(name.to_owned(), envelope.destination.clone(), within, now))
    }

    /// Says of an envelope for elsewhere which queue it is for there, where nobody has said it.
    fn name_destination(&self, envelope: &mut Envelope) {
        if let Some(alias) =
            envelope.backend.as_deref().filter(|backend| **backend != *self.home).and_then(|backend| self.aliases.get(backend))
            && envelope.destination.is_none()
        {
            envelope.destination = Some(alias.destinations.nearest(&envelope.queue).to_owned());
        }
    }

    /// `at_once`: what is for another transport than home may go there from here.
    fn carrier(&self, envelope: &Envelope, now: Timestamp, at_once: bool) -> Result<Carrier<'_>, PublishError> {
        let wanted = envelope.backend.as_deref().unwrap_or(&self.home);
        let (name, alias) =
            self.aliases.get_key_value(wanted).ok_or_else(|| PublishError::Refused(format!("{wanted} {}", self.transports().unknown())))?;
        let TransportLimits { delay: longest, bytes } = alias.transport.limits();
        match &envelope.destination {
            Some(_) if *name == self.home => {
                return Err(PublishError::Refused(format!("{name} takes no destination: there a task names a queue")));
            }
            Some(destination) if !alias.destinations.has(destination) => {
                return Err(PublishError::Refused(format!("the destination {}", alias.destinations.unknown(name))));
            }
            _ => {}
        }
        let (delay, is_home) = (envelope.delay(now), *name == self.home);
        if delay <= longest && (is_home || at_once) {
            return Ok(Carrier::Alias(name, alias.transport.as_ref()));
        }
        if !is_home && envelope.arguments() > bytes {
            // It would only be told when it is due.
            return Err(PublishError::TooLarge { limit: bytes });
        }
        let home = self.aliases.get(&self.home).filter(|_| !is_home).map(|home| home.transport.as_ref());
        if let Some(home) = home.filter(|home| delay <= home.limits().delay) {
            return Ok(Carrier::Home(home, name));
        }
        match &self.hold {
            Some(hold) if delay <= hold.limits().delay => Ok(Carrier::Hold(hold.as_ref(), (!is_home).then_some(name.as_ref()))),
            hold => {
                let longest = home.map_or(longest, |home| home.limits().delay);
                let longest = hold.as_ref().map_or(longest, |hold| hold.limits().delay).as_secs();
                let hint = if hold.is_none() { "; for more, the operator sets ERRAND_QUEUE_ARN and ERRAND_SCHEDULER_ROLE_ARN" } else { "" };
                Err(PublishError::Refused(format!("a task can be delayed by {longest} seconds at most{hint}")))
            }
        }
    }

    /// Whether what this carrier takes comes to our own consumer first.
    fn comes_back(&self, carrier: Carrier<'_>) -> bool {
        match carrier {
            Carrier::Alias(name, _) => name == &*self.home,
            Carrier::Home(..) | Carrier::Hold(..) => true,
        }
    }

    fn taken<'a>(&self, carrier: Carrier<'a>, published: Published) -> Taken<'a> {
        let ran = matches!(carrier, Carrier::Alias(_, transport) if transport.runs());
        Taken { by: carrier.name(), elsewhere: (!ran && !self.comes_back(carrier)).then_some(published), ran }
    }

    async fn publish_one(&self, carrier: Carrier<'_>, envelope: &mut Envelope) -> Result<Published, PublishError> {
        self.hand_over(carrier, std::slice::from_mut(envelope)).await.pop().unwrap_or_else(unanswered)
    }

    async fn hand_over_all<'a>(&'a self, mut batch: Batch<'a>) -> (Batch<'a>, Sent) {
        let sent = self.hand_over(batch.carrier, &mut batch.envelopes).await;
        (batch, sent)
    }

    /// What an alias is handed says no more that it is for it; nor who is to be told how it ends, where we are told.
    async fn hand_over(&self, carrier: Carrier<'_>, envelopes: &mut [Envelope]) -> Sent {
        match carrier {
            Carrier::Hold(hold, _) => hold.hold(envelopes).await,
            Carrier::Home(home, _) => home.publish(envelopes).await,
            Carrier::Alias(_, transport) => {
                let told = transport.reads_results().is_some();
                let kept = |envelope: &mut Envelope| (envelope.backend.take(), envelope.callback_url.take_if(|_| told));
                let kept: Vec<_> = envelopes.iter_mut().map(kept).collect();
                let sent = transport.publish(envelopes).await;
                for (envelope, (backend, callback_url)) in zip(envelopes, kept) {
                    envelope.backend = backend;
                    envelope.callback_url = callback_url.or(envelope.callback_url.take());
                }
                sent
            }
        }
    }
}

impl<'a> Carrier<'a> {
    fn name(self) -> &'a str {
        match self {
            Self::Alias(name, _) | Self::Home(_, name) => name,
            Self::Hold(hold, alias) => alias.unwrap_or(hold.name()),
        }
    }

    fn is(self, other: Self) -> bool {
        mem::discriminant(&self) == mem::discriminant(&other) && ptr::eq(self.name(), other.name())
    }
}

fn unanswered<T>() -> Result<T, PublishError> {
    Err(PublishError::unanswered())
}

/// A key that only the same arguments of the same id at the same time have. Its first part says how long the object must live: what waits on a queue
/// and then as a dead letter is gone after 24 days, what is scheduled waits up to a year before.
fn object_key(envelope: &Envelope, now: Timestamp) -> String {
    let lifetime = if envelope.delay(now).is_zero() { "soon" } else { "late" };
    let [args, kwargs] = [&envelope.args, &envelope.kwargs].map(|json| json.as_deref().map_or("", RawValue::get));
    format!("{lifetime}/{}-{}", now.millis(), Digest::of_parts(&[&envelope.id, args, kwargs]).short())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_objects_key_is_made_of_the_arguments_in_every_build() {
        let now = Timestamp::from_millis(1_800_000_000_123);
        let kwargs = RawValue::from_string(r#"{"n":1e400}"#.to_owned()).ok();
        let soon = Envelope { kwargs, ..Envelope::new("order-7".to_owned(), "t".to_owned()) };
        assert_eq!(object_key(&soon, now), "soon/1800000000123-b321ed45436f9d2df3992e2781cb91fc");
        let late = Envelope { run_after: Some(now + Duration::from_secs(1)), ..soon };
        assert_eq!(object_key(&late, now), "late/1800000000123-b321ed45436f9d2df3992e2781cb91fc");
        assert!(crate::limits::object_key(&object_key(&late, now)).is_ok());
    }
}
