//! Notes in the same table: items whose id holds a space, which no envelope's id does.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use errand_core::{Note, NoteKind, Notes, StorageError, Timestamp};
use errand_http::aws::Failure;

use crate::{
    DynamoStore,
    item::{Item, Reader, number, text, time},
    store::failed,
};

/// How many a list tells at once.
const PAGE: i32 = 100;

fn id(kind: NoteKind, name: &str) -> AttributeValue {
    text(format!("{} {name}", kind.as_str()))
}

/// The part of the index that has the notes of a kind that last, sorted by name; records have those from 0 on. It is in the table: a kind keeps its number.
fn shard(kind: NoteKind) -> AttributeValue {
    number(match kind {
        NoteKind::Key => -1,
        NoteKind::Call => -2,
        NoteKind::Template => -3,
        NoteKind::Rate => -4,
    })
}

fn item(note: &Note) -> Item {
    let mut item: Vec<(&str, AttributeValue)> = vec![("id", id(note.kind, &note.name)), ("text", text(&note.text))];
    match note.until {
        Some(until) => item.extend([("until", time(until)), ("ttl", number(until.seconds() + 1))]),
        None => item.extend([("shard", shard(note.kind)), ("position", text(&note.name))]),
    }
    item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl Notes for DynamoStore {
    async fn get(&self, kind: NoteKind, name: &str, now: Timestamp) -> Result<Option<String>, StorageError> {
        let told = self.client.get_item().table_name(&self.table).key("id", id(kind, name)).consistent_read(true).send().await;
        let Some(item) = told.map_err(|error| failed(&Failure::of(&error)))?.item else { return Ok(None) };
        let gone = Reader(&item).time("until")?.is_some_and(|until| until <= now);
        if gone { Ok(None) } else { Reader(&item).text("text").map(|text| Some(text.to_owned())) }
    }

    async fn create(&self, note: &Note, now: Timestamp) -> Result<Option<String>, StorageError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(note)))
            .condition_expression("attribute_not_exists(id) OR #until <= :now")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":now", time(now))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(stood)) => {
                    let known = stood.item.as_ref().map(|item| Reader(item).text("text").map(ToOwned::to_owned));
                    known.transpose()?.map(Some).ok_or_else(|| StorageError("DynamoDB: a note is there and not told".to_owned()))
                }
                _ => Err(failed(&Failure::of(&error))),
            },
        }
    }

    async fn put(&self, note: &Note) -> Result<(), StorageError> {
        let told = self.client.put_item().table_name(&self.table).set_item(Some(item(note))).send().await;
        told.map(drop).map_err(|error| failed(&Failure::of(&error)))
    }

    async fn delete(&self, kind: NoteKind, name: &str) -> Result<bool, StorageError> {
        let delete = self.client.delete_item().table_name(&self.table).key("id", id(kind, name)).return_values(ReturnValue::AllOld);
        Ok(delete.send().await.map_err(|error| failed(&Failure::of(&error)))?.attributes.is_some_and(|old| !old.is_empty()))
    }

    async fn list(&self, kind: NoteKind, cursor: Option<&str>) -> Result<Vec<(String, String)>, StorageError> {
        let told = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(crate::list::INDEX)
            .limit(PAGE)
            .key_condition_expression("#shard = :shard AND #position > :after")
            .expression_attribute_names("#shard", "shard")
            .expression_attribute_values(":shard", shard(kind))
            .expression_attribute_names("#position", "position")
            .expression_attribute_values(":after", text(cursor.unwrap_or(" ")))
            .send()
            .await;
        let told = told.map_err(|error| failed(&Failure::of(&error)))?;
        let names: Vec<String> =
            told.items().iter().map(|item| Reader(item).text("position").map(ToOwned::to_owned)).collect::<Result<_, _>>()?;
        let items = self.items(names.iter().map(|name| id(kind, name)).collect()).await?;
        let note = |item: &Item| Ok((Reader(item).text("position")?.to_owned(), Reader(item).text("text")?.to_owned()));
        let mut texts: HashMap<String, String> = items.iter().map(note).collect::<Result<_, StorageError>>()?;
        Ok(names.into_iter().filter_map(|name| texts.remove_entry(&name)).collect())
    }

    async fn count(&self, kind: NoteKind, name: &str, until: Timestamp) -> Result<u64, StorageError> {
        let told = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("id", id(kind, name))
            .update_expression("SET #ttl = :ttl ADD #count :one")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":ttl", number(until.seconds() + 1))
            .expression_attribute_names("#count", "count")
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await;
        let told = told.map_err(|error| failed(&Failure::of(&error)))?;
        Reader(&told.attributes.unwrap_or_default()).count("count").map(u64::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_in_the_same_part_in_every_build() {
        assert_eq!(NoteKind::ALL.map(shard), [-1, -2, -3, -4].map(number));
    }
}
