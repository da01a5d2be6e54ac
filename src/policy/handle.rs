//! The policy in force, replaced as a whole. Room: policy.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwap;

use super::{Policy, PolicyErrors, PolicyObject, Sources};

/// The policy in force. Callers keep the policy they took until they ask again.
pub struct PolicyHandle {
    policy: ArcSwap<Policy>,
    /// Whether a newer policy has been waiting for long because one of its files is still open for writing.
    half_written: AtomicBool,
}

/// The revisions before and after a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revisions {
    /// The previous revision.
    pub before: String,
    /// The revision now in force.
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
    /// All errors of the new policy; the old one stays in force.
    pub async fn reload(
        &self,
        sources: &Sources,
        objects: &[PolicyObject],
    ) -> Result<Revisions, PolicyErrors> {
        Ok(self.replace(Policy::load(sources, objects).await?))
    }

    /// Puts `policy` in force. Running operations keep the policy they started with.
    pub fn replace(&self, policy: impl Into<Arc<Policy>>) -> Revisions {
        let policy = policy.into();
        let after = policy.revision().to_owned();
        let before = self.policy.swap(policy).revision().to_owned();
        Revisions { before, after }
    }

    /// Records whether a newer policy has been waiting for long because a file is still open for writing; returns the
    /// previous value.
    pub fn note_half_written(&self, half: bool) -> bool {
        self.half_written.swap(half, Ordering::SeqCst)
    }

    /// Whether a newer policy has been waiting for long to be complete.
    pub fn is_half_written(&self) -> bool {
        self.half_written.load(Ordering::SeqCst)
    }
}

impl std::fmt::Debug for PolicyHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Live").field(&self.current().revision()).finish()
    }
}
