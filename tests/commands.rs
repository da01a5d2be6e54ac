//! The command line as scripts and people use it: pipes that close, files that exist, lists for programs, completions, the manual.

use std::{
    fs,
    io::Read,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
    process::{Output, Stdio},
};

use entity::audit_entry;
use sea_orm::{Database, EntityTrait, PaginatorTrait};
use serde_json::Value;

use crate::support::{
    database::Cluster,
    process::{Server, run, text, zweck},
};

/// Runs the program, which must end well, and gives what it printed.
fn done(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, &[], arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs the program, which must refuse with `code`, and gives what it said.
fn refused(directory: &Path, arguments: &[&str], code: i32) -> String {
    let output = run(directory, &[], arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stderr)
}

fn token(directory: &Path, name: &str, more: &[&str]) -> Output {
    let all = ["token", "create", "--name", name, "--role", "support", "--purpose", "customer_care"];
    run(directory, &[], &[&all, more].concat())
}

fn json_of(directory: &Path, arguments: &[&str]) -> Value {
    let told = done(directory, arguments);
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {told}"))
}

/// How many entries the audit log has.
fn entries(directory: &Path) -> u64 {
    let count = async {
        let url = format!("sqlite://{}", directory.join("zweck.db").display());
        let db = Database::connect(url).await.unwrap();
        let count = audit_entry::Entity::find().count(&db).await.unwrap();
        db.close().await.unwrap();
        count
    };
    tokio::runtime::Runtime::new().unwrap().block_on(count)
}

/// A database with the policy as files beside it.
fn fresh() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    done(directory.path(), &["migrate"]);
    directory
}

/// Whoever has read enough closes the pipe: that is no error, and nothing is said.
#[test]
fn a_pipe_that_closes_ends_quietly() {
    let directory = fresh();
    for arguments in [
        &["policy", "matrix", "--format", "csv"][..],
        &["policy", "matrix"],
        &["policy", "test", "--coverage"],
        &["schema"],
        &["config", "default"],
        &["completions", "bash"],
        &["token", "list"],
    ] {
        let mut child = zweck(directory.path(), &[])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let _ = out.read(&mut [0; 16]).unwrap();
        drop(out);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{arguments:?}");
        // Nobody reads from the beginning.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = zweck(directory.path(), &[])
            .args(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{arguments:?}");
    }
}

#[test]
fn shells_complete_commands() {
    let directory = tempfile::tempdir().unwrap();
    for (shell, marks) in [
        ("bash", ["_zweck()", "complete -F _zweck"]),
        ("zsh", ["#compdef zweck", "_zweck"]),
        ("fish", ["complete -c zweck", "verify-receipt"]),
        ("elvish", ["edit:completion", "verify-receipt"]),
        ("powershell", ["Register-ArgumentCompleter", "verify-receipt"]),
    ] {
        let told = done(directory.path(), &["completions", shell]);
        for mark in marks.iter().chain(&["who-can", "expires-in-days"]) {
            assert!(told.contains(mark), "{shell}: {mark}");
        }
    }
    // What bash completes is what the program takes.
    let script = "source /dev/stdin; COMP_WORDS=(zweck pol); COMP_CWORD=1; _zweck zweck pol zweck; echo \"${COMPREPLY[*]}\"";
    let file = directory.path().join("bash");
    fs::write(&file, done(directory.path(), &["completions", "bash"])).unwrap();
    let completed = std::process::Command::new("bash")
        .args(["-c", script])
        .stdin(fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert_eq!(text(&completed.stdout).trim(), "policy", "{}", text(&completed.stderr));
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let directory = tempfile::tempdir().unwrap();
    done(directory.path(), &["man", "--out", "man"]);
    let page = |name: &str| fs::read_to_string(directory.path().join("man").join(name)).unwrap();
    for (name, mark) in [
        ("zweck.1", "zweck keys generate"),
        ("zweck-token-create.1", "zweck token create"),
        ("zweck-policy-who\\-can.1", "zweck policy who"),
        ("zweck-export-contacts.1", "zweck export contacts"),
    ] {
        let found = page(&name.replace('\\', ""));
        assert!(found.starts_with(".ie") || found.contains(".TH "), "{name}");
        let plain = found.replace("\\-", "-");
        assert!(plain.contains("Examples:") && plain.contains(mark), "{name}: {plain}");
    }
    assert!(fs::read_dir(directory.path().join("man")).unwrap().count() > 40);
    assert!(
        refused(directory.path(), &["man", "--out", "man"], 2)
            .contains(".1 exists and is overwritten with --force alone")
    );
    done(directory.path(), &["man", "--out", "man", "--force"]);
}

#[test]
fn a_token_is_revoked_by_its_name_where_that_is_clear() {
    let directory = fresh();
    let here = directory.path();
    for name in ["one", "two", "two"] {
        assert!(token(here, name, &[]).status.success());
    }
    let states = |wanted: &str| {
        let list = json_of(here, &["token", "list", "--format", "json", "--state", wanted]);
        list.as_array()
            .unwrap()
            .iter()
            .map(|token| token["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(done(here, &["token", "revoke", "one"]).ends_with("is revoked\n"));
    assert_eq!((states("valid").len(), states("revoked").len()), (2, 1));
    // It is revoked already: no valid token has the name.
    assert!(refused(here, &["token", "revoke", "one"], 2).contains("there is no valid token `one`"));
    let said = refused(here, &["token", "revoke", "two"], 2);
    assert!(said.contains("2 valid tokens are called `two`"), "{said}");
    let valid = states("valid");
    assert!(valid.iter().all(|id| said.contains(id)), "{said}");
    // By its id it is clear; then the name is, too.
    done(here, &["token", "revoke", &valid[0]]);
    done(here, &["token", "revoke", "two"]);
    assert_eq!(states("valid").len(), 0);
    refused(here, &["token", "revoke", "nobody"], 2);
    refused(here, &["token", "revoke", "0199c0de-0000-7000-8000-000000000000"], 1);
}

/// A token that its fields leave nothing is refused with what is possible.
#[test]
fn a_token_narrowed_to_nothing_is_refused() {
    let directory = fresh();
    let said = token(directory.path(), "narrow", &["--field", "AuditEntry.actor"]);
    let text = text(&said.stderr);
    assert_eq!(said.status.code(), Some(2), "{text}");
    assert!(text.contains("they may use: ") && text.contains("Contact.email, "), "{text}");
    assert!(!text.contains("Contact.notes") && !text.contains("AuditEntry."), "{text}");
    // What counts, and what tells who there is, is of use alone.
    for field in ["Contact.id", "ContactConnection.totalCount"] {
        assert!(token(directory.path(), field, &["--field", field]).status.success(), "{field}");
    }
    assert!(token(directory.path(), "one", &["--field", "Contact.email"]).status.success());
    assert!(
        token(directory.path(), "more", &["--field", "Contact.email", "--field", "AuditEntry.actor"])
            .status
            .success()
    );
    let unknown = token(directory.path(), "none", &["--field", "Contact.emial"]);
    assert!(self::text(&unknown.stderr).contains("there is no such field"));
}

fn text_of(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join(name)).unwrap()
}

/// A file that is there is written over where that is said alone.
#[test]
fn files_are_not_written_over_unasked() {
    let directory = fresh();
    let here = directory.path();
    let officer = run(
        here,
        &[],
        &["token", "create", "--name", "o", "--role", "dpo", "--purpose", "rights_fulfilment"],
    );
    fs::write(here.join("officer"), officer.stdout).unwrap();
    fs::write(here.join("people.csv"), "Id,Name\n1,Saatgut\n").unwrap();
    let import: Vec<&str> = "import contacts people.csv --source fair --purpose customer_care --ground contract --external-id Id --map \
                             familyName=Name --report FILE"
        .split(' ')
        .collect();
    let cases: [&[&str]; 4] = [
        &import,
        &["export", "contacts", "--token-file", "officer", "--output", "FILE"],
        &["policy", "test", "--junit", "FILE"],
        &["man", "--out", "FILE"],
    ];
    for case in cases {
        let file = if case[0] == "man" { "man/zweck.1" } else { "out" };
        let arguments: Vec<&str> = case
            .iter()
            .map(|word| if *word == "FILE" { file.split('/').next().unwrap() } else { word })
            .collect();
        fs::create_dir_all(here.join("man")).unwrap();
        fs::write(here.join(file), "precious").unwrap();
        let said = refused(here, &arguments, 2);
        assert!(said.contains(&format!("{file} exists and is overwritten with --force alone")), "{said}");
        assert_eq!(text_of(here, file), "precious");
        done(here, &[&arguments[..], &["--force"]].concat());
        assert_ne!(text_of(here, file), "precious");
        fs::remove_dir_all(here.join("man")).unwrap();
        _ = fs::remove_file(here.join(file));
        done(here, &arguments);
        assert!(!text_of(here, file).is_empty());
        fs::remove_file(here.join(file)).unwrap();
    }
    // Nothing was begun: no export that nobody got stands in the audit log.
    let exported = ["export", "contacts", "--token-file", "officer", "--output"];
    fs::write(here.join("out"), "precious").unwrap();
    let before = done(here, &["export", "contacts", "--token-file", "officer"]);
    let told = entries(here);
    refused(here, &[&exported[..], &["out"]].concat(), 2);
    assert!(told > 0 && entries(here) == told);
    // Standard output and devices are no files.
    assert_eq!(done(here, &[&exported[..], &["-"]].concat()), before);
    assert!(!here.join("-").exists());
    done(here, &[&exported[..], &["/dev/null"]].concat());
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    // Keys and databases are never written over.
    for arguments in [&["keys", "generate", "--out", "out"][..], &["backup", "out"]] {
        assert!(refused(here, arguments, 2).contains("out exists and is not overwritten"));
        refused(here, &[arguments, &["--force"]].concat(), 2);
    }
    assert_eq!(text_of(here, "out"), "precious");
    // A directory is no file, whatever is said; a file that a name of the system leads to is written into.
    fs::create_dir(here.join("folder")).unwrap();
    for force in [&[][..], &["--force"]] {
        let told = refused(here, &[&exported[..], &["folder"], force].concat(), 2);
        assert!(told.contains("folder is a directory; name a file"), "{told}");
    }
    for last in ["-", "/dev/stdout"] {
        let told = done(here, &["policy", "test", "--junit", last]);
        assert!(told.starts_with("<?xml") && told.trim_end().ends_with("</testsuites>"), "{told}");
    }
    refused(here, &["policy", "test", "--junit", "-", "--format", "json"], 2);
    // A report of what was refused as a whole is none.
    let wrong: Vec<&str> = import
        .iter()
        .map(|word| match *word {
            "FILE" => "wrong",
            "familyName=Name" => "familyName=Nane",
            word => word,
        })
        .collect();
    refused(here, &wrong, 2);
    assert!(!here.join("wrong").exists());
    refused(here, &wrong.iter().map(|word| if *word == "wrong" { "-" } else { word }).collect::<Vec<_>>(), 2);
    // One page of the manual that is there keeps all of them from being written.
    fs::create_dir(here.join("pages")).unwrap();
    fs::write(here.join("pages/zweck-serve.1"), "precious").unwrap();
    let told = refused(here, &["man", "--out", "pages"], 2);
    assert!(told.contains("zweck-serve.1 exists"), "{told}");
    assert!(!here.join("pages/zweck.1").exists() && text_of(here, "pages/zweck-serve.1") == "precious");
    // What is left out of half an export lies nowhere.
    let left = fs::read_dir(here).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.starts_with(".zweck-")));
}

#[test]
fn lists_are_there_for_programs() {
    let directory = fresh();
    let here = directory.path();
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for name in ["old", "new"] {
        let copied = std::process::Command::new("cp").arg("-r").arg(&policies).arg(here.join(name)).status();
        assert!(copied.unwrap().success());
    }
    let who =
        json_of(here, &["policy", "who-can", "Contact.email", "--purpose", "newsletter", "--format", "json"]);
    assert!(who["roles"].as_array().unwrap().contains(&"marketing".into()), "{who}");
    assert_eq!((&who["object"], &who["action"]), (&"Contact.email".into(), &"read".into()));
    let nobody = json_of(
        here,
        &["policy", "who-can", "AuditEntry.actor", "--purpose", "newsletter", "--format", "json"],
    );
    assert_eq!(nobody["roles"], serde_json::json!([]));
    let same = json_of(here, &["policy", "diff", "old", "new", "--format", "json"]);
    assert_eq!(same, serde_json::json!({ "gained": [], "lost": [] }));
    let rules = text_of(here, "new/policy.csv");
    let more = "p, role:support, purpose:customer_care, Contact.notes, read, allow\n";
    fs::write(here.join("new/policy.csv"), format!("{rules}{more}")).unwrap();
    let changed = json_of(here, &["policy", "diff", "old", "new", "--format", "json"]);
    let right = serde_json::json!({ "role": "support", "purpose": "customer_care", "right": "read", "object": "Contact.notes" });
    assert_eq!(changed, serde_json::json!({ "gained": [right], "lost": [] }));
    let part = ["policy", "test", "--coverage", "--denied", "--role", "support", "--type", "Contact"];
    let holes = json_of(here, &[&part[..], &["--format", "json"]].concat());
    let told = done(here, &part);
    assert_eq!(holes["uncovered"].as_array().unwrap().len() + 2, told.lines().count(), "{told}");
    let count = |name: &str| holes["denials"][name].as_u64().unwrap();
    assert!(count("all") > 0 && count("all") >= count("inCases"), "{holes}");
    let cases = json_of(here, &["policy", "test", "--format", "json"]);
    assert!(cases["decisions"].as_u64().unwrap() > 100 && cases["failures"] == serde_json::json!([]));
    let describe_error = json_of(
        here,
        &[
            "policy",
            "explain",
            "Contact.email",
            "--role",
            "support",
            "--purpose",
            "customer_care",
            "--format",
            "json",
        ],
    );
    assert_eq!(describe_error["decision"], "ALLOW", "{describe_error}");
    assert!(describe_error["rules"][0]["line"].as_u64().unwrap() > 1, "{describe_error}");
    let settings = json_of(here, &["config", "print", "--format", "json"]);
    assert_eq!(settings["server.grace_seconds"], serde_json::json!({ "value": 30, "source": "default" }));
    assert_eq!(
        settings["secrets.master_key"],
        serde_json::json!({ "value": "***", "source": "environment" })
    );
    assert_eq!(settings["policy.dir"], serde_json::json!({ "value": null, "source": null }));
}

/// One typing error is told once, with every line that it stands on.
#[test]
fn a_fault_of_the_policy_is_told_once_with_its_lines() {
    let directory = tempfile::tempdir().unwrap();
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let copied = std::process::Command::new("cp").arg("-r").arg(&policies).arg(directory.path()).status();
    assert!(copied.unwrap().success());
    let file = directory.path().join("policies/policy.csv");
    let rules = fs::read_to_string(&file).unwrap();
    let lines: Vec<String> = rules
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("p, role:support,"))
        .map(|(index, _)| (index + 1).to_string())
        .collect();
    assert!(lines.len() > 5);
    fs::write(&file, rules.replace("p, role:support,", "p, role:suport,")).unwrap();
    let said = refused(directory.path(), &["policy", "check", "--policy-dir", "policies"], 3);
    let told: Vec<&str> = said.lines().filter(|line| line.contains("unknown role `suport`")).collect();
    let expected = format!(
        "policy.csv:{}: unknown role `suport` [UNKNOWN_ROLE]; also on lines {}",
        lines[0],
        lines[1..].join(", ")
    );
    assert!(told.len() == 1 && told[0].ends_with(&expected), "{expected}\n{said}");
}

/// A database that cannot be had is told in a fixed sentence with the SQLSTATE; nothing of the address, which may hold a password.
#[test]
fn a_database_that_cannot_be_had_is_told_plainly() {
    let directory = tempfile::tempdir().unwrap();
    let said = |url: &str| {
        let settings = [("ZWECK__DATABASE__URL", url)];
        let output = run(directory.path(), &settings, &["migrate"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for secret in ["hunter2", "anna", "nowhere.invalid", "h1", "panicked", "internal error"] {
            assert!(!said.contains(secret), "{said}");
        }
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    };
    for url in [
        "postgres://anna:hunter2@h1:5432,h2:5432/crm",
        "postgres://anna:hunter2@h1,h2/crm",
        "postgresql://anna:hunter2@h1/crm?host=h1,h2",
    ] {
        let told = said(url);
        assert!(
            told.contains("`database.url` names several hosts") && told.contains("(SQLSTATE 08001)"),
            "{told}"
        );
    }
    let told = said("postgres://anna:hunter2@nowhere.invalid/crm");
    assert!(
        told.contains(
            "host name cannot be resolved: it does not exist, or DNS is unavailable (SQLSTATE 08001); check `database.url`"
        ),
        "{told}"
    );
    let told = said("postgres://anna:hunter2@127.0.0.1:1/crm");
    assert!(told.contains("nothing listens at the address of the database (SQLSTATE 08001)"), "{told}");
    let Some(cluster) = Cluster::own() else { return };
    let told = said(&cluster.url("none_of_this_name").replace("postgres@", "postgres:hunter2@"));
    assert!(told.contains("there is no such database (SQLSTATE 3D000)"), "{told}");
    let told = said(&cluster.url("postgres").replace("postgres@", "anna:hunter2@"));
    assert!(told.contains("rejects the user or the password (SQLSTATE 28000)"), "{told}");
}

/// Both checks tell what anybody can read.
#[test]
fn both_checks_warn_of_files_that_everybody_can_read() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let settings = [("ZWECK__DATABASE__URL", "sqlite://zweck.db")];
    assert!(run(here, &settings, &["migrate"]).status.success());
    let mode = |name: &str, mode| {
        fs::set_permissions(here.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("zweck.db", 0o644);
    for more in [&[][..], &["--online"]] {
        let output = run(here, &settings, &[&["config", "check"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(
            text(&output.stderr).starts_with("warning: the database is readable by everyone"),
            "{more:?}: {}",
            text(&output.stderr)
        );
    }
    mode("zweck.db", 0o600);
    fs::write(here.join("key"), crate::support::process::KEY).unwrap();
    fs::write(here.join("zweck.toml"), "[secrets]\nmaster_key_file = \"key\"\n").unwrap();
    mode("key", 0o644);
    for more in [&[][..], &["--online"]] {
        let mut command = zweck(here, &settings);
        command.env_remove("ZWECK__SECRETS__MASTER_KEY");
        let arguments = [&["--config", "zweck.toml", "config", "check"], more].concat();
        let output = command.args(arguments).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("zweck.toml:2: `secrets.master_key_file`: key holds a secret"), "{said}");
    }
}

/// What the demo alone has is nowhere under `serve`, whatever the method.
#[tokio::test]
async fn a_server_has_no_outbox() {
    let pages = [
        ("ZWECK__PAGES__ENABLED", "true"),
        ("ZWECK__PAGES__PUBLIC_URL", "http://127.0.0.1:8080"),
        ("ZWECK__PAGES__CONTROLLER", "Example GmbH"),
        ("ZWECK__PAGES__CONTROLLER_CONTACT", "privacy@example.com"),
        ("ZWECK__MAIL__URL", "smtp://127.0.0.1:1"),
        ("ZWECK__MAIL__FROM", "privacy@example.com"),
        ("ZWECK__SERVER__GRAPHIQL", "true"),
    ];
    for settings in [&[][..], &pages] {
        let server = Server::start(settings).await;
        for path in ["/outbox", "/outbox/", "/outbox/0123456789abcdef"] {
            for method in ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"] {
                let status = crate::support::process::ask(server.port, method, path).await;
                assert_eq!(status, Some(404), "{method} {path}");
            }
        }
    }
}
