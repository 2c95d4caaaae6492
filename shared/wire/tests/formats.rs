//! What is written in a form is read back from it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use errand_core::{Context, Envelope, Fingerprint, Message, PublishError, Sender, Timestamp};
use errand_wire::{CloudEvents, Content, DjangoNotifs, DjangoTasks, Format, TaskKey, decode, django_notifs, encode};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json, value::RawValue};

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// The envelope in a text, and whose form it is of.
fn read(body: String) -> (Envelope, Sender) {
    let message = Message { id: "m-1".to_owned(), ..errand_wire::lambda::message(body) };
    let decoded = decode(&message).unwrap();
    match decoded.content {
        Content::Envelopes(mut envelopes) if envelopes.len() == 1 => (envelopes.remove(0), decoded.sender),
        other => panic!("{other:?}"),
    }
}

/// What a worker is to do, as text: with the one character escaped that not every queue takes.
fn work(envelope: &Envelope) -> (String, String, String, bool) {
    let args = if envelope.has_args() { envelope.args.as_deref().unwrap().get() } else { "[]" };
    let escaped = |json: &str| json.replace('\u{fffe}', r"\ufffe");
    (envelope.task.clone(), escaped(args), escaped(envelope.payload()), envelope.context.bulk)
}

const VALUES: [&str; 9] =
    ["1", "-0.0", "1e400", "12345678901234567890123", "null", "\"é\\u0000\\ud83d\\ude00\u{fffe}\"", "[1, {}]", "{\"a\": [true]}", "\"\""];

fn object() -> impl Strategy<Value = String> {
    let name = "[a-z\u{e9}]{1,8}";
    proptest::collection::btree_map(name, select(VALUES.to_vec()), 0..4).prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}: {value}", json!(name))).collect();
        format!("{{{}}}", fields.join(", "))
    })
}

fn list() -> impl Strategy<Value = String> {
    vec(select(VALUES.to_vec()), 0..4).prop_map(|values| format!("[{}]", values.join(",")))
}

prop_compose! {
    fn conditions()(
        id in "[!-~]{1,40}",
        task in "[A-Za-z0-9_.:-]{1,40}",
        (run_after, expires) in (option::of(0..4_000_000_000_000_i64), option::of(0..4_000_000_000_000_i64)),
        max_attempts in option::of(1..=100_u32),
        (group, user) in (option::of("[!-~]{1,20}"), option::of("[a-zé ]{1,20}")),
        (notification_id, queue) in (option::of("[a-z]{1,9}"), "[a-z]{1,9}"),
        content in any::<bool>(),
        traced in any::<bool>(),
    ) -> Envelope {
        let at = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        let (run_after, expires) = (at(run_after), at(expires));
        let trace = traced.then(|| "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
        let fingerprint: Option<Fingerprint> = content.then(|| Envelope::new(id.clone(), task.clone()).content());
        Envelope { run_after, expires, max_attempts, group, user, notification_id, queue, trace, fingerprint, ..Envelope::new(id, task) }
    }
}

fn envelopes() -> impl Strategy<Value = Envelope> {
    let work = (option::of(list()), option::of(object()), vec(object(), 0..3), any::<bool>(), option::of(object()));
    (conditions(), work).prop_map(|(envelope, (args, one, many, bulk, context))| {
        let kwargs = if bulk { Some(format!("[{}]", many.join(","))) } else { one };
        let context = if bulk { Some(r#"{"bulk": true,"x":1e400}"#.to_owned()) } else { context };
        let context = context.map(|json| Context::of(raw(&json))).unwrap_or_default();
        Envelope { args: args.as_deref().map(raw), kwargs: kwargs.as_deref().map(raw), context, ..envelope }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn errands_own_form_says_all_but_where_it_was_to_go(envelope in envelopes()) {
        let handed = Envelope { destination: Some("there".to_owned()), ..envelope.clone() };
        let (read, sender) = read(Format::Native.encode(&handed).unwrap());
        prop_assert_eq!((read.destination.clone(), read.backend.clone(), sender), (None, None, Sender::Native));
        prop_assert_eq!(encode(&read), encode(&envelope));
    }

    #[test]
    fn an_event_of_our_own_says_the_task_and_its_id(envelope in envelopes()) {
        let (read, sender) = read(Format::CloudEvents(CloudEvents::default()).encode(&envelope).unwrap());
        prop_assert_eq!(sender, Sender::CloudEvents);
        prop_assert_eq!(work(&read), work(&envelope));
        let told = |envelope: &Envelope| (envelope.id.clone(), envelope.expires, envelope.group.clone(), envelope.trace.clone());
        prop_assert_eq!(told(&read), told(&envelope));
    }

    /// Whoever knows it by its source and id finds it the same, whatever of an event there is.
    #[test]
    fn an_event_of_others_is_handed_on_as_it_came(
        (id, source, kind) in ("\\PC{1,20}", "[a-z/:]{1,20}", "\\PC{1,20}"),
        attributes in proptest::collection::btree_map("ext[a-z0-9]{1,9}", select(vec!["\"a\"", "7", "true"]), 0..3),
        known in proptest::collection::btree_set(select(vec!["subject", "dataschema", "partitionkey", "time", "expirytime"]), 0..4),
        data in option::of(prop_oneof![object(), list(), select(VALUES.to_vec()).prop_map(ToOwned::to_owned)]),
        bytes in any::<bool>(),
        group in option::of("[a-z]{1,9}"),
    ) {
        let mut event = json!({ "specversion": "1.0", "id": id, "source": source, "type": kind });
        for (name, value) in &attributes {
            event[name] = serde_json::from_str(value).unwrap();
        }
        for name in &known {
            event[*name] = json!(if name.ends_with("time") { "2026-11-20T20:30:15.123456+00:00" } else { "a" });
        }
        let mut text = event.to_string();
        let end = match data.as_deref().filter(|data| *data != "null") {
            _ if bytes => r#","datacontenttype":"application/octet-stream","data_base64":"AP8="}"#.to_owned(),
            Some(data) => format!(",\"data\":{data}}}"),
            None => "}".to_owned(),
        };
        text.replace_range(text.len() - 1.., &end);
        let (mut read, _) = read(text.clone());
        let keyless = group.is_some() && !known.contains("partitionkey");
        read.group = group.clone().or(read.group);
        let handed = Format::CloudEvents(CloudEvents::default()).encode(&read).unwrap();
        let end = end.replace('\u{fffe}', r"\ufffe");
        let data = end.strip_prefix(',').and_then(|end| end.strip_suffix('}')).and_then(|end| end.rsplit_once("\":")).map(|(_, data)| data);
        prop_assert!(data.is_none_or(|data| handed.contains(data)), "digit for digit: {handed}");
        let as_value = |text: &str| serde_json::from_str::<Value>(&text.replace("1e400", "1")).unwrap();
        let (mut handed, event) = (as_value(&handed), as_value(&text));
        if keyless {
            prop_assert_eq!(handed.as_object_mut().unwrap().remove("partitionkey"), group.map(Value::from));
        }
        prop_assert_eq!(handed, event);
    }

    #[test]
    fn django_tasks_clouds_form_says_the_task(envelope in envelopes(), named in any::<bool>()) {
        let format = Format::DjangoTasks(DjangoTasks { key: if named { TaskKey::TaskName } else { TaskKey::Task } });
        match format.encode(&envelope) {
            Ok(body) => {
                let (read, sender) = read(body);
                prop_assert_eq!(sender, Sender::DjangoTasksCloud);
                prop_assert_eq!(work(&read), work(&envelope));
            }
            Err(error) => prop_assert!(envelope.context.bulk && matches!(error, PublishError::Refused(_))),
        }
    }

    #[test]
    fn django_notifs_form_says_the_provider_and_its_payload(envelope in envelopes(), provider_class in any::<bool>(), known in any::<bool>()) {
        let task = if known { "email".to_owned() } else { envelope.task.clone() };
        // A context of this name is no more than what it says of many payloads.
        let envelope = Envelope { task, ..envelope };
        let options = DjangoNotifs { provider_class, ..DjangoNotifs::default() };
        match Format::DjangoNotifs(options).encode(&envelope) {
            Ok(body) => {
                let (read, sender) = read(body);
                prop_assert_eq!(sender, Sender::DjangoNotifs);
                prop_assert_eq!(work(&read), work(&envelope));
            }
            Err(error) => {
                let has_class = envelope.task.contains('.') || known || !provider_class;
                prop_assert!((envelope.has_args() || !has_class) && matches!(error, PublishError::Refused(_)));
            }
        }
    }
}

fn envelope(task: &str, kwargs: &str) -> Envelope {
    Envelope { kwargs: Some(raw(kwargs)), ..Envelope::new("a".to_owned(), task.to_owned()) }
}

#[test]
fn each_form_is_what_its_readers_know() {
    let task = envelope("orders.ship", r#"{"n":1e2}"#);
    let written = |format: &str| serde_json::from_str::<Format>(format).unwrap().encode(&task).unwrap();
    assert_eq!(written(r#""native""#), r#"{"task":"orders.ship","id":"a","kwargs":{"n":1e2},"queue":"default"}"#);
    assert_eq!(
        written(r#""cloudevents""#),
        r#"{"specversion":"1.0","type":"orders.ship","source":"errand","id":"a","datacontenttype":"application/json","data":{"n":1e2}}"#
    );
    assert_eq!(written(r#""django-tasks""#), r#"{"task":"orders.ship","args":[],"kwargs":{"n":1e2}}"#);
    assert_eq!(written(r#"{"django-tasks":{"key":"task_name"}}"#), r#"{"task_name":"orders.ship","args":[],"kwargs":{"n":1e2}}"#);
    assert_eq!(written(r#"{"django-notifs":{"provider_class":false}}"#), r#"{"provider":"orders.ship","payload":{"n":1e2},"context":{}}"#);
    let class = |task: &str| {
        let format: Format = serde_json::from_str(r#"{"django-notifs":{"provider_classes":{"audit":"shop.Audit"}}}"#).unwrap();
        let body: Value = serde_json::from_str(&format.encode(&envelope(task, "{}")).unwrap()).unwrap();
        body["provider_class"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        ["email", "audit", "shop.notices.Fax"].map(class),
        ["notifications.providers.email.EmailNotificationProvider", "shop.Audit", "shop.notices.Fax"]
    );
}

#[test]
fn an_event_of_anothers_source_has_an_id_of_both() {
    let format: Format = serde_json::from_str(r#"{"cloudevents":{"source":"/shop"}}"#).unwrap();
    let task = Envelope { args: Some(raw("[1]")), ..envelope("t", "{}") };
    let (read, _) = read(format.encode(&task).unwrap());
    assert!(read.id.starts_with("ce-"), "{}", read.id);
    assert_eq!(work(&read), work(&task));
}

#[test]
fn a_worker_of_functions_is_given_what_consume_takes() {
    let bulk = Envelope { context: Context::of(raw(r#"{"bulk":true}"#)), ..envelope("email", "[{},{}]") };
    let call = django_notifs::call(&bulk, django_notifs::CELERY_TASK, &DjangoNotifs::default()).unwrap();
    let class = "notifications.providers.email.EmailNotificationProvider";
    let args: Value = serde_json::from_str(call.args.as_deref().unwrap().get()).unwrap();
    assert_eq!(args, json!(["email", class, [{}, {}], { "bulk": true }]));
    assert_eq!(
        (call.task.as_str(), call.id.as_str(), call.kwargs.is_none(), call.context.bulk),
        (django_notifs::CELERY_TASK, "a", true, false)
    );
    let without = DjangoNotifs { provider_class: false, ..DjangoNotifs::default() };
    let call = django_notifs::call(&envelope("email", "{}"), django_notifs::RQ_FUNCTION, &without).unwrap();
    assert_eq!(call.args.as_deref().unwrap().get(), r#"["email",{},{}]"#);
}
