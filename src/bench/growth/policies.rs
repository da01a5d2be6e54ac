//! What policies cost: to load, to hold, and one request under them. Room: bench/growth.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Map, json};

use super::{
    super::{
        BenchError, Say,
        databases::TestDatabase,
        policy::{Filled, filled, sources},
        report::median,
    },
    cache_sizes::{self, CacheSize},
    options::GrowthOptions,
    worlds::{ACTOR, World},
};
use crate::{
    domain::purposes,
    graphql::Request,
    policy::{Policy, Sources},
    registry,
};

/// Contacts of the database under it: few, since they are not what grows here.
const CONTACTS: u64 = 1_001;
/// Loads of one policy, of which the median counts; one where it takes long.
const MAX_LOADS: usize = 5;
const MAX_LOADING_TIME: Duration = Duration::from_secs(2);

/// A policy of one size.
#[derive(Clone, Debug, Serialize)]
pub struct Rules {
    /// Roles and purposes beside those of the bench itself.
    pub roles: usize,
    /// Pairs of a role and a purpose that rules can speak about.
    pub pairs: usize,
    /// Rules.
    pub lines: usize,
    /// From the text to the decisions of every pair, in milliseconds.
    pub load_ms: f64,
    /// From the text until it is in force, with the tables of the database, in milliseconds.
    pub reload_ms: Option<f64>,
    /// What it holds, in bytes.
    pub bytes: usize,
    /// One request for one contact under it, in microseconds.
    pub q2_us: Option<f64>,
}

/// Policies of growing length, and with growing numbers of roles and purposes.
pub(super) async fn measure(
    options: &GrowthOptions,
    directory: &Path,
    say: &Say,
) -> Result<(Vec<Rules>, Vec<CacheSize>), BenchError> {
    let database = TestDatabase::sqlite(directory);
    let world = World::make(&database, directory, CONTACTS, &sources(), say).await?;
    let held = cache_sizes::measure(&world).await?;
    let mut all = Vec::new();
    let mut sizes: Vec<(usize, usize)> = Vec::new();
    for lines in [50, 500, 5_000, 50_000].into_iter().filter(|lines| *lines <= options.lines) {
        sizes.push((8, lines));
    }
    for roles in [4, 16, 64].into_iter().filter(|roles| *roles <= options.roles) {
        sizes.push((roles, options.lines.min(5_000)));
    }
    for (roles, lines) in sizes {
        say(&format!("a policy with {lines} lines, {roles} roles and {roles} purposes"));
        let filled = filled(roles, lines);
        let mut rules = loaded(&filled).await?;
        let (reload, q2) = under(&world, options, &filled.sources).await?;
        rules.reload_ms = Some(reload);
        rules.q2_us = Some(q2);
        all.push(rules);
    }
    // All lines about one role and purpose, directly or by `anyone` and `any`: the most that one pair can have to do.
    let one = filled(1, options.lines.min(5_000));
    all.push(loaded(&one).await?);
    Ok((all, held))
}

async fn load(sources: &Sources) -> Result<Policy, BenchError> {
    let policy = Policy::load(sources, &registry::policy_objects()).await;
    policy.map_err(|error| BenchError::Failed(error.to_string()))
}

async fn loaded(filled: &Filled) -> Result<Rules, BenchError> {
    let mut times = Vec::new();
    let mut bytes = 0;
    let began = Instant::now();
    while times.len() < MAX_LOADS && (times.is_empty() || began.elapsed() < MAX_LOADING_TIME) {
        let start = Instant::now();
        bytes = load(&filled.sources).await?.bytes();
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Rules {
        roles: filled.roles,
        pairs: filled.pairs,
        lines: filled.lines,
        load_ms: median(times),
        reload_ms: None,
        bytes,
        q2_us: None,
    })
}

/// How long it takes to put a policy in force, and one request under it.
async fn under(world: &World, options: &GrowthOptions, sources: &Sources) -> Result<(f64, f64), BenchError> {
    let start = Instant::now();
    let reloaded = purposes::reload(&world.app, ACTOR, Ok(sources.clone())).await;
    reloaded.map_err(|refused| BenchError::Failed(refused.to_string()))?;
    let reload = start.elapsed().as_secs_f64() * 1e3;
    let mut times = Vec::new();
    let began = Instant::now();
    let time = Duration::from_millis(options.millis * 2);
    while times.is_empty() || began.elapsed() < time {
        let number = 1 + (times.len() as u64 * 7) % CONTACTS;
        let variables = Map::from_iter([("id".to_owned(), json!(World::id(number)))]);
        let request = Request { query: QUERY.to_owned(), variables, ..Request::default() };
        let start = Instant::now();
        world.ask(request).await?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok((reload, median(times)))
}

const QUERY: &str =
    "query($id: ID!) { contact(id: $id) { id givenName familyName email company jobTitle city country } }";
