use std::fmt;

use crate::{Aliases, Fields, Place, Problems, Text, tell_unread};

/// What a provider takes: an envelope's `kwargs`. Payload types know no provider, so that a call can be checked before it is queued, and several
/// providers can take the same.
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
        Taker::of("").read(kwargs)
    }

    /// Reads the payload of a message, whose sender cannot be told: a field that is not known is logged, once. `limits` are those of the provider that is to
    /// deliver it.
    ///
    /// # Errors
    /// All that is wrong with it.
    fn from_message(task: &str, kwargs: &str, limits: Limits<Self>) -> Result<Self, Problems> {
        let mut fields = Fields::of(kwargs)?.noting();
        let payload = read(&mut fields, limits);
        tell_unread(task, &fields.unread());
        fields.finish(payload)
    }
}

/// What of a payload a provider cannot do: notes it in the fields that the payload was read from.
pub type Limits<P> = fn(&P, &mut Fields<'_>);

/// What is missing to deliver a payload where only some settings are set, which the second argument tells by their names.
pub type Lacks<P> = fn(&P, &dyn Fn(&str) -> bool) -> Option<Lack>;

/// Reads a payload for a provider with these limits.
pub(super) fn read<P: Payload>(fields: &mut Fields<'_>, limits: Limits<P>) -> Option<P> {
    fields.aliases(P::ALIASES);
    let payload = P::read(fields)?;
    limits(&payload, fields);
    Some(payload)
}

/// A provider, as far as those need to know it who check calls for it.
pub struct Taker<P> {
    pub(super) provider: &'static str,
    needs: &'static [&'static str],
    lacks: Lacks<P>,
    pub(super) limits: Limits<P>,
}

impl<P: Payload> Taker<P> {
    /// The provider of this name, which takes every payload and needs no setting.
    #[must_use]
    pub const fn of(provider: &'static str) -> Self {
        Self { provider, needs: &[], lacks: |_, _| None, limits: |_, _| {} }
    }

    /// Its name.
    #[must_use]
    pub const fn provider(&self) -> &'static str {
        self.provider
    }

    /// Reads the payload of a call, as [`Payload::from_json`] does, within what the provider can do.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(&self, kwargs: &str) -> Result<P, Problems> {
        let mut fields = Fields::of(kwargs)?.strict();
        let payload = read(&mut fields, self.limits);
        fields.finish(payload)
    }

    /// With the settings that it needs for every payload.
    #[must_use]
    pub const fn needing(self, settings: &'static [&'static str]) -> Self {
        Self { needs: settings, ..self }
    }

    /// With what is missing to deliver a payload, where that depends on it.
    #[must_use]
    pub const fn lacking(self, lacks: Lacks<P>) -> Self {
        Self { lacks, ..self }
    }

    /// What is missing to deliver a payload, where `has` tells the settings that there are.
    pub(super) fn lack(&self, payload: &P, has: &dyn Fn(&str) -> bool) -> Option<Lack> {
        let needed = self.needs.iter().find(|setting| !has(setting));
        needed.map(|setting| Lack::Setting(setting)).or_else(|| (self.lacks)(payload, has))
    }

    /// With what of a payload it cannot do.
    #[must_use]
    pub const fn within(self, limits: Limits<P>) -> Self {
        Self { limits, ..self }
    }
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

/// [`Payload::text`] of a type.
pub type Texts = fn(&Place<'_>) -> Text;

/// What takes anything: the tasks of somebody's own code.
pub(crate) struct Anything;

impl Payload for Anything {
    fn read(_: &mut Fields<'_>) -> Option<Self> {
        Some(Self)
    }
}
