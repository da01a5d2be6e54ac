//! Files that commands write: existing files are kept unless told otherwise, and results are complete or absent. Room: cli.

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

/// Whether an existing file may be overwritten.
#[derive(Args, Clone, Copy)]
pub(crate) struct Overwrite {
    /// Overwrite the file if it exists.
    #[arg(long)]
    force: bool,
}

impl Overwrite {
    /// A file that is moved to `path` once it is complete, readable only by its owner.
    ///
    /// # Errors
    /// Those of [`Overwrite::check_writable`]; no file can be created beside it.
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

    /// A file that grows while the command runs, or contains nothing confidential.
    ///
    /// # Errors
    /// Those of [`Overwrite::check_writable`]; it cannot be created.
    pub(crate) fn open(self, path: &Path) -> Result<File, CliError> {
        self.check_writable(path)?;
        let opened = match self.force || is_special(path) {
            true => File::create(path),
            false => OpenOptions::new().write(true).create_new(true).open(path),
        };
        opened.map_err(|error| create_error(path, &error))
    }

    /// Rejects a path at which no file can be created, before the command starts: afterwards its work would be lost.
    ///
    /// # Errors
    /// The path is a directory or a disk, or a file that may not be overwritten.
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
    /// A temporary file beside the target.
    Beside(NamedTempFile),
    /// A device or a pipe.
    Apart(File),
}

/// A file that is being written.
pub(crate) struct Output {
    part: Part,
    path: PathBuf,
    overwrite: Overwrite,
}

impl Output {
    /// The open file.
    pub(crate) fn file(&self) -> &File {
        match &self.part {
            Part::Beside(part) => part.as_file(),
            Part::Apart(part) => part,
        }
    }

    /// Moves it to its target and syncs it to disk.
    ///
    /// # Errors
    /// Somebody else has created the file meanwhile; an error of the file system.
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

/// The requested file; `None` for `-`, which is standard output.
pub(crate) fn named(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| !is_output(path))
}

/// Whether standard output is requested.
pub(crate) fn is_output(path: &Path) -> bool {
    ["-", "/dev/stdout"].iter().any(|name| path == Path::new(name))
}

/// A new file that only its owner can read. It never overwrites another: a lost key or database cannot be restored.
pub(crate) fn private(path: &Path) -> Result<File, CliError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            CliError::Usage(format!("{} exists and is not overwritten", path.display()))
        }
        _ => create_error(path, &error),
    })
}

/// Whether the path is written to but never replaced: a character device, a pipe, or a name of the system such as
/// `/dev/stdout`.
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
