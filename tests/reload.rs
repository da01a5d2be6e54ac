//! A policy that changes while the server runs: each answer agrees with one of both, and a bad one changes nothing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::Value;
use zweck::{
    domain::purposes,
    http::{Health, Shutdown},
    jobs::policy_watch,
    policy::Sources,
};

use crate::{
    reads::{World, worlds},
    support::{
        app::TestApp,
        database::TestDatabase,
        dump::number,
        process::{Server, get, run, text},
    },
};

/// The shipped policy, but that marketing reads the city in full and a partner the country as a mask.
fn other() -> Sources {
    let mut sources = Sources::embedded();
    sources.policy =
        sources.policy.replace("Contact.city, mask, allow", "Contact.city, read, allow").replace(
            "role:partner, purpose:newsletter, Contact.country, read",
            "role:partner, purpose:newsletter, Contact.country, mask",
        );
    crate::policy::without_cases(sources)
}

fn column(answer: &Value, field: &str) -> Vec<String> {
    let nodes = answer["data"]["contacts"]["nodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
    nodes.iter().map(|node| node[field].as_str().unwrap_or("-").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_each_answer_agrees_with_one_policy() {
    for World { test, client } in worlds().await {
        let marketing = test.caller("marketing", "newsletter").await;
        let partner = test.caller("partner", "newsletter").await;
        let done = Arc::new(AtomicBool::new(false));
        let reloads = {
            let (app, done) = (test.app.clone(), done.clone());
            tokio::spawn(async move {
                for round in 0..100 {
                    let sources = if round % 2 == 0 { other() } else { Sources::embedded() };
                    purposes::reload(&app, "cli:test", Ok(sources)).await.unwrap();
                }
                done.store(true, Ordering::SeqCst);
            })
        };
        let (mut asked, mut seen) = (0, std::collections::BTreeSet::new());
        while asked < 2_000 || !done.load(Ordering::SeqCst) {
            let (city, country) = tokio::join!(
                client.ask(&marketing, "{ contacts { nodes { city } } }"),
                client.ask(&partner, "{ contacts { nodes { country } } }")
            );
            for (answer, field, known) in [
                (city, "city", [["Stuttgart", "-"], ["S***", "-"]]),
                (country, "country", [["Germany", "Germany"], ["***", "***"]]),
            ] {
                assert!(answer.get("errors").is_none(), "{answer}");
                let told = column(&answer, field);
                assert!(known.iter().any(|known| told == known), "{told:?}");
                let masked = answer["extensions"]["masked"].is_array();
                assert_eq!(masked, told[0].contains("***"), "{answer}");
                seen.insert(told);
                asked += 1;
            }
        }
        reloads.await.unwrap();
        assert_eq!(seen.len(), 4, "both policies were seen by both");
        let loads = "SELECT COUNT(*) FROM audit_entry WHERE action = 'loadPolicy' AND outcome = 'CHANGED'";
        assert_eq!(number(&test.app.db.writer, loads).await, 101);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_directory_is_taken_over_and_a_bad_one_is_not() {
    for World { test, .. } in worlds().await {
        let directory = tempfile::tempdir().unwrap();
        let write = |sources: &Sources| {
            for (name, text) in [
                ("policy.csv", &sources.policy),
                ("purposes.toml", &sources.purposes),
                ("cases.yaml", &sources.cases),
            ] {
                std::fs::write(directory.path().join(name), text).unwrap();
            }
            for (name, text) in &sources.texts {
                let path = directory.path().join("texts").join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
        };
        write(&Sources::embedded());
        policy_watch::Watch::new(directory.path().to_owned()).unwrap().spawn(test.app.clone());
        let revision = || test.app.policy.current().revision().to_owned();
        let before = revision();
        let wait = async |until: &dyn Fn() -> bool| {
            for _ in 0..200 {
                if until() {
                    return true;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            false
        };
        write(&other());
        assert!(wait(&|| revision() != before).await, "the change was not seen");
        let good = revision();
        let refused = "SELECT COUNT(*) FROM audit_entry WHERE action = 'refusePolicy'";
        // A bad file, then one that cannot be read at all: each is refused once, by an entry too.
        for refusals in 1..=2 {
            if refusals == 1 {
                std::fs::write(directory.path().join("policy.csv"), "p, role:nobody").unwrap();
            } else {
                std::fs::remove_file(directory.path().join("purposes.toml")).unwrap();
            }
            for _ in 0..200 {
                if number(&test.app.db.reader, refused).await >= refusals {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            assert_eq!(number(&test.app.db.reader, refused).await, refusals);
            assert_eq!(revision(), good);
        }
        write(&Sources::embedded());
        assert!(wait(&|| revision() == before).await, "the way back was not seen");
    }
}

/// Writes a policy to `directory` in one of the ways of editors and deployments.
async fn write(directory: &std::path::Path, sources: &Sources, way: u32) {
    let files: Vec<(String, &String)> = [
        ("policy.csv".to_owned(), &sources.policy),
        ("purposes.toml".to_owned(), &sources.purposes),
        ("cases.yaml".to_owned(), &sources.cases),
    ]
    .into_iter()
    .chain(sources.texts.iter().map(|(name, text)| (format!("texts/{name}"), text)))
    .collect();
    for (name, text) in files {
        let path = directory.join(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match way {
            // Truncated, and written in pieces with the file open: each beginning may be a policy by itself.
            0 if name == "policy.csv" => {
                use std::io::Write;
                let mut file = std::fs::File::create(&path).unwrap();
                let lines: Vec<&str> = text.split_inclusive('\n').collect();
                for piece in
                    [0..lines.len() / 2, lines.len() / 2..lines.len() - 1, lines.len() - 1..lines.len()]
                {
                    file.write_all(lines[piece].concat().as_bytes()).unwrap();
                    file.flush().unwrap();
                    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
                }
            }
            // Written beside it and renamed, as many editors do.
            1 => {
                let beside = path.with_extension("swp~");
                std::fs::write(&beside, text).unwrap();
                std::fs::rename(&beside, &path).unwrap();
            }
            // One file after the other, with a list of sums that comes first.
            _ => std::fs::write(&path, text).unwrap(),
        }
        if way == 2 && !name.starts_with("texts/") {
            // Longer than two readings are apart.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
}

fn sums(sources: &Sources) -> String {
    use sha2::{Digest, Sha256};
    let files = [
        ("policy.csv", &sources.policy),
        ("purposes.toml", &sources.purposes),
        ("cases.yaml", &sources.cases),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text)).into_iter();
    files
        .chain(sources.texts.iter().map(|(name, text)| (format!("texts/{name}"), text)))
        .map(|(name, text)| format!("{:x}  {name}\n", Sha256::digest(text)))
        .collect()
}

/// Whatever way it is written in, and however slowly: only whole policies are ever in force.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_way_it_is_written_only_whole_policies_are_in_force() {
    let rounds: u32 = if std::env::var_os("ZWECK_FULL").is_some() { 500 } else { 24 };
    let test = TestApp::over(TestDatabase::sqlite().await).await;
    let (one, two) = (Sources::embedded(), other());
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &one, 3).await;
    let rest = std::time::Duration::from_millis(60);
    policy_watch::watch_policy(test.app.clone(), directory.path().to_owned(), rest).unwrap();
    let whole = [one.revision(), two.revision()];
    let revision = || test.app.policy.current().revision().to_owned();
    for round in 0..rounds {
        let next = if round % 2 == 0 { &two } else { &one };
        let way = round % 4;
        let writing = async {
            if way == 2 {
                std::fs::write(directory.path().join("SHA256SUMS"), sums(next)).unwrap();
            }
            write(directory.path(), next, way).await;
            if way == 2 {
                // Seen as a whole before the list is taken away.
                for _ in 0..400 {
                    if revision() == next.revision() {
                        break;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
                std::fs::remove_file(directory.path().join("SHA256SUMS")).unwrap();
            }
        };
        let watching = async {
            for _ in 0..1_000 {
                let now = revision();
                assert!(whole.contains(&now), "round {round}: half a policy was in force");
                if now == next.revision() {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            panic!("round {round}: the change was not seen");
        };
        tokio::join!(writing, watching);
    }
}

/// A link is switched in one step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_switched_is_followed() {
    let test = TestApp::over(TestDatabase::sqlite().await).await;
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (directory.path().join("1"), directory.path().join("2"));
    write(&one, &Sources::embedded(), 3).await;
    write(&two, &other(), 3).await;
    let (link, next) = (directory.path().join("current"), directory.path().join("next"));
    std::os::unix::fs::symlink(&one, &link).unwrap();
    policy_watch::watch_policy(test.app.clone(), link.clone(), std::time::Duration::from_millis(60)).unwrap();
    for target in [&two, &one, &two] {
        std::os::unix::fs::symlink(target, &next).unwrap();
        std::fs::rename(&next, &link).unwrap();
        let wanted = Sources::read(target).unwrap().revision();
        for _ in 0..500 {
            if test.app.policy.current().revision() == wanted {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(test.app.policy.current().revision(), wanted);
    }
}

/// A role that the policy no longer knows takes the whole credential with it: what is left may be wider, since a role also denies.
#[tokio::test]
async fn a_credential_that_names_what_is_gone_is_closed() {
    let with = || {
        let mut sources = Sources::embedded();
        sources.purposes.push_str(
            "\n[[role]]\ncode = \"trainee\"\ntitle_de = \"Auszubildende\"\ntitle_en = \"Trainee\"\n",
        );
        sources.policy.push_str("\np, role:trainee, purpose:any, Contact.phone, read, deny\n");
        sources
    };
    for World { test, client } in worlds().await {
        purposes::reload(&test.app, "cli:test", Ok(with())).await.unwrap();
        let token = test.token(&["support", "trainee"], &["customer_care"]).await;
        let caller = crate::support::client::Caller { token, purpose: "customer_care".to_owned() };
        let query = "{ contacts(first: 1) { nodes { phone } } }";
        let answer = client.ask(&caller, query).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN_FIELD", "{answer}");
        // While it is valid no policy is loaded that does not know it.
        let refused = purposes::reload(&test.app, "cli:test", Ok(Sources::embedded())).await.unwrap_err();
        assert!(refused.to_string().contains("valid tokens name roles"), "{refused}");
        // After a start with such a policy the credential is closed, not wider.
        test.app.policy.replace(crate::policy::shipped().await);
        let answer = client.ask(&caller, query).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN", "{answer}");
        assert!(answer.get("data").is_none_or(Value::is_null), "{answer}");
    }
}

/// A policy that breaks its own cases does not come in force while a server runs.
#[tokio::test]
async fn a_reload_asks_the_cases() {
    for World { test, .. } in worlds().await {
        let mut broken = Sources::embedded();
        broken.policy.push_str("\np, role:marketing, purpose:newsletter, Contact.notes, read, allow\n");
        let before = test.app.policy.current().revision().to_owned();
        let refused = purposes::reload(&test.app, "cli:test", Ok(broken)).await.unwrap_err();
        assert!(refused.to_string().contains("[CASE]"), "{refused}");
        assert_eq!(test.app.policy.current().revision(), before);
    }
}

/// Opens `policy.csv` of `directory`, which holds `sources` but for that file, and writes all but its last line.
fn half(directory: &std::path::Path, sources: &Sources) -> (std::fs::File, String) {
    use std::io::Write;
    let mut lines: Vec<&str> = sources.policy.split_inclusive('\n').collect();
    let last = lines.pop().unwrap().to_owned();
    let mut file = std::fs::File::create(directory.join("policy.csv")).unwrap();
    file.write_all(lines.concat().as_bytes()).unwrap();
    (file, last)
}

async fn until(holds: impl Fn() -> bool) -> bool {
    for _ in 0..1_000 {
        if holds() {
            return true;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    false
}

/// A server that starts, and a command that reads the policy once, wait for who writes to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_starts_during_a_slow_write_takes_the_whole() {
    use std::io::Write;
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &other(), 3).await;
    let (mut file, last) = half(directory.path(), &other());
    // Whoever takes it as it is takes a policy that is valid, and another one.
    assert_ne!(Sources::read(directory.path()).unwrap().revision(), other().revision());
    let writing = tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(4)).await;
        file.write_all(last.as_bytes()).unwrap();
    });
    let setting = [("ZWECK__POLICY__DIR", directory.path().to_str().unwrap())];
    let server = Server::start(&setting).await;
    let (_, measures) = get(server.management, "/metrics").await.unwrap();
    let whole = format!("zweck_policy_info{{revision=\"{}\"}} 1", other().revision());
    assert!(measures.contains(&whole), "{}", server.log());
    writing.await.unwrap();
    // Half a line is no policy.
    let mut file = std::fs::File::create(directory.path().join("policy.csv")).unwrap();
    file.write_all(b"p, role:sup").unwrap();
    let writing = tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        file.set_len(0).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        file.write_all(other().policy.as_bytes()).unwrap();
    });
    let elsewhere = tempfile::tempdir().unwrap();
    let checked = tokio::task::block_in_place(|| run(elsewhere.path(), &setting, &["policy", "check"]));
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    writing.await.unwrap();
}

/// What was completed between the reading of the start and the watch is loaded as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_before_the_watch_goes_on_is_not_missed() {
    let test = TestApp::over(TestDatabase::sqlite().await).await;
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &other(), 3).await;
    let rest = std::time::Duration::from_millis(60);
    policy_watch::watch_policy(test.app.clone(), directory.path().to_owned(), rest).unwrap();
    assert!(until(|| test.app.policy.current().revision() == other().revision()).await);
}

/// However long a file stays half written: the old policy stays in force, which operators are told, until it is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_stays_half_written_never_comes_in_force() {
    use std::io::Write;
    let test = TestApp::over(TestDatabase::sqlite().await).await;
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &Sources::embedded(), 3).await;
    let rest = std::time::Duration::from_millis(10);
    policy_watch::watch_policy(test.app.clone(), directory.path().to_owned(), rest).unwrap();
    // The swap file of an editor, which stays open for as long as the editor does, holds up nothing.
    let mut swap = std::fs::File::create(directory.path().join(".policy.csv.swp")).unwrap();
    swap.write_all(b"swapped").unwrap();
    let rest_of_them = Sources { policy: Sources::embedded().policy, ..other() };
    write(directory.path(), &rest_of_them, 3).await;
    assert!(until(|| test.app.policy.current().revision() == rest_of_them.revision()).await);
    let (mut file, last) = half(directory.path(), &other());
    assert!(until(|| test.app.policy.is_half_written()).await, "nobody is told");
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(test.app.policy.current().revision(), rest_of_them.revision());
    let report = async || Health::new(test.app.clone(), Shutdown::on(std::future::pending())).report().await;
    let told = serde_json::to_value(report().await).unwrap();
    assert_eq!(told["warnings"], serde_json::json!(["policy_half_written"]), "{told}");
    file.write_all(last.as_bytes()).unwrap();
    drop(file);
    assert!(until(|| test.app.policy.current().revision() == other().revision()).await);
    assert_eq!(serde_json::to_value(report().await).unwrap().get("warnings"), None);
}
