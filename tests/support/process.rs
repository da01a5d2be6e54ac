//! The program as operators run it: the built binary, its own directory, settings by the environment.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A key that somebody drew.
pub const KEY: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// The command that imports the contacts of `a.csv`, with their ids and given names; flags may follow.
pub const IMPORT: &str = "import contacts a.csv --source shop --purpose customer_care --ground contract --external-id Id \
                          --map givenName=First";

/// Whether the tests run as root.
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

/// A port that nobody listens at, and that nobody else was given: the system gives one again as soon as it is free.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return port;
        }
    }
}

/// The program with `settings`, in `directory`, and with nothing of this shell.
pub fn zweck(directory: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zweck"));
    for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("ZWECK")) {
        command.env_remove(variable);
    }
    command.current_dir(directory).env("ZWECK__SECRETS__MASTER_KEY", KEY);
    command.envs(settings.iter().copied());
    command
}

/// Runs the program to its end.
pub fn run(directory: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    zweck(directory, settings).args(arguments).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server over a fresh SQLite database.
pub struct Server {
    pub directory: TempDir,
    pub port: u16,
    pub management: u16,
    pub child: Child,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (port, management) = (free_port(), free_port());
        let (listen, managed) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{management}"));
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let child = zweck(directory.path(), settings)
            .envs([("ZWECK__SERVER__LISTEN", &listen), ("ZWECK__MANAGEMENT__LISTEN", &managed)])
            .args(["serve", "--migrate"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { directory, port, management, child };
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            match get(management, "/readyz").await {
                Some((200, _)) => return server,
                _ if server.child.try_wait().unwrap().is_some() || Instant::now() > until => {
                    panic!("the server did not start: {}", server.log());
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// A token made on the command line.
    pub fn token(&self, role: &str, purpose: &str) -> String {
        let made = run(
            self.directory.path(),
            &[],
            &["token", "create", "--name", "t", "--role", role, "--purpose", purpose],
        );
        assert!(made.status.success(), "{}", text(&made.stderr));
        text(&made.stdout).trim().to_owned()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    pub fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end, and gives the exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server did not end: {}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, as a rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and body of a GET; `None` where nobody answers.
pub async fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Status of a request without a body; `None` where nobody answers.
pub async fn ask(port: u16, method: &str, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let head = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}
