//! Files that commands write: over none that is there unless that is said, and results whole or not at all. Room: cli.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use tempfile::NamedTempFile;

use super::exit::CliError;

/// What becomes of a file that is there.
#[derive(Args, Clone, Copy)]
pub(crate) struct Overwrite {
    /// Overwrite the file if it exists.
    #[arg(long)]
    force: bool,
}

impl Overwrite {
    /// A file for `path` that takes its place once it is whole, readable by its owner alone.
    ///
    /// # Errors
    /// Those of [`Overwrite::check_writable`]; nothing can be written beside it.
    pub(crate) fn create(self, path: &Path) -> Result<Output, CliError> {
        self.check_writable(path)?;
        if is_special(path) {
            // No name of it lies anywhere, whatever becomes of this program.
            let part = tempfile::tempfile().context("cannot write a temporary file")?;
            return Ok(Output { part: Part::Apart(part), path: path.to_owned(), overwrite: self });
        }
        let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let part = tempfile::Builder::new().prefix(".zweck-").tempfile_in(beside);
        let part = part.with_context(|| format!("cannot write in {}", beside.display()))?;
        Ok(Output { part: Part::Beside(part), path: path.to_owned(), overwrite: self })
    }

    /// A file that grows while the command runs, or holds nothing that others may not read.
    ///
    /// # Errors
    /// Those of [`Overwrite::check_writable`]; it cannot be made.
    pub(crate) fn open(self, path: &Path) -> Result<File, CliError> {
        self.check_writable(path)?;
        let opened = match self.force || is_special(path) {
            true => File::create(path),
            false => OpenOptions::new().write(true).create_new(true).open(path),
        };
        opened.map_err(|error| create_error(path, &error))
    }

    /// Refuses a path at which no file can be made: before the command begins, since afterwards its work is done and
    /// lost.
    ///
    /// # Errors
    /// There is a directory or a disk; there is a file, and nobody said that it is written over.
    pub(crate) fn check_writable(self, path: &Path) -> Result<(), CliError> {
        let found = std::fs::metadata(path).ok();
        let wrong = found.and_then(|found| match found.file_type() {
            kind if kind.is_dir() => Some("a directory"),
            kind if kind.is_block_device() => Some("a disk"),
            _ => None,
        });
        if let Some(problem) = wrong {
            return Err(CliError::Usage(format!("{} is {problem}; name a file", path.display())));
        }
        if self.force || is_special(path) || path.symlink_metadata().is_err() {
            return Ok(());
        }
        Err(exists(path))
    }
}

enum Part {
    /// Beside the place that it will have.
    Beside(NamedTempFile),
    /// Of what goes into a device or a pipe.
    Apart(File),
}

/// A file on its way.
pub(crate) struct Output {
    part: Part,
    path: PathBuf,
    overwrite: Overwrite,
}

impl Output {
    /// What is written to.
    pub(crate) fn file(&self) -> &File {
        match &self.part {
            Part::Beside(part) => part.as_file(),
            Part::Apart(part) => part,
        }
    }

    /// Puts it in its place, on the disk.
    ///
    /// # Errors
    /// Somebody else has made the file meanwhile; the disk refuses.
    pub(crate) fn commit(self) -> Result<(), CliError> {
        let path = &self.path;
        match self.part {
            Part::Apart(mut part) => {
                part.rewind()?;
                let copied = OpenOptions::new().write(true).open(path);
                let copied = copied.and_then(|mut into| io::copy(&mut part, &mut into));
                copied.with_context(|| format!("cannot write {}", path.display()))?;
                Ok(())
            }
            Part::Beside(part) => {
                part.as_file().sync_all()?;
                let placed = match self.overwrite.force {
                    true => part.persist(path),
                    false => part.persist_noclobber(path),
                };
                placed.map(|_| ()).map_err(|error| create_error(path, &error.error))
            }
        }
    }
}

/// The file that is asked for; none where it is `-`, which is standard output.
pub(crate) fn named(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| !is_output(path))
}

/// Whether standard output is asked for.
pub(crate) fn is_output(path: &Path) -> bool {
    ["-", "/dev/stdout"].iter().any(|name| path == Path::new(name))
}

/// A new file that its owner alone can read, which is never written over another: a key or a database that is gone does
/// not come back.
pub(crate) fn private(path: &Path) -> Result<File, CliError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            CliError::Usage(format!("{} exists and is not overwritten", path.display()))
        }
        _ => create_error(path, &error),
    })
}

/// What is written into and never replaced: a device for characters, a pipe, or whatever stands under a name of the
/// system's own, such as `/dev/stdout`.
fn is_special(path: &Path) -> bool {
    let within = ["/dev", "/proc"].iter().any(|of| path.starts_with(of));
    std::fs::metadata(path).is_ok_and(|found| {
        let kind = found.file_type();
        kind.is_char_device() || kind.is_fifo() || kind.is_socket() || (within && kind.is_file())
    })
}

fn exists(path: &Path) -> CliError {
    CliError::Usage(format!("{} exists and is overwritten with --force alone", path.display()))
}

fn create_error(path: &Path, error: &io::Error) -> CliError {
    match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        kind => anyhow::anyhow!("{} cannot be made: {kind}", path.display()).into(),
    }
}
