//! The store against the kit.

#[tokio::test]
async fn it_keeps_the_contract_of_a_store() {
    errand_testkit::store::conformance(&errand_store_memory::MemoryStore::default()).await;
}
