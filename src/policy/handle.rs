//! The policy in force, swapped as a whole. Room: policy.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwap;

use super::{Policy, PolicyErrors, PolicyObject, Sources};

/// The policy in force. Who took it keeps what he took until he asks again.
pub struct PolicyHandle {
    policy: ArcSwap<Policy>,
    /// Whether a later one waits for long, since a file of it is not closed.
    half_written: AtomicBool,
}

/// Revisions before and after a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revisions {
    /// Revision that was in force.
    pub before: String,
    /// Revision that is in force now.
    pub after: String,
}

impl PolicyHandle {
    /// Puts `policy` in force.
    pub fn new(policy: impl Into<Arc<Policy>>) -> Self {
        Self { policy: ArcSwap::new(policy.into()), half_written: AtomicBool::new(false) }
    }

    /// The policy in force.
    pub fn current(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Loads another policy and puts it in force.
    ///
    /// # Errors
    /// All faults of the new policy; then the old one stays in force.
    pub async fn reload(
        &self,
        sources: &Sources,
        objects: &[PolicyObject],
    ) -> Result<Revisions, PolicyErrors> {
        Ok(self.replace(Policy::load(sources, objects).await?))
    }

    /// Puts `policy` in force. Operations under way keep the one they began with.
    pub fn replace(&self, policy: impl Into<Arc<Policy>>) -> Revisions {
        let policy = policy.into();
        let after = policy.revision().to_owned();
        let before = self.policy.swap(policy).revision().to_owned();
        Revisions { before, after }
    }

    /// Notes whether a later policy waits for long, since a file of it was written to and is not closed; gives what was noted before.
    pub fn note_half_written(&self, half: bool) -> bool {
        self.half_written.swap(half, Ordering::SeqCst)
    }

    /// Whether a later policy waits for long to be whole.
    pub fn is_half_written(&self) -> bool {
        self.half_written.load(Ordering::SeqCst)
    }
}

impl std::fmt::Debug for PolicyHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Live").field(&self.current().revision()).finish()
    }
}
