mod entries;
mod nearest;
mod problem;
mod read;

use std::{borrow::Cow, cell::RefCell};

use serde::Deserialize;
use serde_json::value::RawValue;

use entries::{Entries, Entry};
pub use nearest::{nearest, not_known};
use problem::explain;
pub use problem::{Problem, Problems, segment};

use crate::json;

/// The fields of a JSON object, read one by one, so that all that is wrong is found at once: serde stops at the first.
///
/// A reader asks for each field by its name, and so tells which there are. Whoever made the object decides what becomes of those that no reader asked
/// for: they are left, [noted](Fields::noting) or [refused](Fields::strict).
pub struct Fields<'a> {
    pointer: String,
    source: &'a str,
    entries: Vec<Entry<'a>>,
    aliases: Aliases,
    others: Others,
    problems: Vec<Problem>,
}

/// What others call a field, and what it is called here.
pub type Aliases = &'static [(&'static str, &'static str)];

/// What becomes of fields that no reader asks for.
enum Others {
    /// Nothing: the object is of another's form.
    Left,
    /// Where they stand is kept for [`Fields::unread`].
    Noted(Vec<String>),
    /// They are problems. Holds the names that were asked for.
    Refused(RefCell<Vec<&'static str>>),
}

impl Others {
    /// The same for an object in this one.
    fn within(&self) -> Self {
        match self {
            Self::Left => Self::Left,
            Self::Noted(_) => Self::Noted(Vec::new()),
            Self::Refused(_) => Self::Refused(RefCell::default()),
        }
    }
}

impl<'a> Fields<'a> {
    /// The fields of `json`; those that nobody asks for are none of ours.
    ///
    /// # Errors
    /// It is not JSON, no object, or has a field twice.
    pub fn of(json: &'a str) -> Result<Self, Problems> {
        let Entries { entries, twice } =
            serde_json::from_str::<Entries<'a>>(json).map_err(|error| Problems::whole(explain(&error, json)))?;
        if let Some(name) = twice {
            return Err(Problems::at(&format!("/{}", segment(&name)), "is there twice"));
        }
        Ok(Self { pointer: String::new(), source: json, entries, aliases: &[], others: Others::Left, problems: Vec::new() })
    }

    /// For messages, whose senders cannot be told: [`Fields::unread`] tells what nobody asked for.
    #[must_use]
    pub fn noting(self) -> Self {
        Self { others: Others::Noted(Vec::new()), ..self }
    }

    /// For callers: what nobody asks for is a problem, which names what was probably meant.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { others: Others::Refused(RefCell::default()), ..self }
    }

    /// Whether what nobody asks for is a problem.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        matches!(self.others, Others::Refused(_))
    }

    /// The fields of another object, of which those that nobody asks for become the same.
    ///
    /// # Errors
    /// As [`Fields::of`].
    pub(crate) fn alike<'b>(&self, json: &'b str) -> Result<Fields<'b>, Problems> {
        Ok(Fields { others: self.others.within(), ..Fields::of(json)? })
    }

    /// Has fields go by other names as well: `(alias, name)`. One that is there under two names is a problem.
    pub fn aliases(&mut self, aliases: Aliases) {
        self.aliases = aliases;
        for (alias, name) in aliases {
            let Some(entry) = self.entries.iter().find(|entry| entry.name == *alias) else { continue };
            if entry.is_null() {
                entry.read.set(true);
                continue;
            }
            let twin = self.entries.iter().find(|entry| !entry.is_null() && entry.name != *alias && self.is_called(&entry.name, name));
            if let Some(twin) = twin.map(|twin| twin.name.clone()) {
                self.refuse(alias, format!("expected either {twin} or {alias}, which mean the same"));
            }
        }
    }

    /// Whether a field goes by this name or an alias of it.
    fn is_called(&self, written: &str, name: &str) -> bool {
        written == name || self.aliases.iter().any(|(alias, of)| *of == name && *alias == written)
    }

    /// The field of exactly this name, if it is there and not null.
    fn entry(&self, name: &str) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.name == name && !entry.is_null())
    }

    /// The field that a reader asks for, by this name or an alias of it, if it is there and not null.
    fn ask(&self, name: &'static str) -> Option<&Entry<'a>> {
        if let Others::Refused(known) = &self.others {
            known.borrow_mut().push(name);
        }
        let named = |name: &str| {
            let entry = self.entries.iter().find(|entry| entry.name == name)?;
            entry.read.set(true);
            Some(entry).filter(|entry| !entry.is_null())
        };
        named(name).or_else(|| self.aliases.iter().filter(|(_, of)| *of == name).find_map(|(alias, _)| named(alias)))
    }

    /// Whether a field is there and not null. To ask this is not to read it.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entry(name).is_some() || self.aliases.iter().any(|(alias, of)| *of == name && self.entry(alias).is_some())
    }

    /// The JSON text of a field, if it is there and not null.
    #[must_use]
    pub fn raw(&self, name: &'static str) -> Option<&'a RawValue> {
        self.ask(name).map(|entry| entry.value)
    }

    /// How many fields there are, those that are null included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Says that what else there is, is the sender's own.
    pub fn free(&self) {
        self.entries.iter().for_each(|entry| entry.read.set(true));
    }

    /// The fields that are not null, in their order: who asks for all has read all.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.free();
        self.entries.iter().filter(|entry| !entry.is_null()).map(|entry| (entry.name.as_ref(), entry.value))
    }

    /// All fields, in their order.
    #[must_use]
    pub fn into_entries(self) -> Vec<(Cow<'a, str>, &'a RawValue)> {
        self.entries.into_iter().map(|entry| (entry.name, entry.value)).collect()
    }

    /// A value by its serde type: for types that need no more than the first problem, which is told with its pointer.
    ///
    /// # Errors
    /// What was expected there.
    pub fn value<T: Deserialize<'a>>(json: &'a str) -> Result<T, Problems> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let pointer = problem::pointer(error.path());
            let found = json::at(json, &pointer).map_or(json, RawValue::get);
            Problems::at(&pointer, explain(error.inner(), found))
        })?;
        deserializer.end().map_err(|error| Self::not_json(&error, json))?;
        Ok(value)
    }

    /// What is wrong with a text that was read otherwise.
    #[must_use]
    pub fn not_json(error: &serde_json::Error, json: &str) -> Problems {
        Problems::whole(explain(error, json))
    }

    /// The whole object as it was written: who asks for it has read all.
    #[must_use]
    pub fn source(&self) -> &'a str {
        self.free();
        self.source
    }

    /// Notes what is wrong with a field; `name` may be a path such as `to/1`. The field needs no reader then.
    pub fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        let field = name.split('/').next().unwrap_or_default();
        self.entries.iter().filter(|entry| self.is_called(&entry.name, field)).for_each(|entry| entry.read.set(true));
        self.problems.push(Problem { pointer: self.pointer_to(name), detail: detail.into() });
    }

    /// Takes in what is wrong with the value of a field.
    pub fn adopt(&mut self, name: &str, problems: Problems) {
        self.problems.extend(problems.under(&self.pointer_to(name)).0);
    }

    /// Where a field stands, or a path within it, by the name that was written.
    fn pointer_to(&self, name: &str) -> String {
        let (field, rest) = name.split_once('/').map_or((name, ""), |(field, _)| (field, &name[field.len()..]));
        let alias = self.aliases.iter().find(|(alias, of)| *of == field && self.entry(field).is_none() && self.entry(alias).is_some());
        format!("{}/{}{rest}", self.pointer, alias.map_or(field, |(alias, _)| alias))
    }

    /// Does what is to be done about fields that nobody has asked for.
    fn settle(&mut self) {
        let unread = self.entries.iter().filter(|entry| !entry.read.get());
        match &mut self.others {
            Others::Left => {}
            Others::Noted(pointers) => pointers.extend(unread.map(|entry| format!("{}/{}", self.pointer, segment(&entry.name)))),
            Others::Refused(asked) => {
                let asked = asked.borrow();
                self.problems.extend(unread.map(|entry| Problem {
                    pointer: format!("{}/{}", self.pointer, segment(&entry.name)),
                    detail: not_known(&entry.name, all_names(&asked, self.aliases).into_iter()),
                }));
            }
        }
        self.free();
    }

    /// Where the fields of [`Fields::noting`] stand that nobody has asked for.
    #[must_use]
    pub fn unread(&mut self) -> Vec<String> {
        self.settle();
        match &mut self.others {
            Others::Noted(pointers) => std::mem::take(pointers),
            Others::Left | Others::Refused(_) => Vec::new(),
        }
    }

    /// The names that were asked for of [`Fields::strict`], and those that stand for them.
    #[must_use]
    pub fn known(&self) -> Vec<&'static str> {
        match &self.others {
            Others::Refused(known) => all_names(&known.borrow(), self.aliases),
            Others::Left | Others::Noted(_) => Vec::new(),
        }
    }

    /// The problems that [`Fields::strict`] has with names alone, of this object without those in it: for what is not whole yet.
    #[must_use]
    pub fn unknown(mut self) -> Vec<Problem> {
        self.problems.clear();
        self.settle();
        self.problems
    }

    /// `value`, unless a problem was noted.
    ///
    /// # Errors
    /// All problems that were noted.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, Problems> {
        self.settle();
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ if self.problems.is_empty() => Err(Problems::whole("is not what this task takes")),
            _ => Err(Problems(self.problems)),
        }
    }
}

/// The names that were asked for, each once, and those that stand for them.
fn all_names(asked: &[&'static str], aliases: Aliases) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in asked.iter().copied().chain(aliases.iter().map(|(alias, _)| *alias)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(json: &str, read: impl Fn(&mut Fields<'_>)) -> Vec<(String, String)> {
        let mut fields = Fields::of(json).unwrap();
        read(&mut fields);
        fields.finish(Some(())).map_or_else(|problems| problems.0.into_iter().map(|p| (p.pointer, p.detail)).collect(), |()| Vec::new())
    }

    #[test]
    fn every_wrong_field_is_found_at_once_and_no_value_is_repeated() {
        let found =
            problems(r#"{"subject":5,"to":["a",true,"hunter2"],"files":[{"name":"x"},7,{}],"when":"hunter2","n":null}"#, |fields| {
                fields.required::<String>("subject");
                fields.list::<String>("to");
                fields.objects("files", |file| file.required::<String>("name"));
                fields.optional::<crate::Timestamp>("when");
                fields.required::<u32>("n");
            });
        let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/subject", "/to/1", "/files/1", "/files/2/name", "/when", "/n"]);
        assert_eq!(found[0].1, "expected a string, got a number");
        assert_eq!(found[2].1, "expected a JSON object, got a number");
        assert!(!format!("{found:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_no_object_or_has_a_field_twice_is_refused() {
        for (json, detail) in [
            ("{", "is not JSON: EOF while parsing an object (line 1, column 1)"),
            ("[1]", "expected a JSON object, got an array"),
            (r#"{"a":1,"\u0061":2}"#, "/a: is there twice"),
            (r#"{"a":1} x"#, "is not JSON: trailing characters (line 1, column 9)"),
        ] {
            assert_eq!(Fields::of(json).err().map(|problems| problems.to_string()).as_deref(), Some(detail), "{json}");
        }
    }

    const ALIASES: Aliases = &[("text", "body"), ("message", "body"), ("content_type", "mimetype")];

    fn read_mail(fields: &mut Fields<'_>) {
        fields.aliases(ALIASES);
        fields.optional::<String>("body");
        fields.number("n", 1..=10);
        fields.texts("headers");
        fields.objects("files", |file| {
            file.aliases(ALIASES);
            file.optional::<String>("mimetype")
        });
        fields.object("context", |context| {
            context.free();
            Some(())
        });
    }

    fn strictly(json: &str) -> Vec<String> {
        let mut fields = Fields::of(json).unwrap().strict();
        read_mail(&mut fields);
        let problems = fields.finish(Some(())).err().map(|problems| problems.0).unwrap_or_default();
        problems.into_iter().map(|problem| format!("{}: {}", problem.pointer, problem.detail)).collect()
    }

    #[test]
    fn what_nobody_asks_for_is_refused_with_the_nearest_name() {
        assert_eq!(strictly(r#"{"body":"x","n":3,"headers":{"any":"y"},"files":[{"mimetype":"z"}],"context":{"any":1}}"#), [""; 0]);
        assert_eq!(
            strictly(r#"{"boddy":"x","file":null,"files":[{},{"mimetyp":"a","a/b":1}],"colour":1}"#),
            [
                "/files/1/mimetyp: is not known here; did you mean mimetype?",
                "/files/1/a~1b: is not known here; known are mimetype, text, message, content_type",
                "/boddy: is not known here; did you mean body?",
                "/file: is not known here; did you mean files?",
                "/colour: is not known here; known are body, n, headers, files, context, text, message, content_type",
            ]
        );
    }

    #[test]
    fn what_nobody_asks_for_is_noted_or_left_where_nobody_can_be_told() {
        let json = r#"{"boddy":"x","files":[{"mimetyp":"a"}],"context":{"any":1},"body":null}"#;
        let mut fields = Fields::of(json).unwrap().noting();
        read_mail(&mut fields);
        assert_eq!(fields.unread(), ["/files/0/mimetyp", "/boddy"]);
        assert!(fields.unread().is_empty() && fields.finish(Some(())).is_ok());
        let mut fields = Fields::of(json).unwrap();
        read_mail(&mut fields);
        assert!(fields.unread().is_empty() && fields.finish(Some(())).is_ok());
    }

    #[test]
    fn a_field_goes_by_one_of_its_names() {
        let mut fields = Fields::of(r#"{"text":"x","message":null}"#).unwrap().strict();
        fields.aliases(ALIASES);
        assert_eq!(fields.optional::<String>("body").as_deref(), Some("x"));
        assert!(fields.has("body") && fields.finish(Some(())).is_ok());
        assert_eq!(
            strictly(r#"{"text":5,"files":[{"content_type":[]}]}"#),
            ["/text: expected a string, got a number", "/files/0/content_type: expected a string, got an array"]
        );
        assert_eq!(strictly(r#"{"body":"x","text":"y"}"#), ["/text: expected either body or text, which mean the same"]);
    }

    #[test]
    fn numbers_and_texts_are_told_where_they_stand() {
        let range = "/n: expected a whole number from 1 to 10";
        for (json, told) in [
            (r#"{"n":0}"#, range.to_owned()),
            (r#"{"n":1.5}"#, range.to_owned()),
            (r#"{"n":1e400}"#, range.to_owned()),
            (r#"{"n":"3"}"#, format!("{range}, got a string")),
            (r#"{"headers":{"a/b":5}}"#, "/headers/a~1b: expected a string, got a number".to_owned()),
            (r#"{"headers":[]}"#, "/headers: expected a JSON object, got an array".to_owned()),
        ] {
            assert_eq!(strictly(json), [told], "{json}");
        }
    }
}
