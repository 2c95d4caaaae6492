//! The language of templates: Jinja's, with the filters and tests that texts for people need, and nothing that reads, or that grows without end.

use std::{
    fmt::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use errand_core::{Text, is_mention};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, Template, UndefinedBehavior, Value, escape_formatter, filters,
    machinery::{Instruction, Instructions, Token, get_compiled_template, tokenize},
    tests as predicates,
    value::{Kwargs, StringInput},
};

use crate::OUTPUT_LIMIT;

/// The most words, names and signs within one pair of braces, and the most `elif` of a text: what is nested in each other is compiled by a
/// function that calls itself, and a stack that is too small ends the process.
const MOST_TOKENS: usize = 150;
const MOST_ELIFS: usize = 50;

/// How often a text may join two values that it does not know: each can double what is kept by `set`, and no step tells how large its result is.
pub(crate) const MOST_JOINS: usize = 8;

/// What can be called on a loop.
const METHODS: [&str; 2] = ["changed", "cycle"];

/// What is said of a value that would tell Slack to call somebody.
pub(crate) const MENTION: &str = "a value that stands right after < begins with !, @ or #, which calls people";

/// Adds what is listed to an environment, and tells the names.
macro_rules! names {
    ($environment:ident.$add:ident { $($name:literal: $function:expr,)* }) => {{
        $($environment.$add($name, $function);)*
        &[$($name),*]
    }};
}

/// The language, with what it knows.
pub(crate) struct Language {
    pub(crate) environment: Environment<'static>,
    filters: &'static [&'static str],
    tests: &'static [&'static str],
    /// Whether what was written last of a text is a `<`, after which a value of Slack's may not begin as a mention does.
    pub(crate) after_angle: Arc<AtomicBool>,
}

impl Language {
    pub(crate) fn new() -> Self {
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // A text's name is its kind.
        environment.set_auto_escape_callback(|name| match kind(name) {
            Some(kind) if kind != Text::Plain => AutoEscape::Custom(kind.as_str().into()),
            _ => AutoEscape::None,
        });
        let after_angle = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&after_angle);
        environment.set_formatter(move |out, state, value| write(out, state, value, &seen));
        let filters = names!(environment.add_filter {
            "default": filters::default,
            "e": filters::escape,
            "escape": filters::escape,
            "first": filters::first,
            "join": join,
            "last": filters::last,
            "length": filters::length,
            "lower": filters::lower,
            "safe": filters::safe,
            "trim": filters::trim,
            "upper": filters::upper,
            "urlencode": filters::urlencode,
        });
        let tests = names!(environment.add_test {
            "defined": predicates::is_defined,
            "none": predicates::is_none,
            "undefined": predicates::is_undefined,
        });
        Self { environment, filters, tests, after_angle }
    }

    /// A text as a template, which does no more than a text may.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub(crate) fn template<'a>(&'a self, kind: Text, source: &'a str) -> Result<Template<'a, 'a>, String> {
        self.scan(source)?;
        let template = self
            .environment
            .template_from_named_str(kind.as_str(), source)
            .map_err(|error| format!("is no template: {}{}", error.detail().unwrap_or("syntax error"), in_line(error.line())))?;
        self.inspect(&get_compiled_template(&template).instructions)?;
        Ok(template)
    }

    /// Looks for what must not even be compiled. What is no template is for the compiler to tell.
    fn scan(&self, source: &str) -> Result<(), String> {
        let (mut tokens, mut elifs) = (0, 0);
        for (token, span) in tokenize(source, false, self.environment.syntax().clone()).map_while(Result::ok) {
            let wrong = |what: String| Err(format!("{what}{}", in_line(Some(span.start_line.into()))));
            match token {
                Token::TemplateData(_) | Token::VariableStart | Token::BlockStart => tokens = 0,
                Token::Mul => return wrong("has a *, which templates do not have: give the product as a variable".to_owned()),
                Token::Ident("elif") if tokens == 0 && elifs == MOST_ELIFS => {
                    return wrong(format!("has more than {MOST_ELIFS} times elif"));
                }
                _ if tokens == MOST_TOKENS => {
                    return wrong(format!("has more than {MOST_TOKENS} words and signs within one pair of braces"));
                }
                Token::Ident("elif") if tokens == 0 => {
                    (tokens, elifs) = (1, elifs + 1);
                }
                _ => tokens += 1,
            }
        }
        Ok(())
    }

    /// Looks at what a template would do, in branches that are not taken as well.
    fn inspect(&self, instructions: &Instructions<'_>) -> Result<(), String> {
        let at = |place: u32| instructions.get(place);
        let (mut place, mut joins) = (0, 0);
        while let Some(instruction) = at(place) {
            let unknown =
                |what: &str, name: &str, known: &[&str]| Some(format!("there is no {what} {name}; there are: {}", known.join(", ")));
            let wrong = match instruction {
                Instruction::ApplyFilter(name, ..) if !self.filters.contains(name) => unknown("filter", name, self.filters),
                Instruction::PerformTest(name, ..) if !self.tests.contains(name) => unknown("test", name, self.tests),
                Instruction::CallFunction(name, _) => Some(format!("there is no function {name}: templates have filters alone")),
                Instruction::CallMethod(name, _) if !METHODS.contains(name) => unknown("method", name, &METHODS),
                Instruction::CallObject(_) => Some("calls a value: templates have filters alone".to_owned()),
                Instruction::FastRecurse => Some("calls loop(): templates have no recursion".to_owned()),
                Instruction::BeginCapture(_) => Some("keeps a part of its text: write it where it is shown".to_owned()),
                Instruction::Add | Instruction::StringConcat => {
                    joins += usize::from(!after_constant(instructions, place));
                    None
                }
                Instruction::BuildList(Some(count)) | Instruction::BuildTuple(Some(count)) | Instruction::BuildMap(count) => {
                    joins += count;
                    None
                }
                _ => None,
            };
            let wrong =
                wrong.or_else(|| (joins > MOST_JOINS).then(|| format!("joins values more than {MOST_JOINS} times by +, ~ or in lists")));
            if let Some(wrong) = wrong {
                return Err(format!("{wrong}{}", in_line(instructions.get_line(place))));
            }
            place += 1;
        }
        Ok(())
    }
}

/// Whether the operand right before an instruction is a constant, whichever way led there.
fn after_constant(instructions: &Instructions<'_>, place: u32) -> bool {
    let before = |by: u32| place.checked_sub(by).and_then(|place| instructions.get(place));
    let jumps = |instruction: &Instruction<'_>| {
        matches!(
            instruction,
            Instruction::Jump(_) | Instruction::JumpIfFalse(_) | Instruction::JumpIfFalseOrPop(_) | Instruction::JumpIfTrueOrPop(_)
        )
    };
    matches!(before(1), Some(Instruction::LoadConst(_))) && !before(2).is_some_and(jumps)
}

fn in_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(" (line {line})"))
}

/// The kind that has this name.
fn kind(name: &str) -> Option<Text> {
    Text::named(name)
}

/// Writes a value into a text of its kind; what `safe` was said of, as it is.
fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value, after_angle: &AtomicBool) -> Result<(), Error> {
    let kind = match state.auto_escape() {
        AutoEscape::Custom(name) if !value.is_safe() => kind(name),
        AutoEscape::Custom(_) => return Ok(write!(out, "{value}")?),
        _ => None,
    };
    let Some(kind) = kind else { return escape_formatter(out, state, value) };
    if kind == Text::Slack && after_angle.load(Ordering::Relaxed) && value.as_str().is_some_and(is_mention) {
        return Err(Error::new(ErrorKind::InvalidOperation, MENTION));
    }
    Ok(write!(Escaped { out, kind }, "{value}")?)
}

/// Escapes what is written.
struct Escaped<'a, 'b> {
    out: &'a mut Output<'b>,
    kind: Text,
}

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.out.write_str(&self.kind.escape(text))
    }
}

/// Jinja's, for what is not too long: what stands between is repeated.
fn join(
    state: &mut State<'_, '_>,
    value: &Value,
    joiner: Option<StringInput<'_>>,
    attribute: Option<&str>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let between = joiner.as_ref().map_or(0, |joiner| joiner.as_str().len());
    let named = kwargs.peek::<Option<&str>>("d")?.map_or(0, str::len);
    if value.len().unwrap_or_default().saturating_mul(between.max(named)) > OUTPUT_LIMIT {
        return Err(Error::from(ErrorKind::WriteFailure));
    }
    filters::join(state, value, joiner, attribute, kwargs)
}
