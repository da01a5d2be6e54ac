//! What one page costs at 10,000, 100,000 and 1,000,000 contacts. Room: bench/growth.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    super::{
        Fault, Say,
        children::{own_ticks, ticks_per_second},
        databases::Place,
        policy::sources,
        report::median,
    },
    growing::Growing,
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
struct Asked {
    name: &'static str,
    query: &'static str,
    flat: bool,
}

const fn asked(name: &'static str, query: &'static str) -> Asked {
    Asked { name, query, flat: true }
}

/// What grows by its nature: all that is counted or looked through.
const fn growing(name: &'static str, query: &'static str) -> Asked {
    Asked { name, query, flat: false }
}

const QUERIES: [Asked; 13] = [
    asked(
        "Q1",
        "{ contacts(first: 100) { nodes { id givenName familyName email company city country \
         consents { nodes { status grantedAt purpose { code } } } } } }",
    ),
    asked(
        "Q2",
        "query($id: ID!) { contact(id: $id) { id givenName familyName email company jobTitle city country } }",
    ),
    asked(
        "Q3",
        "{ contacts(first: 1000) { nodes { id givenName familyName email company jobTitle city country } } }",
    ),
    asked(
        "deep page",
        "query($cursor: String) { contacts(first: 100, after: $cursor) { nodes { id givenName familyName email company \
         jobTitle city country } } }",
    ),
    asked("last page", "{ contacts(last: 100) { nodes { id givenName familyName email } } }"),
    asked(
        "a name",
        "{ contacts(first: 2, filter: { familyName: { eq: \"Becker 1\" } }) { nodes { id familyName } } }",
    ),
    asked(
        "beginning, by name",
        "{ contacts(first: 10, filter: { familyName: { startsWith: \"Becker 1\" } }, \
         orderBy: [{ field: FAMILY_NAME, direction: ASC }]) { nodes { id familyName } } }",
    ),
    growing(
        "beginning, by id",
        "{ contacts(first: 10, filter: { familyName: { startsWith: \"Becker 1\" } }) { nodes { id familyName } } }",
    ),
    asked(
        "by name",
        "{ contacts(first: 100, orderBy: [{ field: FAMILY_NAME, direction: ASC }]) { nodes { id familyName } } }",
    ),
    asked(
        "by name, deep",
        "query($named: String) { contacts(first: 100, after: $named, orderBy: [{ field: FAMILY_NAME, direction: ASC }]) \
         { nodes { id familyName } } }",
    ),
    asked("search, frequent", "{ contacts(first: 100, search: \"becker\") { nodes { id familyName } } }"),
    growing("search, rare", "{ contacts(first: 100, search: \"becker.4711\") { nodes { id familyName } } }"),
    growing("how many", "{ contacts(first: 1) { totalCount } }"),
];

/// Every query at every size.
pub(super) async fn measure(
    growing: &Growing,
    place: &Place,
    directory: &Path,
    say: &Say,
) -> Result<Vec<Page>, Fault> {
    let mut sizes: Vec<u64> =
        [100, 10, 1].iter().map(|part| (growing.contacts / part).max(MIN_CONTACTS)).collect();
    sizes.dedup();
    let mut worlds = Vec::new();
    for contacts in sizes {
        let world = World::make(place, directory, contacts, &sources(), say).await?;
        let variables = variables(&world).await?;
        worlds.push((world, variables));
    }
    let ticks = ticks_per_second()?;
    let mut samples: Vec<Vec<Sample>> = Vec::new();
    for round in 0..=growing.rounds {
        say(&format!("{}: round {round} of {}", place.name, growing.rounds));
        for (index, asked) in QUERIES.iter().enumerate() {
            // Each size in turn, so that whatever the machine does meanwhile meets all alike.
            for (number, (world, variables)) in worlds.iter().enumerate() {
                let time = Duration::from_millis(if round == 0 { 1 } else { growing.millis });
                let sample = sample(world, asked, variables, time, ticks).await?;
                let place = index * worlds.len() + number;
                if samples.len() == place {
                    samples.push(Vec::new());
                }
                // The first round warms up.
                if let Some(of) = samples.get_mut(place).filter(|_| round > 0) {
                    of.push(sample);
                }
            }
        }
    }
    let mut pages: Vec<Page> = Vec::new();
    for (index, asked) in QUERIES.iter().enumerate() {
        let mut smallest = None;
        for (number, (world, _)) in worlds.iter().enumerate() {
            let of = samples.get(index * worlds.len() + number).map(Vec::as_slice).unwrap_or_default();
            let middle = |figure: fn(&Sample) -> f64| median(of.iter().map(figure).collect());
            let p50 = middle(|sample| sample.p50);
            let base = *smallest.get_or_insert(p50);
            pages.push(Page {
                database: place.name,
                query: asked.name,
                contacts: world.contacts,
                p50,
                cpu: middle(|sample| sample.cpu),
                bytes: of.first().map_or(0, |sample| sample.bytes),
                of_smallest: (number > 0 && base > 0.0).then(|| p50 / base),
                flat: asked.flat,
                largest: number + 1 == worlds.len(),
            });
        }
    }
    Ok(pages)
}

/// Cursors in the middle of the contacts, in both orders: cursors do not depend on filters.
async fn variables(world: &World) -> Result<Map<String, Value>, Fault> {
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
    asked: &Asked,
    variables: &Map<String, Value>,
    time: Duration,
    ticks: f64,
) -> Result<Sample, Fault> {
    let (mut times, mut bytes) = (Vec::new(), 0);
    let (before, began) = (own_ticks()?, Instant::now());
    while times.is_empty() || began.elapsed() < time {
        let mut variables = variables.clone();
        // A step that meets all of them, far from each other.
        let number = 1 + (times.len() as u64 * 7_919) % world.contacts;
        variables.insert("id".to_owned(), json!(World::id(number)));
        let request = Request { query: asked.query.to_owned(), variables, ..Request::default() };
        let start = Instant::now();
        bytes = world.ask(request).await?.len();
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let spent = own_ticks()?.saturating_sub(before) as f64 / ticks * 1e6;
    Ok(Sample { cpu: spent / times.len() as f64, p50: median(times), bytes })
}
