//! Templates to payloads, within limits.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use errand_core::{Place, Problem, Problems, Text, Texts, segment};
use minijinja::{ErrorKind, value::Serde};
use serde_json::{Map, Value};

use crate::language::{Language, MENTION};

/// The most steps that a call's texts may take together: a value, a filter, a branch or a turn of a loop is one to five.
pub const STEPS_LIMIT: u64 = 250_000;

/// The most bytes that a call's texts may come to.
pub const OUTPUT_LIMIT: usize = 1024 * 1024;

/// The most bytes of JSON that the variables of a call may be.
pub const VARIABLES_LIMIT: usize = 256 * 1024;

/// Texts that fail before no more are looked at: one that fails may have taken all the steps that there are.
const MOST_FAILURES: usize = 20;

/// Renders the texts of one call.
pub struct Renderer {
    language: Language,
    variables: minijinja::Value,
    steps: u64,
    room: usize,
    failures: usize,
}

impl Renderer {
    /// One with these variables.
    ///
    /// # Errors
    /// They are too large.
    pub fn new(variables: &Map<String, Value>) -> Result<Self, Problems> {
        let mut counted = Sink { text: Vec::new(), room: VARIABLES_LIMIT, after_angle: Arc::default() };
        serde_json::to_writer(&mut counted, variables).map_err(|_| {
            Problems::whole(format!(
                "expected at most {VARIABLES_LIMIT} bytes of JSON for a template, together with the notification's other fields"
            ))
        })?;
        let variables = minijinja::Value::from(Serde(variables));
        Ok(Self { language: Language::new(), variables, steps: STEPS_LIMIT, room: OUTPUT_LIMIT, failures: 0 })
    }

    /// Makes what a template says of a payload, of which some fields are given already. Values are written as the kind of each text wants it.
    ///
    /// # Errors
    /// Every text that cannot be rendered: by its place, with the variable that is not there. No value of a variable is repeated.
    pub fn render(
        &mut self,
        template: &Map<String, Value>,
        given: &Map<String, Value>,
        texts: Texts,
    ) -> Result<Map<String, Value>, Problems> {
        let mut payload = template.clone();
        payload.extend(given.clone());
        let mut problems = Vec::new();
        let mut walk = Walk {
            payload: &payload,
            visit: |pointer: &str, place: &Place<'_>, source: &str| {
                self.text(texts(place), source).unwrap_or_else(|detail| {
                    problems.extend(detail.map(|detail| Problem { pointer: pointer.to_owned(), detail }));
                    String::new()
                })
            },
        };
        let rendered = walk.object(template, &payload, "", &mut Vec::new());
        if problems.is_empty() { Ok(rendered) } else { Err(Problems(problems)) }
    }

    /// Renders a text.
    ///
    /// # Errors
    /// What is wrong with it; `None` when so much is wrong already that it was not looked at.
    fn text(&mut self, kind: Text, source: &str) -> Result<String, Option<String>> {
        if self.failures == MOST_FAILURES {
            return Err(None);
        }
        self.failures += 1;
        self.language.environment.set_fuel(Some(self.steps));
        let template = self.language.template(kind, source).map_err(Some)?;
        self.language.after_angle.store(false, Ordering::Relaxed);
        let mut sink = Sink { text: Vec::new(), room: self.room, after_angle: Arc::clone(&self.language.after_angle) };
        let left = template.render_captured_to(self.variables.clone(), &mut sink).map(|rendered| rendered.state().fuel_levels());
        let error = match left {
            Ok(levels) => {
                self.failures -= 1;
                self.steps = levels.map_or(self.steps, |(_, left)| left);
                self.room = sink.room;
                return Ok(String::from_utf8(sink.text).unwrap_or_default());
            }
            Err(error) => error,
        };
        Err(Some(match error.kind() {
            ErrorKind::OutOfFuel => {
                self.failures = MOST_FAILURES;
                format!("takes too many steps: the texts of a call may take {STEPS_LIMIT} together")
            }
            ErrorKind::WriteFailure => {
                self.failures = MOST_FAILURES;
                format!("becomes too long: the texts of a call may come to {OUTPUT_LIMIT} bytes together")
            }
            _ => explain(&template, &error, &self.variables),
        }))
    }
}

/// What of a payload's texts is no template.
pub(crate) fn check(payload: &Map<String, Value>) -> Vec<Problem> {
    let language = Language::new();
    let mut problems = Vec::new();
    let mut walk = Walk {
        payload,
        visit: |pointer: &str, _: &Place<'_>, source: &str| {
            problems.extend(language.template(Text::Plain, source).err().map(|detail| Problem { pointer: pointer.to_owned(), detail }));
            String::new()
        },
    };
    walk.object(payload, payload, "", &mut Vec::new());
    problems
}

/// A payload's texts, each replaced by what `visit` makes of it, given its pointer and its place.
struct Walk<'a, V> {
    payload: &'a Map<String, Value>,
    visit: V,
}

impl<'a, V: FnMut(&str, &Place<'_>, &str) -> String> Walk<'a, V> {
    /// Replaces the texts of some of an object's fields.
    fn object(
        &mut self,
        fields: &'a Map<String, Value>,
        parent: &'a Map<String, Value>,
        pointer: &str,
        path: &mut Vec<&'a str>,
    ) -> Map<String, Value> {
        let mut replaced = Map::new();
        for (name, value) in fields {
            path.push(name);
            replaced.insert(name.clone(), self.value(value, parent, &format!("{pointer}/{}", segment(name)), path));
            path.pop();
        }
        replaced
    }

    fn value(&mut self, value: &'a Value, parent: &'a Map<String, Value>, pointer: &str, path: &mut Vec<&'a str>) -> Value {
        match value {
            Value::String(source) => Value::String((self.visit)(pointer, &Place { payload: self.payload, parent, path }, source)),
            Value::Array(items) => {
                let items = items.iter().enumerate();
                Value::Array(items.map(|(place, item)| self.value(item, parent, &format!("{pointer}/{place}"), path)).collect())
            }
            Value::Object(fields) => Value::Object(self.object(fields, fields, pointer, path)),
            other => other.clone(),
        }
    }
}

/// Takes so many bytes and no more.
struct Sink {
    text: Vec<u8>,
    room: usize,
    after_angle: Arc<AtomicBool>,
}

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.room = self.room.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.text.extend_from_slice(bytes);
        self.after_angle.store(self.text.last() == Some(&b'<'), Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What went wrong with a template, for the one who calls or wrote it.
fn explain(template: &minijinja::Template<'_, '_>, error: &minijinja::Error, variables: &minijinja::Value) -> String {
    if error.kind() == ErrorKind::UndefinedError {
        let missing = missing(template, variables);
        if !missing.is_empty() {
            return format!("cannot be rendered without the variable {}", missing.join(", "));
        }
    }
    let line = error.line().map_or_else(String::new, |line| format!(" (line {line})"));
    match error.detail() {
        Some(MENTION) => format!("cannot be rendered: {MENTION}{line}"),
        // What else is said can repeat a value.
        _ => format!("cannot be rendered: {}{line}", error.kind()),
    }
}

/// The names that a template uses and that are not there, sorted.
fn missing(template: &minijinja::Template<'_, '_>, variables: &minijinja::Value) -> Vec<String> {
    let there = |path: &String| {
        let value = path.split('.').try_fold(variables.clone(), |value, name| value.get_attr(name).ok());
        value.is_some_and(|value| !value.is_undefined())
    };
    let mut missing: Vec<String> = template.undeclared_variables(true).into_iter().filter(|path| !there(path)).collect();
    missing.sort();
    missing
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::language::MOST_JOINS;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    /// The kind of a text is the name of its field.
    fn by_name(place: &Place<'_>) -> Text {
        Text::named(place.field()).unwrap_or(Text::Plain)
    }

    fn render(template: Value, variables: Value) -> Result<Value, Vec<String>> {
        let rendered = Renderer::new(&map(variables)).and_then(|mut renderer| renderer.render(&map(template), &Map::new(), by_name));
        let told = |problem: Problem| format!("{}: {}", problem.pointer, problem.detail);
        rendered.map(Value::from).map_err(|problems| problems.0.into_iter().map(told).collect())
    }

    /// What is wrong with one text, or what becomes of it.
    fn one(kind: &str, source: &str, variables: Value) -> String {
        match render(json!({ kind: source }), variables) {
            Ok(told) => told[kind].as_str().unwrap().to_owned(),
            Err(problems) => problems.concat(),
        }
    }

    #[test]
    fn values_are_written_as_the_kind_of_the_text_wants_it_wherever_it_stands() {
        let source = "<i>{{ a }}</i>";
        let deep = json!({ "plain": source, "line": source, "html": source, "slack": [source], "n": 1, "in": [{ "html": source }] });
        let told = render(deep, json!({ "a": "<!channel>\n& \"Bob\" </script>" })).unwrap();
        let html = "<i>&lt;!channel&gt;\n&amp; &quot;Bob&quot; &lt;/script&gt;</i>";
        let wanted = json!({
            "plain": "<i><!channel>\n& \"Bob\" </script></i>", "line": "<i><!channel> & \"Bob\" </script></i>", "html": html,
            "slack": ["<i>&lt;!channel&gt;\n&amp; \"Bob\" &lt;/script&gt;</i>"], "n": 1, "in": [{ "html": html }]
        });
        assert_eq!(told, wanted);
    }

    #[test]
    fn what_an_author_calls_safe_is_written_as_it_is() {
        let value = json!({ "a": "<b>", "list": ["<b>", "c"], "n": 7, "x": null, "o": { "k": "<b>" } });
        let table = [
            ("{{ a|safe }}{{ a }}", "<b>&lt;b&gt;"),
            ("{{ a|e }}{{ a|upper }}", "&lt;b&gt;&lt;B&gt;"),
            ("{{ list|join(', ') }}", "&lt;b&gt;, c"),
            ("{{ list|join('<br>'|safe) }}", "&lt;b&gt;<br>c"),
            ("{% autoescape false %}{{ a }}{% endautoescape %}{{ '<' ~ a }}", "<b>&lt;&lt;b&gt;"),
            (
                "{{ n + 1 }} {{ n > 3 }} {{ x }} {{ list }} {{ o }}",
                "8 True None [&#39;&lt;b&gt;&#39;, &#39;c&#39;] {&#39;k&#39;: &#39;&lt;b&gt;&#39;}",
            ),
        ];
        for (source, wanted) in table {
            assert_eq!(one("html", source, value.clone()), wanted, "{source}");
        }
    }

    #[test]
    fn no_value_calls_people_in_slack() {
        let link = "<{{ url }}|{{ name }}>";
        assert_eq!(
            one("slack", link, json!({ "url": "https://x.example/?a=1&b=2", "name": "a|b>" })),
            "<https://x.example/?a=1&amp;b=2|a|b&gt;>"
        );
        for url in ["!channel", "@U123", "#C123", " !here"] {
            assert_eq!(one("slack", link, json!({ "url": url, "name": "x" })), format!("/slack: cannot be rendered: {MENTION} (line 1)"));
        }
        // Whom an author calls, and what is no link.
        assert_eq!(one("slack", "<!here> <@{{ id }}> {{ tag }}", json!({ "id": "U1", "tag": "#7" })), "<!here> <@U1> #7");
    }

    #[test]
    fn a_variable_that_is_not_there_is_named_and_no_value_is_repeated() {
        let payload = json!({ "a": "{{ order.id }} {{ name }}", "b": "{% if url is defined %}{{ url }}{% endif %}", "c": "{{ name|default('you') }}", "d": "{{ secret.x.y }}" });
        let told = render(payload, json!({ "order": {}, "secret": "hunter2" })).unwrap_err();
        assert_eq!(
            told,
            ["/a: cannot be rendered without the variable name, order.id", "/d: cannot be rendered without the variable secret.x.y"]
        );
        assert!(!told.concat().contains("hunter2"));
    }

    #[test]
    fn a_text_that_takes_too_much_is_named_with_its_limit() {
        let many = json!({ "l": vec![0; 400], "big": "x".repeat(100_000) });
        let nested = "{% for a in l %}{% for b in l %}{% for c in l %}x{% endfor %}{% endfor %}{% endfor %}";
        assert_eq!(one("body", nested, many.clone()), "/body: takes too many steps: the texts of a call may take 250000 together");
        let long = "/body: becomes too long: the texts of a call may come to 1048576 bytes together";
        for source in ["{% for a in l %}{{ big }}{% endfor %}", "{{ l|join(big) }}", "{{ l|join(d=big) }}"] {
            assert_eq!(one("body", source, many.clone()), long, "{source}");
        }
        assert_eq!(one("body", &format!("{{% for a in l %}}{}{{% endfor %}}", "x".repeat(10_000)), many.clone()), long);
        // It is the sum that counts, and the first text that is too much is told alone.
        let half = "{% for a in l %}{% for b in l %}{% endfor %}{% endfor %}";
        let told = render(json!({ "a": half, "b": "{% for a in l %}x{% endfor %}" , "c": "{{ l[0] }}" }), many.clone());
        assert!(told.is_err_and(|problems| problems.len() == 1 && problems[0].starts_with("/a: takes too many steps")));
        let six: Map<String, Value> = ('a'..='z').map(|name| (name.to_string(), json!("{{ big }}"))).collect();
        assert!(
            render(Value::from(six), many).is_err_and(|problems| problems.len() == 1 && problems[0].starts_with("/k: becomes too long"))
        );
        let failing: Map<String, Value> = (0..90).map(|name| (name.to_string(), json!("{{ nobody }}"))).collect();
        assert_eq!(render(Value::from(failing), json!({})).unwrap_err().len(), MOST_FAILURES);
        assert!(
            render(json!({}), json!({ "a": "x".repeat(VARIABLES_LIMIT) }))
                .is_err_and(|told| told[0].contains("expected at most 262144 bytes"))
        );
    }

    #[test]
    fn what_a_text_cannot_be_is_told_with_its_line() {
        let table = [
            ("x\n{% if %}", "is no template: "),
            ("{% if no %}\n{{ a|nosuch }}{% endif %}", "there is no filter nosuch; there are: default, e, "),
            ("\n{% if a is odd %}{% endif %}", "there is no test odd; there are: defined, none, undefined"),
            ("\n{{ range(5) }}", "there is no function range"),
            ("\n{{ a.items() }}", "there is no method items; there are: changed, cycle"),
            ("\n{{ a[0](1) }}", "calls a value"),
            ("\n{% for x in a recursive %}{{ loop(x) }}{% endfor %}", ""),
            ("\n{% set x %}{{ a }}{% endset %}", "keeps a part of its text"),
            ("\n{% filter upper %}{{ a }}{% endfilter %}", "keeps a part of its text"),
            ("\n{{ '-' * 100000000 }}", "has a *"),
            ("\n{{ [a, a, a, a, a, a, a, a, a] }}", "joins values more than 8 times"),
        ];
        for (source, wanted) in table {
            let problems = check(&map(json!({ "a": source })));
            assert!(
                problems.len() == 1 && problems[0].detail.starts_with(wanted) && problems[0].detail.ends_with("(line 2)"),
                "{source}: {problems:?}"
            );
        }
        let fine = "{% set b = a %}{% with c = b ~ '!' %}{{ loop_ }}{{ c }}{% endwith %}{% for x in a %}{{ loop.cycle('a', 'b') }}{{ loop.index + 1 }}{% if x in ['a', 'b'] %}{% endif %}{% endfor %}";
        assert!(check(&map(json!({ "a": fine }))).is_empty());
    }

    /// Each of these ended the process: what calls itself for each level had no stack left.
    #[test]
    fn what_is_nested_too_deep_is_refused() {
        for (begin, repeated, end, most) in [
            ("{{ a", ".a", " }}", 350_000 / 2),
            ("{{ a", "~'a'", " }}", 80_000),
            ("{{ a", "|upper", " }}", 50_000),
            ("{{ ", "not ", "a }}", 80_000),
            ("{{ ", "-", "a }}", 80_000),
            ("{{ ", "(", "a }}", 80_000),
            ("{% if a %}", "{% elif a %}", "{% endif %}", 29_000),
            ("{% if a %}", "{% if a %}", "{% endif %}", 29_000),
        ] {
            for count in [20, 60, 140, 160, 1_000, most] {
                let source = format!("{begin}{}{end}", repeated.repeat(count));
                let problems = check(&map(json!({ "a": source })));
                assert!(count < 160 || problems.len() == 1, "{count} times {repeated}");
            }
        }
    }

    /// The largest that can be kept and printed, of the largest variables, in the longest loop.
    #[test]
    fn what_can_be_joined_stays_small() {
        let chain: String = (1..=MOST_JOINS).map(|i| format!("{{% set a{i} = a{} ~ a{} %}}", i - 1, i - 1)).collect();
        assert!(
            one("body", &format!("{{% set a0 = big %}}{chain}{{{{ a{MOST_JOINS}|length }}}}"), json!({ "big": "x".repeat(200_000) }))
                == "51200000"
        );
        for source in ["{% set a = x + x %}", "{% set a = x + (x if x else 'y') %}", "{% set a = x ~ (x or 'y') %}", "{% set a = [x, x] %}"]
        {
            assert_eq!(check(&map(json!({ "a": source.repeat(MOST_JOINS + 1) }))).len(), 1, "{source}");
        }
    }
}
