use std::error::Error;

use clap::{Args, Subcommand};
use errand_api::encode_segment;
use errand_core::Environment;
use http::Method;
use serde_json::json;

use super::{
    endpoint::Endpoint,
    output::{say, tell},
};

/// Say who may call.
#[derive(Args)]
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
        /// What it may do: send, read or admin; may be given more than once
        #[arg(long = "scope", required = true, value_parser = ["send", "read", "admin"])]
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
    /// One line of JSON for each key, without the key itself
    List,
    /// Let its holder call no more
    Revoke {
        /// Who held it
        name: String,
    },
}

impl Keys {
    pub(crate) async fn run(&self, env: &Environment) -> Result<(), Box<dyn Error>> {
        let api = self.endpoint.api(env);
        match &self.action {
            Action::New { name, scopes, expires, rate, offline: true } => {
                let (key, hash) = errand_api::generate_key().ok_or("there is no source of random numbers")?;
                let expires = expires.as_ref().map(|time| format!("expires={time}"));
                let options: Vec<String> = expires.into_iter().chain(rate.map(|rate| format!("rate={rate}"))).collect();
                let options = if options.is_empty() { String::new() } else { format!(":{}", options.join(";")) };
                say(&json!({ "key": key, "ERRAND_API_KEYS": format!("{name}:{}:{hash}{options}", scopes.join("+")) }));
                tell("add the entry to ERRAND_API_KEYS, and give the key to its holder: it is not shown again");
            }
            Action::New { name, scopes, expires, rate, .. } => {
                let key = json!({ "name": name, "scopes": scopes, "expires": expires, "rate": rate });
                let made = api.call(Method::POST, "/v1/keys", Some(&key)).await?;
                say(&made);
                tell("give the key to its holder: it is not shown again");
                if made["enforced"] == false {
                    tell(
                        "this server enforces no keys, and answers whoever calls it: start it with ERRAND_API_KEYS, an entry of which --offline makes",
                    );
                }
            }
            Action::List => {
                let told = api.call(Method::GET, "/v1/keys", None).await?;
                told["keys"].as_array().into_iter().flatten().for_each(say);
            }
            Action::Revoke { name } => say(&api.call(Method::DELETE, &format!("/v1/keys/{}", encode_segment(name)), None).await?),
        }
        Ok(())
    }
}
