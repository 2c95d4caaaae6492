//! One call of a provider, and the reading before it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use errand_core::{BoxFuture, DeliveryError, Envelope, ErrorKind, Task, Work};
use futures_util::{
    FutureExt,
    future::{Either, select},
};

use crate::{Event, round::Round, time::GRACE};

/// Has a leg read what an envelope asks for. A panic is a failure of this envelope alone.
pub(crate) fn read<'a>(leg: &'a dyn Task, envelope: &Envelope) -> Result<Box<dyn Work + 'a>, DeliveryError> {
    catch_unwind(AssertUnwindSafe(|| leg.read(envelope))).unwrap_or_else(|_| Err(panicked(leg)))
}

fn panicked(leg: &dyn Task) -> DeliveryError {
    DeliveryError::new(ErrorKind::Panicked, format!("provider {} panicked", leg.provider()))
}

impl Round<'_> {
    /// One call, of which `failure` tells what in its answer decides over the leg. A panic, or one that does not end in its time, is a failure of this call alone. Answers
    /// as well for how long the leg is left alone, where it said stop.
    pub(crate) async fn call<T>(
        &self,
        leg: &dyn Task,
        envelope: &Envelope,
        run: BoxFuture<'_, Result<T, DeliveryError>>,
        failure: fn(&T) -> Option<&DeliveryError>,
    ) -> (Result<T, DeliveryError>, Option<Duration>) {
        let (engine, clock) = (self.engine, &self.engine.clock);
        let began = clock.now();
        let result = match select(AssertUnwindSafe(run).catch_unwind(), clock.sleep(leg.timeout() + GRACE)).await {
            Either::Left((Ok(result), _)) => result,
            Either::Left((Err(_), _)) => Err(panicked(leg)),
            Either::Right(((), _)) => {
                Err(DeliveryError::new(ErrorKind::Timeout, format!("provider {} did not end in {:?}", leg.provider(), leg.timeout())))
            }
        };
        let (error, ended) = (result.as_ref().map_or_else(Some, failure), clock.now());
        let (provider, took) = (leg.provider(), ended.since(began));
        engine.saw(&Event::Called { envelope, provider, attempt: self.number, took, error });
        let stop = error.filter(|error| error.stops);
        let wait = engine.circuits.note(leg.circuit(), stop, ended);
        if stop.is_some() {
            engine.saw(&Event::Stopped { provider, wait });
        }
        (result, wait)
    }
}
