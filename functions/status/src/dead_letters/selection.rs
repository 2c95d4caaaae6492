//! Which dead letters a call is about.

use errand_api::{ProblemDocument, Query};
use errand_core::{BODY_LIMIT, Buried, Fields, Json, Problems, Timestamp};

/// How many letters one call lists, replays or drops unless it says so, and how many at most.
const DEFAULT_LIMIT: usize = 100;
const MOST: usize = 1000;

/// What letters must be to be chosen: all that is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Selection {
    /// Ids of envelopes, or keys of letters.
    ids: Vec<String>,
    task: Option<String>,
    queue: Option<String>,
    kind: Option<String>,
    /// Part of the reason, in any case.
    reason: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    limit: usize,
    /// What is to be changed in the envelopes before they are sent: a JSON merge patch (RFC 7396).
    pub(super) edit: Option<Json>,
}

impl Selection {
    pub(super) fn of_id(id: &str) -> Self {
        Self { ids: vec![id.to_owned()], limit: 1, ..Self::default() }
    }

    pub(super) fn of_query(query: &Query) -> Result<Self, ProblemDocument> {
        Ok(Self {
            ids: query.every("id").map(ToOwned::to_owned).collect(),
            task: query.text("task")?,
            queue: query.text("queue")?,
            kind: query.text("kind")?,
            reason: query.text("reason")?.map(|part| part.to_lowercase()),
            since: query.time("since")?,
            until: query.time("until")?,
            limit: query.limit(DEFAULT_LIMIT, MOST)?,
            edit: None,
        })
    }

    /// Reads the body of a call. Without any condition, `"all": true` must say that all are meant.
    pub(super) fn of_body(body: &str, may_edit: bool) -> Result<Self, Problems> {
        errand_wire::check_body(body, BODY_LIMIT)?;
        let mut fields = Fields::of(body)?.strict();
        let chosen = Self {
            ids: fields.list("ids"),
            task: fields.optional("task"),
            queue: fields.optional("queue"),
            kind: fields.optional("kind"),
            reason: fields.optional::<String>("reason").map(|part| part.to_lowercase()),
            since: fields.optional("since"),
            until: fields.optional("until"),
            limit: fields.number("limit", 1..=MOST as u64).and_then(|limit| limit.try_into().ok()).unwrap_or(DEFAULT_LIMIT),
            edit: fields.json("edit", '{', "an object").map(Json::from),
        };
        if chosen.edit.is_some() && !may_edit {
            fields.refuse("edit", "is for replays alone");
        }
        let unconditional = Self { limit: chosen.limit, edit: chosen.edit.clone(), ..Self::default() } == chosen;
        let all = fields.optional::<bool>("all");
        if unconditional && all != Some(true) {
            fields.refuse("all", "expected ids, task, queue, kind, reason, since or until; or true, when all are meant");
        }
        fields.finish(Some(chosen))
    }

    pub(super) fn wants(&self, letter: &Buried) -> bool {
        let Buried { key, buried_at, queue, letter, .. } = letter;
        let same = |wanted: &Option<String>, is: Option<&String>| wanted.is_none() || wanted.as_ref() == is;
        (self.ids.is_empty() || self.ids.iter().any(|id| id == key || Some(id) == letter.id.as_ref()))
            && same(&self.task, letter.task.as_ref())
            && same(&self.queue, Some(queue))
            && same(&self.kind, Some(&letter.kind))
            && self.reason.as_ref().is_none_or(|part| letter.reason.to_lowercase().contains(part))
            && self.since.is_none_or(|since| since <= *buried_at)
            && self.until.is_none_or(|until| *buried_at < until)
    }

    /// Whether no more letters are looked for.
    pub(super) fn satisfied(&self, chosen: &[Buried]) -> bool {
        chosen.len() >= self.limit
    }
}
