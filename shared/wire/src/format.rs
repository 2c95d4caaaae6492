use std::{collections::BTreeMap, fmt};

use errand_core::{Envelope, PublishError};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Unexpected, Visitor},
};

use crate::{cloudevents, django_notifs, django_tasks, native};

/// In whose form a transport writes what it hands over: an option, by the format's name, or by an object of its name and its own options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `native`: Errand's own.
    #[default]
    Native,
    /// `cloudevents`: a CloudEvent in structured mode.
    CloudEvents(CloudEvents),
    /// `django-tasks`: what django-tasks-cloud sends.
    DjangoTasks(DjangoTasks),
    /// `django-notifs`: what django-notifs' own consumers take.
    DjangoNotifs(DjangoNotifs),
}

/// The options of `cloudevents`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudEvents {
    /// The `source` of the events. Of Errand's own, a reader takes the ids as they are.
    pub source: String,
}

impl Default for CloudEvents {
    fn default() -> Self {
        Self { source: cloudevents::SOURCE.to_owned() }
    }
}

/// The options of `django-tasks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DjangoTasks {
    /// What the task's name is called.
    pub key: TaskKey,
}

/// What django-tasks-cloud calls a task's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKey {
    /// As its code has it.
    #[default]
    Task,
    /// As its documentation has it.
    TaskName,
}

/// The options of `django-notifs`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DjangoNotifs {
    /// Whether the provider's class is said, as the released version (4.0.0) wants it; the later one of its repository refuses that in arguments.
    pub provider_class: bool,
    /// The classes of providers of one's own, by the providers' names: a path that Python can import. A task whose name has a dot is its own class otherwise.
    pub provider_classes: BTreeMap<String, String>,
}

impl Default for DjangoNotifs {
    fn default() -> Self {
        Self { provider_class: true, provider_classes: BTreeMap::new() }
    }
}

impl Format {
    /// Their names.
    pub const NAMES: [&str; 4] = ["native", "cloudevents", "django-tasks", "django-notifs"];

    /// The text of an envelope.
    ///
    /// # Errors
    /// The envelope holds what the form cannot say.
    pub fn encode(&self, envelope: &Envelope) -> Result<String, PublishError> {
        match self {
            Self::Native => Ok(native::encode(envelope)),
            Self::CloudEvents(CloudEvents { source }) => Ok(cloudevents::encode(envelope, source, None)),
            Self::DjangoTasks(options) => django_tasks::encode(envelope, *options),
            Self::DjangoNotifs(options) => django_notifs::encode(envelope, options),
        }
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ByName)
    }
}

struct ByName;

impl<'de> Visitor<'de> for ByName {
    type Value = Format;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of {}, or an object of its name and options", Format::NAMES.join(", "))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Format, E> {
        match name {
            "native" => Ok(Format::Native),
            "cloudevents" => Ok(Format::CloudEvents(CloudEvents::default())),
            "django-tasks" => Ok(Format::DjangoTasks(DjangoTasks::default())),
            "django-notifs" => Ok(Format::DjangoNotifs(DjangoNotifs::default())),
            _ => Err(E::invalid_value(Unexpected::Str(name), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Format, A::Error> {
        let name: Option<String> = map.next_key()?;
        let format = match name.as_deref() {
            Some("cloudevents") => Format::CloudEvents(map.next_value()?),
            Some("django-tasks") => Format::DjangoTasks(map.next_value()?),
            Some("django-notifs") => Format::DjangoNotifs(map.next_value()?),
            _ => return Err(A::Error::invalid_type(Unexpected::Map, &self)),
        };
        match map.next_key::<IgnoredAny>()? {
            None => Ok(format),
            Some(_) => Err(A::Error::custom("expected one format")),
        }
    }
}

#[cfg(test)]
mod tests {
    use errand_core::Fields;

    use super::*;

    fn read(json: &str) -> Result<Format, String> {
        Fields::value(json).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_format_is_its_name_or_an_object_of_its_options() {
        for (name, expected) in [
            ("native", Format::Native),
            ("cloudevents", Format::CloudEvents(CloudEvents { source: "errand".to_owned() })),
            ("django-tasks", Format::DjangoTasks(DjangoTasks::default())),
            ("django-notifs", Format::DjangoNotifs(DjangoNotifs::default())),
        ] {
            assert_eq!(read(&format!("{name:?}")), Ok(expected.clone()));
            assert!(name == "native" || read(&format!("{{{name:?}:{{}}}}")) == Ok(expected), "{name}");
            assert!(Format::NAMES.contains(&name));
        }
        assert_eq!(read(r#"{"django-tasks":{"key":"task_name"}}"#), Ok(Format::DjangoTasks(DjangoTasks { key: TaskKey::TaskName })));
        let classes = [("audit".to_owned(), "shop.Audit".to_owned())].into();
        let notifs = DjangoNotifs { provider_class: true, provider_classes: classes };
        assert_eq!(read(r#"{"django-notifs":{"provider_classes":{"audit":"shop.Audit"}}}"#), Ok(Format::DjangoNotifs(notifs)));
    }

    #[test]
    fn what_is_none_is_told_with_its_place() {
        for (json, told) in [
            (r#""celery""#, "expected one of native, cloudevents, django-tasks, django-notifs, or an object of its name and options"),
            ("7", "expected one of native, cloudevents"),
            ("{}", "expected one of native, cloudevents"),
            (r#"{"native":{}}"#, "expected one of native, cloudevents"),
            (r#"{"django-tasks":{"key":"name"}}"#, "/django-tasks/key: "),
            (r#"{"django-tasks":{"kee":"task"}}"#, "/django-tasks/kee: "),
            (r#"{"cloudevents":{},"django-tasks":{}}"#, "expected one format"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.starts_with(told), "{json}: {error}");
        }
    }
}
