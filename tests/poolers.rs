//! PgBouncer before PostgreSQL: what a pooler keeps from this program is asked for and told, never believed.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::support::{
    database::Cluster,
    process::{free_port, is_root, run, text},
    skipped,
};

/// A pooler in transaction mode before the cluster at `port`; it ends with the value.
struct Pooler {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Pooler {
    fn start(server: u16, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (port, file) = (free_port(), directory.path().join("pgbouncer.ini"));
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={server} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\nlogfile =\npidfile =\n{more}"
        );
        fs::write(&file, settings).unwrap();
        let root = is_root();
        let mut command = Command::new(if root { "setpriv" } else { "pgbouncer" });
        if root {
            // It refuses root.
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "pgbouncer"]);
        }
        let child = command.arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { child, port, _directory: directory }
    }

    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_pooler_that_drops_the_settings_of_a_session_is_refused_with_the_reason() {
    let version = Command::new("pgbouncer").arg("--version").output();
    let Ok(version) = version.map(|output| text(&output.stdout)) else {
        return skipped("a pooler before the database: no pgbouncer found");
    };
    let Some(cluster) = Cluster::own() else { return };
    let directory = tempfile::tempdir().unwrap();
    let direct = cluster.url("postgres");
    let port = direct.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
    let said = |url: &str, reader: Option<&str>| {
        let mut settings = vec![("ZWECK__DATABASE__URL", url)];
        settings.extend(reader.map(|reader| ("ZWECK__DATABASE__READER_URL", reader)));
        let output = run(directory.path(), &settings, &["migrate"]);
        (output.status.code(), text(&output.stderr))
    };
    assert_eq!(said(&direct, None).0, Some(0));
    // It knows no `options`, and says so; or takes them and lets them fall.
    let strict = Pooler::start(port, "ignore_startup_parameters = extra_float_digits\n");
    let (code, text) = said(&strict.url(), None);
    assert!(
        code == Some(2) && text.contains("08P01") && text.contains("ignore_startup_parameters"),
        "{version}{text}"
    );
    let lax = Pooler::start(port, "ignore_startup_parameters = extra_float_digits, options\n");
    let (code, text) = said(&lax.url(), None);
    assert!(code == Some(2) && text.contains("read-only") && text.contains("pooler"), "{version}{text}");
    // Nor is the writer let through it where only the reader goes past: prepared statements are no more known than settings.
    let (code, text) = said(&lax.url(), Some(&direct));
    let old = version.contains(" 1.1") || version.contains(" 1.20");
    assert!(!old || (code != Some(0) && text.contains("pooler")), "{version}{code:?} {text}");
    assert!(!text.contains("internal error"), "{text}");
}
