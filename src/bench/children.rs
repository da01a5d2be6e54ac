//! Child processes of this program, each on a port of its own, and what the kernel says of them. Room: bench.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    net::TcpListener,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    BenchError,
    queries::{BenchRequest, Kind},
};

/// Longest that a child may take until it answers.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(120);
/// Between two looks whether a child answers.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// Of what a child has printed, so many bytes of the end are shown.
const MAX_SHOWN_BYTES: usize = 4_000;

/// What all children of one run have in common.
pub struct Common<'a> {
    /// Address of the database.
    pub url: &'a str,
    /// Directory of the policy.
    pub policy: &'a Path,
    /// Where configurations and what children print go.
    pub directory: &'a Path,
    /// The master key.
    pub master: &'a [u8; 32],
}

/// A child. It ends with the value, and with this process.
pub struct Child {
    /// What it is.
    pub kind: Kind,
    /// Where it listens.
    pub port: u16,
    process: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts a child.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(kind: Kind, common: &Common<'_>) -> Result<Self, BenchError> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = common.directory.join(format!("{}.toml", kind.as_str()));
        let log = common.directory.join(format!("{}.log", kind.as_str()));
        // The server refuses a key that everybody can read.
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&config)?;
        file.write_all(settings(common, port).as_bytes())?;
        let printed = File::create(&log)?;
        // The kernel ends the child with this process, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(std::env::current_exe()?).arg("--config").arg(&config);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ZWECK") {
                command.env_remove(name);
            }
        }
        let process = command
            .args(kind.command())
            .stdin(Stdio::null())
            .stdout(printed.try_clone()?)
            .stderr(printed)
            .spawn()
            .map_err(|error| BenchError::Failed(format!("setpriv (util-linux) cannot be run: {error}")))?;
        Ok(Self { kind, port, process, log })
    }

    /// Waits for the first answer to `request`.
    ///
    /// # Errors
    /// The child ended, or does not answer in time; with what it has printed.
    pub async fn answers(&mut self, request: &BenchRequest, token: &str) -> Result<(), BenchError> {
        let until = Instant::now() + STARTUP_TIMEOUT;
        loop {
            match ask(self.port, request, token).await {
                Ok((200, _)) => return Ok(()),
                Ok((status, _)) => return Err(self.error(&format!("answered with {status}"))),
                Err(_) if self.process.try_wait()?.is_some() => return Err(self.error("ended by itself")),
                Err(_) if Instant::now() > until => return Err(self.error("does not answer")),
                Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// The body of the answer to `request`.
    ///
    /// # Errors
    /// There is none, or one with another status than 200.
    pub async fn body(&self, request: &BenchRequest, token: &str) -> Result<String, BenchError> {
        match ask(self.port, request, token).await {
            Ok((200, body)) => Ok(body),
            Ok((status, _)) => Err(self.error(&format!("answered {} with {status}", request.path))),
            Err(error) => Err(self.error(&format!("did not answer {}: {error}", request.path))),
        }
    }

    /// What went wrong with it, and what it has printed.
    pub fn error(&self, problem: &str) -> BenchError {
        let printed = fs::read_to_string(&self.log).unwrap_or_default();
        let mut start = printed.len().saturating_sub(MAX_SHOWN_BYTES);
        while !printed.is_char_boundary(start) {
            start += 1;
        }
        let end = printed.get(start..).unwrap_or_default();
        BenchError::Failed(format!("the {} server {problem}; it printed:\n{end}", self.kind.as_str()))
    }

    /// Processor time that it has used, in ticks.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn ticks(&self) -> Result<u64, BenchError> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        ticks(&stat).ok_or_else(|| BenchError::Failed("/proc/PID/stat cannot be read".to_owned()))
    }

    /// Memory that it holds now, in KiB.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn resident(&self) -> Result<u64, BenchError> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        resident(&status).ok_or_else(|| BenchError::Failed("/proc/PID/status cannot be read".to_owned()))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It has ended already, if these fail.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Processor time of this process so far, in ticks.
///
/// # Errors
/// The kernel does not tell.
pub fn own_ticks() -> Result<u64, BenchError> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    ticks(&stat).ok_or_else(|| BenchError::Failed("/proc/self/stat cannot be read".to_owned()))
}

/// Memory that this process holds now, in KiB.
///
/// # Errors
/// The kernel does not tell.
pub fn own_resident() -> Result<u64, BenchError> {
    let status = fs::read_to_string("/proc/self/status")?;
    resident(&status).ok_or_else(|| BenchError::Failed("/proc/self/status cannot be read".to_owned()))
}

/// Ticks of the processor clock in a second.
///
/// # Errors
/// `getconf` cannot be run.
pub fn ticks_per_second() -> Result<f64, BenchError> {
    let output = Command::new("getconf").arg("CLK_TCK").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| BenchError::Failed("`getconf CLK_TCK` gave no number".to_owned()))
}

/// User and system time in the text of `/proc/PID/stat`, which begins with a name in brackets that may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn settings(common: &Common<'_>, port: u16) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let key: String = hex::encode(common.master);
    format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\n[management]\nlisten = \"\"\n[database]\nurl = {}\n\
         [policy]\ndir = {}\n[secrets]\nmaster_key = \"{key}\"\n[limits]\ncost_per_minute = 0\n[log]\nfilter = \"warn\"\n",
        quoted(common.url),
        quoted(&common.policy.display().to_string()),
    )
}

/// Status and body of the answer; the connection ends with it.
async fn ask(port: u16, request: &BenchRequest, token: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let BenchRequest { method, path, body } = request;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    parsed(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "this is no answer"))
}

/// Status and body, if the answer is whole.
fn parsed(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let lengths = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = lengths.next().map(|(_, length)| length.trim().parse::<usize>());
    match length {
        Some(Ok(length)) if length == body.len() => Some((status, body.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 100 1 2";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("42 (zweck"), None);
        assert_eq!(resident("VmPeak:\t  99 kB\nVmRSS:\t   40960 kB\nThreads: 3\n"), Some(40_960));
        assert_eq!(resident("VmPeak: 99 kB\n"), None);
    }

    #[test]
    fn half_an_answer_is_none() {
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parsed(whole), Some((200, "{}".to_owned())));
        assert_eq!(parsed(&whole[..whole.len() - 1]), None);
        assert_eq!(parsed("HTTP/1.1 200 OK\r\n\r\n{}"), None);
    }

    #[test]
    fn settings_are_read_as_meant() {
        let common = Common {
            url: "postgres://u:p\"w\\d@h/x",
            policy: Path::new("/tmp/a \"b\""),
            directory: Path::new("/tmp"),
            master: &[0xab; 32],
        };
        let read: toml::Value = toml::from_str(&settings(&common, 7)).unwrap();
        assert_eq!(read["database"]["url"].as_str(), Some("postgres://u:p\"w\\d@h/x"));
        assert_eq!(read["policy"]["dir"].as_str(), Some("/tmp/a \"b\""));
        assert_eq!(read["secrets"]["master_key"].as_str(), Some("ab".repeat(32).as_str()));
    }
}
