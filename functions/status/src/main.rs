//! The status function.

use std::{process::ExitCode, sync::Arc};

use errand_status::Tasks;

fn main() -> ExitCode {
    errand_runtime::serve(|env| {
        let tasks = Arc::new(Tasks::from_env(env)?);
        Ok(move |event| Arc::clone(&tasks).invoke(event))
    })
}
