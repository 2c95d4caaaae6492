//! Notes in the same table: items whose id holds a space, which no envelope's id does.

use std::collections::HashMap;

use errand_core::{Note, NoteKind, Notes, StorageError, Timestamp};

use crate::{
    DynamoStore,
    item::{Reader, number, text, time},
    table::{ALL_OLD, INDEX, PUT, QUERY, Request, Told, UPDATE},
    value::{Item, Owned, Value},
};

/// How many a list tells at once.
const PAGE: usize = 100;

fn id(kind: NoteKind, name: &str) -> Owned {
    text(format!("{} {name}", kind.as_str()))
}

/// The part of the index that has the notes of a kind that last, sorted by name; records have those from 0 on. It is in the table: a kind keeps its number.
fn shard(kind: NoteKind) -> Owned {
    number(match kind {
        NoteKind::Key => -1,
        NoteKind::Call => -2,
        NoteKind::Template => -3,
        NoteKind::Rate => -4,
    })
}

fn item(note: &Note) -> Item<'_> {
    let mut item = Item::from([("id", id(note.kind, &note.name)), ("text", text(&note.text))]);
    let more: [(&'static str, Value<'_>); 2] = match note.until {
        Some(until) => [("until", time(until)), ("ttl", number(until.seconds() + 1))],
        None => [("shard", shard(note.kind)), ("position", text(&note.name))],
    };
    item.extend(more);
    item
}

impl Notes for DynamoStore {
    async fn get(&self, kind: NoteKind, name: &str, now: Timestamp) -> Result<Option<String>, StorageError> {
        let Some(item) = self.item(id(kind, name)).await? else { return Ok(None) };
        let gone = Reader(&item).time("until")?.is_some_and(|until| until <= now);
        if gone { Ok(None) } else { Reader(&item).text("text").map(|text| Some(text.to_owned())) }
    }

    async fn create(&self, note: &Note, now: Timestamp) -> Result<Option<String>, StorageError> {
        let put = Request {
            item: item(note),
            condition_expression: "attribute_not_exists(id) OR #until <= :now",
            return_values_on_condition_check_failure: ALL_OLD,
            ..self.table.request()
        };
        match self.table.write(PUT, put.named("until").value("now", time(now))).await? {
            Ok(_) => Ok(None),
            Err(Some(stood)) => Reader(&stood).text("text").map(|text| Some(text.to_owned())),
            Err(None) => Err(StorageError("DynamoDB: a note is there and not told".to_owned())),
        }
    }

    async fn put(&self, note: &Note) -> Result<(), StorageError> {
        self.table.call::<Told>(PUT, &Request { item: item(note), ..self.table.request() }).await.map(drop)
    }

    async fn delete(&self, kind: NoteKind, name: &str) -> Result<bool, StorageError> {
        let delete = Request { return_values: ALL_OLD, ..self.table.request().of(id(kind, name)) };
        let told: Told = self.table.call("DynamoDB_20120810.DeleteItem", &delete).await?;
        Ok(!told.attributes.is_empty())
    }

    async fn list(&self, kind: NoteKind, cursor: Option<&str>) -> Result<Vec<(String, String)>, StorageError> {
        let query = Request {
            index_name: Some(INDEX),
            limit: Some(PAGE),
            key_condition_expression: "#shard = :shard AND #position > :after",
            ..self.table.request()
        };
        let query = query.pair("shard", shard(kind)).named("position").value("after", text(cursor.unwrap_or(" ")));
        let told: Told = self.table.call(QUERY, &query).await?;
        let names: Vec<String> =
            told.items.iter().map(|item| Reader(item).text("position").map(ToOwned::to_owned)).collect::<Result<_, _>>()?;
        let items = self.items(names.iter().map(|name| id(kind, name)).collect()).await?;
        let note = |item: &Item<'static>| Ok((Reader(item).text("position")?.to_owned(), Reader(item).text("text")?.to_owned()));
        let mut texts: HashMap<String, String> = items.iter().map(note).collect::<Result<_, StorageError>>()?;
        Ok(names.into_iter().filter_map(|name| texts.remove_entry(&name)).collect())
    }

    async fn count(&self, kind: NoteKind, name: &str, until: Timestamp) -> Result<u64, StorageError> {
        let update = Request {
            update_expression: "SET #ttl = :ttl ADD #count :one".into(),
            return_values: Some("UPDATED_NEW"),
            ..self.table.request().of(id(kind, name))
        };
        let update = update.pair("ttl", number(until.seconds() + 1)).named("count").value("one", number(1));
        let told: Told = self.table.call(UPDATE, &update).await?;
        Reader(&told.attributes).count("count").map(u64::from)
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
