//! The status function.

use std::{process::ExitCode, sync::Arc};

use errand_status::Operations;

fn main() -> ExitCode {
    errand_runtime::serve(|env| {
        let operations = Arc::new(Operations::from_env(env)?);
        Ok(move |event| Arc::clone(&operations).invoke(event))
    })
}
