//! A table of what a service really answers, and what each answer must mean.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use errand_core::{Init, Payload, Provider, Timestamp};
use serde::Deserialize;

use crate::{Answer, Stopped, Stub, provider::attempt};

/// The time of all answers: 2026-11-30T12:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_796_040_000_000);

/// One answer, as it is on the wire, and its consequence.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// What it is.
    is: String,
    status: u16,
    /// `{date}` in a value is the date and time ninety seconds from now, and `{epoch}` the same in seconds since 1970.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    /// `success`, or the kind of failure.
    means: String,
    /// The delay that it asks for, in seconds.
    after: Option<u64>,
    /// Whether it stops the provider.
    #[serde(default)]
    stops: bool,
    /// All that is told of the failure, where that is said here.
    told: Option<String>,
    /// Where this is said.
    source: String,
}

/// Gives a provider each answer of the table, a JSON array, and compares what it makes of them. `build` makes one that calls the given base URL and
/// has what is in the `Init`, to which it adds what the provider shares with others; `{url}` in `payload` stands for the same.
///
/// # Panics
/// An answer has another consequence than the table says; all of them are named. Or there are fewer than `least`.
pub async fn check<P: Provider>(build: impl Fn(&str, Init) -> P, payload: &str, table: &str, least: usize) {
    let entries: Vec<Entry> = serde_json::from_str(table).expect("a table of answers");
    assert!(entries.len() >= least, "the table has {} answers", entries.len());
    let mut wrong = Vec::new();
    for entry in entries {
        assert!(entry.source.starts_with("https://"), "{}: where is it said?", entry.is);
        let epoch = (NOW + Duration::from_secs(90)).seconds();
        let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(epoch.unsigned_abs()));
        let fill = |value: &str| value.replace("{date}", &date).replace("{epoch}", &epoch.to_string());
        let headers = entry.headers.iter().map(|(name, value)| (name.clone(), fill(value))).collect();
        let stub = Stub::always(&Answer::Reply(entry.status, headers, entry.body)).await;
        let payload = P::Payload::from_json(&payload.replace("{url}", stub.url())).expect("a valid payload");
        let (means, after, stops, told) = match build(stub.url(), Stopped(NOW).init()).deliver(payload, &attempt("key-1")).await {
            Ok(_) => ("success".to_owned(), None, false, String::new()),
            Err(error) => (error.kind.to_string(), error.retry_after.map(|delay| delay.as_secs()), error.stops, error.message),
        };
        let told_so = entry.told.is_none_or(|wanted| wanted == told);
        if means != entry.means || after != entry.after || stops != entry.stops || !told_so {
            wrong.push(format!("{}: {means}, after {after:?}, stops {stops}, told {told}", entry.is));
        }
    }
    assert!(wrong.is_empty(), "{} answers mean something else:\n{}", wrong.len(), wrong.join("\n"));
}
