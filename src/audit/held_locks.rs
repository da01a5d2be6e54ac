//! The locks that a transaction holds. Room: audit.

use std::{collections::BTreeMap, sync::atomic::AtomicBool};

/// How an identity is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockMode {
    /// By a writer that adds the address to a contact.
    Shared,
    /// By a writer that declares something about the address.
    Exclusive,
}

impl LockMode {
    pub(super) fn function(self) -> &'static str {
        match self {
            Self::Shared => "pg_advisory_xact_lock_shared",
            Self::Exclusive => "pg_advisory_xact_lock",
        }
    }
}

/// The locks that a transaction holds.
#[derive(Debug, Default)]
pub(super) struct HeldLocks {
    pub(super) identities: BTreeMap<u64, LockMode>,
    /// Whether contacts are locked: after that, identities must not be locked any more.
    pub(super) contacts: AtomicBool,
    /// How the uses by recipients are locked.
    pub(super) uses: Option<LockMode>,
}
