//! A real `upshot` process.

use std::{
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::{OnceCell, watch},
};
use upshot_servers::signal::{self, Signal};

/// The binary: the one that `UPSHOT_TEST_BINARY` names (`make test` has built
/// it already), or built now if the sources are newer.
pub async fn binary() -> PathBuf {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    let build = || async {
        if let Some(built) = std::env::var_os("UPSHOT_TEST_BINARY") {
            return std::path::absolute(PathBuf::from(built)).unwrap();
        }
        let status = Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--workspace", "--bin", "upshot"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .status();
        assert!(status.await.unwrap().success(), "`cargo build --release --workspace --bin upshot` failed");
        // This test runs from <target>/release/deps.
        let deps = std::env::current_exe().unwrap();
        deps.parent().unwrap().parent().unwrap().join("upshot")
    };
    BINARY.get_or_init(build).await.clone()
}

/// A running process; killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: Arc<Mutex<Vec<String>>>,
    lines: watch::Receiver<usize>,
}

impl Process {
    /// Starts `upshot ARGUMENTS` with nothing but these variables.
    pub async fn start(arguments: &[&str], variables: &[(String, String)]) -> Self {
        Self::spawn(Command::new(binary().await), arguments, variables)
    }

    /// The same with this umask.
    pub async fn start_with_umask(umask: &str, arguments: &[&str], variables: &[(String, String)]) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "umask \"$1\"; shift; exec \"$@\"", "sh", umask]).arg(binary().await);
        Self::spawn(shell, arguments, variables)
    }

    fn spawn(mut command: Command, arguments: &[&str], variables: &[(String, String)]) -> Self {
        let mut child = command
            .args(arguments)
            .env_clear()
            .envs(variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (count, lines) = watch::channel(0);
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                kept.lock().unwrap().push(line);
                count.send_modify(|n| *n += 1);
            }
        });
        Self { child, name: arguments.join(" "), log, lines }
    }

    /// Waits for a log line that holds all of these words, and returns it.
    pub async fn logged(&self, words: &[&str]) -> String {
        let mut lines = self.lines.clone();
        let found = async {
            loop {
                let line = {
                    let log = self.log.lock().unwrap();
                    log.iter().find(|line| words.iter().all(|word| line.contains(word))).cloned()
                };
                if let Some(line) = line {
                    return line;
                }
                if lines.changed().await.is_err() {
                    panic!("`upshot {}` ended without saying {words:?}:\n{}", self.name, self.tail());
                }
            }
        };
        match tokio::time::timeout(crate::PATIENCE, found).await {
            Ok(line) => line,
            Err(_) => panic!("`upshot {}` never said {words:?}:\n{}", self.name, self.tail()),
        }
    }

    /// How many log lines hold all of these words so far.
    pub fn count(&self, words: &[&str]) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }

    /// The last log lines.
    pub fn tail(&self) -> String {
        let log = self.log.lock().unwrap();
        log.iter().rev().take(30).rev().cloned().collect::<Vec<_>>().join("\n")
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the process has ended")
    }

    /// The most memory that it has had so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let pid = self.pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        signal::send(self.child.id().expect("the process has ended"), signal).unwrap();
    }

    /// Runs `upshot ARGUMENTS` to its end: whether it succeeded, and what it printed.
    pub async fn output(arguments: &[&str], variables: &[(String, String)]) -> (bool, String) {
        let running = Command::new(binary().await)
            .args(arguments)
            .env_clear()
            .envs(variables.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let ended = tokio::time::timeout(crate::PATIENCE, running).await;
        let output =
            ended.unwrap_or_else(|_| panic!("`upshot {}` does not end", arguments.join(" "))).unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM, and waits for an end in good order.
    pub async fn stop(mut self) {
        self.signal(Signal::Terminate);
        let ended = tokio::time::timeout(Duration::from_secs(40), self.child.wait()).await;
        let status =
            ended.unwrap_or_else(|_| panic!("`upshot {}` does not stop:\n{}", self.name, self.tail()));
        assert!(status.unwrap().success(), "`upshot {}` failed:\n{}", self.name, self.tail());
    }

    /// SIGTERM, and all that was logged until the end.
    pub async fn stop_and_read(mut self) -> String {
        self.signal(Signal::Terminate);
        let ended = tokio::time::timeout(Duration::from_secs(40), self.child.wait()).await;
        assert!(
            ended.is_ok_and(|status| status.unwrap().success()),
            "`upshot {}`:\n{}",
            self.name,
            self.tail()
        );
        // The reader of standard error ends with the process.
        while self.lines.changed().await.is_ok() {}
        self.log.lock().unwrap().join("\n")
    }

    /// Waits for an end by itself: whether it succeeded, and what it said.
    pub async fn ended(mut self) -> (bool, String) {
        let ended = tokio::time::timeout(crate::PATIENCE, self.child.wait()).await;
        let status =
            ended.unwrap_or_else(|_| panic!("`upshot {}` does not end:\n{}", self.name, self.tail()));
        // The reader of standard error ends with the process.
        while self.lines.changed().await.is_ok() {}
        (status.unwrap().success(), self.tail())
    }
}
