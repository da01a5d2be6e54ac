//! Takes over a changed policy while the server runs (floor 6).

use std::{path::PathBuf, sync::Arc, time::Duration};

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::{context::App, measures, policy::Sources, purposes};

/// Who loads.
const ACTOR: &str = "server:watch";
/// How long files must rest before they are read: an editor or a deployment writes several.
const REST: Duration = Duration::from_millis(300);

/// Watches `directory` until the server ends; also loads anew at SIGHUP. A policy that is refused is told in the log and the
/// audit log, and the old one stays in force.
///
/// # Errors
/// The directory cannot be watched.
pub fn policy(app: Arc<App>, directory: PathBuf) -> notify::Result<()> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let changed = tell.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error of the watcher may mean lost events: then it is better to look.
        if event.is_ok_and(|event| event.kind.is_access()) {
            return;
        }
        // Nobody listens when the server has ended.
        let _ = changed.send(());
    })?;
    watcher.watch(&directory, RecursiveMode::Recursive)?;
    hang_up(tell);
    tokio::spawn(async move {
        // Kept as long as it is listened to.
        let _watcher = watcher;
        while told.recv().await.is_some() {
            tokio::time::sleep(REST).await;
            while told.try_recv().is_ok() {}
            load(&app, &directory).await;
        }
    });
    Ok(())
}

#[cfg(unix)]
fn hang_up(tell: mpsc::UnboundedSender<()>) {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::hangup()) {
        Ok(mut signal) => {
            tokio::spawn(async move { while signal.recv().await.is_some() && tell.send(()).is_ok() {} });
        }
        Err(_) => tracing::warn!("SIGHUP cannot be listened to"),
    }
}

#[cfg(not(unix))]
fn hang_up(_: mpsc::UnboundedSender<()>) {}

async fn load(app: &App, directory: &std::path::Path) {
    let read = Sources::read(directory);
    let in_force = app.policy.current().revision().to_owned();
    if read.as_ref().is_ok_and(|sources| sources.revision() == in_force) {
        return;
    }
    match purposes::reload(app, ACTOR, read).await {
        Ok(revisions) => {
            measures::policy_loaded(true);
            tracing::info!(before = revisions.before, after = revisions.after, "the policy was loaded anew");
            for warning in app.policy.current().warnings() {
                tracing::warn!(%warning, "policy");
            }
        }
        Err(refused) => {
            measures::policy_loaded(false);
            tracing::error!(%refused, "the policy is refused; the old one stays in force");
        }
    }
}
