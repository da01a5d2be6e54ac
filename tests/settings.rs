//! Settings on the command line: what is in force, what is wrong, and what a server is not started with.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::process::{KEY, Server, run, text};

/// Exit code and what was said on standard error.
fn said(directory: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let done = run(directory, settings, arguments);
    (done.status.code(), text(&done.stderr))
}

/// Settings, flags, and the key that is named.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str);

#[test]
fn insecure_settings_are_not_served() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("zweck.toml");
    fs::write(&file, format!("[secrets]\nmaster_key = \"{KEY}\"\n")).unwrap();
    let cases: [Case<'_>; 9] = [
        (&[("ZWECK__SECRETS__MASTER_KEY", &"00".repeat(32))], &[], "secrets.master_key"),
        (&[("ZWECK__SERVER__LISTEN", "0.0.0.0:0")], &[], "server.behind_tls_proxy"),
        (&[], &["--config", "zweck.toml"], "--config"),
        (&[("ZWECK__SERVER__CORS_ORIGINS", "https://a.example,*")], &[], "server.cors_origins.1"),
        (&[("ZWECK__SERVER__GRACE_SECONDS", "0")], &[], "server.grace_seconds"),
        (&[("ZWECK__SERVER__BEHIND_TLS_PROXY", "yes")], &[], "server.behind_tls_proxy"),
        (&[("ZWECK__MANAGEMENT__LISTEN", "9090")], &[], "management.listen"),
        (&[("ZWECK__SERVER__LITSEN", "127.0.0.1:1")], &[], "server.litsen"),
        (&[("ZWECK__SECRETS__MASTER_KEY_FILE", "none")], &[], "secrets.master_key_file"),
    ];
    for (settings, flags, named) in cases {
        for command in [&["config", "check"][..], &["serve"]] {
            let mut settings = settings.to_vec();
            if !flags.is_empty() {
                // The key of the environment would stand above the file's.
                settings.push(("ZWECK__DATABASE__URL", "sqlite://x.db"));
            }
            let mut all = crate::support::process::zweck(directory.path(), &settings);
            if !flags.is_empty() {
                all.env_remove("ZWECK__SECRETS__MASTER_KEY");
            }
            let done = all.args(flags).args(command).output().unwrap();
            let error = text(&done.stderr);
            assert_eq!(done.status.code(), Some(2), "{settings:?} {command:?}: {error}");
            assert!(error.contains(named), "{settings:?} {command:?}: {error}");
            assert!(!error.contains(KEY) && !error.contains("0000"), "{error}");
        }
    }
    let mut without = crate::support::process::zweck(directory.path(), &[]);
    let done = without.env_remove("ZWECK__SECRETS__MASTER_KEY").arg("serve").output().unwrap();
    assert!(done.status.code() == Some(2) && text(&done.stderr).contains("secrets.master_key"));
    assert!(!directory.path().join("zweck.db").exists(), "nothing was begun");
    let behind = [("ZWECK__SERVER__LISTEN", "0.0.0.0:0"), ("ZWECK__SERVER__BEHIND_TLS_PROXY", "true")];
    assert_eq!(said(directory.path(), &behind, &["config", "check"]), (Some(0), String::new()));
}

#[test]
fn the_configuration_in_force_is_printed() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("zweck.toml"), "[log]\nformat = \"json\"\n").unwrap();
    let settings = [("ZWECK__SERVER__CORS_ORIGINS", "https://a.example, https://b.example")];
    let done = run(directory.path(), &settings, &["--config", "zweck.toml", "config", "print"]);
    let shown = text(&done.stdout);
    for line in [
        "server.cors_origins = [\"https://a.example\",\"https://b.example\"]  # environment",
        "log.format = \"json\"  # file",
        "secrets.master_key = \"***\"  # environment",
        "management.listen = \"127.0.0.1:9090\"  # default",
    ] {
        assert!(shown.lines().any(|told| told == line), "{line}\n{shown}");
    }
    assert!(!shown.contains(KEY));
    // The defaults are a configuration.
    let defaults = run(directory.path(), &[], &["config", "default"]);
    fs::write(directory.path().join("default.toml"), &defaults.stdout).unwrap();
    assert_eq!(said(directory.path(), &[], &["--config", "default.toml", "config", "check"]).0, Some(0));
}

#[tokio::test]
async fn health_is_asked_on_the_command_line() {
    let server = Server::start(&[]).await;
    let listen = format!("127.0.0.1:{}", server.management);
    let asked = run(server.directory.path(), &[("ZWECK__MANAGEMENT__LISTEN", &listen)], &["healthcheck"]);
    assert_eq!(asked.status.code(), Some(0), "{}", text(&asked.stderr));
    assert!(text(&asked.stdout).starts_with("{\"status\":\"ready\""), "{}", text(&asked.stdout));
    drop(server);
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        said(directory.path(), &[("ZWECK__MANAGEMENT__LISTEN", &listen)], &["healthcheck"]).0,
        Some(1)
    );
    assert_eq!(said(directory.path(), &[("ZWECK__MANAGEMENT__LISTEN", "")], &["healthcheck"]).0, Some(2));
}

/// What `packaging/` sets is known to the program.
#[test]
fn settings_of_packages_are_known() {
    let mut known = BTreeSet::new();
    let mut section = String::new();
    for line in zweck::config::DEFAULTS.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_uppercase();
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once(" = ") {
            known.insert(format!("ZWECK__{section}__{}", key.to_uppercase()));
        }
    }
    let mut set = 0;
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")).unwrap() {
        let file = file.unwrap().path();
        let text = fs::read_to_string(&file).unwrap();
        for (at, _) in text.match_indices("ZWECK__") {
            let key: String =
                text[at..].chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
            assert!(known.contains(&key), "{} sets {key}", file.display());
            set += 1;
        }
    }
    assert!(set > 8, "only {set} settings were found");
}
