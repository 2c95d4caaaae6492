//! The store in a real table.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use errand_core::{Environment, Timestamp};
use errand_http::aws::sdk_config;
use errand_store_dynamodb::DynamoStore;
use errand_store_memory::MemoryStore;

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
    let table = format!("errand-conformance-{}", Timestamp::now().millis());
    let store = DynamoStore::new(&env, &errand_testkit::init().with(sdk_config(&env).unwrap()), &table).unwrap();
    store.create_table().await.unwrap();
    errand_testkit::store::conformance(store.clone()).await;
    errand_testkit::notes::conformance(store.clone()).await;
    // Some, and those that have found something.
    for seed in (0..10).chain([1048]) {
        errand_testkit::model::check(&MemoryStore::default(), &store, seed, 60).await;
    }
}
