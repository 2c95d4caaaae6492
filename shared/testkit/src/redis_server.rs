use std::{
    io::{Read, Write},
    iter,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use errand_core::{Envelope, Transport};

use crate::transport::taken_while_it_is_started_again;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Redis of a test's own on a free loopback port, which has each write on its disk before it answers. It ends with the test.
pub struct RedisServer(Arc<Process>);

struct Process {
    folder: PathBuf,
    port: u16,
    is_node: bool,
    child: Mutex<Child>,
}

impl RedisServer {
    /// Starts one that keeps its files in this folder.
    ///
    /// # Panics
    /// There is no `redis-server`, or it does not start.
    #[must_use]
    pub fn start(folder: PathBuf) -> Self {
        Self::run(folder, false)
    }

    /// Starts three that share all keys as a cluster, each with a folder of its own in this one.
    ///
    /// # Panics
    /// There is no `redis-server` or no `redis-cli`, or they do not come together.
    #[must_use]
    pub fn cluster(folder: &Path) -> [Self; 3] {
        let nodes = ["a", "b", "c"].map(|name| {
            let folder = folder.join(name);
            std::fs::create_dir(&folder).expect("a folder of one's own");
            Self::run(folder, true)
        });
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create", "--cluster-yes"]).args(nodes.each_ref().map(|node| format!("127.0.0.1:{}", node.0.port)));
        assert!(create.stdout(Stdio::null()).status().expect("redis-cli is installed").success(), "no cluster is made");
        nodes
    }

    fn run(folder: PathBuf, is_node: bool) -> Self {
        // Nodes of a cluster talk on a port that is 10,000 higher.
        let free = || TcpListener::bind("127.0.0.1:0").expect("a loopback port").local_addr().expect("a bound port").port();
        let port = iter::repeat_with(free).find(|port| *port < 55_000).expect("a low port");
        let child = Mutex::new(run(&folder, port, is_node));
        Self(Arc::new(Process { folder, port, is_node, child }))
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.0.port)
    }

    /// Kills it, so that it can do nothing more, and starts it again on what is on its disk.
    ///
    /// # Panics
    /// It does not start again.
    pub fn kill(&self) {
        self.0.kill();
    }

    /// What a transport takes [while](crate::transport::taken_while_it_is_started_again) the server is killed.
    ///
    /// # Panics
    /// As that.
    pub async fn taken_while_it_is_killed<T: Transport>(&self, transport: &T, envelopes: Vec<Envelope>) -> Vec<String> {
        let process = Arc::clone(&self.0);
        taken_while_it_is_started_again(transport, &envelopes, move || process.kill()).await
    }
}

impl Process {
    /// Kills it, so that it can do nothing more, and starts it again.
    fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.kill().expect("a process to kill");
        child.wait().expect("a process that ends");
        *child = run(&self.folder, self.port, self.is_node);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        child.kill().ok();
        child.wait().ok();
    }
}

/// Starts a server, and waits until it answers.
fn run(folder: &Path, port: u16, is_node: bool) -> Child {
    let mut server = Command::new("redis-server");
    server.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    server.args(["--cluster-enabled", if is_node { "yes" } else { "no" }]);
    let child = server.arg("--dir").arg(folder).stdout(Stdio::null()).spawn().expect("redis-server is installed");
    let answers = || {
        let mut connection = TcpStream::connect(("127.0.0.1", port)).ok()?;
        connection.write_all(b"PING\r\n").ok()?;
        let mut answer = [0; 7];
        connection.read_exact(&mut answer).ok()?;
        (&answer == b"+PONG\r\n").then_some(())
    };
    let begun = Instant::now();
    while answers().is_none() {
        assert!(begun.elapsed() < PATIENCE, "redis-server does not start");
        thread::sleep(Duration::from_millis(10));
    }
    child
}
