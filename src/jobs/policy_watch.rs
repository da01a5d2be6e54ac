//! Takes over a changed policy while the server runs. Room: jobs.
//!
//! A directory counts as it is when nothing has changed in it for a while, nobody has a file of it open that was written to, and two
//! readings apart are the same: what is half written is never in force. That holds for the policy of the start as well: the watch is
//! there before it is read. Whoever deploys several files over a longer time, or writes one in several goes, puts a `SHA256SUMS` beside
//! them, or lets `policy.dir` be a symbolic link and switches that.

pub mod resting;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::mpsc;

use resting::{MAX_SETTLE_FACTOR, Read, SETTLE_TIME};

use crate::{
    app::App,
    base::metrics,
    domain::purposes,
    policy::{Part, Policy, PolicyErrors, Sources},
};

/// Who loads.
const ACTOR: &str = "server:watch";

/// Most rights that the log tells one by one.
const MAX_LOGGED_RIGHTS: usize = 20;

/// What comes in.
enum Heard {
    /// Something changed, or may have.
    Event(notify::Result<Event>),
    /// An operator asks.
    Asked,
}

/// Watches `directory` until the server ends; also loads anew at SIGHUP. A policy that is refused is told in the log and the
/// audit log, and the old one stays in force. Nothing must have changed for `rest`, and two readings are so far apart.
///
/// # Errors
/// The directory cannot be watched.
pub fn policy_after(app: Arc<App>, directory: PathBuf, rest: Duration) -> notify::Result<()> {
    Watch::after(directory, rest)?.follow(app);
    Ok(())
}

/// A directory that is watched: whatever changes from here on is noticed.
pub struct Watch {
    watched: Watched<RecommendedWatcher>,
    heard: mpsc::UnboundedReceiver<Heard>,
    rest: Duration,
}

impl Watch {
    /// Begins to watch `directory`, and to listen to SIGHUP.
    ///
    /// # Errors
    /// The directory cannot be watched.
    pub fn of(directory: PathBuf) -> notify::Result<Self> {
        Self::after(directory, SETTLE_TIME)
    }

    fn after(directory: PathBuf, rest: Duration) -> notify::Result<Self> {
        let (tell, heard) = mpsc::unbounded_channel();
        let changed = tell.clone();
        let watcher = notify::recommended_watcher(move |event| {
            // Nobody listens when the server has ended.
            let _ = changed.send(Heard::Event(event));
        })?;
        let watched = Watched::new(watcher, directory)?;
        hang_up(tell);
        Ok(Self { watched, heard, rest })
    }

    /// What the directory holds, once it rests.
    ///
    /// # Errors
    /// Those of [`Sources::read`]; `UNREADABLE` where it does not rest within a minute.
    pub async fn settled(&mut self) -> Result<Sources, PolicyErrors> {
        let settled = self.watched.settled(&mut self.heard, self.rest, None);
        let read = tokio::time::timeout(self.rest * MAX_SETTLE_FACTOR, settled).await.ok().flatten();
        read.unwrap_or_else(|| Err(resting::unsettled(&self.watched.directory)))
    }

    /// Loads whatever comes until the server ends. What is there is looked at first: it may have changed since `app` was given its policy.
    pub fn follow(mut self, app: Arc<App>) {
        tokio::spawn(async move {
            let mut first = Some(Heard::Asked);
            while let Some(heard) = first {
                if self.watched.note(heard) {
                    let settled = self.watched.settled(&mut self.heard, self.rest, Some(&app));
                    let Some(read) = settled.await else { return };
                    load(&app, read).await;
                }
                first = self.heard.recv().await;
            }
        });
    }
}

struct Watched<W> {
    watcher: W,
    /// As it is configured; it may be a symbolic link.
    directory: PathBuf,
    /// What it stands for now.
    real: PathBuf,
    /// Files of the policy that were written to and are not closed.
    open: BTreeSet<PathBuf>,
}

impl<W: Watcher> Watched<W> {
    fn new(mut watcher: W, directory: PathBuf) -> notify::Result<Self> {
        let real = directory.canonicalize().map_err(notify::Error::io)?;
        watcher.watch(&real, RecursiveMode::Recursive)?;
        // A link is switched where it lies.
        let linked = directory.symlink_metadata().is_ok_and(|found| found.is_symlink());
        if let (true, Some(parent)) = (linked, directory.parent()) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            watcher.watch(&parent.canonicalize().map_err(notify::Error::io)?, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { watcher, directory, real, open: BTreeSet::new() })
    }

    /// Takes note, and tells whether the policy may be another one by it.
    fn note(&mut self, heard: Heard) -> bool {
        let event = match heard {
            Heard::Asked => return true,
            // Events may be lost: then it is better to look.
            Heard::Event(Err(_)) => return true,
            Heard::Event(Ok(event)) => event,
        };
        if event.need_rescan() {
            self.open.clear();
            return true;
        }
        let switched = self.follow();
        let within: Vec<&PathBuf> = event.paths.iter().filter(|path| path.starts_with(&self.real)).collect();
        match event.kind {
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => {
                // Others are open for long, such as the swap file of an editor.
                let counts = |path: &&PathBuf| path.strip_prefix(&self.real).is_ok_and(Sources::counts);
                let written = within.iter().copied().filter(|path| path.is_file()).filter(counts);
                self.open.extend(written.cloned());
            }
            // Closing is the last word on what was written.
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                return within.into_iter().fold(switched, |changed, path| self.open.remove(path) || changed);
            }
            EventKind::Access(_) => return switched,
            _ => {
                for path in &within {
                    self.open.remove(*path);
                }
            }
        }
        switched || !within.is_empty()
    }

    /// Follows the link, and tells whether it stands for another directory now.
    fn follow(&mut self) -> bool {
        let Ok(real) = self.directory.canonicalize() else { return false };
        if real == self.real {
            return false;
        }
        // What it stood for may be gone.
        let _ = self.watcher.unwatch(&self.real);
        if let Err(error) = self.watcher.watch(&real, RecursiveMode::Recursive) {
            tracing::error!(%error, "the directory of the policy cannot be watched any more; SIGHUP loads it");
        }
        self.open.clear();
        self.real = real;
        true
    }

    /// What the directory holds, once it rests; `None` when nobody listens any more. Whoever keeps a file open for long is told to the
    /// operators of `app`.
    async fn settled(
        &mut self,
        heard: &mut mpsc::UnboundedReceiver<Heard>,
        rest: Duration,
        app: Option<&App>,
    ) -> Option<Read> {
        let mut until = Instant::now() + rest;
        let mut changed = Instant::now();
        let mut before: Option<Result<String, String>> = None;
        loop {
            match tokio::time::timeout_at(until.into(), heard.recv()).await {
                Ok(None) => return None,
                Ok(Some(event)) => {
                    if self.note(event) {
                        (until, before) = (Instant::now() + rest, None);
                        changed = Instant::now();
                    }
                }
                Err(_) => {
                    until = Instant::now() + rest;
                    if self.is_written() {
                        before = None;
                        if let Some(app) = app
                            && changed.elapsed() > rest * MAX_SETTLE_FACTOR
                        {
                            tell_half(app, true);
                        }
                        continue;
                    }
                    let read = self.read();
                    let mark = read.as_ref().map(Sources::revision).map_err(ToString::to_string);
                    if before.as_ref() == Some(&mark) {
                        if let Some(app) = app {
                            tell_half(app, false);
                        }
                        return Some(read);
                    }
                    before = Some(mark);
                }
            }
        }
    }

    /// Reads what the link stands for now: it may be switched between two files. Messages name what is configured.
    fn read(&self) -> Read {
        let real = self.real.display().to_string();
        let directory = self.directory.display().to_string();
        match Sources::read(&self.real) {
            Ok(sources) => Ok(Sources { directory, ..sources }),
            Err(PolicyErrors(mut faults)) => {
                for fault in &mut faults {
                    fault.file = fault.file.replacen(&real, &directory, 1);
                }
                Err(PolicyErrors(faults))
            }
        }
    }

    /// Whether somebody is still writing to a file.
    fn is_written(&mut self) -> bool {
        self.open.retain(|path| path.exists());
        // Who has opened one before the watch began, or while events were lost, is found by the kernel alone.
        !self.open.is_empty() || resting::is_written(&self.real)
    }
}

/// Tells, once, that a file of the policy has been open for long and that the old policy stays in force, or that it is so no more.
fn tell_half(app: &App, half: bool) {
    if !app.policy.note_half_written(half) && half {
        tracing::error!(
            "a file of the policy was written to and is not closed; the old policy stays in force until it is"
        );
    }
}

#[cfg(unix)]
fn hang_up(tell: mpsc::UnboundedSender<Heard>) {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::hangup()) {
        Ok(mut signal) => {
            tokio::spawn(
                async move { while signal.recv().await.is_some() && tell.send(Heard::Asked).is_ok() {} },
            );
        }
        Err(_) => tracing::warn!("SIGHUP cannot be listened to"),
    }
}

#[cfg(not(unix))]
fn hang_up(_: mpsc::UnboundedSender<Heard>) {}

async fn load(app: &App, read: Read) {
    let old = app.policy.current();
    if read.as_ref().is_ok_and(|sources| sources.revision() == old.revision()) {
        return;
    }
    match purposes::reload(app, ACTOR, read).await {
        Ok(revisions) => {
            metrics::policy_loaded(true);
            tracing::info!(before = revisions.before, after = revisions.after, "the policy was loaded anew");
            let new = app.policy.current();
            tell(&old, &new);
            for warning in new.warnings() {
                tracing::warn!(%warning, "policy");
            }
        }
        Err(refused) => {
            metrics::policy_loaded(false);
            tracing::error!(%refused, "the policy is refused; the old one stays in force");
        }
    }
}

/// Tells the rights that are gained and lost.
fn tell(old: &Policy, new: &Policy) {
    let (before, after) = (old.holdings(&Part::default()), new.holdings(&Part::default()));
    for (word, rights) in [
        ("gained", after.difference(&before).collect::<Vec<_>>()),
        ("lost", before.difference(&after).collect::<Vec<_>>()),
    ] {
        for right in rights.iter().take(MAX_LOGGED_RIGHTS) {
            let (role, purpose) = (&right.role, &right.purpose);
            tracing::info!(role, purpose, object = right.object, right = right.right, "a right is {word}");
        }
        if rights.len() > MAX_LOGGED_RIGHTS {
            tracing::info!(
                more = rights.len() - MAX_LOGGED_RIGHTS,
                "further rights are {word}; `zweck policy diff` tells all"
            );
        }
    }
}
