//! The status function, with the transports of this build's features.

use std::process::ExitCode;

fn main() -> ExitCode {
    errand_status::serve(errand_status::backends)
}
