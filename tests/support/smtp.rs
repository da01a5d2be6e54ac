//! A real SMTP server (Python's aiosmtpd), which keeps each mail as a file and does as it is told.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use zweck::{config::public_pages::Mail, jobs::mailer::Mailer};

use super::process::free_port;

const SCRIPT: &str = r#"
import asyncio, os, sys
from aiosmtpd.controller import Controller

directory, port = sys.argv[1], int(sys.argv[2])
count = 0

def mode():
    try:
        return open(os.path.join(directory, "mode")).read().strip()
    except FileNotFoundError:
        return "accept"

class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if mode() == "refuse":
            return "550 5.1.1 no such mailbox: " + address
        if mode() == "later":
            return "451 4.3.0 later, please: " + address
        if mode() == "hang before":
            open(os.path.join(directory, "waiting"), "w").close()
            await asyncio.sleep(3600)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        global count
        count += 1
        name = os.path.join(directory, "%d-%03d" % (os.getpid(), count))
        with open(name + ".part", "wb") as file:
            file.write(("X-To: %s\r\n" % ",".join(envelope.rcpt_tos)).encode() + envelope.content)
        os.rename(name + ".part", name + ".eml")
        if mode() == "hang after":
            open(os.path.join(directory, "waiting"), "w").close()
            await asyncio.sleep(3600)
        return "250 OK"

controller = Controller(Handler(), hostname="127.0.0.1", port=port, enable_SMTPUTF8=False)
controller.start()
print("ready", flush=True)
sys.stdin.read()
"#;

/// The server and where its mails are; it ends with the value.
pub struct Smtp {
    pub port: u16,
    directory: TempDir,
    python: &'static str,
    child: Option<Child>,
    mailer: std::sync::OnceLock<Mailer>,
}

impl Smtp {
    /// Starts one; `None`, with the reason printed, where Python or aiosmtpd is missing.
    #[expect(
        clippy::disallowed_methods,
        reason = "CI says by an environment variable that the server must be there"
    )]
    pub fn start() -> Option<Self> {
        // That of the system has the packages of the system, whatever else is in front of it.
        let able = |python: &&str| {
            let there = Command::new(python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
            there.is_ok_and(|status| status.success())
        };
        let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(able) else {
            assert!(
                std::env::var("ZWECK_REQUIRE_SMTP").is_err(),
                "an SMTP server is required; install python3-aiosmtpd"
            );
            super::skipped("mails over SMTP: python3 with aiosmtpd is not installed");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("server.py"), SCRIPT).unwrap();
        let mut server =
            Self { port: free_port(), directory, python, child: None, mailer: Default::default() };
        server.up();
        Some(server)
    }

    /// Starts it again, on the same port.
    pub fn up(&mut self) {
        let mut child = Command::new(self.python)
            .arg(self.directory.path().join("server.py"))
            .arg(self.directory.path())
            .arg(self.port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the SMTP server did not start");
        self.child = Some(child);
    }

    /// Ends it.
    pub fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What it does from now on: `accept`, `reject_suppressed`, `later`, `hang before`, `hang after`.
    pub fn mode(&self, mode: &str) {
        fs::write(self.directory.path().join("mode"), mode).unwrap();
    }

    /// Whether somebody was left waiting.
    pub fn keeps_waiting(&self) -> bool {
        self.directory.path().join("waiting").exists()
    }

    /// The mails that came, the oldest first.
    pub fn mails(&self) -> Vec<Received> {
        let files = fs::read_dir(self.directory.path()).unwrap().map(|file| file.unwrap().path());
        let mut files: Vec<PathBuf> =
            files.filter(|path| path.extension().is_some_and(|extension| extension == "eml")).collect();
        files.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
        files.iter().map(|path| Received::read(&fs::read_to_string(path).unwrap())).collect()
    }

    pub fn settings(&self) -> Mail {
        Mail {
            url: Some(format!("smtp://127.0.0.1:{}", self.port)),
            from: Some("Example GmbH <privacy@example.com>".to_owned()),
        }
    }

    /// The one mailer of the server that sends here.
    pub fn mailer(&self) -> Mailer {
        self.mailer.get_or_init(|| Mailer::new(&self.settings()).unwrap().unwrap()).clone()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.down();
    }
}

/// A mail as it came.
#[derive(Debug)]
pub struct Received {
    /// Header and body as they were sent.
    pub raw: String,
    /// Unfolded lines of the header.
    pub header: Vec<String>,
    /// The body, decoded.
    pub text: String,
}

impl Received {
    fn read(raw: &str) -> Self {
        let raw = raw.replace("\r\n", "\n");
        let (head, body) = raw.split_once("\n\n").unwrap();
        let header = head.replace("\n ", " ").replace("\n\t", " ").lines().map(str::to_owned).collect();
        Self { header, text: decoded(body), raw: raw.clone() }
    }

    /// The value of a header that there is once.
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut found = self.header.iter().filter_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = found.next();
        assert!(found.next().is_none(), "{name} twice");
        value
    }

    /// The token of the one mailed link in the text.
    pub fn token(&self) -> String {
        let found: Vec<&str> = self.text.lines().filter(|line| line.contains("/p/m")).collect();
        assert_eq!(found.len(), 1, "{}", self.text);
        found[0].split("/p/").nth(1).unwrap().to_owned()
    }
}

/// Quoted-printable (RFC 2045, 6.7).
fn decoded(body: &str) -> String {
    let body = body.replace("=\n", "");
    let mut bytes = Vec::new();
    let mut rest = body.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'=', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}
