//! Tasks that another task does, whose payload is made of their arguments.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde_json::{Map, Value, value::RawValue};

use super::text::MENTIONS;
use crate::{
    BoxFuture, DeliveryError, Envelope, ErrorKind, Fields, Job, Json, Parts, Place, Problems, Ran, Task, Text, Texts, Work, is_mention,
    json,
};

/// What a route says that names a task: `{"task":"email","payload":{"to":["/args/0"],"subject":"/kwargs/subject"}}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// The task that does it.
    pub(crate) task: String,
    /// Its payload; without one, the payload is the task's `kwargs`.
    pub(crate) payload: Option<Template>,
    /// The same as it was written.
    written: Map<String, Value>,
}

/// JSON in which a text that begins with one of [`ROOTS`] is a JSON pointer (RFC 6901) to what stands in its place, and in other texts such a pointer in braces is
/// one to a text: `"{/kwargs/name} is {/kwargs/state}"`. What is pointed at is taken as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Template {
    /// JSON that stays as it is.
    Constant(String),
    /// What the pointer points to; left out where that is nothing.
    Pointer(Pointer),
    /// A text of its parts, in which nothing is an empty text, and what is pointed at is written as its kind wants it.
    Text(Vec<Part>, Text),
    Array(Vec<Template>),
    /// The fields in their order, with their names as JSON.
    Object(Vec<(String, Template)>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Literal(String),
    Pointer(Pointer),
}

/// A JSON pointer that begins with one of [`ROOTS`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pointer {
    root: String,
    /// The rest of the pointer.
    path: String,
}

/// What pointers may point into.
const ROOTS: [&str; 3] = ["args", "kwargs", "context"];

impl Mapping {
    pub(crate) fn read(json: &RawValue) -> Result<Self, String> {
        let fields = Fields::of(json.get()).map(Fields::strict).and_then(|mut fields| {
            let (task, payload) = (fields.required::<String>("task"), fields.json("payload", '{', "an object"));
            fields.finish(task.map(|task| (task, payload)))
        });
        let (task, payload) = fields.map_err(|problems| problems.to_string())?;
        let written = payload.and_then(|payload| serde_json::from_str(payload.get()).ok()).unwrap_or_default();
        let payload = payload.map(Template::read).transpose()?;
        Ok(Self { task, payload, written })
    }
}

impl Template {
    fn read(json: &RawValue) -> Result<Self, String> {
        let wrong = |problems: Problems| format!("payload: {problems}");
        Ok(match json.get().as_bytes() {
            [b'"', ..] => {
                let text: String = Fields::value(json.get()).map_err(wrong)?;
                match (Pointer::read(&text), parts(&text)) {
                    (Some(pointer), _) => Self::Pointer(pointer),
                    (None, Some(parts)) => Self::Text(parts, Text::Plain),
                    (None, None) => Self::Constant(json.get().to_owned()),
                }
            }
            [b'[', ..] => {
                let values: Vec<&RawValue> = Fields::value(json.get()).map_err(wrong)?;
                Self::Array(values.into_iter().map(Self::read).collect::<Result<_, _>>()?)
            }
            [b'{', ..] => {
                let fields = Fields::of(json.get()).map_err(wrong)?;
                let fields = fields.into_entries().into_iter().map(|(name, value)| Ok((json::text(&name), Self::read(value)?)));
                Self::Object(fields.collect::<Result<_, String>>()?)
            }
            _ => Self::Constant(json.get().to_owned()),
        })
    }

    /// The same for a task whose texts are of these kinds; `written` is what stands here.
    fn of<'a>(&self, texts: Texts, place: Place<'a>, path: &mut Vec<&'a str>, written: &'a Value) -> Self {
        match (self, written) {
            (Self::Text(parts, _), _) => Self::Text(parts.clone(), texts(&Place { path, ..place })),
            (Self::Array(values), Value::Array(written)) => {
                Self::Array(values.iter().zip(written).map(|(value, written)| value.of(texts, place, path, written)).collect())
            }
            (Self::Object(fields), Value::Object(parent)) => Self::Object(of_all(fields, texts, Place { parent, ..place }, path)),
            (other, _) => other.clone(),
        }
    }

    /// Writes the JSON that it makes of an envelope; answers whether there is any.
    fn write(&self, envelope: &Envelope, to: &mut String) -> bool {
        match self {
            Self::Constant(json) => to.push_str(json),
            Self::Pointer(pointer) => match pointer.find(envelope) {
                Some(found) => to.push_str(found.get()),
                None => return false,
            },
            Self::Text(parts, kind) => {
                let mut text = String::new();
                parts.iter().for_each(|part| part.write(*kind, envelope, &mut text));
                to.push_str(&json::text(&text));
            }
            Self::Array(values) => write_all(to, ['[', ']'], values.iter().map(|value| ("", value)), envelope),
            Self::Object(fields) => write_all(to, ['{', '}'], fields.iter().map(|(name, value)| (name.as_str(), value)), envelope),
        }
        true
    }
}

fn of_all<'a>(fields: &[(String, Template)], texts: Texts, place: Place<'a>, path: &mut Vec<&'a str>) -> Vec<(String, Template)> {
    let each = fields.iter().map(|(name, field)| {
        let plain: String = serde_json::from_str(name).unwrap_or_default();
        let Some((known, written)) = place.parent.get_key_value(&plain) else { return (name.clone(), field.clone()) };
        path.push(known);
        let field = field.of(texts, place, path, written);
        path.pop();
        (name.clone(), field)
    });
    each.collect()
}

/// Writes what there is of an array's values or, with their names, of an object's fields.
fn write_all<'a>(to: &mut String, [open, close]: [char; 2], members: impl Iterator<Item = (&'a str, &'a Template)>, envelope: &Envelope) {
    to.push(open);
    let start = to.len();
    for (name, value) in members {
        let before = to.len();
        if before > start {
            to.push(',');
        }
        if !name.is_empty() {
            to.push_str(name);
            to.push(':');
        }
        if !value.write(envelope, to) {
            to.truncate(before);
        }
    }
    to.push(close);
}

/// The parts of a text that has pointers in braces. Other braces stand for themselves, and so do those behind one more: `{{/kwargs/a}` is `{/kwargs/a}`.
fn parts(text: &str) -> Option<Vec<Part>> {
    let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        literal.push_str(before);
        let found = after.split_once('}').and_then(|(inside, rest)| Some((Pointer::read(inside)?, rest)));
        let escaped =
            after.strip_prefix('{').filter(|after| after.split_once('}').is_some_and(|(inside, _)| Pointer::read(inside).is_some()));
        rest = match (found, escaped) {
            (Some((pointer, rest)), _) => {
                parts.extend([Part::Literal(std::mem::take(&mut literal)), Part::Pointer(pointer)]);
                rest
            }
            (None, escaped) => {
                literal.push('{');
                escaped.unwrap_or(after)
            }
        };
    }
    literal.push_str(rest);
    // What holds no pointer and no escaped one is what it was.
    if parts.is_empty() && literal == text {
        return None;
    }
    parts.push(Part::Literal(literal));
    Some(parts)
}

impl Part {
    /// Writes it into a text of this kind.
    fn write(&self, kind: Text, envelope: &Envelope, text: &mut String) {
        match self {
            Self::Literal(literal) => text.push_str(literal),
            Self::Pointer(pointer) => {
                let Some(found) = pointer.find(envelope) else { return };
                let value = serde_json::from_str::<String>(found.get()).unwrap_or_else(|_| found.get().to_owned());
                // Nobody is there to be told that a link is none.
                let calls = kind == Text::Slack && text.ends_with('<') && is_mention(&value);
                let value = if calls { value.trim_start_matches(|c: char| c.is_whitespace() || MENTIONS.contains(&c)) } else { &value };
                text.push_str(&kind.escape(value));
            }
        }
    }
}

impl Pointer {
    fn read(text: &str) -> Option<Self> {
        let (root, path) = text.strip_prefix('/').map(|text| text.split_at(text.find('/').unwrap_or(text.len())))?;
        ROOTS.contains(&root).then(|| Self { root: root.to_owned(), path: path.to_owned() })
    }

    /// What it points to; `None` where nothing is, or null.
    fn find<'a>(&self, envelope: &'a Envelope) -> Option<&'a RawValue> {
        let root = match self.root.as_str() {
            "args" => envelope.args.as_deref(),
            "kwargs" => envelope.kwargs.as_deref(),
            _ => envelope.context.json.as_deref(),
        };
        json::at(root?.get(), &self.path).filter(|found| found.get() != "null")
    }
}

/// A task under another name.
pub(crate) struct Mapped {
    task: Arc<dyn Task>,
    name: String,
    payload: Option<Template>,
}

impl Mapped {
    pub(crate) fn new(task: Arc<dyn Task>, mapping: &Mapping) -> Self {
        let place = Place { payload: &mapping.written, parent: &mapping.written, path: &[] };
        let payload = mapping.payload.as_ref().map(|payload| match payload {
            Template::Object(fields) => Template::Object(of_all(fields, task.texts(), place, &mut Vec::new())),
            other => other.clone(),
        });
        Self { task, name: mapping.task.clone(), payload }
    }

    /// The envelope that the other task is given.
    fn envelope(&self, envelope: &Envelope) -> Result<Envelope, DeliveryError> {
        let task = self.name.clone();
        let Some(payload) = &self.payload else { return Ok(Envelope { task, ..envelope.clone() }) };
        let mut json = String::new();
        payload.write(envelope, &mut json);
        let kwargs = RawValue::from_string(json);
        let kwargs = kwargs.map_err(|_| DeliveryError::new(ErrorKind::InvalidPayload, "no payload can be made of the arguments"))?;
        Ok(Envelope { task, args: None, kwargs: Some(kwargs), ..envelope.clone() })
    }
}

impl Task for Mapped {
    fn provider(&self) -> &'static str {
        self.task.provider()
    }

    fn circuit(&self) -> &str {
        self.task.circuit()
    }

    fn timeout(&self) -> Duration {
        self.task.timeout()
    }

    fn texts(&self) -> Texts {
        self.task.texts()
    }

    fn hands_over(&self) -> bool {
        self.task.hands_over()
    }

    fn read<'a>(&'a self, envelope: &Envelope) -> Result<Box<dyn Work + 'a>, DeliveryError> {
        let envelope = self.envelope(envelope)?;
        Ok(Box::new(Made { work: self.task.read(&envelope)?, envelope }))
    }
}

/// What was made of an envelope for another task, and what that read.
struct Made<'t> {
    work: Box<dyn Work + 't>,
    envelope: Envelope,
}

impl Work for Made<'_> {
    fn parts(&self) -> Option<&dyn Parts> {
        self.work.parts().map(|_| self as _)
    }

    fn run<'a>(self: Box<Self>, job: Job<'a>) -> BoxFuture<'a, Result<Ran, DeliveryError>>
    where
        Self: 'a,
    {
        async move {
            let Self { work, envelope } = *self;
            work.run(Job { envelope: &envelope, ..job }).await
        }
        .boxed()
    }
}

impl Parts for Made<'_> {
    fn count(&self) -> usize {
        self.work.parts().map_or(1, Parts::count)
    }

    fn at_once(&self) -> usize {
        self.work.parts().map_or(1, Parts::at_once)
    }

    fn together(&self) -> usize {
        self.work.parts().map_or(1, Parts::together)
    }

    fn deliver<'a>(&'a self, parts: &'a [usize], job: Job<'a>) -> BoxFuture<'a, Vec<Result<Json, DeliveryError>>> {
        match self.work.parts() {
            Some(all) => all.deliver(parts, Job { envelope: &self.envelope, ..job }),
            None => async { Vec::new() }.boxed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn fill(template: &str, args: &str, kwargs: &str, context: &str) -> String {
        let mut envelope = Envelope { args: Some(raw(args)), kwargs: Some(raw(kwargs)), ..Envelope::new("a".to_owned(), "t".to_owned()) };
        envelope.context.json = Some(raw(context));
        let mut filled = String::new();
        assert!(Template::read(&raw(template)).unwrap().write(&envelope, &mut filled));
        serde_json::from_str::<serde::de::IgnoredAny>(&filled).unwrap();
        filled
    }

    #[test]
    fn pointers_are_filled_and_what_is_not_there_is_left_out() {
        let template = r#"{"to":["/args/0","/args/9","/args/01"],"subject":"/kwargs/a~1b","body":"/argsx","all":"/args","n":{"x":"/kwargs/none","y":7},"user":"/context/user"}"#;
        assert_eq!(
            fill(template, r#"["a@example.com", null]"#, r#"{ "a/b": "Hi" }"#, r#"{ "user": "u" }"#),
            r#"{"to":["a@example.com"],"subject":"Hi","body":"/argsx","all":["a@example.com", null],"n":{"y":7},"user":"u"}"#
        );
    }

    #[test]
    fn what_is_pointed_at_and_what_is_not_stays_as_it_was_written_and_in_order() {
        let kwargs = r#"{"z":{"b":12345678901234567890123,"a":100.10,"e":1E+2,"x":1e400},"n":20e1}"#;
        assert_eq!(
            fill(r#"{"z":"/kwargs/z","m":"/kwargs/n","a":{"y":1.50,"b":1e400},"t":"{/kwargs/z} {/kwargs/z/a}"}"#, "[]", kwargs, "{}"),
            r#"{"z":{"b":12345678901234567890123,"a":100.10,"e":1E+2,"x":1e400},"m":20e1,"a":{"y":1.50,"b":1e400},"t":"{\"b\":12345678901234567890123,\"a\":100.10,\"e\":1E+2,\"x\":1e400} 100.10"}"#
        );
    }

    #[test]
    fn a_text_may_hold_pointers_and_every_other_brace_stands_for_itself() {
        let kwargs = r#"{"message":{"AlarmName":"CPU \"high\"","NewStateValue":"ALARM","none":null},"topic":"ops"}"#;
        for (template, wanted) in [
            ("{/kwargs/message/AlarmName} is {/kwargs/message/NewStateValue}", "CPU \"high\" is ALARM"),
            ("<{/kwargs/message/none}{/kwargs/nothing/at/all}>", "<>"),
            ("{/kwargs/topic}", "ops"),
            ("{ {/kwargs/topic} } {} {/other/topic} {/kwargs {kwargs}", "{ ops } {} {/other/topic} {/kwargs {kwargs}"),
            ("{{/kwargs/topic} {{ x }} {{{/kwargs/topic}", "{/kwargs/topic} {{ x }} {{/kwargs/topic}"),
            ("{/args}", "[1, \"x\"]"),
        ] {
            let template = json::text(template);
            assert_eq!(
                fill(&format!(r#"{{"text":{template}}}"#), r#"[1, "x"]"#, kwargs, "{}"),
                format!(r#"{{"text":{}}}"#, json::text(wanted)),
                "{template}"
            );
        }
    }

    #[test]
    fn what_is_pointed_at_is_written_into_a_text_as_its_kind_wants_it() {
        struct Kinds;
        impl Task for Kinds {
            fn provider(&self) -> &'static str {
                "kinds"
            }
            fn timeout(&self) -> Duration {
                Duration::ZERO
            }
            fn texts(&self) -> Texts {
                |place| match place.field() {
                    "html" => Text::Html,
                    "text" if place.parent.get("type").is_some_and(|kind| kind == "plain_text") => Text::Plain,
                    "text" => Text::Slack,
                    _ => Text::Line,
                }
            }
            fn read<'a>(&'a self, _: &Envelope) -> Result<Box<dyn Work + 'a>, DeliveryError> {
                Err(DeliveryError::new(ErrorKind::TaskFailed, "is not run"))
            }
        }
        let mapping = r#"{"task":"slack","payload":{"text":"{/args/0} <{/args/1}|open> <@{/args/2}>","raw":"/args/0","html":"<b>{/args/0}</b>","subject":"a {/args/0}",
            "blocks":[{"type":"header","text":{"type":"plain_text","text":"{/args/0}"}},{"text":{"type":"/args/3","text":"{/args/0}"}}]}}"#;
        let mapped = Mapped::new(Arc::new(Kinds), &Mapping::read(&raw(mapping)).unwrap());
        let args = Some(raw(r#"["<!channel> &\n\"Bob\"","!here","U1","plain_text"]"#));
        let told = mapped.envelope(&Envelope { args, ..Envelope::new("a".to_owned(), "t".to_owned()) }).unwrap();
        let told: Value = serde_json::from_str(told.payload()).unwrap();
        let (as_it_is, slack) = ("<!channel> &\n\"Bob\"", "&lt;!channel&gt; &amp;\n\"Bob\"");
        assert_eq!(told["text"], format!("{slack} <here|open> <@U1>"));
        assert_eq!((&told["raw"], &told["blocks"][0]["text"]["text"]), (&as_it_is.into(), &as_it_is.into()));
        assert_eq!(told["html"], "<b>&lt;!channel&gt; &amp;\n&quot;Bob&quot;</b>");
        assert_eq!(told["subject"], "a <!channel> & \"Bob\"");
        assert_eq!(told["blocks"][1]["text"]["text"], slack, "what says its kind by a pointer may become anything");
    }

    #[test]
    fn a_mapping_that_cannot_be_is_refused() {
        for (json, part) in [
            (r#"{"task":"a","payloads":{}}"#, "/payloads: is not known here; did you mean payload?"),
            (r#"{"task":"a","payload":["/kwargs"]}"#, "/payload: expected an object, got an array"),
            (r#"{"task":"a","payload":{"x":1,"x":2}}"#, "there twice"),
        ] {
            let error = Mapping::read(&raw(json)).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
