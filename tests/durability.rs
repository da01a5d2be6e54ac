//! Power failure, simulated: of a database of SQLite only what was flushed is there afterwards, and with it every write that was answered.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use entity::enums::ConsentStatus;
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait, Statement};
use serde_json::{Value, json};
use zweck::{
    db::{Db, DurabilityGap},
    http::{Health, Shutdown},
};

use crate::support::{
    app::each,
    process::{Server, free_port, get, run, text, zweck},
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
    let probe = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return skipped("a simulated power failure: strace is not there, or may not trace");
    }
    // Who says yes and no, and a recipient who reads meanwhile.
    let mut first = Server::start(&[]).await;
    let token = first.token("support", "customer_care");
    let (consent, admin) =
        (first.token("marketing", "consent_management"), first.token("admin", "administration"));
    let input = json!({ "familyName": "Neu", "email": "neu@example.org", "source": { "name": "call" },
        "ground": { "purpose": "customer_care" } });
    let made = mutate(first.port, token.clone(), "createContact", input, "contact { id }").await;
    let person = made["contact"]["id"].clone();
    let yes = json!({ "contactId": person, "purpose": "newsletter", "channel": "EMAIL", "textVersion": "2026-1",
        "language": "de", "proof": "signed_paper", "declaredAt": "2025-01-02T09:00:00Z", "source": "fair" });
    mutate(first.port, consent.clone(), "recordConsent", yes, "consent { id }").await;
    let house = json!({ "name": "Mailing house", "kind": "PROCESSOR" });
    let house = mutate(first.port, admin, "createRecipient", house, "recipient { id }").await;
    let house = house["recipient"]["id"].as_str().unwrap();
    first.terminate();
    assert_eq!(first.ended().await, Some(0));
    let path = first.directory.path();
    let of_house = ["--role", "partner", "--purpose", "newsletter", "--recipient", house];
    let made = run(path, &[], &[&["token", "create", "--name", "p"], &of_house[..]].concat());
    let partner = text(&made.stdout).trim().to_owned();
    // A command that has ended leaves a whole file, which is on the disk.
    let file = |name: &str| path.join(name).canonicalize().unwrap().display().to_string();
    let before = BTreeMap::from([(file("zweck.db"), fs::read(path.join("zweck.db")).unwrap())]);
    assert!(!path.join("zweck.db-wal").exists());
    let (port, management) = (free_port(), free_port());
    let program = zweck(path, &[]);
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
    let contacts = answered.last().unwrap().1;
    let read = json!({ "query": "{ contacts(first: 1) { nodes { id } } }" });
    let read = ask(port, partner, read).await;
    assert_eq!(read["data"]["contacts"]["nodes"][0]["id"], person, "{read}");
    let used = now();
    let no = json!({ "contactId": person, "purpose": "newsletter" });
    mutate(port, consent, "withdrawConsent", no, "consents { id }").await;
    let withdrawn = now();
    answered.extend([(used, contacts), (withdrawn, contacts)]);
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
            Db::connect(&format!("sqlite://{}", failed.path().join("zweck.db").display()), 1).await.unwrap();
        let found = entity::contact::Entity::find().count(&db.reader).await.unwrap();
        assert!(found >= contacts, "{found} of {contacts} contacts that were answered are there");
        let entries = entity::audit_entry::Entity::find().count(&db.reader).await.unwrap();
        assert!(entries > contacts);
        let uses = entity::recipient_use::Entity::find().count(&db.reader).await.unwrap();
        assert!(when < used || uses == 1, "a use is lost of which a later no would have told");
        let consent = entity::consent::Entity::find().one(&db.reader).await.unwrap().unwrap();
        let over = consent.status == ConsentStatus::Withdrawn;
        assert!(when < withdrawn || over, "a no that was answered is lost");
        db.close().await.unwrap();
    }
}

async fn create(port: u16, token: String, number: u64) {
    let input = json!({ "familyName": format!("Neu {number}"), "source": { "name": "call" },
        "ground": { "purpose": "customer_care" } });
    mutate(port, token, "createContact", input, "contact { id }").await;
}

/// The payload of a mutation that must succeed.
async fn mutate(port: u16, token: String, name: &str, input: Value, payload: &str) -> Value {
    let ty = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
    let query = format!("mutation($input: {ty}!) {{ {name}(input: $input) {{ {payload} }} }}");
    let answer = ask(port, token, json!({ "query": query, "variables": { "input": input } })).await;
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"][name].clone()
}

async fn ask(port: u16, token: String, body: Value) -> Value {
    let done = tokio::task::spawn_blocking(move || {
        Command::new("curl")
            .args(["-s", "-m", "60", &format!("http://127.0.0.1:{port}/graphql")])
            .args(["-H", "Content-Type: application/json"])
            .args(["-H", &format!("Authorization: Bearer {token}"), "-d", &body.to_string()])
            .output()
            .unwrap()
    });
    let done = done.await.unwrap();
    serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", text(&done.stdout)))
}

/// On PostgreSQL sessions that write wait for the disk whatever the defaults of the database say; what a server does not do is told.
#[tokio::test]
async fn sessions_that_write_wait_for_the_disk_whatever_the_defaults_say() {
    for test in each().await {
        let health = Health::new(test.app.clone(), Shutdown::on(std::future::pending()));
        let told = serde_json::to_value(health.report().await).unwrap();
        let Some((_, name)) = test.url.rsplit_once('/').filter(|_| test.url.starts_with("postgres")) else {
            assert_eq!(told.get("warnings"), None, "{told}");
            continue;
        };
        // The server of the tests does neither, and answers all the same.
        assert_eq!(told["warnings"], json!(["fsync_off", "full_page_writes_off"]), "{told}");
        assert_eq!(told["status"], "ready");
        for (default, expected) in [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")] {
            let set = format!("ALTER DATABASE {name} SET synchronous_commit = {default}");
            test.app.db.writer.execute_unprepared(&set).await.unwrap();
            let db = Db::connect(&test.url, 2).await.unwrap();
            let asked = Statement::from_string(db.backend(), "SELECT current_setting('synchronous_commit')");
            let row = db.writer.query_one_raw(asked).await.unwrap().unwrap();
            assert_eq!(row.try_get_by_index::<String>(0).unwrap(), expected, "{default}");
            assert_eq!(
                db.durability_gaps().await.unwrap(),
                [DurabilityGap::Fsync, DurabilityGap::FullPageWrites]
            );
            db.close().await.unwrap();
        }
    }
}
