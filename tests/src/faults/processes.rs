use std::{path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use tokio::{
    process::{Child, Command},
    task::AbortHandle,
};

use super::{Audit, Dice, Queue, runtime::Runtime};

/// Consumers that run as on Lambda, each a process of its own that is fed by a runtime API of its own.
pub struct Processes {
    vars: Vec<(String, String)>,
    queue: Arc<Queue>,
    audit: Arc<Audit>,
    sink: String,
    running: Vec<(Runtime, AbortHandle, Child)>,
    /// How many were killed.
    pub kills: u64,
}

impl Processes {
    /// Starts `count` of them; `vars` is their environment.
    ///
    /// # Panics
    /// There is no binary: `tests/run` builds it.
    pub async fn start(count: usize, vars: Vec<(String, String)>, queue: &Arc<Queue>, audit: &Arc<Audit>, sink: &str) -> Self {
        let (queue, audit, sink) = (Arc::clone(queue), Arc::clone(audit), sink.to_owned());
        let mut processes = Self { vars, queue, audit, sink, running: Vec::new(), kills: 0 };
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
        assert!(child.try_wait().expect("a process").is_none(), "a consumer ended by itself");
        child.kill().await.expect("a process that can be killed");
        runtime.killed();
        server.abort();
        self.running[place] = self.spawn().await;
        self.kills += 1;
    }

    async fn spawn(&self) -> (Runtime, AbortHandle, Child) {
        let (runtime, address, server) = Runtime::start(&self.queue, &self.audit, &self.sink).await;
        let bootstrap = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/lambda/consumer/bootstrap");
        let mut command = Command::new(&bootstrap);
        command.env_clear().envs(self.vars.iter().map(|(name, value)| (name, value))).env("AWS_LAMBDA_RUNTIME_API", address);
        command.stdout(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}; run tests/run", bootstrap.display()));
        (runtime, server, child)
    }
}
