use crate::{DEFAULT_QUEUE, Fields, limits};

/// The queues that an alias has, by the names that its broker knows them by: topics, streams, entities, channels. An alias that says none has `default` alone; one that says
/// an empty list has any, as a backend of Django's `TASKS` with `QUEUES: []`.
/// <https://docs.djangoproject.com/en/6.0/ref/settings/#std-setting-TASKS-QUEUES>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destinations(Vec<String>);

impl Default for Destinations {
    fn default() -> Self {
        Self(vec![DEFAULT_QUEUE.to_owned()])
    }
}

impl Destinations {
    /// These; any, where there is none among them.
    #[must_use]
    pub fn of(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// Reads `queues` of what a setting says of an alias.
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        if !fields.has("queues") {
            return Self::default();
        }
        let names = fields.list::<String>("queues");
        for (place, name) in names.iter().enumerate() {
            if let Err(expected) = limits::destination(name) {
                fields.refuse(&format!("queues/{place}"), format!("expected {expected}"));
            } else if names[..place].contains(name) {
                fields.refuse(&format!("queues/{place}"), "is there twice");
            }
        }
        Self(names)
    }

    /// All that are listed, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether the alias has it.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.is_empty() || self.iter().any(|known| known == name)
    }

    /// Where that goes which names none: to the one that is called as the queue it is on, else to the first.
    #[must_use]
    pub fn nearest<'a>(&'a self, queue: &'a str) -> &'a str {
        if self.has(queue) { queue } else { self.iter().next().unwrap_or(queue) }
    }

    /// What is said of a name that is none of them.
    pub(crate) fn unknown(&self, alias: &str) -> String {
        format!("is no queue of {alias}, which has: {}", self.0.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Destinations, String> {
        let mut fields = Fields::of(json).unwrap().strict();
        let read = Destinations::read(&mut fields);
        fields.finish(Some(read)).map_err(|problems| problems.to_string())
    }

    #[test]
    fn an_alias_has_the_queues_that_it_lists_or_any_where_it_lists_none() {
        assert_eq!(read("{}"), Ok(Destinations::default()));
        assert_eq!(read(r#"{"queues":["orders","a:b"]}"#), Ok(Destinations::of(["orders", "a:b"])));
        let (listed, any) = (Destinations::of(["orders", "mail"]), Destinations::of([""; 0]));
        assert!(listed.has("mail") && !listed.has("default") && any.has("x") && !Destinations::default().has("x"));
        assert_eq!((listed.nearest("mail"), listed.nearest("default"), any.nearest("x")), ("mail", "orders", "x"));
        assert_eq!(listed.unknown("shop"), "is no queue of shop, which has: orders, mail");
    }

    #[test]
    fn a_name_that_no_broker_has_is_refused_with_its_place() {
        assert_eq!(read(r#"{"queues":["a","a"]}"#).unwrap_err(), "/queues/1: is there twice");
        assert!(read(r#"{"queues":["a",""]}"#).unwrap_err().starts_with("/queues/1: expected "));
        assert!(read(r#"{"queues":"a"}"#).unwrap_err().starts_with("/queues: expected "));
        assert!(read(r#"{"queues":[7]}"#).unwrap_err().starts_with("/queues/0: expected a string"));
    }
}
