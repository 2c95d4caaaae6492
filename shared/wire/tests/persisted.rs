//! Messages of our own that wait on queues while a version follows on another.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use errand_wire::{encode, native};

/// Messages as versions have written them, with all that there is to say and with as little as there can be. None is ever changed: a version that writes
/// otherwise adds its own.
const LEFT: [&str; 3] = [
    r#"{"task":"email","id":"order-7","args":[1],"kwargs":{"n":1e400},"queue":"slow","run_after":"2026-11-20T12:00:00.000Z","expires":"2026-11-21T12:00:00.000Z","max_attempts":3,"callback_url":"https://example.com/done","group":"g","notification_id":"n-1","user":"ann","context":{"k": 1E+2},"trace":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","fingerprint":"19df11052a6fb4ee9a5f5447a1216a93"}"#,
    r#"{"task":"webhook","id":"b","queue":"default","claim_check":"soon/b","context":{"bulk": true}}"#,
    r#"{"task":"app.run","id":"a","queue":"default"}"#,
];

#[test]
fn the_messages_of_every_version_are_read_and_written_again_as_they_are() {
    for body in LEFT {
        assert_eq!(encode(&native::decode(body, "m").unwrap()), body);
    }
}
