//! What a measurement needs: its options, the servers that answer, the tokens that they are asked with. Room: bench.

use super::{children::Child, error::BenchError, queries::Kind};

/// Tells how far it is.
pub type Say = dyn Fn(&str) + Send + Sync;

/// How it is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// An empty database to use; otherwise throw-away ones.
    pub database_url: Option<String>,
    /// Size of the data: 1 for 100,000 contacts.
    pub scale: f64,
    /// Seconds per measurement.
    pub seconds: u32,
    /// Number of rounds; the median counts.
    pub rounds: u32,
    /// Numbers of connections, one measurement for each.
    pub connections: Vec<u32>,
    /// Whether a throw-away PostgreSQL waits for the disk with every commit, as one that is in use does.
    pub fsync: bool,
    /// Whether it is only to be seen that all of it works: without warming up, and without load where `wrk` is missing.
    pub smoke: bool,
}

/// The tokens that are asked with.
pub struct Tokens {
    pub(super) allowed: String,
    pub(super) denied: String,
}

/// Those who answer.
pub struct Servers(pub(super) Vec<Child>);

impl Servers {
    pub(super) fn of(&self, kind: Kind) -> Result<&Child, BenchError> {
        let found = self.0.iter().find(|child| child.kind == kind);
        found.ok_or_else(|| BenchError::Failed(format!("there is no {} server", kind.as_str())))
    }
}
