//! The policy in force, swapped as a whole (floor 1).

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Policy, PolicyErrors, PolicyObject, Sources};

/// The policy in force. Who took it keeps what he took until he asks again.
pub struct Live(ArcSwap<Policy>);

/// Revisions before and after a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revisions {
    /// Revision that was in force.
    pub before: String,
    /// Revision that is in force now.
    pub after: String,
}

impl Live {
    /// Puts `policy` in force.
    pub fn new(policy: impl Into<Arc<Policy>>) -> Self {
        Self(ArcSwap::new(policy.into()))
    }

    /// The policy in force.
    pub fn current(&self) -> Arc<Policy> {
        self.0.load_full()
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
        let before = self.0.swap(policy).revision().to_owned();
        Revisions { before, after }
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Live").field(&self.current().revision()).finish()
    }
}
