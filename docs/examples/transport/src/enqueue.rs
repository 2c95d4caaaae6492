//! Errand's enqueue function, which hands tasks to NATS as well.

use std::process::ExitCode;

fn main() -> ExitCode {
    errand_enqueue::serve(|backends| {
        errand_enqueue::backends(backends);
        backends.add::<nats::Nats>();
    })
}
