//! `zweck backup` and `zweck restore`: a database of SQLite as one file. Room: cli.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use entity::{audit_entry, contact};
use migration::{Migrator, MigratorTrait};
use sea_orm::{EntityTrait, PaginatorTrait, QueryOrder};
use zweck::{audit, config::Config, db::Db};

use super::{app_without_key_check, connect, exit::CliError, failure, files, policy, print, register_open};

const POSTGRES: &str = "this is for SQLite; a database of PostgreSQL is backed up by pg_dump and restored by pg_restore, as docs/operating.md says";

/// Writes a consistent copy of the database to a new file. Servers may keep running and writing.
pub(crate) async fn backup(config: &Config, file: &Path) -> Result<(), CliError> {
    if !config.database.url.starts_with("sqlite://") {
        return Err(CliError::Usage(POSTGRES.to_owned()));
    }
    let db = connect(config).await?;
    files::private(file)?;
    let name = file.to_str().context("the name of the file is not UTF-8")?;
    let written = db.copy_to(name).await;
    if let Err(error) = written {
        // What is there is no backup.
        let _ = fs::remove_file(file);
        return Err(failure(error));
    }
    flush(file).with_context(|| format!("{} may not be on the disk", file.display()))?;
    print(&format!(
        "the database is in {}; see whether it can be restored: zweck restore {0} --check\n",
        file.display()
    ))
}

/// Checks that a backup is complete and can be opened with the configured keys, and copies it to the configured
/// database file, which must not exist yet.
pub(crate) async fn restore(config: &Config, file: &Path, check: bool) -> Result<(), CliError> {
    let Some(target) = config.database.url.strip_prefix("sqlite://").map(PathBuf::from) else {
        return Err(CliError::Usage(POSTGRES.to_owned()));
    };
    if !file.is_file() {
        return Err(CliError::Usage(format!("there is no file {}", file.display())));
    }
    if !check && let Some(there) = standing(&target) {
        let text = format!("{} exists; a database is never overwritten: move it away first", there.display());
        return Err(CliError::Usage(text));
    }
    print(&examined(config, file).await?)?;
    if check {
        return Ok(());
    }
    let beside = PathBuf::from(format!("{}.restoring", target.display()));
    let made = files::private(&beside)?;
    let copied =
        contents(file, made).and_then(|()| flush(&beside)).and_then(|()| fs::rename(&beside, &target));
    if copied.is_err() {
        // An incomplete database is removed.
        let _ = fs::remove_file(&beside);
    }
    copied.with_context(|| format!("{} cannot be copied", file.display()))?;
    flush(&target).with_context(|| format!("{} may not be on the disk", target.display()))?;
    print(&format!("restored to {}\n", target.display()))
}

/// The existing database, or a file that SQLite keeps beside it: SQLite would write an old log beside a restored
/// database into it.
fn standing(target: &Path) -> Option<PathBuf> {
    ["", "-wal", "-shm", "-journal"]
        .map(|end| PathBuf::from(format!("{}{end}", target.display())))
        .into_iter()
        .find(|file| file.exists())
}

/// Checks a copy of the backup, since SQLite creates files beside the one it opens.
async fn examined(config: &Config, file: &Path) -> Result<String, CliError> {
    let directory = tempfile::tempdir().context("there is no directory for a copy")?;
    let copy = directory.path().join("copy.db");
    let made = files::private(&copy)?;
    contents(file, made).with_context(|| format!("{} cannot be copied", file.display()))?;
    let unreadable = |_| CliError::Failed(anyhow::anyhow!("{} is no database of SQLite", file.display()));
    let db = Db::connect(&format!("sqlite://{}", copy.display()), 1)
        .await
        .map(register_open)
        .map_err(unreadable)?;
    if let Some(check) = db.failed_check().await.map_err(unreadable)? {
        return Err(anyhow::anyhow!("{} is damaged ({check})", file.display()).into());
    }
    let pending = Migrator::get_pending_migrations_read_only(&db.reader).await.map_err(failure)?.len();
    if pending > 0 {
        return Ok(format!(
            "it is whole, and of an earlier version: {pending} migrations wait; its keys are looked at when they are done\n"
        ));
    }
    let app = app_without_key_check(config, policy(config).await?, db).await?;
    audit::adopt_master_key(&app).await.map_err(failure)?;
    let unknown = audit::unknown_master_keys(&app).await.map_err(failure)?;
    let contacts = contact::Entity::find().count(&app.db.reader).await.map_err(failure)?;
    let last = audit_entry::Entity::find().order_by_desc(audit_entry::Column::At).one(&app.db.reader).await;
    let last = last.map_err(failure)?.map(|entry| entry.at);
    let last = last.map_or_else(|| "never".to_owned(), |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    let whole = format!("it is whole: {contacts} contacts, last written {last}");
    if !unknown.is_empty() {
        let text = format!("{whole}; values under the master keys {} cannot be opened", unknown.join(", "));
        return Err(anyhow::anyhow!(text).into());
    }
    let closed = audit::count_unopenable(&app).await.map_err(failure)?;
    if closed.keys > 0 || closed.entries > 0 {
        let (keys, entries) = (closed.keys, closed.entries);
        let text = format!(
            "{whole}; {keys} keys cannot be opened, and {entries} entries of the audit log lack a key that opens them"
        );
        return Err(anyhow::anyhow!(text).into());
    }
    Ok(format!("{whole}, its keys can be opened\n"))
}

/// Copies the contents of `file` but not its permissions, which a copy of the file would keep.
fn contents(file: &Path, mut made: File) -> io::Result<()> {
    io::copy(&mut File::open(file)?, &mut made).map(|_| ())
}

/// Syncs the file and its directory to disk.
fn flush(file: &Path) -> io::Result<()> {
    File::open(file)?.sync_all()?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
