//! Mail servers as they stand in front of us, Exim and OpenSMTPD: one that does not relay for us yet loses no sign-up.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use entity::mail;
use tempfile::TempDir;
use zweck::{
    config::public_pages::Mail,
    jobs::{self, mailer::Mailer},
};

use crate::{
    reads::{World, worlds},
    signups::{newsletter, sign_up},
    support::{
        process::{free_port, is_root},
        skipped,
    },
};

/// Whether a program that is missing is a fault.
#[expect(clippy::disallowed_methods, reason = "CI says by an environment variable what must be there")]
fn required() -> bool {
    std::env::var("ZWECK_REQUIRE_SMTP").is_ok()
}

/// Where a program is: named by an environment variable, or where Debian has it.
#[expect(clippy::disallowed_methods, reason = "of two mail servers, Debian installs one at a time")]
fn program(variable: &str, usual: &str) -> Option<PathBuf> {
    let path = std::env::var(variable).map_or_else(|_| PathBuf::from(usual), PathBuf::from);
    path.is_file().then_some(path)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Exim,
    OpenSmtpd,
}

/// A mail server with the domain `ours.example`, in which there is the mailbox `known`; it ends with the value.
struct Relay {
    kind: Kind,
    program: PathBuf,
    port: u16,
    directory: TempDir,
    child: Option<Child>,
}

impl Relay {
    /// `None`, with the reason printed, where it cannot run.
    fn find(kind: Kind) -> Option<Self> {
        let found = match kind {
            Kind::Exim => program("ZWECK_EXIM", "/usr/sbin/exim4"),
            // It separates its privileges and has one spool, wherever its configuration is.
            Kind::OpenSmtpd => program("ZWECK_OPENSMTPD", "/usr/sbin/smtpd").filter(|_| is_root()),
        };
        let Some(program) = found else {
            assert!(
                !required(),
                "{kind:?} is required, and for OpenSMTPD root; install exim4-daemon-light and opensmtpd"
            );
            skipped(&format!("mails through {kind:?}: it is not installed, or this is not root"));
            return None;
        };
        Some(Self { kind, program, port: free_port(), directory: tempfile::tempdir().unwrap(), child: None })
    }

    /// Starts it anew; where it `relays`, it takes mails for every domain.
    fn up(&mut self, relays: bool) {
        self.down();
        let directory = self.directory.path();
        let spool = directory.join("spool");
        fs::create_dir_all(&spool).unwrap();
        let (port, at) = (self.port, directory.display());
        let (text, arguments): (String, &[&str]) = match self.kind {
            Kind::Exim => {
                let domains = if relays { "*" } else { "ours.example" };
                let text = format!(
                    "spool_directory = {at}/spool\nlog_file_path = {at}/%slog\ndaemon_smtp_ports = {port}\n\
                     local_interfaces = 127.0.0.1\ntls_advertise_hosts =\nkeep_environment =\nqueue_only = true\n\
                     acl_smtp_rcpt = rcpt\nacl_smtp_data = accept\n\
                     begin acl\nrcpt:\n  require message = relay not permitted\n          domains = {domains}\n  \
                     require verify = recipient\n  accept\n\
                     begin routers\nothers:\n  driver = accept\n  domains = ! ours.example\n  transport = kept\n\
                     known:\n  driver = accept\n  local_parts = known\n  transport = kept\n\
                     begin transports\nkept:\n  driver = appendfile\n  file = /dev/null\n"
                );
                (text, &["-bdf", "-C"])
            }
            Kind::OpenSmtpd => {
                let others = if relays {
                    "match from any for domain \"elsewhere.example\" action \"others\"\n"
                } else {
                    ""
                };
                let text = format!(
                    "table names {{ \"known@ours.example\" = \"nobody\" }}\ntable all {{ \"@\" = \"nobody\" }}\n\
                     listen on 127.0.0.1 port {port}\n\
                     action \"keep\" maildir \"{at}/spool/%{{dest.user}}\" virtual <names>\n\
                     action \"others\" maildir \"{at}/spool/%{{dest.user}}\" virtual <all>\n\
                     match from any for domain \"ours.example\" action \"keep\"\n{others}"
                );
                (text, &["-d", "-f"])
            }
        };
        let configuration = directory.join("configuration");
        fs::write(&configuration, text).unwrap();
        let mut command = Command::new(&self.program);
        command.args(arguments).arg(&configuration).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(directory.join("told")).unwrap()).process_group(0);
        if self.kind == Kind::Exim && is_root() {
            // It gives up its rights for those of its own user, who has to write here.
            for writable in [directory, &spool] {
                fs::set_permissions(writable, fs::Permissions::from_mode(0o777)).unwrap();
            }
        }
        self.child = Some(command.spawn().unwrap());
        let until = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let told = fs::read_to_string(directory.join("told")).unwrap();
            assert!(Instant::now() < until, "{:?} did not start: {told}", self.kind);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            // All its processes.
            let group = format!("-{}", child.id());
            Command::new("kill").args(["-TERM", "--", &group]).status().unwrap();
            child.wait().unwrap();
        }
    }

    fn mailer(&self) -> Mailer {
        let settings = Mail {
            url: Some(format!("smtp://127.0.0.1:{}", self.port)),
            from: Some("Example GmbH <privacy@example.com>".to_owned()),
        };
        Mailer::new(&settings).unwrap().unwrap()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.down();
    }
}

/// Does the background work once an hour, for so many hours.
async fn hours(world: &World, mailer: &Mailer, hours: u32) {
    for _ in 0..hours {
        world.test.clock.advance(TimeDelta::hours(1));
        jobs::run_once(&world.test.app, Some(mailer)).await.unwrap();
    }
}

async fn a_repaired_relay_sends_what_waited(kind: Kind) {
    for world in worlds().await {
        let Some(mut relay) = Relay::find(kind) else { return };
        let test = &world.test;
        relay.up(false);
        let mailer = relay.mailer();
        for number in 0..8 {
            let address = format!("reader.{number}@elsewhere.example");
            sign_up(test, &newsletter(&address, test.app.now())).await.unwrap();
        }
        hours(&world, &mailer, 6).await;
        let waits = |mail: &mail::Model| {
            mail.recipient.is_some() && mail.failed_at.is_none() && mail.next_attempt_at.is_some()
        };
        let mails = test.mails().await;
        assert!(mails.len() == 8 && mails.iter().all(waits), "{kind:?}: {mails:?}");
        // One attempt a round is enough to see that the server still refuses everybody.
        assert!(mails.iter().map(|mail| mail.attempts).sum::<i32>() >= 6, "{kind:?}: {mails:?}");
        // The operator has the server relay for us.
        relay.up(true);
        hours(&world, &mailer, 30).await;
        let mails = test.mails().await;
        assert!(mails.iter().all(|mail| mail.sent_at.is_some()), "{kind:?}: {mails:?}");
        // A mailbox that is not there ends alone.
        for name in ["nobody", "known"] {
            sign_up(test, &newsletter(&format!("{name}@ours.example"), test.app.now())).await.unwrap();
            // Ids are in the order of time.
            test.clock.advance(TimeDelta::seconds(1));
        }
        hours(&world, &mailer, 80).await;
        let mails = test.mails().await;
        let [missing, known] = &mails[8..] else { panic!("{kind:?}: {mails:?}") };
        assert!(known.sent_at.is_some(), "{kind:?}: {known:?}");
        // OpenSMTPD says that it is the mailbox, Exim says no more than that it cannot.
        let fault = if kind == Kind::Exim { "LINK_ENDED" } else { "REFUSED" };
        assert_eq!(
            (missing.fault.as_deref(), missing.sent_at, missing.recipient.as_deref()),
            (Some(fault), None, None)
        );
        assert!(missing.failed_at.is_some(), "{kind:?}: {missing:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exim_that_does_not_relay_loses_no_sign_up() {
    a_repaired_relay_sends_what_waited(Kind::Exim).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opensmtpd_that_does_not_relay_loses_no_sign_up() {
    a_repaired_relay_sends_what_waited(Kind::OpenSmtpd).await;
}
