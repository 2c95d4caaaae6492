use std::error::Error;

use clap::{Args, Subcommand};
use errand_core::{Environment, Json};
use http::Method;
use serde::Serialize;

use super::{
    endpoint::{Endpoint, path, said},
    output::Field,
    tasks::{self, Conditions, json_value},
};

const FIELDS: &[Field] = &[
    Field::text("name", "/name"),
    Field::text("cron", "/cron"),
    Field::text("rate", "/rate"),
    Field::text("timezone", "/timezone"),
    Field::text("paused", "/paused"),
    Field::time("next run", "/next_run"),
    Field::time("last run", "/last_run/at"),
    Field::status("last status", "/last_run/status"),
    Field::text("last id", "/last_run/id"),
    Field::text("task", "/task"),
    Field::text("args", "/args"),
    Field::text("kwargs", "/kwargs"),
    Field::text("queue", "/queue"),
    Field::text("attempts", "/max_attempts"),
    Field::text("group", "/group"),
    Field::text("user", "/user"),
    Field::text("callback", "/callback_url"),
    Field::text("context", "/context"),
];

const COLUMNS: &[Field] = &[
    Field::text("name", "/name"),
    Field::text("cron", "/cron"),
    Field::text("rate", "/rate"),
    Field::text("timezone", "/timezone"),
    Field::text("task", "/task"),
    Field::time("next run", "/next_run"),
    Field::time("last run", "/last_run/at"),
    Field::status("last status", "/last_run/status"),
];

/// Run tasks again and again.
#[derive(Args)]
#[command(after_help = r#"Examples:
  errand schedules create digest --cron '0 9 * * mon-fri' --timezone Europe/Berlin email '{"to":["team@example.com"],"subject":"Good morning","body":"…"}'
  errand schedules create pulse --rate '5 minutes' console '{"text":"alive"}'
  errand schedules change digest --cron '0 9 L * *'
  errand schedules change digest --patch '{"kwargs":{"subject":"Good day"}}'
  errand schedules run digest"#)]
pub(crate) struct Schedules {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    endpoint: Endpoint,
}

#[derive(Subcommand)]
enum Action {
    /// All schedules, with their next and last run
    List,
    /// One schedule with all it says
    Show {
        /// Its name
        name: String,
    },
    /// Make one
    Create(Create),
    /// Change what one says; what is not said stays
    Change(Change),
    /// Let one rest: what is due meanwhile is not made up for
    Pause {
        /// Its name
        name: String,
    },
    /// Let one go on
    Resume {
        /// Its name
        name: String,
    },
    /// Run it now, beside the runs that are due
    Run {
        /// Its name
        name: String,
    },
    /// End one
    Delete {
        /// Its name
        name: String,
    },
}

/// When a schedule runs.
#[derive(Args, Serialize)]
struct When {
    /// As crontab has it, such as '0 9 * * mon-fri', or @daily
    #[arg(long, value_name = "LINE", conflicts_with = "rate")]
    cron: Option<String>,
    /// A pace, such as '5 minutes'
    #[arg(long)]
    rate: Option<String>,
    /// Whose clock cron goes by, such as Europe/Berlin; UTC when not given
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
}

#[derive(Args, Serialize)]
struct Create {
    /// Its name
    name: String,
    #[command(flatten)]
    #[serde(flatten)]
    when: When,
    /// Begin paused
    #[arg(long)]
    paused: bool,
    /// What to do, such as email
    task: String,
    /// Its payload: a JSON object
    #[arg(default_value = "{}", value_parser = json_value)]
    kwargs: Json,
    #[command(flatten)]
    #[serde(flatten)]
    conditions: Conditions,
}

#[derive(Args, Serialize)]
struct Change {
    /// Its name
    #[serde(skip)]
    name: String,
    #[command(flatten)]
    #[serde(flatten)]
    when: When,
    /// What to do
    #[arg(long)]
    task: Option<String>,
    /// What to change in its payload: a JSON merge patch
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    kwargs: Option<Json>,
    #[command(flatten)]
    #[serde(flatten)]
    conditions: Conditions,
    /// What to change: a JSON merge patch of the whole schedule, in which null takes a field away
    #[arg(long, value_name = "JSON", value_parser = json_value, conflicts_with_all = ["When", "task", "kwargs", "Conditions"])]
    #[serde(skip)]
    patch: Option<Json>,
}

impl Schedules {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        let (api, output) = self.endpoint.open(env).await?;
        let one = |name: &str| path("schedules", &[name]);
        let told = match &self.action {
            Action::List => {
                let all = api.all("schedules", &format!("{}?limit=100", path("schedules", &[]))).await?;
                output.list(&all, COLUMNS, "there are no schedules");
                return Ok(());
            }
            Action::Run { name } => return tasks::told(&output, &api.act(Method::POST, &path("schedules", &[name, "run"])).await?),
            Action::Show { name } => api.get(&one(name)).await,
            Action::Create(create) => api.send(Method::POST, &path("schedules", &[]), &said(create)).await,
            Action::Change(change) => match &change.patch {
                Some(patch) => api.send(Method::PATCH, &one(&change.name), patch).await,
                None => api.send(Method::PATCH, &one(&change.name), &said(change)).await,
            },
            Action::Pause { name } => api.act(Method::POST, &path("schedules", &[name, "pause"])).await,
            Action::Resume { name } => api.act(Method::POST, &path("schedules", &[name, "resume"])).await,
            Action::Delete { name } => api.act(Method::DELETE, &one(name)).await,
        }?;
        output.one(&told, FIELDS);
        Ok(())
    }
}
