//! `zweck bench growth`: what a page costs as contacts grow, and a request as the policy grows. Room: bench/growth.
//!
//! In process, through the engine, by one caller: what is asked is the course of the figures, not their height. Rows come in bulk
//! from the database itself and not through the audited door, which would take hours.

mod cache_sizes;
mod options;
mod pages;
mod policies;
mod table;
mod worlds;

pub use cache_sizes::CacheSize;
pub use options::GrowthOptions;
pub use pages::Page;
pub use policies::Rules;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    BenchError, Say,
    databases::test_databases,
    report::{Machine, Target},
    run::machine,
};
use crate::base::clock::{Clock, SystemClock};

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct GrowthReport {
    /// When it was done.
    pub measured_at: DateTime<Utc>,
    /// The machine.
    pub machine: Machine,
    /// Rounds.
    pub rounds: u32,
    /// What pages cost, by database, query and number of contacts.
    pub pages: Vec<Page>,
    /// What policies cost, by size.
    pub policies: Vec<Rules>,
    /// What caches hold when they are full.
    pub held: Vec<CacheSize>,
    /// Targets, as far as they can be judged.
    pub targets: Vec<Target>,
}

/// Measures.
///
/// # Errors
/// `Usage` for a build without optimisation where figures are wanted, `Failed` for whatever does not work.
pub async fn run(options: &GrowthOptions, smoke: bool, say: &Say) -> Result<GrowthReport, BenchError> {
    if cfg!(debug_assertions) && !smoke {
        let text = "a build without optimisation measures nothing: cargo run --profile bench --features bench -- bench growth";
        return Err(BenchError::Usage(text.to_owned()));
    }
    let directory = tempfile::tempdir()?;
    let mut pages = Vec::new();
    for database in test_databases(None, directory.path(), false)? {
        pages.extend(pages::measure(options, &database, directory.path(), say).await?);
    }
    let (policies, held) = policies::measure(options, directory.path(), say).await?;
    // Of little data, or without optimisation, no figure means anything.
    let targets = if smoke || cfg!(debug_assertions) { Vec::new() } else { targets(&pages, &policies) };
    let machine = machine()?;
    let (measured_at, rounds) = (SystemClock.now(), options.rounds);
    Ok(GrowthReport { measured_at, machine, rounds, pages, policies, held, targets })
}

/// What a page may cost at the largest size, of what it costs at the smallest.
const MAX_RATIO: f64 = 1.2;
/// Milliseconds that the planes of one role and one purpose may take, about which there are as many rules as there can be.
const MAX_LOAD_MS: f64 = 15.0;

fn targets(pages: &[Page], policies: &[Rules]) -> Vec<Target> {
    let grown = pages.iter().filter(|page| page.flat && page.of_smallest.is_some());
    let last = grown.filter(|page| page.largest);
    let mut targets: Vec<Target> = last
        .map(|page| {
            let name = format!("{}, {}: {} contacts", page.database, page.query, page.contacts);
            Target::new(name, page.of_smallest.unwrap_or_default(), MAX_RATIO, false)
        })
        .collect();
    let one = policies.iter().find(|rules| rules.pairs == 1);
    targets.extend(one.map(|rules| {
        let name = format!("planes of one role and purpose at {} lines, ms", rules.lines);
        Target::new(name, rules.load_ms, MAX_LOAD_MS, false)
    }));
    targets
}
