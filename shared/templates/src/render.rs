use errand_core::{Problem, Problems};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, filters, tests as predicates, value::Serde};
use serde_json::{Map, Value};

use crate::escape;

/// Makes a payload of one whose texts are templates. The text of a field `html` is escaped for HTML; others are not.
///
/// # Errors
/// Every text that cannot be rendered: by its place, with the variable that is not there. No value of a variable is repeated.
pub fn render(payload: &Map<String, Value>, variables: &Map<String, Value>) -> Result<Map<String, Value>, Problems> {
    let environment = environment();
    let variables = minijinja::Value::from(Serde(variables));
    let mut problems = Vec::new();
    let rendered = object(payload, "", &mut |pointer, name, text| {
        let template = environment.template_from_named_str(name, text);
        template.and_then(|template| template.render(variables.clone())).unwrap_or_else(|error| {
            problems.push(Problem { pointer: pointer.to_owned(), detail: explain(&environment, text, &error, Some(&variables)) });
            String::new()
        })
    });
    if problems.is_empty() { Ok(rendered) } else { Err(Problems(problems)) }
}

/// What of a payload's texts is no template.
pub(crate) fn check(payload: &Map<String, Value>) -> Vec<Problem> {
    let environment = environment();
    let mut problems = Vec::new();
    object(payload, "", &mut |pointer, name, text| {
        if let Err(error) = environment.template_from_named_str(name, text) {
            problems.push(Problem { pointer: pointer.to_owned(), detail: explain(&environment, text, &error, None) });
        }
        String::new()
    });
    problems
}

/// The language: Jinja's, with the filters and tests that texts for people need, and nothing that reads or loops without end.
fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| if name == "html" { AutoEscape::Html } else { AutoEscape::None });
    environment.add_filter("default", filters::default);
    environment.add_filter("e", filters::escape);
    environment.add_filter("escape", filters::escape);
    environment.add_filter("first", filters::first);
    environment.add_filter("join", filters::join);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("safe", filters::safe);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("upper", filters::upper);
    environment.add_test("defined", predicates::is_defined);
    environment.add_test("none", predicates::is_none);
    environment.add_test("undefined", predicates::is_undefined);
    environment
}

/// The same object with each text replaced by what `text` makes of it, given its place and the name of its field.
fn object(payload: &Map<String, Value>, pointer: &str, text: &mut impl FnMut(&str, &str, &str) -> String) -> Map<String, Value> {
    payload.iter().map(|(name, value)| (name.clone(), replaced(value, &format!("{pointer}/{}", escape(name)), name, text))).collect()
}

fn replaced(value: &Value, pointer: &str, name: &str, text: &mut impl FnMut(&str, &str, &str) -> String) -> Value {
    match value {
        Value::String(source) => Value::String(text(pointer, name, source)),
        Value::Array(items) => {
            let items = items.iter().enumerate().map(|(i, item)| replaced(item, &format!("{pointer}/{i}"), name, text));
            Value::Array(items.collect())
        }
        Value::Object(fields) => Value::Object(object(fields, pointer, text)),
        other => other.clone(),
    }
}

/// What is wrong with a template, for the one who calls or wrote it.
fn explain(environment: &Environment<'_>, source: &str, error: &minijinja::Error, variables: Option<&minijinja::Value>) -> String {
    if let (ErrorKind::UndefinedError, Some(variables)) = (error.kind(), variables) {
        let missing = missing(environment, source, variables);
        if !missing.is_empty() {
            return format!("cannot be rendered without the variable {}", missing.join(", "));
        }
    }
    let line = error.line().map_or_else(String::new, |line| format!(" (line {line})"));
    match error.kind() {
        // What was wrong at rendering can repeat a value.
        ErrorKind::SyntaxError => format!("is no template: {}{line}", error.detail().unwrap_or("syntax error")),
        kind => format!("cannot be rendered: {kind}{line}"),
    }
}

/// The names that a template uses and that are not there, sorted.
fn missing(environment: &Environment<'_>, source: &str, variables: &minijinja::Value) -> Vec<String> {
    let Ok(template) = environment.template_from_str(source) else { return Vec::new() };
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

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn texts_are_rendered_wherever_they_are_and_html_is_escaped() {
        let payload = map(
            json!({ "subject": "Order {{ order.id }}", "html": "<b>{{ name }}</b>", "to": ["{{ name|lower }}@x"], "n": 1, "deep": { "text": "{{ name }}" } }),
        );
        let told = render(&payload, &map(json!({ "order": { "id": 7 }, "name": "A<B" }))).unwrap();
        assert_eq!(
            Value::from(told),
            json!({ "subject": "Order 7", "html": "<b>A&lt;B</b>", "to": ["a<b@x"], "n": 1, "deep": { "text": "A<B" } })
        );
    }

    #[test]
    fn a_variable_that_is_not_there_is_named_and_no_value_is_repeated() {
        let payload = map(
            json!({ "a": "{{ order.id }} {{ name }}", "b": "{% if url is defined %}{{ url }}{% endif %}", "c": "{{ name|default('you') }}", "d": "{{ secret.x.y }}" }),
        );
        let problems = render(&payload, &map(json!({ "order": {}, "secret": "hunter2" }))).unwrap_err().0;
        let told: Vec<String> = problems.iter().map(|problem| format!("{}: {}", problem.pointer, problem.detail)).collect();
        assert_eq!(
            told,
            ["/a: cannot be rendered without the variable name, order.id", "/d: cannot be rendered without the variable secret.x.y"]
        );
        assert!(!told.concat().contains("hunter2"));
    }

    #[test]
    fn what_is_no_template_is_told_with_its_line() {
        let problems = check(&map(json!({ "a": "x\n{% if %}" })));
        assert!(problems[0].detail.starts_with("is no template: ") && problems[0].detail.ends_with("(line 2)"), "{problems:?}");
    }
}
