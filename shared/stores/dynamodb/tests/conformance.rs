//! The store in a real table.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType,
    },
};
use errand_core::{Environment, Timestamp};
use errand_http::aws::{SdkConfig, sdk_config};
use errand_store_dynamodb::DynamoStore;
use errand_store_memory::MemoryStore;

/// A table as the deployment template has it.
async fn create_table(sdk: &SdkConfig, name: &str) {
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let attribute = |name: &str, kind| AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap();
    let projection = Projection::builder().projection_type(ProjectionType::Include).non_key_attributes("task").build();
    let index = GlobalSecondaryIndex::builder()
        .index_name("by-time")
        .key_schema(key("shard", KeyType::Hash))
        .key_schema(key("position", KeyType::Range));
    Client::new(sdk)
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key("id", KeyType::Hash))
        .attribute_definitions(attribute("id", ScalarAttributeType::S))
        .attribute_definitions(attribute("shard", ScalarAttributeType::N))
        .attribute_definitions(attribute("position", ScalarAttributeType::S))
        .global_secondary_indexes(index.projection(projection).build().unwrap())
        .send()
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs DynamoDB at TEST_AWS_ENDPOINT"]
async fn it_keeps_the_contracts_of_a_store_and_of_notes() {
    let endpoint = std::env::var("TEST_AWS_ENDPOINT").unwrap();
    let env: Environment = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
    ]
    .into_iter()
    .collect();
    let sdk = sdk_config(&env).unwrap();
    let table = format!("errand-conformance-{}", Timestamp::now().millis());
    create_table(&sdk, &table).await;
    errand_testkit::store::conformance(&DynamoStore::new(&sdk, &table)).await;
    errand_testkit::notes::conformance(&DynamoStore::new(&sdk, &table)).await;
    // Some, and those that have found something.
    for seed in (0..10).chain([1048]) {
        errand_testkit::model::check(&MemoryStore::default(), &DynamoStore::new(&sdk, &table), seed, 60).await;
    }
}
