//! `zweck bench`: the server measured against baselines in one run, on one machine. Room: bench.
//!
//! The server, handlers by hand and stock async-graphql run as child processes over one database, which is written through the audited
//! door. Before anything is loaded their answers must be equal byte for byte. Rounds take turns; only ratios of medians within a run
//! say something. `growth` fills databases in bulk, past the door, and asks in process. `baselines/` is the one place beside the engine
//! that reads persons by SQL of its own, and the one that withdraws beside the audited door.

mod baselines;
mod bulk;
mod check;
mod children;
pub mod data;
mod databases;
mod error;
mod growth;
mod load;
mod measure;
pub mod policy;
mod queries;
mod report;
mod run;
mod setup;

pub use baselines::{Baseline, serve};
pub use error::BenchError;
pub use growth::{CacheSize, GrowthOptions, GrowthReport, Page, Rules, run as grow};
pub use measure::Sample;
pub use queries::{Kind, Query};
pub use report::{Figure, Machine, Measured, Report, Target};
pub use run::run;
pub use setup::{Options, Say, Servers, Tokens};
