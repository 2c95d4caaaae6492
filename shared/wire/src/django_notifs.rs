//! django-notifs' `{"provider": …, "payload": …, "context": {…}}`, of its backend for SQS and Lambda; with `provider_class` in the released version.
//! <https://github.com/danidee10/django-notifs>
//!
//! What `notify` was given as `countdown` is the message's own delay, which is over when it is received.

use std::borrow::Cow;

use errand_core::{
    Context, Envelope, Fields, Problems, PublishError,
    json::{self, Object},
    limits,
};
use serde_json::value::RawValue;

use crate::{format::DjangoNotifs, native};

/// The task of its Celery backend. <https://github.com/danidee10/django-notifs/blob/master/notifications/backends/celery.py>
pub const CELERY_TASK: &str = "notifications.backends.celery.consume";

/// What its workers of RQ call. <https://github.com/danidee10/django-notifs/blob/master/notifications/backends/rq.py>
pub const RQ_FUNCTION: &str = "notifications.backends.rq.RQBackend.consume";

/// The module and the class of each of its own providers, by name. <https://github.com/danidee10/django-notifs/tree/master/notifications/providers>
const CLASSES: [(&str, &str); 7] = [
    ("console", "ConsoleNotificationProvider"),
    ("django_channels", "DjangoChannelsNotificationProvider"),
    ("django_sms", "DjangoSMSNotificationProvider"),
    ("email", "EmailNotificationProvider"),
    ("fcm_web", "FCMWebNotificationProvider"),
    ("pusher_channels", "PusherChannelsNotificationProvider"),
    ("slack", "SlackNotificationProvider"),
];

/// The text of an envelope, for its consumer of SQS.
///
/// # Errors
/// It holds what a provider is not given.
pub(crate) fn encode(envelope: &Envelope, options: &DjangoNotifs) -> Result<String, PublishError> {
    fields(envelope, options).map(|fields| native::escape(fields.end()))
}

/// The envelope that has a worker of functions consume this one: the function that is named, with the arguments that it takes.
///
/// # Errors
/// It holds what a provider is not given.
pub fn call(envelope: &Envelope, consume: &str, options: &DjangoNotifs) -> Result<Envelope, PublishError> {
    let class = class(envelope, options)?.map(|class| json::text(&class));
    let provider = json::text(&envelope.task);
    let args = [Some(provider.as_str()), class.as_deref(), Some(envelope.payload()), Some(context(envelope))];
    let args = format!("[{}]", args.into_iter().flatten().collect::<Vec<_>>().join(","));
    let context = Context { bulk: false, ..envelope.context.clone() };
    Ok(Envelope { task: consume.to_owned(), args: RawValue::from_string(args).ok(), kwargs: None, context, ..envelope.clone() })
}

/// The object that its consumers of SQS and of Channels take.
///
/// # Errors
/// It holds what a provider is not given.
pub fn fields(envelope: &Envelope, options: &DjangoNotifs) -> Result<Object, PublishError> {
    let class = class(envelope, options)?;
    let mut fields = Object::new();
    fields.field("provider", &json::text(&envelope.task));
    class.iter().for_each(|class| fields.field("provider_class", &json::text(class)));
    fields.field("payload", envelope.payload());
    fields.field("context", context(envelope));
    Ok(fields)
}

/// The class of an envelope's provider, where it is to be said.
fn class<'a>(envelope: &'a Envelope, options: &'a DjangoNotifs) -> Result<Option<Cow<'a, str>>, PublishError> {
    if envelope.has_args() {
        return Err(PublishError::Refused("the format django-notifs has a payload alone, which is kwargs: expected no args".to_owned()));
    }
    if !options.provider_class {
        return Ok(None);
    }
    let task = envelope.task.as_str();
    let own =
        || CLASSES.iter().find(|(name, _)| *name == task).map(|(name, class)| format!("notifications.providers.{name}.{class}").into());
    let class = options.provider_classes.get(task).map(|class| Cow::Borrowed(class.as_str())).or_else(own);
    let class = class.or_else(|| task.contains('.').then_some(Cow::Borrowed(task)));
    let unknown = || {
        PublishError::Refused(
            "django-notifs has no provider of the task's name: the operator names its class in provider_classes".to_owned(),
        )
    };
    class.map(Some).ok_or_else(unknown)
}

/// The context as its providers are given it.
fn context(envelope: &Envelope) -> &str {
    envelope.context.json.as_deref().map_or("{}", RawValue::get)
}

/// A provider that takes one payload for many recipients, rather than many payloads.
const TAKES_ALL_AT_ONCE: &str = "fcm";

/// A message's envelope; `id` is that of the message.
pub(crate) fn read(mut fields: Fields<'_>, id: &str) -> Result<Envelope, Problems> {
    let provider = fields.text("provider", limits::task);
    let context = fields.raw("context");
    let envelope = envelope(&mut fields, id, provider.unwrap_or_default(), context);
    fields.finish(envelope)
}

/// The envelope that the arguments of its Celery task are: provider, sometimes the provider's class, payload and context.
pub(crate) fn of_celery(args: &str, id: &str) -> Result<Envelope, Problems> {
    let named = match serde_json::from_str::<Vec<&RawValue>>(args).unwrap_or_default()[..] {
        [provider, payload, context] | [provider, _, payload, context] => {
            format!(r#"{{"provider":{provider},"payload":{payload},"context":{context}}}"#)
        }
        _ => return Err(Problems::whole("expected the arguments provider, payload and context")),
    };
    read(Fields::of(&named)?, id)
}

fn envelope(fields: &mut Fields<'_>, id: &str, provider: String, context: Option<&RawValue>) -> Option<Envelope> {
    // Its consumer compares with `is True`: any other value means one payload.
    let said = fields.object("context", |context| Some(context.raw("bulk").map(|bulk| bulk.get().to_owned()))).flatten();
    let many = said.as_deref() == Some("true");
    let payload = match fields.raw("payload").map(RawValue::get) {
        None | Some("") => {
            fields.refuse("payload", "is required");
            return None;
        }
        Some(json) if many && json.starts_with('[') => json.to_owned(),
        // Its own websocket channel sends one payload though the context says that there are many.
        Some(json) if many && json.starts_with('{') && provider != TAKES_ALL_AT_ONCE => format!("[{json}]"),
        Some(json) if json.starts_with('{') => json.to_owned(),
        Some(_) => {
            fields.refuse("payload", if many { "expected an array of payloads, or a payload" } else { "expected an object" });
            return None;
        }
    };
    let bulk = payload.starts_with('[');
    let context = context.map(|context| if bulk || said.is_none() { context.to_owned() } else { without_bulk(context) });
    let kwargs = RawValue::from_string(payload).ok();
    Some(Envelope { kwargs, context: Context { bulk, follow_ups: false, json: context }, ..Envelope::new(id.to_owned(), provider) })
}

/// A context without a `bulk` that means nothing here.
fn without_bulk(context: &RawValue) -> Box<RawValue> {
    let Ok(fields) = Fields::of(context.get()) else { return context.to_owned() };
    let mut without = Object::new();
    fields.into_entries().iter().filter(|(name, _)| name != "bulk").for_each(|(name, json)| without.field(name, json.get()));
    without.raw().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(body: &str) -> (String, bool, String) {
        let envelope = read(Fields::of(body).unwrap(), "m").unwrap();
        (envelope.payload().to_owned(), envelope.context.bulk, envelope.context.json.map_or_else(String::new, |json| json.get().to_owned()))
    }

    #[test]
    fn many_payloads_are_many_only_when_bulk_is_true() {
        let told = |payload: &str, bulk, context: &str| (payload.to_owned(), bulk, context.to_owned());
        for (body, expected) in [
            (r#"{"provider":"p","payload":{"a":1},"context":{}}"#, told(r#"{"a":1}"#, false, "{}")),
            (r#"{"provider":"p","payload":[{},{}],"context":{"bulk":true}}"#, told("[{},{}]", true, r#"{"bulk":true}"#)),
            (r#"{"provider":"p","payload":{"a":1},"context":{"bulk":1,"x":2}}"#, told(r#"{"a":1}"#, false, r#"{"x":2}"#)),
            (r#"{"provider":"p","payload":{"a":1},"context":{"bulk":true}}"#, told(r#"[{"a":1}]"#, true, r#"{"bulk":true}"#)),
            (r#"{"provider":"fcm","payload":{"a":1},"context":{"bulk":true}}"#, told(r#"{"a":1}"#, false, "{}")),
            (r#"{"provider":"p","provider_class":"a.b.C","payload":{}}"#, told("{}", false, "")),
        ] {
            assert_eq!(payload(body), expected, "{body}");
        }
    }

    #[test]
    fn wrong_fields_are_named() {
        let problems = |body: &str| read(Fields::of(body).unwrap(), "m").unwrap_err().to_string();
        assert_eq!(
            problems(r#"{"provider":7,"payload":"x","context":[]}"#),
            "/provider: expected a string, got a number; /context: expected a JSON object, got an array; /payload: expected an object"
        );
        assert!(of_celery(r#"["email"]"#, "m").unwrap_err().to_string().contains("provider, payload and context"));
        assert_eq!(of_celery(r#"["email","a.B",{"to":[]},{"x":1}]"#, "m").unwrap().task, "email");
    }
}
