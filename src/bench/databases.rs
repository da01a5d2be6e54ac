//! Where the data lies: a file of SQLite, a throw-away PostgreSQL cluster, or an empty database that is named. Room: bench.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::BenchError;

/// A database to measure on.
pub struct TestDatabase {
    /// `SQLite` or `PostgreSQL`.
    pub name: &'static str,
    /// Its address.
    pub url: String,
    /// Ends with the value.
    _cluster: Option<Cluster>,
}

impl TestDatabase {
    /// A fresh file of SQLite in `directory`.
    pub fn sqlite(directory: &Path) -> Self {
        let url = format!("sqlite://{}", directory.join("bench.db").display());
        Self { name: "SQLite", url, _cluster: None }
    }
}

/// The databases of a run: the one that is named, else a fresh file of SQLite in `directory` and, where a server is installed, a
/// fresh cluster of PostgreSQL, which waits for the disk with every commit if `fsync`.
///
/// # Errors
/// The cluster does not start.
pub fn test_databases(
    named: Option<&str>,
    directory: &Path,
    fsync: bool,
) -> Result<Vec<TestDatabase>, BenchError> {
    if let Some(url) = named {
        let name = if url.starts_with("sqlite:") { "SQLite" } else { "PostgreSQL" };
        return Ok(vec![TestDatabase { name, url: url.to_owned(), _cluster: None }]);
    }
    let mut test_databases = Vec::new();
    if let Some(bin) = binaries() {
        let (cluster, url) = Cluster::start(&bin, fsync)?;
        test_databases.push(TestDatabase { name: "PostgreSQL", url, _cluster: Some(cluster) });
    }
    test_databases.push(TestDatabase::sqlite(directory));
    Ok(test_databases)
}

/// Where the programs of a PostgreSQL server are, if one is installed.
fn binaries() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let bin = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    bin.join("initdb").exists().then_some(bin)
}

/// A throw-away server, under a shell that stops it when its standard input closes: with the value, or with this process.
struct Cluster(Child);

impl Cluster {
    /// Starts one. As root it runs as the user `postgres`, since the server refuses root.
    fn start(bin: &Path, fsync: bool) -> Result<(Self, String), BenchError> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let script = format!(
            "set -e; dir=$(mktemp -d); bin='{bin}'; \
             $bin/initdb -D $dir/data -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null; \
             $bin/pg_ctl -D $dir/data -s -w -l $dir/log -o \"-p {port} -k $dir -c listen_addresses=127.0.0.1 \
             -c fsync={disk} -c full_page_writes={disk} -c shared_buffers=256MB -c max_connections=200\" start </dev/null >/dev/null 2>&1; \
             echo ready; read end || true; $bin/pg_ctl -D $dir/data -m immediate -s stop || true; rm -rf $dir",
            bin = bin.display(),
            disk = if fsync { "on" } else { "off" }
        );
        let root = Command::new("id").arg("-u").output()?.stdout == b"0\n";
        let mut command = Command::new(if root { "setpriv" } else { "sh" });
        if root {
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
        }
        command.args(["-c", &script]).current_dir("/tmp").process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let cluster = Self(child);
        if line != "ready\n" {
            let text = "the PostgreSQL cluster does not start; name an empty database with --database-url";
            return Err(BenchError::Failed(text.to_owned()));
        }
        Ok((cluster, format!("postgres://postgres@127.0.0.1:{port}/postgres")))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It has ended already, if this fails.
        let _ = self.0.wait();
    }
}
