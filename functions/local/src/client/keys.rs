use std::error::Error;

use clap::{Args, Subcommand};
use errand_api::Scope;
use errand_core::{Environment, Json};
use http::Method;
use serde_json::json;

use super::{
    endpoint::{Endpoint, part, path},
    output::{Field, tell},
};

const FIELDS: &[Field] = &[
    Field::text("name", "/name"),
    Field::text("scopes", "/scopes"),
    Field::time("expires", "/expires"),
    Field::text("rate", "/rate"),
    Field::text("revocable", "/revocable"),
    Field::text("key", "/key"),
    Field::text("ERRAND_API_KEYS", "/ERRAND_API_KEYS"),
];

/// Say who may call.
#[derive(Args)]
#[command(after_help = "Examples:
  errand keys new root --scope admin --offline          # the first key of a deployment
  errand keys new shop --scope send --scope read --rate 600
  errand keys revoke shop")]
pub(crate) struct Keys {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    endpoint: Endpoint,
}

#[derive(Subcommand)]
enum Action {
    /// Make a key; it is printed once, and kept nowhere
    New {
        /// Who is to hold it
        name: String,
        /// What it may do; may be given more than once
        #[arg(long = "scope", required = true, value_parser = Scope::ALL.map(Scope::as_str))]
        scopes: Vec<String>,
        /// When it ends, as 2027-01-01T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// Calls that it may make in a minute
        #[arg(long, value_name = "COUNT")]
        rate: Option<u32>,
        /// Make it by oneself, and print the entry for ERRAND_API_KEYS: for the first key of a new deployment
        #[arg(long)]
        offline: bool,
    },
    /// All keys, without the keys themselves
    List,
    /// Let its holder call no more
    Revoke {
        /// Who held it
        name: String,
    },
}

impl Keys {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        let (api, output) = self.endpoint.open(env).await?;
        match &self.action {
            Action::New { name, scopes, expires, rate, offline: true } => {
                let (key, hash) = errand_api::generate_key().ok_or("there is no source of random numbers")?;
                let expires = expires.as_ref().map(|time| format!("expires={time}"));
                let options: Vec<String> = expires.into_iter().chain(rate.map(|rate| format!("rate={rate}"))).collect();
                let options = if options.is_empty() { String::new() } else { format!(":{}", options.join(";")) };
                let entry = format!("{name}:{}:{hash}{options}", scopes.join("+"));
                output.one(&Json::of(&json!({ "key": key, "ERRAND_API_KEYS": entry })), FIELDS);
                tell("add the entry to ERRAND_API_KEYS, and give the key to its holder: it is not shown again");
            }
            Action::New { name, scopes, expires, rate, .. } => {
                let key = json!({ "name": name, "scopes": scopes, "expires": expires, "rate": rate });
                let made = api.send(Method::POST, &path("keys", &[]), &key).await?;
                output.one(&made, FIELDS);
                tell("give the key to its holder: it is not shown again");
                if part::<Option<bool>>(&made, "/enforced") == Some(false) {
                    tell(
                        "this server enforces no keys, and answers whoever calls it: start it with ERRAND_API_KEYS, an entry of which --offline makes",
                    );
                }
            }
            Action::List => {
                let told = api.get(&path("keys", &[])).await?;
                output.list(&part::<Vec<Json>>(&told, "/keys"), &FIELDS[..5], "there are no keys");
            }
            Action::Revoke { name } => output.one(&api.act(Method::DELETE, &path("keys", &[name])).await?, FIELDS),
        }
        Ok(())
    }
}
