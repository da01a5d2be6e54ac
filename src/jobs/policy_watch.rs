//! Reloads a changed policy while the server runs. Room: jobs.
//!
//! A directory is settled when nothing has changed in it for a while, no changed file in it is open for writing, and
//! two consecutive reads are equal, so a half-written policy is never loaded. This applies to the policy at startup
//! too: watching begins before it is read. A deployment that writes several files over a longer time, or one file in
//! several steps, adds a `SHA256SUMS` file, or makes `policy.dir` a symbolic link and switches it.

pub mod settling;

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

use settling::{MAX_SETTLE_FACTOR, ReadResult, SETTLE_TIME};

use crate::{
    app::App,
    base::metrics,
    domain::purposes,
    policy::{PermissionFilter, Policy, PolicyErrors, Sources},
};

/// The actor of reloads.
const ACTOR: &str = "server:watch";

/// Maximum number of rights that are logged one by one.
const MAX_LOGGED_RIGHTS: usize = 20;

/// An event for the watcher.
enum WatchEvent {
    /// Something changed, or may have.
    Changed(notify::Result<Event>),
    /// An operator requested a reload.
    ReloadRequested,
}

/// Watches `directory` until the server stops; also reloads at SIGHUP. A rejected policy is reported in the log and the
/// audit log, and the old one stays in force. `settle_time` is how long nothing must have
/// changed, and the time between two reads.
///
/// # Errors
/// The directory cannot be watched.
pub fn watch_policy(app: Arc<App>, directory: PathBuf, settle_time: Duration) -> notify::Result<()> {
    Watch::with_settle_time(directory, settle_time)?.spawn(app);
    Ok(())
}

/// A watched directory: every change from here on is noticed.
pub struct Watch {
    watched: WatchedDirectory<RecommendedWatcher>,
    events: mpsc::UnboundedReceiver<WatchEvent>,
    settle_time: Duration,
}

impl Watch {
    /// Starts to watch `directory` and to listen for SIGHUP.
    ///
    /// # Errors
    /// The directory cannot be watched.
    pub fn new(directory: PathBuf) -> notify::Result<Self> {
        Self::with_settle_time(directory, SETTLE_TIME)
    }

    fn with_settle_time(directory: PathBuf, settle_time: Duration) -> notify::Result<Self> {
        let (sender, events) = mpsc::unbounded_channel();
        let from_watcher = sender.clone();
        let watcher = notify::recommended_watcher(move |event| {
            // Nobody listens when the server has ended.
            let _ = from_watcher.send(WatchEvent::Changed(event));
        })?;
        let watched = WatchedDirectory::new(watcher, directory)?;
        listen_for_sighup(sender);
        Ok(Self { watched, events, settle_time })
    }

    /// The contents of the directory, once it is settled.
    ///
    /// # Errors
    /// Those of [`Sources::read`]; `UNREADABLE` if it does not settle within a minute.
    pub async fn wait_until_settled(&mut self) -> Result<Sources, PolicyErrors> {
        let wait_until_settled = self.watched.wait_until_settled(&mut self.events, self.settle_time, None);
        let read = tokio::time::timeout(self.settle_time * MAX_SETTLE_FACTOR, wait_until_settled)
            .await
            .ok()
            .flatten();
        read.unwrap_or_else(|| Err(settling::not_settled(&self.watched.directory)))
    }

    /// Reloads on every change until the server stops. Checks the current contents first: they may have changed since
    /// `app` got its policy.
    pub fn spawn(mut self, app: Arc<App>) {
        tokio::spawn(async move {
            let mut next = Some(WatchEvent::ReloadRequested);
            while let Some(event) = next {
                if self.watched.record_event(event) {
                    let wait_until_settled =
                        self.watched.wait_until_settled(&mut self.events, self.settle_time, Some(&app));
                    let Some(read) = wait_until_settled.await else { return };
                    reload(&app, read).await;
                }
                next = self.events.recv().await;
            }
        });
    }
}

struct WatchedDirectory<W> {
    watcher: W,
    /// The configured path; it may be a symbolic link.
    directory: PathBuf,
    /// The directory that it currently resolves to.
    real: PathBuf,
    /// Policy files that were written to and are not closed yet.
    open: BTreeSet<PathBuf>,
}

impl<W: Watcher> WatchedDirectory<W> {
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

    /// Records an event; returns whether the policy may have changed.
    fn record_event(&mut self, event: WatchEvent) -> bool {
        let event = match event {
            WatchEvent::ReloadRequested => return true,
            // Events may have been lost: check the directory.
            WatchEvent::Changed(Err(_)) => return true,
            WatchEvent::Changed(Ok(event)) => event,
        };
        if event.need_rescan() {
            self.open.clear();
            return true;
        }
        let switched = self.follow_link();
        let paths: Vec<&PathBuf> = event.paths.iter().filter(|path| path.starts_with(&self.real)).collect();
        match event.kind {
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => {
                // Other files may stay open for long, such as the swap file of an editor.
                let is_policy_file =
                    |path: &&PathBuf| path.strip_prefix(&self.real).is_ok_and(Sources::is_policy_file);
                let files = paths.iter().copied().filter(|path| path.is_file()).filter(is_policy_file);
                self.open.extend(files.cloned());
            }
            // Closing completes a write.
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                return paths.into_iter().fold(switched, |changed, path| self.open.remove(path) || changed);
            }
            EventKind::Access(_) => return switched,
            _ => {
                for path in &paths {
                    self.open.remove(*path);
                }
            }
        }
        switched || !paths.is_empty()
    }

    /// Resolves the link again; returns whether it points to another directory now.
    fn follow_link(&mut self) -> bool {
        let Ok(real) = self.directory.canonicalize() else { return false };
        if real == self.real {
            return false;
        }
        // The old target may be gone.
        let _ = self.watcher.unwatch(&self.real);
        if let Err(error) = self.watcher.watch(&real, RecursiveMode::Recursive) {
            tracing::error!(%error, "the policy directory can no longer be watched; reload it with SIGHUP");
        }
        self.open.clear();
        self.real = real;
        true
    }

    /// The contents of the directory, once it is settled; `None` when the channel is closed. A file that stays open for
    /// long is reported to the operators of `app`.
    async fn wait_until_settled(
        &mut self,
        events: &mut mpsc::UnboundedReceiver<WatchEvent>,
        settle_time: Duration,
        app: Option<&App>,
    ) -> Option<ReadResult> {
        let mut deadline = Instant::now() + settle_time;
        let mut last_change = Instant::now();
        let mut previous: Option<Result<String, String>> = None;
        loop {
            match tokio::time::timeout_at(deadline.into(), events.recv()).await {
                Ok(None) => return None,
                Ok(Some(event)) => {
                    if self.record_event(event) {
                        (deadline, previous) = (Instant::now() + settle_time, None);
                        last_change = Instant::now();
                    }
                }
                Err(_) => {
                    deadline = Instant::now() + settle_time;
                    if self.is_being_written() {
                        previous = None;
                        if let Some(app) = app
                            && last_change.elapsed() > settle_time * MAX_SETTLE_FACTOR
                        {
                            report_half_written(app, true);
                        }
                        continue;
                    }
                    let read = self.read();
                    let revision = read.as_ref().map(Sources::revision).map_err(ToString::to_string);
                    if previous.as_ref() == Some(&revision) {
                        if let Some(app) = app {
                            report_half_written(app, false);
                        }
                        return Some(read);
                    }
                    previous = Some(revision);
                }
            }
        }
    }

    /// Reads the resolved directory, since the link may be switched between two files. Messages name the configured
    /// path.
    fn read(&self) -> ReadResult {
        let real = self.real.display().to_string();
        let directory = self.directory.display().to_string();
        match Sources::read(&self.real) {
            Ok(sources) => Ok(Sources { directory, ..sources }),
            Err(PolicyErrors(mut errors)) => {
                for error in &mut errors {
                    error.file = error.file.replacen(&real, &directory, 1);
                }
                Err(PolicyErrors(errors))
            }
        }
    }

    /// Whether a file is still being written.
    fn is_being_written(&mut self) -> bool {
        self.open.retain(|path| path.exists());
        // Files opened before watching began, or while events were lost, can only be found through the kernel.
        !self.open.is_empty() || settling::is_being_written(&self.real)
    }
}

/// Reports, once, that a policy file has been open for long and the old policy stays in force, or that this is over.
fn report_half_written(app: &App, is_half_written: bool) {
    if !app.policy.note_half_written(is_half_written) && is_half_written {
        tracing::error!(
            "a policy file is still open for writing; the old policy stays in force until it is closed"
        );
    }
}

#[cfg(unix)]
fn listen_for_sighup(sender: mpsc::UnboundedSender<WatchEvent>) {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::hangup()) {
        Ok(mut signal) => {
            tokio::spawn(async move {
                while signal.recv().await.is_some() && sender.send(WatchEvent::ReloadRequested).is_ok() {}
            });
        }
        Err(_) => tracing::warn!("cannot listen for SIGHUP"),
    }
}

#[cfg(not(unix))]
fn listen_for_sighup(_: mpsc::UnboundedSender<WatchEvent>) {}

async fn reload(app: &App, sources: ReadResult) {
    let old = app.policy.current();
    if sources.as_ref().is_ok_and(|sources| sources.revision() == old.revision()) {
        return;
    }
    match purposes::reload(app, ACTOR, sources).await {
        Ok(revisions) => {
            metrics::count_policy_load(true);
            tracing::info!(before = revisions.before, after = revisions.after, "the policy was reloaded");
            let new = app.policy.current();
            log_rights_diff(&old, &new);
            for warning in new.warnings() {
                tracing::warn!(%warning, "policy");
            }
        }
        Err(refused) => {
            metrics::count_policy_load(false);
            tracing::error!(%refused, "the new policy was rejected; the old one stays in force");
        }
    }
}

/// Logs the rights that were gained and lost.
fn log_rights_diff(old: &Policy, new: &Policy) {
    let (before, with_settle_time) =
        (old.permissions(&PermissionFilter::default()), new.permissions(&PermissionFilter::default()));
    for (verb, rights) in [
        ("gained", with_settle_time.difference(&before).collect::<Vec<_>>()),
        ("lost", before.difference(&with_settle_time).collect::<Vec<_>>()),
    ] {
        for right in rights.iter().take(MAX_LOGGED_RIGHTS) {
            let (role, purpose) = (&right.role, &right.purpose);
            tracing::info!(role, purpose, object = right.object, right = right.right, "a right is {verb}");
        }
        if rights.len() > MAX_LOGGED_RIGHTS {
            tracing::info!(
                more = rights.len() - MAX_LOGGED_RIGHTS,
                "further rights are {verb}; `zweck policy diff` tells all"
            );
        }
    }
}
