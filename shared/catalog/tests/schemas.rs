//! What callers are told of each payload.

#[test]
fn every_schema_tells_what_is_read() {
    errand_testkit::schema::check::<errand_provider_console::Line>();
    errand_testkit::schema::check::<errand_provider_ses::Email>();
    errand_testkit::schema::check::<errand_provider_slack::Message>();
    errand_testkit::schema::check::<errand_provider_webhook::Call>();
}
