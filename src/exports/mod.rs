//! Exports of what a credential may read for a purpose, by the same door as every other read, audited (floor 6).

mod formats;
mod pages;
mod vcard;

use std::{collections::BTreeMap, io::Write};

pub use formats::Format;
use pages::Page;
use serde_json::{Map, Value as Json, json};

use crate::{
    audit::{self, Author, Changes, Entry},
    context::{Actor, App},
    error::{Code, Error},
    graphql::{Engine, Request},
    policy::Action,
    register::{CONTACT, CONTACT_POINT, Category, Field, ObjectType, PROVENANCE, Read},
};

/// Contacts that are read at once.
const PAGE: usize = 500;

/// What an export holds.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Fields of the contact.
    pub contact: Vec<&'static str>,
    /// Fields of its further contact points; empty where they may not be read.
    pub points: Vec<&'static str>,
    /// Fields of its sources; empty where they may not be read.
    pub sources: Vec<&'static str>,
    /// Coordinates that are left out, because only masked values may be read or nothing.
    pub left_out: Vec<String>,
}

impl Columns {
    /// What `actor` may read in full of each contact that it sees.
    pub fn of(actor: &Actor) -> Self {
        let mut left_out = Vec::new();
        let mut fields = |object: &ObjectType| -> Vec<&'static str> {
            let (allowed, others): (Vec<&Field>, Vec<&Field>) = object
                .fields
                .iter()
                .filter(|field| matches!(field.read, Read::Column { .. }))
                .partition(|field| readable(actor, object, field));
            left_out.extend(others.iter().map(|field| format!("{}.{}", object.name, field.name)));
            allowed.iter().map(|field| field.name).collect()
        };
        let contact = fields(&CONTACT);
        let mut children = |link: &str, object: &ObjectType| match CONTACT.field(link) {
            Some(field) if readable(actor, &CONTACT, field) => fields(object),
            _ => Vec::new(),
        };
        let (points, sources) =
            (children("contactPoints", &CONTACT_POINT), children("provenance", &PROVENANCE));
        for (link, fields) in [("contactPoints", &points), ("provenance", &sources)] {
            if fields.is_empty() {
                left_out.push(format!("{}.{link}", CONTACT.name));
            }
        }
        Self { contact, points, sources, left_out }
    }

    /// The document that reads a page.
    fn document(&self) -> String {
        let children = |link: &str, fields: &[&str]| match fields {
            [] => String::new(),
            fields => format!(" {link} {{ {} }}", fields.join(" ")),
        };
        format!(
            "query($after: String) {{ contacts(first: {PAGE}, after: $after) {{ nodes {{ {}{}{} }} pageInfo {{ hasNextPage \
             endCursor }} }} }}",
            self.contact.join(" "),
            children("contactPoints", &self.points),
            children("provenance", &self.sources),
        )
    }
}

fn readable(actor: &Actor, object: &ObjectType, field: &Field) -> bool {
    actor.may(&format!("{}.{}", object.name, field.name), Action::Read)
}

/// What was exported.
#[derive(Clone, Debug)]
pub struct Exported {
    /// Contacts.
    pub rows: u64,
    /// What the file holds, and what it does not.
    pub columns: Columns,
    /// Values that a missing consent kept back, by coordinate.
    pub withheld: BTreeMap<String, u64>,
}

/// Writes every contact that exists for the caller to `out`, ordered by id, with what the caller may read in full.
///
/// `caller` is asked anew for each page, so that a credential that ends, ends the export. The audit log tells of the export
/// before anything is written, and of its extent at the end.
///
/// # Errors
/// `FORBIDDEN` where contacts may not be listed, `FORBIDDEN_FIELD` where nothing of them may be read, `BAD_USER_INPUT` where
/// `out` cannot be written, and what `caller` gives.
pub async fn contacts<F, W>(
    app: &App,
    engine: &Engine,
    caller: F,
    format: Format,
    out: W,
) -> Result<Exported, Error>
where
    F: AsyncFn() -> Result<Actor, Error>,
    W: Write,
{
    let actor = caller().await?;
    let columns = Columns::of(&actor);
    if columns.contact.is_empty() {
        return Err(Error::new(Code::ForbiddenField, "nothing of a contact may be read").at(CONTACT.name));
    }
    let document = columns.document();
    let mut page = read(app, engine, &actor, &document, None).await?;
    record(app, &actor, json!({"begun": true, "format": format.as_str(), "fields": columns.coordinates()}))
        .await?;
    let mut writer = format.begin(&columns, out)?;
    let mut exported = Exported { rows: 0, columns, withheld: BTreeMap::new() };
    let end = loop {
        for contact in &page.nodes {
            writer.write(contact)?;
            exported.rows += 1;
        }
        for (coordinate, count) in page.withheld {
            *exported.withheld.entry(coordinate).or_default() += count;
        }
        let Some(cursor) = page.next else { break caller().await? };
        page = read(app, engine, &caller().await?, &document, Some(cursor)).await?;
    };
    writer.finish()?;
    record(app, &end, json!({"begun": false, "format": format.as_str(), "rows": exported.rows})).await?;
    Ok(exported)
}

impl Columns {
    fn coordinates(&self) -> Vec<String> {
        let of = |object: &ObjectType, fields: &[&str]| -> Vec<String> {
            fields.iter().map(|field| format!("{}.{field}", object.name)).collect()
        };
        [of(&CONTACT, &self.contact), of(&CONTACT_POINT, &self.points), of(&PROVENANCE, &self.sources)]
            .concat()
    }
}

async fn record(app: &App, actor: &Actor, what: Json) -> Result<(), Error> {
    let mut tx = audit::begin(app, Author::from(actor)).await?;
    tx.record(Entry {
        action: "exportContacts",
        entity_type: CONTACT.name,
        entity_id: None,
        contact_id: None,
        changes: Changes::one("AuditEntry.action", Category::Audit, Json::Null, what),
    })
    .await?;
    tx.commit().await
}

async fn read(
    app: &App,
    engine: &Engine,
    actor: &Actor,
    document: &str,
    after: Option<String>,
) -> Result<Page, Error> {
    let variables = Map::from_iter([("after".to_owned(), json!(after))]);
    let request = Request { query: document.to_owned(), variables, strict: true, ..Request::default() };
    let answer = engine.execute(app, actor, request).await;
    let body = serde_json::from_slice::<pages::Body>(&answer.body);
    body.map_err(|_| Error::internal("a page of an export"))?.page()
}
