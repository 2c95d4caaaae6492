//! Errand's consumer with the tasks of a shop.

use std::process::ExitCode;

fn main() -> ExitCode {
    errand_consumer::serve(orders::tasks)
}
