//! What batches have in common: at most ten entries, each answered by its own id.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    error::{BATCH_ENTRY_IDS_NOT_DISTINCT, EMPTY_BATCH_REQUEST, Error, INVALID_BATCH_ENTRY_ID, TOO_MANY_ENTRIES},
    protocol::Call,
};

const MOST: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch<E> {
    #[serde(default = "Vec::new")]
    entries: Vec<Named<E>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named<E> {
    id: Option<String>,
    #[serde(flatten)]
    entry: E,
}

/// The entries of a batch with their ids.
pub(super) fn entries<E: for<'de> Deserialize<'de>>(call: &Call) -> Result<Vec<(String, E)>, Error> {
    let Batch { entries } = call.input::<Batch<E>>()?;
    if entries.is_empty() {
        return Err(Error::new(EMPTY_BATCH_REQUEST, format!("There should be at least one {}RequestEntry in the request.", call.action)));
    }
    if entries.len() > MOST {
        let told = format!("Maximum number of entries per request are {MOST}. You have sent {}.", entries.len());
        return Err(Error::new(TOO_MANY_ENTRIES, told));
    }
    let mut seen = BTreeSet::new();
    let mut named = Vec::with_capacity(entries.len());
    for Named { id, entry } in entries {
        let id = id.ok_or_else(|| Error::missing(&format!("{}RequestEntry.Id", call.action)))?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if !(1..=80).contains(&id.len()) || !id.bytes().all(allowed) {
            let told =
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.";
            return Err(Error::new(INVALID_BATCH_ENTRY_ID, told));
        }
        if !seen.insert(id.clone()) {
            return Err(Error::new(BATCH_ENTRY_IDS_NOT_DISTINCT, format!("Id {id} repeated.")));
        }
        named.push((id, entry));
    }
    Ok(named)
}

/// What became of each entry.
pub(super) fn answer(outcomes: Vec<(String, Result<Value, Error>)>) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, outcome) in outcomes {
        match outcome {
            Ok(mut told) => {
                told["Id"] = json!(id);
                successful.push(told);
            }
            Err(error) => {
                failed.push(json!({ "Id": id, "SenderFault": error.by_sender(), "Code": error.code.query, "Message": error.message }));
            }
        }
    }
    json!({ "Successful": successful, "Failed": failed })
}
