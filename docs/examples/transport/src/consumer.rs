//! Errand's consumer, which hands tasks to NATS as well.

use std::process::ExitCode;

fn main() -> ExitCode {
    errand_consumer::serve_with(errand_consumer::providers, |backends| {
        errand_consumer::backends(backends);
        backends.add::<nats::Nats>();
    })
}
