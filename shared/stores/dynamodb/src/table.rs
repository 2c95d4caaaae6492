//! The calls of DynamoDB that a store makes. They need no client of the SDK, whose model of all operations is larger than the rest of a function.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html>

use std::{borrow::Cow, time::Duration};

use errand_core::{Environment, Init, SettingsError, StorageError};
use errand_http::{
    Answer, Client, Meanings, Retry, Service,
    aws::{Api, code, refused},
};
use serde::{
    Deserialize, Serialize, Serializer,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::json;

use crate::value::{Item, Value};

const DYNAMODB: Api = Api { name: "DynamoDB", id: "DynamoDB", host: "dynamodb", signed_as: "dynamodb" };

/// The index by time: records in parts, and the notes that last.
pub(crate) const INDEX: &str = "by-time";

/// What the operations on items are called by.
pub(crate) const GET: &str = "DynamoDB_20120810.GetItem";
pub(crate) const PUT: &str = "DynamoDB_20120810.PutItem";
pub(crate) const UPDATE: &str = "DynamoDB_20120810.UpdateItem";
pub(crate) const QUERY: &str = "DynamoDB_20120810.Query";

/// The whole item as it was.
pub(crate) const ALL_OLD: Option<&str> = Some("ALL_OLD");

/// How long a call may take, with all that is tried again.
const TIMEOUT: Duration = Duration::from_secs(9);

/// Each of our writes is conditional, and finds what it wrote before: all may be done twice.
const RETRY: Retry = Retry::repeatable(3, Duration::from_millis(200));

/// The largest answer: 16 MB, of BatchGetItem. <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
const LARGEST: usize = 17_000_000;

/// A table. Clones share connections.
#[derive(Clone)]
pub(crate) struct Table {
    service: Service,
    pub(crate) name: String,
}

/// A conditional write: done, with what it was asked to tell, or the item that stood in its way, if there is one.
pub(crate) type Written = Result<Item<'static>, Option<Item<'static>>>;

impl Table {
    pub(crate) fn new(env: &Environment, cx: &Init, name: &str) -> Result<Self, SettingsError> {
        Ok(Self { service: DYNAMODB.service(TIMEOUT, cx, Client::aws(env))?, name: name.to_owned() })
    }

    /// A request that names this table, and nothing else yet.
    pub(crate) fn request<'a>(&'a self) -> Request<'a> {
        Request { table_name: &self.name, ..Request::default() }
    }

    /// Makes a call; its answer has come, with any status, when it is `Ok`.
    async fn send(&self, target: &'static str, request: &impl Serialize) -> Result<Answer, StorageError> {
        let call = self.service.post("/").json(request).header("x-amz-target", target).header("content-type", "application/x-amz-json-1.0");
        // On the heap: the call's state would be moved with every future around it.
        Box::pin(call.retried(RETRY).up_to(LARGEST).send()).await.map_err(|error| StorageError(format!("DynamoDB: {}", error.message)))
    }

    /// Makes a call that nothing but a failure keeps from being done.
    pub(crate) async fn call<T: DeserializeOwned>(&self, target: &'static str, request: &impl Serialize) -> Result<T, StorageError> {
        read(&self.send(target, request).await?)
    }

    /// Makes a write that has a condition.
    pub(crate) async fn write(&self, target: &'static str, request: Request<'_>) -> Result<Written, StorageError> {
        let answer = self.send(target, &request).await?;
        if !answer.success() && code(&answer).as_deref() == Some("ConditionalCheckFailedException") {
            let stood: Told = answer.json().ok_or_else(|| StorageError(answer.unclear().message))?;
            return Ok(Err((!stood.item.is_empty()).then_some(stood.item)));
        }
        read(&answer).map(|told: Told| Ok(told.attributes))
    }

    /// Makes the table as the deployment template has it: for tests, and for an emulator that nothing deploys to.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) async fn create(&self) -> Result<(), StorageError> {
        let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
        let attribute = |name: &str, kind: &str| json!({ "AttributeName": name, "AttributeType": kind });
        let index = json!({
            "IndexName": INDEX,
            "KeySchema": [key("shard", "HASH"), key("position", "RANGE")],
            "Projection": { "ProjectionType": "INCLUDE", "NonKeyAttributes": ["task"] },
        });
        let table = json!({
            "TableName": self.name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [key("id", "HASH")],
            "AttributeDefinitions": [attribute("id", "S"), attribute("shard", "N"), attribute("position", "S")],
            "GlobalSecondaryIndexes": [index],
        });
        self.call::<IgnoredAny>("DynamoDB_20120810.CreateTable", &table).await.map(drop)
    }
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, StorageError> {
    if !answer.success() {
        return Err(StorageError(refused(answer, &Meanings::default()).message));
    }
    answer.json().ok_or_else(|| StorageError(answer.unclear().message))
}

/// What the operations on items ask for. What is not said is not sent.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request<'a> {
    pub(crate) table_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Item::is_empty")]
    pub(crate) key: Item<'a>,
    #[serde(skip_serializing_if = "Item::is_empty")]
    pub(crate) item: Item<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) update_expression: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) condition_expression: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) key_condition_expression: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) projection_expression: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "names")]
    pub(crate) expression_attribute_names: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "values")]
    pub(crate) expression_attribute_values: Vec<(&'static str, Value<'a>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) return_values: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) return_values_on_condition_check_failure: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) consistent_read: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scan_index_forward: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<usize>,
}

impl<'a> Request<'a> {
    /// Of the item that has this id.
    pub(crate) fn of(self, id: Value<'a>) -> Self {
        Self { key: Item::from([("id", id)]), ..self }
    }

    /// Names an attribute in the expressions, where it has a `#` before it: many names are words that expressions know.
    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.expression_attribute_names.push(name);
        self
    }

    /// Gives a value to the expressions, where it has a `:` before its name.
    pub(crate) fn value(mut self, name: &'static str, value: Value<'a>) -> Self {
        self.expression_attribute_values.push((name, value));
        self
    }

    /// Adds to what an update sets, with the value that this part is about.
    pub(crate) fn set(mut self, part: &str, name: &'static str, value: Value<'a>) -> Self {
        let set = self.update_expression.to_mut();
        set.push_str(", ");
        set.push_str(part);
        self.value(name, value)
    }

    /// An attribute and its value by the attribute's name.
    pub(crate) fn pair(self, name: &'static str, value: Value<'a>) -> Self {
        self.named(name).value(name, value)
    }
}

fn names<S: Serializer>(names: &[&'static str], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(names.iter().map(|name| (Placeholder('#', name), name)))
}

fn values<S: Serializer>(values: &[(&'static str, Value<'_>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.iter().map(|(name, value)| (Placeholder(':', name), value)))
}

/// What stands for a name or a value in expressions.
struct Placeholder(char, &'static str);

impl Serialize for Placeholder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}{}", self.0, self.1))
    }
}

/// What an operation on items tells.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Told {
    /// The item as it is, or was.
    pub(crate) attributes: Item<'static>,
    /// The item that was read, or that stood in a write's way.
    pub(crate) item: Item<'static>,
    pub(crate) items: Vec<Item<'static>>,
}
