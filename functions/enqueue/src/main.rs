//! The enqueue function, with the transports of this build's features.

use std::process::ExitCode;

fn main() -> ExitCode {
    errand_enqueue::serve(errand_enqueue::backends)
}
