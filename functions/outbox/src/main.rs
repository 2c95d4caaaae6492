//! The outbox function, with the transports of this build's features.

use std::process::ExitCode;

fn main() -> ExitCode {
    errand_outbox::serve(errand_outbox::backends)
}
