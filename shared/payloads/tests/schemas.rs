//! What callers are told of each payload.

use errand_core::{Payload, Taker};
use errand_payloads::Visit;

struct Check;

impl Visit for Check {
    fn payload<P: Payload>(&mut self, _: &'static str, _: Vec<Taker<P>>) {
        errand_testkit::schema::check::<P>();
    }
}

#[test]
fn every_schema_tells_what_is_read() {
    errand_payloads::each(&mut Check);
}
