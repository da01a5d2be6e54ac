//! What one page costs at 10,000, 100,000 and 1,000,000 contacts. Room: bench/growth.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    super::{
        BenchError, Say,
        children::{own_ticks, ticks_per_second},
        databases::TestDatabase,
        policy::sources,
        report::median,
    },
    options::GrowthOptions,
    worlds::World,
};
use crate::graphql::Request;

/// Fewest contacts of a measure: deep pages need something before them.
const MIN_CONTACTS: u64 = 500;

/// One query, at one size.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// Database.
    pub database: &'static str,
    /// What is asked.
    pub query: &'static str,
    /// Contacts there are.
    pub contacts: u64,
    /// Half of the answers took at most so long, in microseconds: the median of the rounds.
    #[serde(rename = "p50_us")]
    pub p50: f64,
    /// Processor time of this process for one answer, in microseconds: of the server alone under PostgreSQL, with the database
    /// under SQLite.
    #[serde(rename = "cpu_us")]
    pub cpu: f64,
    /// Bytes of an answer.
    pub bytes: usize,
    /// How many times as long as with the fewest contacts.
    pub of_smallest: Option<f64>,
    /// Whether it must not grow with the contacts.
    pub flat: bool,
    /// Whether there are no more contacts in this run.
    pub largest: bool,
}

/// A query; `$id`, `$cursor` and `$named` are filled in.
struct PageQuery {
    name: &'static str,
    query: &'static str,
    flat: bool,
}

const fn request(name: &'static str, query: &'static str) -> PageQuery {
    PageQuery { name, query, flat: true }
}

/// What grows by its nature: all that is counted or looked through.
const fn options(name: &'static str, query: &'static str) -> PageQuery {
    PageQuery { name, query, flat: false }
}

const QUERIES: [PageQuery; 13] = [
    request(
        "Q1",
        "{ contacts(first: 100) { nodes { id givenName familyName email company city country \
         consents { nodes { status grantedAt purpose { code } } } } } }",
    ),
    request(
        "Q2",
        "query($id: ID!) { contact(id: $id) { id givenName familyName email company jobTitle city country } }",
    ),
    request(
        "Q3",
        "{ contacts(first: 1000) { nodes { id givenName familyName email company jobTitle city country } } }",
    ),
    request(
        "deep page",
        "query($cursor: String) { contacts(first: 100, after: $cursor) { nodes { id givenName familyName email company \
         jobTitle city country } } }",
    ),
    request("last page", "{ contacts(last: 100) { nodes { id givenName familyName email } } }"),
    request(
        "a name",
        "{ contacts(first: 2, filter: { familyName: { eq: \"Becker 1\" } }) { nodes { id familyName } } }",
    ),
    request(
        "beginning, by name",
        "{ contacts(first: 10, filter: { familyName: { startsWith: \"Becker 1\" } }, \
         orderBy: [{ field: FAMILY_NAME, direction: ASC }]) { nodes { id familyName } } }",
    ),
    options(
        "beginning, by id",
        "{ contacts(first: 10, filter: { familyName: { startsWith: \"Becker 1\" } }) { nodes { id familyName } } }",
    ),
    request(
        "by name",
        "{ contacts(first: 100, orderBy: [{ field: FAMILY_NAME, direction: ASC }]) { nodes { id familyName } } }",
    ),
    request(
        "by name, deep",
        "query($named: String) { contacts(first: 100, after: $named, orderBy: [{ field: FAMILY_NAME, direction: ASC }]) \
         { nodes { id familyName } } }",
    ),
    request("search, frequent", "{ contacts(first: 100, search: \"becker\") { nodes { id familyName } } }"),
    options("search, rare", "{ contacts(first: 100, search: \"becker.4711\") { nodes { id familyName } } }"),
    options("how many", "{ contacts(first: 1) { totalCount } }"),
];

/// Every query at every size.
pub(super) async fn measure(
    options: &GrowthOptions,
    database: &TestDatabase,
    directory: &Path,
    say: &Say,
) -> Result<Vec<Page>, BenchError> {
    let mut sizes: Vec<u64> =
        [100, 10, 1].iter().map(|part| (options.contacts / part).max(MIN_CONTACTS)).collect();
    sizes.dedup();
    let mut worlds = Vec::new();
    for contacts in sizes {
        let world = World::make(database, directory, contacts, &sources(), say).await?;
        let variables = variables(&world).await?;
        worlds.push((world, variables));
    }
    let ticks = ticks_per_second()?;
    let mut samples: Vec<Vec<Sample>> = Vec::new();
    for round in 0..=options.rounds {
        say(&format!("{}: round {round} of {}", database.name, options.rounds));
        for (index, query) in QUERIES.iter().enumerate() {
            // Each size in turn, so that whatever the machine does meanwhile meets all alike.
            for (number, (world, variables)) in worlds.iter().enumerate() {
                let time = Duration::from_millis(if round == 0 { 1 } else { options.millis });
                let sample = sample(world, query, variables, time, ticks).await?;
                let database = index * worlds.len() + number;
                if samples.len() == database {
                    samples.push(Vec::new());
                }
                // The first round warms up.
                if let Some(sample_list) = samples.get_mut(database).filter(|_| round > 0) {
                    sample_list.push(sample);
                }
            }
        }
    }
    let mut pages: Vec<Page> = Vec::new();
    for (index, query) in QUERIES.iter().enumerate() {
        let mut smallest = None;
        for (number, (world, _)) in worlds.iter().enumerate() {
            let sample_list =
                samples.get(index * worlds.len() + number).map(Vec::as_slice).unwrap_or_default();
            let middle = |figure: fn(&Sample) -> f64| median(sample_list.iter().map(figure).collect());
            let p50 = middle(|sample| sample.p50);
            let base = *smallest.get_or_insert(p50);
            pages.push(Page {
                database: database.name,
                query: query.name,
                contacts: world.contacts,
                p50,
                cpu: middle(|sample| sample.cpu),
                bytes: sample_list.first().map_or(0, |sample| sample.bytes),
                of_smallest: (number > 0 && base > 0.0).then(|| p50 / base),
                flat: query.flat,
                largest: number + 1 == worlds.len(),
            });
        }
    }
    Ok(pages)
}

/// Cursors in the middle of the contacts, in both orders: cursors do not depend on filters.
async fn variables(world: &World) -> Result<Map<String, Value>, BenchError> {
    // One that is visible: see `Bulk::consents`.
    let middle =
        (world.contacts / 2..world.contacts).find(|number| number * 37 % 100 < 70).unwrap_or_default();
    let id = World::id(middle);
    let mut variables = Map::new();
    for (name, order) in [("cursor", ""), ("named", "orderBy: [{ field: FAMILY_NAME, direction: ASC }], ")] {
        let filter = if order.is_empty() {
            format!("{{ id: {{ eq: \"{id}\" }} }}")
        } else {
            // In the middle of the names.
            "{ familyName: { startsWith: \"Ihde 1\" } }".to_owned()
        };
        let query =
            format!("{{ contacts(first: 1, {order}filter: {filter}) {{ pageInfo {{ endCursor }} }} }}");
        let body = world.ask(Request { query, ..Request::default() }).await?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let cursor = answer.pointer("/data/contacts/pageInfo/endCursor").cloned().unwrap_or_default();
        variables.insert(name.to_owned(), cursor);
    }
    Ok(variables)
}

struct Sample {
    p50: f64,
    cpu: f64,
    bytes: usize,
}

#[expect(clippy::cast_precision_loss, reason = "figures with a few digits")]
async fn sample(
    world: &World,
    request: &PageQuery,
    variables: &Map<String, Value>,
    time: Duration,
    ticks: f64,
) -> Result<Sample, BenchError> {
    let (mut times, mut bytes) = (Vec::new(), 0);
    let (before, began) = (own_ticks()?, Instant::now());
    while times.is_empty() || began.elapsed() < time {
        let mut variables = variables.clone();
        // A step that meets all of them, far from each other.
        let number = 1 + (times.len() as u64 * 7_919) % world.contacts;
        variables.insert("id".to_owned(), json!(World::id(number)));
        let request = Request { query: request.query.to_owned(), variables, ..Request::default() };
        let start = Instant::now();
        bytes = world.ask(request).await?.len();
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let spent = own_ticks()?.saturating_sub(before) as f64 / ticks * 1e6;
    Ok(Sample { cpu: spent / times.len() as f64, p50: median(times), bytes })
}
