//! The enqueue function.

use std::{process::ExitCode, sync::Arc};

use errand_enqueue::Enqueue;

fn main() -> ExitCode {
    errand_runtime::serve(|env| {
        let enqueue = Arc::new(Enqueue::from_env(env)?);
        Ok(move |event| Arc::clone(&enqueue).invoke(event))
    })
}
