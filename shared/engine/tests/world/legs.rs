use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use errand_core::{DeliveryError, Environment, ErrorKind, Init, Job, Json, Ran, Runner, SettingsError};
use serde::Deserialize;

/// A runner whose routes say how long they take and may take; what they do is told them, or stands in the payload.
#[derive(Clone, Default)]
pub struct Legs {
    /// Each call, by its leg and the key of the payload.
    pub calls: Arc<Mutex<Vec<(String, String)>>>,
    /// The keys of what was done.
    pub done: Arc<Mutex<Vec<String>>>,
    does: Arc<Mutex<BTreeMap<String, String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegRoute {
    leg: String,
    /// In seconds.
    #[serde(default = "five")]
    timeout: u64,
    /// In milliseconds.
    #[serde(default)]
    takes: u64,
    /// What it does, whatever the payload says.
    does: Option<String>,
}

fn five() -> u64 {
    5
}

impl Legs {
    /// From now on a leg does this, whatever the payload says.
    pub fn does(&self, leg: &str, script: &str) {
        self.does.lock().unwrap().insert(leg.to_owned(), script.to_owned());
    }

    /// How often a leg was called.
    pub fn called(&self, leg: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(called, _)| called == leg).count()
    }

    pub fn done(&self) -> Vec<String> {
        let mut done = self.done.lock().unwrap().clone();
        done.sort();
        done
    }
}

impl Runner for Legs {
    const NAME: &'static str = "leg";
    type Route = LegRoute;

    fn new(_: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        cx.shared::<Self>().cloned()
    }

    fn check(&self, _: &LegRoute) -> Result<(), String> {
        Ok(())
    }

    fn timeout(&self, route: &LegRoute) -> Duration {
        Duration::from_secs(route.timeout)
    }

    async fn run(&self, route: &LegRoute, job: &Job<'_>) -> Result<Ran, DeliveryError> {
        let key = job.envelope.id.clone();
        self.calls.lock().unwrap().push((route.leg.clone(), key.clone()));
        tokio::time::sleep(Duration::from_millis(route.takes)).await;
        let told = self.does.lock().unwrap().get(&route.leg).cloned();
        let script = told.or_else(|| route.does.clone()).unwrap_or_else(|| {
            let kwargs: serde_json::Value = serde_json::from_str(job.envelope.payload()).unwrap();
            kwargs["do"].as_str().unwrap().to_owned()
        });
        let first = |script: &str| job.number <= script.rsplit_once('-').and_then(|(_, times)| times.parse().ok()).unwrap_or(u32::MAX);
        match script.as_str() {
            script if script.starts_with("down") && first(script) => Err(DeliveryError::new(ErrorKind::Unavailable, "HTTP 503")),
            script if script.starts_with("stop") && first(script) => {
                Err(DeliveryError::new(ErrorKind::Misconfigured, "token_revoked").stopping())
            }
            script if script.starts_with("panic") && first(script) => panic!("on purpose"),
            "stop at once" => Err(DeliveryError::new(ErrorKind::RateLimited, "slow down").stopping().retry_after(Some(Duration::ZERO))),
            "unsure" => Err(DeliveryError::new(ErrorKind::OutcomeUnknown, "no answer")),
            "reject" => Err(DeliveryError::new(ErrorKind::Rejected, "HTTP 400")),
            "hang" => std::future::pending().await,
            "hand" => Ok(Ran::Handed(Duration::from_secs(600))),
            _ => {
                self.done.lock().unwrap().push(key);
                Ok(Ran::Done(Json::of(&route.leg)))
            }
        }
    }
}
