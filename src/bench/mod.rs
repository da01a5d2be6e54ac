//! `zweck bench`: the server measured against yardsticks in one run, on one machine. Room: bench.
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
