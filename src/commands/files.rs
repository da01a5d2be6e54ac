//! Files that commands write: over none that is there unless that is said, and results whole or not at all (floor 7).

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use tempfile::NamedTempFile;

use crate::Failure;

/// What becomes of a file that is there.
#[derive(Args, Clone, Copy)]
pub(crate) struct Overwrite {
    /// Write over the file where it exists.
    #[arg(long)]
    force: bool,
}

impl Overwrite {
    /// A file for `path` that takes its place once it is whole, readable by its owner alone.
    ///
    /// # Errors
    /// There is one already; nothing can be written beside it.
    pub(crate) fn begin(self, path: &Path) -> Result<Output, Failure> {
        self.look(path)?;
        let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let beside = match is_special(path) {
            true => std::env::temp_dir(),
            false => beside.unwrap_or(Path::new(".")).to_owned(),
        };
        let part = tempfile::Builder::new().prefix(".zweck-").tempfile_in(&beside);
        let part = part.with_context(|| format!("cannot write in {}", beside.display()))?;
        Ok(Output { part, path: path.to_owned(), overwrite: self })
    }

    /// A file that grows while the command runs.
    ///
    /// # Errors
    /// There is one already; it cannot be made.
    pub(crate) fn open(self, path: &Path) -> Result<File, Failure> {
        self.look(path)?;
        let opened = match self.force || is_special(path) {
            true => File::create(path),
            false => OpenOptions::new().write(true).create_new(true).open(path),
        };
        opened.map_err(|error| unmade(path, &error))
    }

    /// Refuses a file that is there.
    pub(crate) fn look(self, path: &Path) -> Result<(), Failure> {
        if self.force || is_special(path) || path.symlink_metadata().is_err() {
            return Ok(());
        }
        Err(exists(path))
    }
}

/// A file on its way.
pub(crate) struct Output {
    part: NamedTempFile,
    path: PathBuf,
    overwrite: Overwrite,
}

impl Output {
    /// What is written to.
    pub(crate) fn file(&self) -> &File {
        self.part.as_file()
    }

    /// Puts it in its place, on the disk.
    ///
    /// # Errors
    /// Somebody else has made the file meanwhile; the disk refuses.
    pub(crate) fn done(self) -> Result<(), Failure> {
        self.part.as_file().sync_all()?;
        let path = &self.path;
        if is_special(path) {
            // Such as /dev/null, which no file takes the place of.
            let copied = File::open(self.part.path())
                .and_then(|mut from| io::copy(&mut from, &mut OpenOptions::new().write(true).open(path)?));
            copied.with_context(|| format!("cannot write {}", path.display()))?;
            return Ok(());
        }
        let placed = match self.overwrite.force {
            true => self.part.persist(path),
            false => self.part.persist_noclobber(path),
        };
        match placed {
            Ok(_) => Ok(()),
            Err(error) => Err(unmade(path, &error.error)),
        }
    }
}

/// The file that is asked for; none where it is `-`, which is standard output.
pub(crate) fn named(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| *path != Path::new("-"))
}

/// A new file that its owner alone can read, which is never written over another: a key or a database that is gone does not come back.
pub(crate) fn private(path: &Path) -> Result<File, Failure> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::Usage(format!("{} exists and is not overwritten", path.display()))
        }
        _ => unmade(path, &error),
    })
}

/// A device or a pipe, in which nothing is kept.
fn is_special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

fn exists(path: &Path) -> Failure {
    Failure::Usage(format!("{} exists and is overwritten with --force alone", path.display()))
}

fn unmade(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        kind => anyhow::anyhow!("{} cannot be made: {kind}", path.display()).into(),
    }
}
