//! Fresh databases for tests: SQLite files, and a throw-away PostgreSQL cluster per test process.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use sea_orm::{ConnectionTrait, Database};
use tempfile::TempDir;
use zweck::db::Db;

/// A fresh, migrated database; it goes with the value.
pub struct TestDatabase {
    pub db: Db,
    /// Its address, for others who open it.
    pub url: String,
    pub directory: Option<TempDir>,
}

impl TestDatabase {
    pub async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("test.db").display());
        Self::open(url, Some(directory)).await
    }

    /// A database of the process's own cluster; `None`, with the reason printed, where no server is installed.
    pub async fn postgres() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let cluster = cluster()?;
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::SeqCst));
        let admin = Database::connect(cluster.url("postgres")).await.unwrap();
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
        admin.close().await.unwrap();
        Some(Self::open(cluster.url(&name), None).await)
    }

    /// A database of `cluster`.
    pub async fn of(cluster: &Cluster) -> Self {
        Self::open(cluster.url("postgres"), None).await
    }

    async fn open(url: String, directory: Option<TempDir>) -> Self {
        super::log::watch();
        let db = Db::connect(&url, 4).await.unwrap();
        db.migrate().await.unwrap();
        Self { db, url, directory }
    }
}

/// One database of every kind there is here.
pub async fn each() -> Vec<TestDatabase> {
    let mut databases = vec![TestDatabase::sqlite().await];
    databases.extend(TestDatabase::postgres().await);
    databases
}

/// A throw-away server.
pub struct Cluster {
    port: u16,
    /// Where its standby listens, once there is one.
    standby: u16,
    /// The watchdog: it stops the server when its standard input closes, that is, when this process or the value ends, and at
    /// a word.
    watchdog: Child,
    told: BufReader<ChildStdout>,
}

impl Cluster {
    /// A cluster of the test's own, which it may stop; `None`, with the reason printed, where no server is installed.
    pub fn own() -> Option<Self> {
        cluster()?;
        binaries().map(|bin| start(&bin))
    }

    /// `stop` (at once, as a crash) or `start`; `standby`, which makes one that the server waits for with every commit, and `promote`, which
    /// makes that the primary. Returns when it is done.
    pub fn tell(&mut self, word: &str) {
        writeln!(self.watchdog.stdin.as_mut().unwrap(), "{word}").unwrap();
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        assert_eq!(line, format!("{word} done\n"));
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The same on the standby.
    pub fn url_of_standby(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.standby)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "CI says by an environment variable that the server must be there"
)]
fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| {
        let found = binaries();
        if found.is_none() {
            super::skipped("every test on PostgreSQL: no server found (pg_config --bindir)");
        }
        found.map(|bin| start(&bin))
    });
    assert!(
        cluster.is_some() || std::env::var("ZWECK_REQUIRE_POSTGRES").is_err(),
        "PostgreSQL is required and no server is installed"
    );
    cluster.as_ref()
}

fn binaries() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let bin = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    bin.join("initdb").exists().then_some(bin)
}

/// Starts a cluster under a shell that ends it with this process. The server refuses to run as root:
/// then it runs as the user `postgres`.
fn start(bin: &Path) -> Cluster {
    let [port, standby] = [(); 2]
        .map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap())
        .map(|listener| listener.local_addr().unwrap().port());
    let script = format!(
        "set -e; dir=$(mktemp -d); bin={bin}; \
         $bin/initdb -D $dir/data -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null; \
         start() {{ $bin/pg_ctl -D $dir/data -s -w -l $dir/log -o \"-p {port} -k $dir -c listen_addresses=127.0.0.1 \
         -c fsync=off -c full_page_writes=off -c max_connections=300\" start </dev/null >/dev/null 2>&1; }}; \
         stop() {{ $bin/pg_ctl -D $dir/data -m immediate -s stop; }}; \
         standby() {{ $bin/pg_basebackup -h 127.0.0.1 -p {port} -U postgres -D $dir/standby -R -c fast; \
         echo \"primary_conninfo = 'host=127.0.0.1 port={port} user=postgres application_name=standby'\" \
         >> $dir/standby/postgresql.auto.conf; \
         $bin/pg_ctl -D $dir/standby -s -w -l $dir/standby.log -o \"-p {standby} -k $dir -c listen_addresses=127.0.0.1 \
         -c fsync=off -c full_page_writes=off -c max_connections=300\" start </dev/null >/dev/null 2>&1; \
         $bin/psql -q -X -h 127.0.0.1 -p {port} -U postgres -c \"ALTER SYSTEM SET synchronous_standby_names = 'standby'\" \
         -c 'SELECT pg_reload_conf()' >/dev/null; }}; \
         promote() {{ $bin/pg_ctl -D $dir/standby -s -w promote; }}; \
         start; echo ready; while read word; do $word; echo $word done; done; stop 2>/dev/null || true; \
         if [ -d $dir/standby ]; then $bin/pg_ctl -D $dir/standby -m immediate -s stop || true; fi; rm -rf $dir",
        bin = bin.display()
    );
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut command = if root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh", "-c", &script]);
        command
    } else {
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        command
    };
    let mut watchdog = command
        .current_dir("/tmp")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut told = BufReader::new(watchdog.stdout.take().unwrap());
    told.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "the PostgreSQL cluster did not start");
    Cluster { port, standby, watchdog, told }
}
