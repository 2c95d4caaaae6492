//! Lists: the newest of every part of the index, merged, and then read whole.

use std::{cmp::Reverse, collections::HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use errand_core::{Filter, Page, StorageError, TaskResult};
use errand_http::aws::Failure;
use futures_util::future::try_join_all;

use crate::{
    DynamoStore,
    item::{Item, Reader, SHARDS, number, text},
    store::failed,
};

pub(crate) const INDEX: &str = "by-time";

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

    async fn newest_of(&self, shard: u64, (since, before): &Range, limit: usize) -> Result<Vec<(String, String, String)>, StorageError> {
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(INDEX)
            .scan_index_forward(false)
            // One more than wanted, for the one that is at the end of the range and not in it.
            .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX));
        // A key condition has one range, with both ends in it: what is before a position ends with the greatest text that is smaller.
        query = query
            .key_condition_expression("#shard = :shard AND #position BETWEEN :since AND :before")
            .expression_attribute_names("#shard", "shard")
            .expression_attribute_values(":shard", number(shard))
            .expression_attribute_names("#position", "position")
            .expression_attribute_values(":since", text(if since.is_empty() { FIRST } else { since }))
            .expression_attribute_values(":before", text(before.as_deref().map_or(LAST, |before| before)));
        let told = query.send().await.map_err(|error| failed(&Failure::of(&error)))?;
        let key = |item: &Item| {
            let reader = Reader(item);
            Ok((reader.text("position")?.to_owned(), reader.text("task")?.to_owned(), reader.text("id")?.to_owned()))
        };
        told.items()
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
    pub(crate) async fn items(&self, ids: Vec<AttributeValue>) -> Result<Vec<Item>, StorageError> {
        let mut items = Vec::with_capacity(ids.len());
        let mut keys: Vec<Item> = ids.into_iter().map(|id| HashMap::from([("id".to_owned(), id)])).collect();
        for _ in 0..TRIES {
            if keys.is_empty() {
                return Ok(items);
            }
            let wanted = KeysAndAttributes::builder().set_keys(Some(std::mem::take(&mut keys))).consistent_read(true).build();
            let wanted = wanted.map_err(|_| StorageError("DynamoDB: the keys of a page cannot be asked for".to_owned()))?;
            let told = self.client.batch_get_item().request_items(&self.table, wanted).send().await;
            let told = told.map_err(|error| failed(&Failure::of(&error)))?;
            items.extend(told.responses.into_iter().flatten().flat_map(|(_, items)| items));
            keys = told.unprocessed_keys.into_iter().flatten().flat_map(|(_, left)| left.keys).collect();
        }
        if keys.is_empty() { Ok(items) } else { Err(StorageError("DynamoDB: throttled".to_owned())) }
    }
}
