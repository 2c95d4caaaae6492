use std::{collections::BTreeSet, error::Error};

use clap::{Args, Subcommand};
use errand_core::{Environment, Json, percent_encode};
use http::Method;
use serde::Serialize;

use super::{
    endpoint::{Api, Endpoint, part, path, said},
    output::{Field, Output, tell},
    tasks::json_value,
};

const COLUMNS: &[Field] = &[
    Field::text("id", "/id"),
    Field::text("task", "/task"),
    Field::text("queue", "/queue"),
    Field::text("kind", "/kind"),
    Field::text("attempts", "/attempts"),
    Field::time("given up", "/buried_at"),
    Field::text("reason", "/reason"),
];

const FIELDS: &[Field] = &[
    Field::text("key", "/key"),
    Field::text("id", "/id"),
    Field::text("task", "/task"),
    Field::text("queue", "/queue"),
    Field::text("kind", "/kind"),
    Field::text("reason", "/reason"),
    Field::text("attempts", "/attempts"),
    Field::time("given up", "/buried_at"),
    Field::text("body", "/body"),
];

/// Look at what was given up; run it again, or forget it.
#[derive(Args)]
#[command(
    after_help = r#"Replay and drop end with 1 when a letter stays, when one that was named is not there, and when there was nothing to do.

Examples:
  errand dead-letters list --kind rejected
  errand dead-letters show order-7
  errand dead-letters replay --id order-7 --edit '{"max_attempts":20}'
  errand dead-letters replay --since 2026-11-20T12:00:00Z
  errand dead-letters drop --task email --kind rejected"#
)]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    endpoint: Endpoint,
}

#[derive(Subcommand)]
enum Action {
    /// Letters, without their bodies
    List(Selection),
    /// One letter with its body
    Show {
        /// The task's id, or the letter's key
        id: String,
    },
    /// Run letters again, each as if it was sent now
    Replay {
        #[command(flatten)]
        selection: Selection,
        /// All of them
        #[arg(long)]
        all: bool,
        /// What to change in each before: a JSON merge patch, such as `{"max_attempts":20}`
        #[arg(long, value_name = "JSON", value_parser = json_value)]
        edit: Option<Json>,
    },
    /// Forget letters
    Drop {
        #[command(flatten)]
        selection: Selection,
        /// All of them
        #[arg(long)]
        all: bool,
    },
}

/// Which letters: those that are all of what is said.
#[derive(Args, Serialize)]
struct Selection {
    /// The task's id, or the letter's key; may be given more than once
    #[arg(long = "id", value_name = "ID")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ids: Vec<String>,
    /// The task's name
    #[arg(long)]
    task: Option<String>,
    /// The queue that they came from
    #[arg(long)]
    queue: Option<String>,
    /// The kind of the last failure, such as rejected
    #[arg(long)]
    kind: Option<String>,
    /// A part of the reason
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Not given up before, as 2026-11-20T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Given up before, as 2026-11-20T12:00:00Z
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Selection {
    fn query(&self) -> String {
        let Self { task, queue, kind, reason, since, until, .. } = self;
        let named = [("task", task), ("queue", queue), ("kind", kind), ("reason", reason), ("since", since), ("until", until)];
        let conditions = named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let ids = self.ids.iter().map(|id| ("id", id));
        ids.chain(conditions).map(|(name, value)| format!("&{name}={}", percent_encode(value))).collect()
    }
}

/// The body of a replay or a drop.
#[derive(Serialize)]
struct Chosen<'a> {
    #[serde(flatten)]
    selection: &'a Selection,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    all: bool,
    edit: Option<&'a Json>,
}

impl DeadLetters {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        let (api, output) = self.endpoint.open(env).await?;
        match &self.action {
            Action::List(selection) => {
                let found = api.get(&format!("{}?limit=1000{}", path("dead-letters", &[]), selection.query())).await?;
                output.list(&part::<Vec<Json>>(&found, "/dead_letters"), COLUMNS, "there are no such dead letters");
                if !part::<bool>(&found, "/complete") {
                    tell("there are more: say which, by --task, --queue, --kind, --reason, --since or --until");
                }
                Ok(())
            }
            Action::Show { id } => {
                output.one(&api.get(&path("dead-letters", &[id])).await?, FIELDS);
                Ok(())
            }
            Action::Replay { selection, all, edit } => {
                until_complete(&api, &output, ("replay", "replayed"), &Chosen { selection, all: *all, edit: edit.as_ref() }).await
            }
            Action::Drop { selection, all } => {
                until_complete(&api, &output, ("drop", "dropped"), &Chosen { selection, all: *all, edit: None }).await
            }
        }
    }
}

/// Calls again and again until all letters were seen, and tells how far it is, and of each letter with which it was done.
async fn until_complete(api: &Api, output: &Output, (action, done): (&str, &str), chosen: &Chosen<'_>) -> Result<(), Box<dyn Error>> {
    let (body, mut total, mut refused) = (said(chosen), 0, 0);
    let mut missing: BTreeSet<String> = chosen.selection.ids.iter().cloned().collect();
    loop {
        let told = api.send(Method::POST, &path("dead-letters", &[action]), &body).await?;
        let list = |name: &str| part::<Vec<Json>>(&told, &format!("/{name}"));
        for letter in list(done) {
            output.next(&letter, &COLUMNS[..1]);
        }
        for letter in list("refused") {
            tell(&format!("{} stays: {}", name(&letter), part::<String>(&letter, "/detail")));
        }
        for letter in list(done).iter().chain(&list("refused")) {
            missing.remove(&part::<String>(letter, "/key"));
            missing.remove(&part::<Option<String>>(letter, "/id").unwrap_or_default());
        }
        total += list(done).len();
        refused += list("refused").len();
        tell(&format!("{done} {total}{}", if refused > 0 { format!(", {refused} stay") } else { String::new() }));
        let ids = Some(chosen.selection.ids.len()).filter(|ids| *ids > 0).unwrap_or(usize::MAX);
        if part::<bool>(&told, "/complete") || total + refused >= ids {
            break;
        }
    }
    if refused > 0 {
        return Err(format!("{refused} stay as dead letters").into());
    }
    // What an edit has given another id is not missing.
    if !missing.is_empty() && total < chosen.selection.ids.len() {
        return Err(format!("there is no such dead letter: {}", missing.into_iter().collect::<Vec<_>>().join(", ")).into());
    }
    if total == 0 { Err("there is no such dead letter: nothing was done".into()) } else { Ok(()) }
}

fn name(letter: &Json) -> String {
    part::<Option<String>>(letter, "/id").unwrap_or_else(|| part(letter, "/key"))
}
