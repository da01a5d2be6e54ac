//! Makes sure that acknowledged commits are on disk: one flusher for all waiting writers. Room: db.
//!
//! SQLite under `synchronous = NORMAL` writes a commit to its write-ahead log without waiting for the disk: after a
//! power failure the last commits can be lost, each as a whole. Writers therefore wait here until the log is on disk
//! before they answer. While one flush runs, further writers gather for the next one and share it.
//!
//! The flusher opens no handle on the database file itself, because closing one would drop SQLite's locks. After the
//! disk fails once it is not trusted again. PostgreSQL needs no flusher: each writer session sets
//! `synchronous_commit`.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{Notify, watch};

use crate::base::error::Error;

/// Flushes the write-ahead log of one database.
#[derive(Clone, Debug)]
pub struct Flusher {
    shared: Arc<Shared>,
    done: watch::Receiver<Done>,
}

#[derive(Debug)]
struct Shared {
    /// Number of flush requests so far.
    requested: AtomicU64,
    wake: Notify,
}

/// How far the log is on disk.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    /// Number of requests that are satisfied.
    completed: u64,
    /// A flush failed. The kernel may drop pages that it could not write without reporting it later, so only a
    /// restart helps.
    failed: bool,
}

impl Flusher {
    /// A flusher for the database at `path`; it stops when its last clone is dropped.
    pub fn new(path: &Path) -> Self {
        let shared = Arc::new(Shared { requested: AtomicU64::new(0), wake: Notify::new() });
        let (tell, done) = watch::channel(Done::default());
        let log = PathBuf::from(format!("{}-wal", path.display()));
        tokio::spawn(run(shared.clone(), tell, log));
        Self { shared, done }
    }

    /// Waits until everything committed before the call is on disk.
    ///
    /// # Errors
    /// `INTERNAL` if a flush fails now or failed before: whether the data is on disk is unknown.
    pub async fn flush(&self) -> Result<(), Error> {
        let ticket = self.shared.requested.fetch_add(1, Ordering::SeqCst) + 1;
        self.shared.wake.notify_one();
        let mut done = self.done.clone();
        let found = done.wait_for(|done| done.completed >= ticket).await.map(|done| *done);
        match found {
            Ok(Done { failed: false, .. }) => Ok(()),
            Ok(_) => Err(Error::internal("the written data may not be on disk")),
            Err(_) => Err(Error::internal("the flusher has ended")),
        }
    }

    /// Whether a flush has failed.
    pub fn has_failed(&self) -> bool {
        self.done.borrow().failed
    }
}

async fn run(shared: Arc<Shared>, tell: watch::Sender<Done>, path: PathBuf) {
    let (mut log, mut done) = (None, Done::default());
    loop {
        tokio::select! {
            () = shared.wake.notified() => {}
            () = tell.closed() => return,
        }
        loop {
            // Read before the flush begins: later requests may have committed too late for it.
            let requested = shared.requested.load(Ordering::SeqCst);
            if requested == done.completed {
                break;
            }
            let (held, path) = (log.take(), path.clone());
            let flushed = tokio::task::spawn_blocking(move || flush(held, &path)).await;
            match flushed.unwrap_or_else(|_| Err(io::Error::other("the flush panicked"))) {
                Ok(held) => log = held,
                Err(error) => {
                    tracing::error!(kind = ?error.kind(), "the write-ahead log cannot be flushed to disk");
                    done.failed = true;
                }
            }
            done.completed = requested;
            // An error means that nobody is waiting.
            let _ = tell.send(done);
        }
    }
}

/// An open write-ahead log and its file number.
struct Log {
    file: File,
    number: u64,
}

/// Flushes the log at `path`. It opens no handle on the database file, because closing one drops SQLite's locks.
fn flush(held: Option<Log>, path: &Path) -> io::Result<Option<Log>> {
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        // Whoever removes the log has first written everything to the database and flushed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let log = match held.filter(|held| held.number == number(&found)) {
        Some(held) => held,
        None => {
            // A new file: its directory entry must be on disk as well.
            let file = File::open(path)?;
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
            let number = number(&file.metadata()?);
            Log { file, number }
        }
    };
    log.file.sync_data()?;
    Ok(Some(log))
}

#[cfg(unix)]
fn number(found: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(found)
}

/// On platforms without file numbers every file counts as new.
#[cfg(not(unix))]
fn number(found: &std::fs::Metadata) -> u64 {
    found.len().wrapping_add(1)
}
