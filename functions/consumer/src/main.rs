//! The consumer function, with the providers of this build's features.

use std::process::ExitCode;

fn main() -> ExitCode {
    errand_consumer::serve(errand_consumer::providers)
}
