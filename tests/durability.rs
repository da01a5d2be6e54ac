//! Power failure, simulated: of a database of SQLite only what was flushed is there afterwards, and with it every write that was answered.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sea_orm::{EntityTrait, PaginatorTrait};
use zweck::db::Db;

use crate::support::{
    process::{free_port, get, run, text, zweck},
    skipped,
};

/// What a server does to its files.
#[derive(Debug)]
enum Act {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
    Flush,
}

/// An act, when it began and when it was over, in seconds since 1970.
#[derive(Debug)]
struct Done {
    file: String,
    began: f64,
    over: f64,
    act: Act,
}

/// The acts that `strace -ff -ttt -T -y -xx` has written down, in the order of their beginning.
fn acts(directory: &Path) -> Vec<Done> {
    let mut acts = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_string_lossy().starts_with("trace.") {
            continue;
        }
        acts.extend(fs::read_to_string(path).unwrap().lines().filter_map(act));
    }
    acts.sort_by(|left, right| left.began.total_cmp(&right.began));
    acts
}

/// `1764600000.123456 pwrite64(9</path>, "\x00...", 4096, 0) = 4096 <0.000123>`
fn act(line: &str) -> Option<Done> {
    let (began, rest) = line.split_once(' ')?;
    let began: f64 = began.parse().ok()?;
    let (call, rest) = rest.split_once('(')?;
    let file = rest.split_once('<')?.1.split_once('>')?.0;
    // Paths are written as bytes, too.
    let file = String::from_utf8(bytes(file)).ok()?;
    if !file.contains(".db") || rest.contains(") = -1") {
        return None;
    }
    let took: f64 = rest.rsplit_once('<')?.1.trim_end_matches('>').parse().ok()?;
    let numbers = |text: &str| -> Vec<usize> {
        let inner = text.split_once(')').map_or(text, |(inner, _)| inner);
        inner.split(',').filter_map(|word| word.trim().parse().ok()).collect()
    };
    let act = match call {
        "pwrite64" => {
            let (_, rest) = rest.split_once('"')?;
            let (data, rest) = rest.split_once('"')?;
            assert!(!rest.starts_with("..."), "a write was cut off");
            Act::Write { at: *numbers(rest).last()?, bytes: bytes(data) }
        }
        "ftruncate" => Act::Truncate(*numbers(rest).last()?),
        "fsync" | "fdatasync" => Act::Flush,
        _ => return None,
    };
    Some(Done { file, began, over: began + took, act })
}

fn bytes(hex: &str) -> Vec<u8> {
    if !hex.contains("\\x") {
        return hex.as_bytes().to_vec();
    }
    hex.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// The files after a power failure at `when`: as they were before the acts, with what was flushed by then and nothing else.
fn survived(before: &BTreeMap<String, Vec<u8>>, acts: &[Done], when: f64) -> BTreeMap<String, Vec<u8>> {
    let mut files = before.clone();
    let mut waiting: Vec<&Done> = Vec::new();
    for done in acts {
        if !matches!(done.act, Act::Flush) {
            waiting.push(done);
            continue;
        }
        if done.over > when {
            continue;
        }
        let (flushed, rest): (Vec<&Done>, Vec<&Done>) =
            waiting.into_iter().partition(|wrote| wrote.file == done.file && wrote.over <= done.began);
        waiting = rest;
        let file = files.entry(done.file.clone()).or_default();
        for wrote in flushed {
            match &wrote.act {
                Act::Write { at, bytes } => {
                    file.resize(file.len().max(at + bytes.len()), 0);
                    file[*at..at + bytes.len()].copy_from_slice(bytes);
                }
                Act::Truncate(length) => file.resize(*length, 0),
                Act::Flush => {}
            }
        }
    }
    files
}

fn now() -> f64 {
    #[expect(clippy::disallowed_methods, reason = "compared with what the kernel has noted")]
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Ends what is traced, and with it the one who traces.
struct Traced(Child);

impl Traced {
    fn end(&mut self) {
        let id = self.0.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let _ = Command::new("kill").args(["-KILL", child]).status();
        }
        let _ = self.0.wait();
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.end();
    }
}

#[tokio::test]
async fn every_answered_write_outlives_a_power_failure() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let probe = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return skipped("a simulated power failure: strace is not there, or may not trace");
    }
    let url = [("ZWECK__DATABASE__URL", "sqlite://crm.db")];
    assert!(run(path, &url, &["migrate"]).status.success());
    let made = run(
        path,
        &url,
        &["token", "create", "--name", "t", "--role", "support", "--purpose", "customer_care"],
    );
    let token = text(&made.stdout).trim().to_owned();
    // A command that has ended leaves a whole file, which is on the disk.
    let file = |name: &str| path.join(name).canonicalize().unwrap().display().to_string();
    let before = BTreeMap::from([(file("crm.db"), fs::read(path.join("crm.db")).unwrap())]);
    assert!(!path.join("crm.db-wal").exists());
    let (port, management) = (free_port(), free_port());
    let program = zweck(path, &url);
    let mut traced = Command::new("strace");
    traced.current_dir(path).args(["-ff", "-ttt", "-T", "-y", "-xx", "-s", "1000000", "-o", "trace"]);
    traced.args(["-e", "trace=pwrite64,fsync,fdatasync,ftruncate"]).arg(program.get_program()).arg("serve");
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            traced.env(name, value);
        }
    }
    traced.env("ZWECK__SERVER__LISTEN", format!("127.0.0.1:{port}"));
    traced.env("ZWECK__MANAGEMENT__LISTEN", format!("127.0.0.1:{management}"));
    let mut traced = Traced(traced.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    for _ in 0..300 {
        if get(management, "/readyz").await.is_some_and(|(status, _)| status == 200) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // One after the other, then many at once.
    let mut answered = Vec::new();
    for number in 0..6 {
        create(port, token.clone(), number).await;
        answered.push((now(), number + 1));
    }
    let mut several = tokio::task::JoinSet::new();
    for number in 6..22 {
        several.spawn(create(port, token.clone(), number));
    }
    while let Some(done) = several.join_next().await {
        done.unwrap();
        let last = answered.last().unwrap().1;
        answered.push((now(), last + 1));
    }
    traced.end();
    let acts = acts(path);
    let flushes =
        acts.iter().filter(|done| matches!(done.act, Act::Flush) && done.file.ends_with("-wal")).count();
    assert!((7..=60).contains(&flushes), "{flushes} flushes for {} writes", answered.len());
    for (when, contacts) in answered {
        let files = survived(&before, &acts, when);
        let failed = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(failed.path().join(Path::new(&name).file_name().unwrap()), bytes).unwrap();
        }
        let db =
            Db::connect(&format!("sqlite://{}", failed.path().join("crm.db").display()), 1).await.unwrap();
        let found = entity::contact::Entity::find().count(&db.reader).await.unwrap();
        assert!(found >= contacts, "{found} of {contacts} contacts that were answered are there");
        let entries = entity::audit_entry::Entity::find().count(&db.reader).await.unwrap();
        assert!(entries > contacts);
        db.close().await.unwrap();
    }
}

async fn create(port: u16, token: String, number: u64) {
    let body = format!(
        "{{\"query\":\"mutation {{ createContact(input: {{familyName: \\\"Neu {number}\\\", source: {{name: \\\"call\\\"}}, ground: {{purpose: \
         \\\"customer_care\\\"}}}}) {{ contact {{ id }} }} }}\"}}"
    );
    let done = tokio::task::spawn_blocking(move || {
        Command::new("curl")
            .args(["-s", "-m", "60", &format!("http://127.0.0.1:{port}/graphql")])
            .args([
                "-H",
                "Content-Type: application/json",
                "-H",
                &format!("Authorization: Bearer {token}"),
                "-d",
                &body,
            ])
            .output()
            .unwrap()
    });
    let done = done.await.unwrap();
    let answer = text(&done.stdout);
    assert!(answer.contains("\"id\""), "{answer}");
}
