//! What is answered is on the disk: one flusher for all who wait. Room: db.
//!
//! SQLite under `synchronous = NORMAL` writes a commit to its write-ahead log and does not wait for the disk: after a power failure the last
//! commits can be gone, each whole. Who answers waits here until the log is on the disk. While one flush is under way others gather for
//! the next: the more write at once, the more share one.
//!
//! The flusher opens no handle on the database itself: closing one would drop the locks of SQLite. A disk that refuses once is not
//! believed again. PostgreSQL needs no flusher: each session that writes asks for `synchronous_commit`.

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
    /// How many have asked.
    asked: AtomicU64,
    wake: Notify,
}

/// How far all is on the disk.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    /// The first so many who asked are answered.
    reached: u64,
    /// The disk has refused. The kernel may forget what it could not write, and a later flush says nothing of it: only a new start helps.
    failed: bool,
}

impl Flusher {
    /// Of the database at `path`. It ends with its last clone.
    pub fn of(path: &Path) -> Self {
        let shared = Arc::new(Shared { asked: AtomicU64::new(0), wake: Notify::new() });
        let (tell, done) = watch::channel(Done::default());
        let log = PathBuf::from(format!("{}-wal", path.display()));
        tokio::spawn(run(shared.clone(), tell, log));
        Self { shared, done }
    }

    /// Waits until everything that was committed before the call is on the disk.
    ///
    /// # Errors
    /// `INTERNAL` when the disk refuses, now or before: whether it is there is not known.
    pub async fn flush(&self) -> Result<(), Error> {
        let own = self.shared.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.shared.wake.notify_one();
        let mut done = self.done.clone();
        let found = done.wait_for(|done| done.reached >= own).await.map(|done| *done);
        match found {
            Ok(Done { failed: false, .. }) => Ok(()),
            Ok(_) => Err(Error::internal("what was written may not be on the disk")),
            Err(_) => Err(Error::internal("the flusher has ended")),
        }
    }

    /// Whether the disk has refused.
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
            // Read before the flush begins: who asks meanwhile may have committed too late for it.
            let asked = shared.asked.load(Ordering::SeqCst);
            if asked == done.reached {
                break;
            }
            let (held, path) = (log.take(), path.clone());
            let flushed = tokio::task::spawn_blocking(move || flush(held, &path)).await;
            match flushed.unwrap_or_else(|_| Err(io::Error::other("the flush panicked"))) {
                Ok(held) => log = held,
                Err(error) => {
                    tracing::error!(kind = ?error.kind(), "the write-ahead log cannot be flushed to the disk");
                    done.failed = true;
                }
            }
            done.reached = asked;
            // Nobody waits when nobody receives.
            let _ = tell.send(done);
        }
    }
}

/// An open write-ahead log, and which file that is.
struct Log {
    file: File,
    number: u64,
}

/// Flushes the log at `path`. No handle on the database itself is opened: closing one drops the locks that SQLite has on it.
fn flush(held: Option<Log>, path: &Path) -> io::Result<Option<Log>> {
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        // Whoever takes the log away has written everything to the database and flushed that.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let log = match held.filter(|held| held.number == number(&found)) {
        Some(held) => held,
        None => {
            // A new file: its name has to be on the disk as well.
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

/// Where files have no number each counts as new.
#[cfg(not(unix))]
fn number(found: &std::fs::Metadata) -> u64 {
    found.len().wrapping_add(1)
}
