//! `zweck bench`: the server measured against yardsticks in one run, on one machine (floor 6).
//!
//! The server, handlers by hand and stock async-graphql run as child processes over the same rows. Before anything is loaded their
//! answers must be equal byte for byte. Only ratios within a run say something.

mod bulk;
mod check;
mod children;
pub mod data;
mod databases;
mod fault;
mod growth;
mod load;
mod measure;
pub mod policy;
mod queries;
mod report;
mod run;
mod yardsticks;

pub use fault::Fault;
pub use growth::{Growing, Grown, Held, Page, Rules, run as grow};
pub use measure::Sample;
pub use queries::{Kind, Query};
pub use report::{Figure, Machine, Measured, Report, Target};
pub use run::run;
pub use yardsticks::{Yardstick, serve};

use children::Child;

/// Tells how far it is.
pub type Say = dyn Fn(&str) + Send + Sync;

/// How it is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// An empty database to use; otherwise throw-away ones.
    pub database_url: Option<String>,
    /// Size of the data: 1 for 100,000 contacts.
    pub scale: f64,
    /// Seconds of one measure.
    pub seconds: u32,
    /// Rounds, of which the median counts.
    pub rounds: u32,
    /// Connections, one measure for each.
    pub connections: Vec<u32>,
    /// Whether a throw-away PostgreSQL waits for the disk with every commit, as one that is in use does.
    pub fsync: bool,
    /// Whether it is only to be seen that all of it works: without warming up, and without load where `wrk` is missing.
    pub smoke: bool,
}

/// The tokens that are asked with.
pub struct Tokens {
    allowed: String,
    denied: String,
}

/// Those who answer.
pub struct Servers(Vec<Child>);

impl Servers {
    fn of(&self, kind: Kind) -> Result<&Child, Fault> {
        let found = self.0.iter().find(|child| child.kind == kind);
        found.ok_or_else(|| Fault::Failed(format!("there is no {} server", kind.as_str())))
    }
}
