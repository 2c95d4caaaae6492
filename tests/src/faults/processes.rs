use std::{path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use tokio::{
    process::{Child, Command},
    task::AbortHandle,
};

use super::{
    Dice,
    runtime::{Feed, Runtime},
};

/// A function that runs as on Lambda, in processes each of which is fed by a runtime API of its own.
pub struct Processes<F: Feed> {
    vars: Vec<(String, String)>,
    feed: Arc<F>,
    running: Vec<(Runtime<F>, AbortHandle, Child)>,
    /// How many were killed.
    pub kills: u64,
}

impl<F: Feed> Processes<F> {
    /// Starts `count` of them; `vars` is their environment.
    ///
    /// # Panics
    /// There is no binary: `tests/run` builds it.
    pub async fn start(count: usize, vars: Vec<(String, String)>, feed: &Arc<F>) -> Self {
        let mut processes = Self { vars, feed: Arc::clone(feed), running: Vec::new(), kills: 0 };
        for _ in 0..count {
            let one = processes.spawn().await;
            processes.running.push(one);
        }
        processes
    }

    /// Waits a moment, kills one of them with SIGKILL, and starts another in its place.
    ///
    /// # Panics
    /// One has ended by itself, or cannot be killed.
    pub async fn kill_one(&mut self, dice: &Dice) {
        tokio::time::sleep(Duration::from_millis(u64::from(200 + dice.below(400)))).await;
        let place = dice.below(u32::try_from(self.running.len()).expect("a few")) as usize;
        let (runtime, server, child) = &mut self.running[place];
        assert!(child.try_wait().expect("a process").is_none(), "it ended by itself");
        child.kill().await.expect("a process that can be killed");
        runtime.killed();
        server.abort();
        self.running[place] = self.spawn().await;
        self.kills += 1;
    }

    async fn spawn(&self) -> (Runtime<F>, AbortHandle, Child) {
        let (runtime, address, server) = Runtime::start(&self.feed).await;
        let bootstrap = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/lambda").join(F::FUNCTION).join("bootstrap");
        let mut command = Command::new(&bootstrap);
        command.env_clear().envs(self.vars.iter().map(|(name, value)| (name, value))).env("AWS_LAMBDA_RUNTIME_API", address);
        command.stdout(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}; run tests/run", bootstrap.display()));
        (runtime, server, child)
    }
}
