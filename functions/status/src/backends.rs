//! What this build can hand tasks to: the one list of the kinds of transports, each with the Cargo feature that it is built with.

use errand_core::{Backends, NotInline, Transport};
use errand_transport_sqs::SqsTransport;

/// The one whose queues this deployment's own consumer works off.
pub(crate) const HOME: &str = SqsTransport::BACKEND;

/// Adds the kinds of transports of this build.
pub fn backends(backends: &mut Backends<false>) {
    backends.add::<SqsTransport>();
    backends.add::<NotInline>();
    #[cfg(feature = "transport-celery")]
    backends.add::<errand_transport_celery::Celery>();
    #[cfg(feature = "transport-channels")]
    backends.add::<errand_transport_channels::Channels>();
    #[cfg(feature = "transport-console")]
    backends.add::<errand_transport_console::Console>();
    #[cfg(feature = "transport-eventbridge")]
    backends.add::<errand_transport_eventbridge::EventBridgeTransport>();
    #[cfg(feature = "transport-lambda")]
    backends.add::<errand_transport_lambda::LambdaTransport>();
    #[cfg(feature = "transport-redis-streams")]
    backends.add::<errand_transport_redis_streams::RedisStreams>();
    #[cfg(feature = "transport-rq")]
    backends.add::<errand_transport_rq::Rq>();
    #[cfg(feature = "transport-servicebus")]
    backends.add::<errand_transport_servicebus::ServiceBusQueue>();
    #[cfg(feature = "transport-servicebus")]
    backends.add::<errand_transport_servicebus::ServiceBusTopic>();
    #[cfg(feature = "transport-sns")]
    backends.add::<errand_transport_sns::SnsTransport>();
    #[cfg(feature = "transport-storage-queue")]
    backends.add::<errand_transport_storage_queue::StorageQueue>();
}
