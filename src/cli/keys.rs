//! `zweck keys`: master keys. Room: cli.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;
use zweck::{
    app::App,
    audit::{self, Keyring, Unopenable},
    base::secret::SecretKey,
    config::Config,
    jobs::servers::{self, RunningServer},
};

use super::{
    ACTOR, ListFormat, app_without_key_check, connect, exit::CliError, failure, files, note, policy, print,
};

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Generate a master key and print it.
    Generate {
        /// Write the key to FILE, readable only by its owner, instead of printing it; FILE must not exist yet.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show which master key is in use, which ones wrap keys, and which of them every running server knows; exit with 1
    /// if keys cannot be opened.
    Status {
        /// Output format.
        #[arg(long, value_enum, default_value_t = ListFormat::Text)]
        format: ListFormat,
    },
    /// Switch to `secrets.master_key` and rewrap every key with it; the old one is in `secrets.previous_master_key`.
    /// Servers may keep running if they know both. Can be repeated after an interruption.
    Rotate,
    /// Replace installation keys that are lost for good. Links in mails stop working, the suppression list no longer
    /// recognises anybody, and receipts are signed with another key.
    Remake {
        /// Confirm that this is intended.
        #[arg(long, required = true)]
        accept_loss: bool,
    },
}

/// Prints a fresh master key, or writes it to a file that only its owner can read.
pub(crate) fn generate(out: Option<&Path>) -> Result<(), CliError> {
    let key = SecretKey::random();
    let line = hex::encode(key.expose_secret()) + "\n";
    let Some(file) = out else { return print(&line) };
    let mut made = files::private(file)?;
    made.write_all(line.as_bytes())
        .and_then(|()| made.sync_all())
        .with_context(|| format!("{} cannot be written", file.display()))?;
    print(&format!(
        "a master key is in {0}; set `secrets.master_key_file` to it and keep it\n",
        file.display()
    ))
}

/// Shows the master keys and whether everything can be opened.
pub(crate) async fn status(config: &Config, format: ListFormat) -> Result<(), CliError> {
    let app = app_with_current_key(config).await?;
    let keyring = audit::keyring(&app).await.map_err(failure)?;
    let closed = audit::count_unopenable(&app).await.map_err(failure)?;
    let running = servers::list_running(&app).await.map_err(failure)?;
    let configured = app.keys.names().map_err(failure)?;
    print(&match format {
        ListFormat::Text => status_text(&keyring, closed, &running, &configured),
        ListFormat::Json => {
            serde_json::to_string_pretty(&status_json(&keyring, closed, &running, &configured))? + "\n"
        }
    })?;
    let is_known = keyring.in_use.as_ref().is_none_or(|(name, _)| configured.contains(name));
    match (keyring.is_sound() && closed.keys == 0, is_known) {
        (true, true) => Ok(()),
        (true, false) => {
            Err(anyhow::anyhow!("the master key in use is not known to this configuration").into())
        }
        (false, _) => Err(anyhow::anyhow!("keys are missing or cannot be opened").into()),
    }
}

fn status_text(
    keyring: &Keyring,
    closed: Unopenable,
    running: &[RunningServer],
    configured: &[String],
) -> String {
    let mut status_text = String::new();
    let in_use = keyring.in_use.as_ref().map(|(name, _)| name.as_str());
    // Writing to a String does not fail.
    let _ = match &keyring.in_use {
        Some((name, since)) => {
            writeln!(status_text, "in use  {name}  since {}", since.format("%Y-%m-%dT%H:%M:%SZ"))
        }
        None => writeln!(status_text, "in use  none is said to be yet"),
    };
    for usage in &keyring.uses {
        let word = if usage.known { "known" } else { "NOT KNOWN here: what they seal cannot be opened" };
        let _ = writeln!(status_text, "wraps   {}  {} keys  {word}", usage.master, usage.keys);
    }
    for name in configured.iter().filter(|name| !keyring.uses.iter().any(|usage| usage.master == **name)) {
        let _ = match in_use == Some(name.as_str()) {
            true => writeln!(status_text, "wraps   {name}  no keys yet  known"),
            false => writeln!(status_text, "spare   {name}  wraps nothing"),
        };
    }
    if !keyring.complete {
        status_text.push_str("MISSING the keys of the installation: restore the table `subject_key`\n");
    }
    if !keyring.unopenable.is_empty() {
        let names = keyring.unopenable.join(", ");
        let _ = writeln!(status_text, "CLOSED  keys of the installation cannot be opened: {names}");
    }
    if closed.keys > 0 {
        let _ = writeln!(status_text, "CLOSED  {} keys are not what was wrapped: restore them", closed.keys);
    }
    if closed.entries > 0 {
        let _ = writeln!(
            status_text,
            "CLOSED  {} entries of the audit log lack a key that opens them",
            closed.entries
        );
    }
    if closed.destroyed > 0 {
        let _ = writeln!(status_text, "ended   {} entries are about who is there no more", closed.destroyed);
    }
    for server in running {
        let word =
            match in_use.is_none_or(|name| server.master_keys.iter().any(|configured| configured == name)) {
                true => "",
                false => "  DOES NOT KNOW the one in use",
            };
        let _ = writeln!(status_text, "server  {}  knows {}{word}", server.id, server.master_keys.join(", "));
    }
    status_text
}

fn status_json(
    keyring: &Keyring,
    closed: Unopenable,
    running: &[RunningServer],
    configured: &[String],
) -> serde_json::Value {
    let uses: Vec<_> = keyring
        .uses
        .iter()
        .map(|usage| json!({ "name": usage.master, "keys": usage.keys, "known": usage.known }))
        .collect();
    let servers: Vec<_> = running
        .iter()
        .map(|server| {
            json!({
                "id": server.id,
                "version": server.version,
                "startedAt": server.started_at,
                "seenAt": server.seen_at,
                "masterKeys": server.master_keys,
            })
        })
        .collect();
    json!({
        "inUse": keyring.in_use.as_ref().map(|(name, since)| json!({ "name": name, "since": since })),
        "known": configured,
        "masterKeys": uses,
        "whole": keyring.complete,
        "closedInstallationKeys": keyring.unopenable,
        "closedKeys": closed.keys,
        "closedEntries": closed.entries,
        "endedEntries": closed.destroyed,
        "servers": servers,
    })
}

/// Switches to the configured master key and rewraps every key with it.
pub(crate) async fn rotate(config: &Config) -> Result<(), CliError> {
    let app = app_with_current_key(config).await?;
    let keyring = audit::keyring(&app).await.map_err(failure)?;
    let (configured, new_key) = (app.keys.names().map_err(failure)?, app.keys.configured().map_err(failure)?);
    if !keyring.complete || !keyring.unopenable.is_empty() {
        audit::adopt_master_key(&app).await.map_err(failure)?;
    }
    if let Some((name, _)) = &keyring.in_use
        && !configured.contains(name)
    {
        let status_text = format!(
            "the master key in use is called {name}; set it as `secrets.previous_master_key`, so that what it wraps can be opened"
        );
        return Err(CliError::Usage(status_text));
    }
    let behind: Vec<String> = servers::list_running(&app)
        .await
        .map_err(failure)?
        .iter()
        .filter(|server| !server.master_keys.contains(&new_key))
        .map(|server| server.id.to_string())
        .collect();
    if !behind.is_empty() {
        let status_text = format!(
            "servers that run do not know the new master key ({new_key}) and could write nothing any more: {}. Give each of them the new key \
             as `secrets.master_key` and the old one as `secrets.previous_master_key`, restart it, and rotate then",
            behind.join(", ")
        );
        return Err(anyhow::anyhow!(status_text).into());
    }
    let done = audit::rotate_master_key(&app, ACTOR).await.map_err(failure)?;
    if done.broken > 0 {
        note(&format!(
            "{} keys are not what was wrapped and stay as they are; each gets a successor",
            done.broken
        ));
    }
    if !done.unknown.is_empty() {
        let status_text = format!(
            "{} keys are wrapped anew, but keys under {} are not: that master key is not known here",
            done.rewrapped,
            done.unknown.join(", ")
        );
        return Err(anyhow::anyhow!(status_text).into());
    }
    print(&format!(
        "{} keys are wrapped anew; `secrets.previous_master_key` can be removed\n",
        done.rewrapped
    ))
}

/// Replaces installation keys that are missing or cannot be opened, and deletes keys of persons that cannot be
/// opened.
pub(crate) async fn remake(config: &Config) -> Result<(), CliError> {
    let app = app_with_current_key(config).await?;
    let keyring = audit::keyring(&app).await.map_err(failure)?;
    let mut done = Vec::new();
    if !keyring.complete || !keyring.unopenable.is_empty() {
        let made = audit::remake_keys(&app, ACTOR).await.map_err(failure)?;
        done.push(format!("made anew: {}\n", made.join(", ")));
    }
    let given_up = audit::delete_unopenable_keys(&app, ACTOR).await.map_err(failure)?;
    if given_up > 0 {
        done.push(format!(
            "given up: {given_up} keys of persons, which get new ones with their next change; what they sealed stays closed\n"
        ));
    }
    if done.is_empty() {
        let status_text =
            "no key of the installation is missing, and every key can be opened; nothing was changed";
        return Err(CliError::Usage(status_text.to_owned()));
    }
    print(&done.concat())
}

/// Opens the application even if its keys cannot be opened.
async fn app_with_current_key(config: &Config) -> Result<App, CliError> {
    let app = app_without_key_check(config, policy(config).await?, connect(config).await?).await?;
    // What is written goes under the one in use, as far as that is known.
    audit::refresh_master_key(&app).await.map_err(failure)?;
    Ok(app)
}
