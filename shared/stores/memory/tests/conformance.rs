//! The store against the kit.

#[tokio::test]
async fn it_keeps_the_contract_of_a_store() {
    errand_testkit::store::conformance(errand_store_memory::MemoryStore::default()).await;
}

#[tokio::test]
async fn it_keeps_the_contract_of_notes() {
    errand_testkit::notes::conformance(errand_store_memory::MemoryNotes::default()).await;
}
