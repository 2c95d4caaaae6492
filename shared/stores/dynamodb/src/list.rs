//! Lists: the newest of every part of the index, merged, and then read whole.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use errand_core::{Filter, Page, StorageError, TaskResult};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::{
    DynamoStore,
    item::{Reader, SHARDS, number, text},
    table::{INDEX, QUERY, Request, Told},
    value::{Item, Owned},
};

/// How many rounds of reading one call makes at most: a filter that fits nothing must not read the whole table.
const ROUNDS: usize = 8;

/// How often keys that DynamoDB did not get to are asked for again.
const TRIES: usize = 4;

/// From which position on, and before which: [`Filter::positions`].
type Range = (String, Option<String>);

/// Before and after every position.
const FIRST: &str = "0";
const LAST: &str = "~";

impl DynamoStore {
    pub(crate) async fn page(&self, filter: &Filter) -> Result<Page, StorageError> {
        let mut page = Page { results: Vec::new(), cursor: filter.cursor.clone() };
        for _ in 0..ROUNDS {
            let range = Filter { cursor: page.cursor.clone(), ..filter.clone() }.positions();
            // DynamoDB takes no range that ends before it begins.
            let nothing = range.1.as_ref().is_some_and(|before| *before <= range.0);
            let candidates = if nothing { Vec::new() } else { self.newest(&range, filter.limit).await? };
            let end = candidates.len() < filter.limit;
            let wanted = candidates
                .iter()
                .filter(|(_, task, _)| filter.task.as_ref().is_none_or(|wanted| wanted == task))
                .map(|(_, _, id)| id.clone());
            let mut results = self.read(wanted.collect()).await?;
            for (position, _, id) in candidates {
                page.cursor = Some(position);
                page.results.extend(results.remove(&id).filter(|result| filter.fits(result)));
                if page.results.len() == filter.limit {
                    return Ok(page);
                }
            }
            if end {
                page.cursor = None;
                return Ok(page);
            }
        }
        Ok(page)
    }

    /// Position, task and id of the newest records within a range of positions, the newest first; fewer than `limit` only when there are no more.
    async fn newest(&self, range: &Range, limit: usize) -> Result<Vec<(String, String, String)>, StorageError> {
        let mut all: Vec<_> =
            try_join_all((0..SHARDS).map(|shard| self.newest_of(shard, range, limit))).await?.into_iter().flatten().collect();
        all.sort_by_key(|(position, _, _)| Reverse(position.clone()));
        all.truncate(limit);
        Ok(all)
    }

    async fn newest_of(&self, shard: u32, (since, before): &Range, limit: usize) -> Result<Vec<(String, String, String)>, StorageError> {
        let query = Request {
            index_name: Some(INDEX),
            scan_index_forward: Some(false),
            // One more than wanted, for the one that is at the end of the range and not in it.
            limit: Some(limit + 1),
            // A key condition has one range, with both ends in it: what is before a position ends with the greatest text that is smaller.
            key_condition_expression: "#shard = :shard AND #position BETWEEN :since AND :before",
            ..self.table.request()
        };
        let query = query
            .pair("shard", number(shard))
            .named("position")
            .value("since", text(if since.is_empty() { FIRST } else { since }))
            .value("before", text(before.as_deref().map_or(LAST, |before| before)));
        let told: Told = self.table.call(QUERY, &query).await?;
        let key = |item: &Item<'static>| {
            let reader = Reader(item);
            Ok((reader.text("position")?.to_owned(), reader.text("task")?.to_owned(), reader.text("id")?.to_owned()))
        };
        told.items
            .iter()
            .map(key)
            .filter(|key| !matches!((key, before), (Ok((position, _, _)), Some(before)) if position == before))
            .collect()
    }

    /// The records of these ids, at most 100; those that are gone are left out.
    async fn read(&self, ids: Vec<String>) -> Result<HashMap<String, TaskResult>, StorageError> {
        let items = self.items(ids.into_iter().map(text).collect()).await?;
        items.iter().map(|item| Reader(item).result().map(|result| (result.id.clone(), result))).collect()
    }

    /// The items of these ids, at most 100, in no particular order; those that are gone are left out. What DynamoDB did not get to, or what is more than
    /// one answer holds, is asked for again.
    pub(crate) async fn items(&self, ids: Vec<Owned>) -> Result<Vec<Item<'static>>, StorageError> {
        let mut items = Vec::with_capacity(ids.len());
        let mut keys: Vec<Item<'static>> = ids.into_iter().map(|id| Item::from([("id", id)])).collect();
        for _ in 0..TRIES {
            if keys.is_empty() {
                return Ok(items);
            }
            let wanted = Keys { keys: std::mem::take(&mut keys), consistent_read: true };
            let wanted = BatchGet { request_items: BTreeMap::from([(self.table.name.as_str(), wanted)]) };
            let told: BatchGot = self.table.call("DynamoDB_20120810.BatchGetItem", &wanted).await?;
            items.extend(told.responses.into_values().flatten());
            keys.extend(told.unprocessed_keys.into_values().flat_map(|left| left.keys));
        }
        if keys.is_empty() { Ok(items) } else { Err(StorageError("DynamoDB: throttled".to_owned())) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchGet<'a> {
    request_items: BTreeMap<&'a str, Keys>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    keys: Vec<Item<'static>>,
    #[serde(default)]
    consistent_read: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct BatchGot {
    responses: BTreeMap<String, Vec<Item<'static>>>,
    unprocessed_keys: BTreeMap<String, Keys>,
}
