//! What tasks can be handed to: the one list of the kinds of transports.

use errand_core::{Backends, Transport};
use errand_inline::Inline;
use errand_store_sqlite::SqliteQueue;
use errand_transport_eventbridge::EventBridgeTransport;
use errand_transport_lambda::LambdaTransport;
use errand_transport_sns::SnsTransport;
use errand_transport_sqs::SqsTransport;

/// Adds the kinds of transports.
pub(crate) fn backends(backends: &mut Backends<true>) {
    backends.add::<SqliteQueue>();
    backends.add::<Inline>();
    backends.add::<errand_transport_celery::Celery>();
    backends.add::<errand_transport_channels::Channels>();
    backends.add::<errand_transport_console::Console>();
    backends.add::<EventBridgeTransport>();
    backends.add::<LambdaTransport>();
    backends.add::<errand_transport_redis_streams::RedisStreams>();
    backends.add::<errand_transport_rq::Rq>();
    backends.add::<errand_transport_servicebus::ServiceBusQueue>();
    backends.add::<errand_transport_servicebus::ServiceBusTopic>();
    backends.add::<SnsTransport>();
    backends.add::<SqsTransport>();
    backends.add::<errand_transport_storage_queue::StorageQueue>();
}

/// The kinds of transports that are on AWS.
pub(crate) const OF_AWS: [&str; 4] =
    [SqsTransport::BACKEND, EventBridgeTransport::BACKEND, LambdaTransport::BACKEND, SnsTransport::BACKEND];
