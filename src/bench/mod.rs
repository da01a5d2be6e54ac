//! `zweck bench`: the server measured against yardsticks in one run, on one machine. Room: bench.
//!
//! The server, handlers by hand and stock async-graphql run as child processes over the same rows. Before anything is loaded their
//! answers must be equal byte for byte. Only ratios within a run say something.
//!
//! Data written through the audited door; server and yardsticks as child processes over one database; equality before
//! load; rounds in turn, medians, ratios. `growth` fills databases in bulk, past the door, and asks in process.
//! `yardsticks/` is the one place beside the engine that reads persons by SQL of its own, and the one that withdraws
//! beside the audited door.

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
mod setup;
mod yardsticks;

pub use fault::Fault;
pub use growth::{Growing, Grown, Held, Page, Rules, run as grow};
pub use measure::Sample;
pub use queries::{Kind, Query};
pub use report::{Figure, Machine, Measured, Report, Target};
pub use run::run;
pub use setup::{Options, Say, Servers, Tokens};
pub use yardsticks::{Yardstick, serve};
