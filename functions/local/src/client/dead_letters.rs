use std::error::Error;

use clap::{Args, Subcommand};
use errand_api::encode_segment;
use errand_core::Environment;
use http::Method;
use serde_json::{Map, Value, json};

use super::{
    endpoint::{Api, Endpoint},
    output::{say, tell},
};

/// Look at what was given up; run it again, or forget it.
#[derive(Args)]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    endpoint: Endpoint,
}

#[derive(Subcommand)]
enum Action {
    /// One line of JSON for each letter, without its body
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
        #[arg(long, value_name = "JSON", value_parser = object)]
        edit: Option<Value>,
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
#[derive(Args)]
struct Selection {
    /// The task's id, or the letter's key; may be given more than once
    #[arg(long)]
    id: Vec<String>,
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

fn object(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).ok().filter(Value::is_object).ok_or_else(|| "expected a JSON object".to_owned())
}

impl Selection {
    fn conditions(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let Self { task, queue, kind, reason, since, until, .. } = self;
        let named = [("task", task), ("queue", queue), ("kind", kind), ("reason", reason), ("since", since), ("until", until)];
        named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)))
    }

    fn query(&self) -> String {
        let ids = self.id.iter().map(|id| ("id", id));
        ids.chain(self.conditions()).map(|(name, value)| format!("&{name}={}", encode_segment(value))).collect()
    }

    fn body(&self, all: bool) -> Map<String, Value> {
        let mut body: Map<String, Value> = self.conditions().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        if !self.id.is_empty() {
            body.insert("ids".to_owned(), json!(self.id));
        }
        if all {
            body.insert("all".to_owned(), json!(true));
        }
        body
    }
}

impl DeadLetters {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        let api = self.endpoint.api(env);
        match &self.action {
            Action::List(selection) => {
                let found = api.call(Method::GET, &format!("/v1/dead-letters?limit=1000{}", selection.query()), None).await?;
                found["dead_letters"].as_array().into_iter().flatten().for_each(say);
                if found["complete"] != true {
                    tell("there are more: say which, by --task, --queue, --kind, --reason, --since or --until");
                }
                Ok(())
            }
            Action::Show { id } => {
                say(&api.call(Method::GET, &format!("/v1/dead-letters/{}", encode_segment(id)), None).await?);
                Ok(())
            }
            Action::Replay { selection, all, edit } => {
                let mut body = selection.body(*all);
                if let Some(edit) = edit {
                    body.insert("edit".to_owned(), edit.clone());
                }
                until_complete(&api, "replay", "replayed", body).await
            }
            Action::Drop { selection, all } => until_complete(&api, "drop", "dropped", selection.body(*all)).await,
        }
    }
}

/// Calls again and again until all letters were seen, and tells how far it is. What was done is one line of JSON for each letter.
async fn until_complete(api: &Api, action: &str, done: &str, body: Map<String, Value>) -> Result<(), Box<dyn Error>> {
    let (body, mut total, mut refused) = (Value::Object(body), 0, 0);
    loop {
        let told = api.call(Method::POST, &format!("/v1/dead-letters/{action}"), Some(&body)).await?;
        let list = |name: &str| told[name].as_array().cloned().unwrap_or_default();
        list(done).iter().for_each(say);
        for letter in list("refused") {
            tell(&format!(
                "{} stays: {}",
                letter["id"].as_str().or(letter["key"].as_str()).unwrap_or_default(),
                letter["detail"].as_str().unwrap_or_default()
            ));
        }
        total += list(done).len();
        refused += list("refused").len();
        tell(&format!("{done} {total}{}", if refused > 0 { format!(", {refused} stay") } else { String::new() }));
        let chosen = body["ids"].as_array().map_or(usize::MAX, Vec::len);
        if told["complete"] == true || total + refused >= chosen {
            break;
        }
    }
    if refused > 0 { Err(format!("{refused} stay as dead letters").into()) } else { Ok(()) }
}
