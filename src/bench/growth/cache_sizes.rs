//! What caches hold when they are full. Room: bench/growth.

use serde::Serialize;

use super::{
    super::{BenchError, children::own_resident},
    worlds::World,
};
use crate::{
    graphql::Request,
    registry::{CONTACT, FieldSource},
};

/// Views of the schema that the engine keeps at most, and statements that a connection keeps at most.
const VIEWS: usize = 64;
const STATEMENTS: usize = 100;

/// Memory that this process holds more than before.
#[derive(Clone, Debug, Serialize)]
pub struct CacheSize {
    /// What is held.
    pub what: &'static str,
    /// How many.
    pub count: usize,
    /// For all of them, in KiB.
    pub kib: u64,
}

/// Fills the caches of one engine and one pool.
pub(super) async fn measure(world: &World) -> Result<Vec<CacheSize>, BenchError> {
    let before = own_resident()?;
    let fields: Vec<&str> = CONTACT
        .fields
        .iter()
        .filter(|field| matches!(field.source, FieldSource::Column { .. }))
        .map(|field| field.name)
        .collect();
    for number in 0..VIEWS {
        // Another set of fields for each.
        let kept = chosen(&fields, number + 1).map(|field| format!("Contact.{field}"));
        world.look(kept.collect()).await?;
    }
    let views = own_resident()?.saturating_sub(before);
    let before = own_resident()?;
    for number in 0..STATEMENTS {
        let kept: Vec<&str> = chosen(&fields, number + 1).collect();
        let query = format!("{{ contacts(first: 100) {{ nodes {{ {} }} }} }}", kept.join(" "));
        world.ask(Request { query, ..Request::default() }).await?;
    }
    let statements = own_resident()?.saturating_sub(before);
    Ok(vec![
        CacheSize { what: "views of the schema", count: VIEWS, kib: views },
        CacheSize { what: "statements of one connection", count: STATEMENTS, kib: statements },
    ])
}

/// Those of `fields` that the bits of `number` pick.
fn chosen<'f>(fields: &'f [&'f str], number: usize) -> impl Iterator<Item = &'f str> {
    fields.iter().enumerate().filter(move |(bit, _)| (number >> bit) & 1 == 1).map(|(_, field)| *field)
}
