//! Tasks that are run before their call is answered: the consumer's engine in the function that was called, for one attempt. A crate of its own, so that who wants it asks for
//! no feature of a function, which would turn it on for all that are built together.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use errand_core::{
    Clock, DeadLetter, Dispatch, DynClaims, Envelope, Init, Message, NoOptions, NotInline, OBJECT_LIMIT, OptionError, PublishError,
    Published, Queue, Registry, StorageError, Transport, TransportLimits,
};
use errand_engine::{Circuits, Engine, Log, Policy};
use futures_util::future::join_all;

/// The transport `inline`. Clones share the engine, which is made when all is known that it hands tasks to.
#[derive(Clone, Default)]
pub struct Inline(Arc<OnceLock<Running>>);

struct Running {
    engine: Engine,
    /// How long a call may take.
    time: Duration,
}

/// The queue of what came without one: nothing waits on it, and the call itself tells what was given up.
struct NoQueue;

impl Inline {
    /// The engine that runs them: a consumer's, but for its queue, and that nobody who reports later is waited for. How tasks end is kept in the store, which must be there.
    #[must_use]
    pub fn engine(
        registry: Registry,
        store: Option<Arc<dyn DynClaims>>,
        dispatch: &Dispatch,
        policy: Policy,
        worker: &str,
        clock: Arc<dyn Clock>,
    ) -> Engine {
        Engine {
            registry,
            store,
            queue: Arc::new(NoQueue),
            objects: None,
            dispatch: Some(dispatch.clone()),
            sequel: None,
            api_url: None,
            clock,
            policy,
            watchers: vec![Box::new(Log)],
            circuits: Circuits::default(),
            worker: worker.to_owned(),
            backend: NotInline::KIND.to_owned(),
        }
    }

    /// Runs tasks by this engine from now on, each in the time that a call has.
    pub fn run_by(&self, engine: Engine, time: Duration) {
        self.0.get_or_init(|| Running { engine, time });
    }
}

impl Queue for NoQueue {
    async fn hide(&self, _: &Message, _: Duration) -> Result<(), StorageError> {
        Ok(())
    }

    async fn bury(&self, _: &Message, _: &DeadLetter) -> Result<(), StorageError> {
        Ok(())
    }
}

impl Transport for Inline {
    const BACKEND: &'static str = NotInline::KIND;
    type Options = NoOptions;

    /// The one that the function has made; in one that has none, nothing is run.
    fn new(_: &str, _: NoOptions, cx: &Init) -> Result<Self, OptionError> {
        Ok(cx.shared::<Self>().cloned().unwrap_or_default())
    }

    /// Nothing goes by another way: a delay is refused here.
    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::MAX, bytes: OBJECT_LIMIT }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        join_all(envelopes.iter().map(|envelope| self.run(envelope))).await
    }

    async fn check(&self) -> Result<(), PublishError> {
        self.running().map(drop)
    }

    fn runs(&self) -> bool {
        true
    }
}

impl Inline {
    fn running(&self) -> Result<&Running, PublishError> {
        self.0.get().ok_or_else(|| PublishError::Misconfigured("inline: the engine is not there".to_owned()))
    }

    /// Runs one task, which has ended then.
    async fn run(&self, envelope: &Envelope) -> Result<Published, PublishError> {
        let Running { engine, time } = self.running()?;
        let now = engine.clock.now();
        if !envelope.delay(now).is_zero() {
            return Err(PublishError::Refused("a task that is run before its call is answered cannot be delayed".to_owned()));
        }
        match engine.run_once(envelope, now + *time).await {
            Ok(true) => Ok(Published::default()),
            Ok(false) => Err(PublishError::Unavailable("inline: another call runs it, or the store does not answer".to_owned())),
            Err(error) => Err(PublishError::OutcomeUnknown(error.0)),
        }
    }
}
