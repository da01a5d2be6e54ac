//! Exports of what a credential may read for a purpose, by the same door as every other read, audited (floor 6).

mod formats;
mod opt_outs;
mod receipts;
mod stops;
mod vcard;

use std::{collections::BTreeMap, io::Write};

pub use formats::Format;
pub use receipts::{ReceiptFormat, receipt};
use serde_json::{Value as Json, json};
pub use stops::{StopFormat, acknowledge, stops};

use crate::{
    audit::{self, Author, Changes, Entry},
    context::{Actor, App},
    error::{Code, Error},
    graphql::Engine,
    pages::{self, Pages},
    register::{BLOCK, CONTACT, CONTACT_POINT, Category, OBJECTION, ObjectType, PROVENANCE, PURPOSE, Read},
};

/// What an export holds.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Fields of the contact.
    pub contact: Vec<&'static str>,
    /// Fields of its further contact points; empty where they may not be read.
    pub points: Vec<&'static str>,
    /// Fields of its sources; empty where they may not be read.
    pub sources: Vec<&'static str>,
    /// Whether it tells to what advertising each contact objects.
    pub opt_outs: bool,
    /// Coordinates that are left out, because only masked values may be read or nothing.
    pub left_out: Vec<String>,
}

impl Columns {
    /// What `actor` may read in full of each contact that it sees; with `links`, those of persons too.
    pub fn of(actor: &Actor, links: bool) -> Self {
        let mut left_out = Vec::new();
        let mut fields = |object: &'static ObjectType| -> Vec<&'static str> {
            let columns = object.fields.iter().filter(|field| match field.read {
                Read::Column { .. } => true,
                Read::Preference { .. } => links,
                _ => false,
            });
            let all: Vec<&'static str> = columns.map(|field| field.name).collect();
            let readable = pages::readable(actor, object, all.iter().copied());
            let others = all.iter().filter(|name| !readable.contains(name));
            left_out.extend(others.map(|name| format!("{}.{name}", object.name)));
            readable
        };
        let contact = fields(&CONTACT);
        // Without what an import needs of them they would not come back.
        let mut children = |link: &str, object, needed: &str| {
            let readable = !pages::readable(actor, &CONTACT, [link]).is_empty()
                && !pages::readable(actor, object, [needed]).is_empty();
            if readable { fields(object) } else { Vec::new() }
        };
        let (points, sources) = (
            children("contactPoints", &CONTACT_POINT, "kind"),
            children("provenance", &PROVENANCE, "source"),
        );
        for (link, fields) in [("contactPoints", &points), ("provenance", &sources)] {
            if fields.is_empty() {
                left_out.push(format!("{}.{link}", CONTACT.name));
            }
        }
        // In part they would look like all of them.
        let whole = |object, names: &[&'static str]| {
            pages::readable(actor, object, names.iter().copied()).len() == names.len()
        };
        let opt_outs = whole(&CONTACT, &["objections", "blocks"])
            && actor.purpose.as_ref().is_some_and(|purpose| purpose.sees_all)
            && whole(&OBJECTION, &opt_outs::FIELDS)
            && whole(&BLOCK, &opt_outs::OF_BLOCKS)
            && whole(&PURPOSE, &["code"]);
        if !opt_outs {
            left_out.push(format!("{}.objections", CONTACT.name));
        }
        Self { contact, points, sources, opt_outs, left_out }
    }

    /// What is selected of each contact.
    fn selection(&self) -> String {
        let children = |link: &str, fields: &[&str]| match fields {
            [] => String::new(),
            fields => format!(" {link} {{ {} }}", fields.join(" ")),
        };
        let (points, sources) =
            (children("contactPoints", &self.points), children("provenance", &self.sources));
        let opt_outs = if self.opt_outs { opt_outs::SELECTION } else { "" };
        format!("{}{points}{sources}{opt_outs}", self.contact.join(" "))
    }

    fn coordinates(&self) -> Vec<String> {
        let of = |object: &ObjectType, fields: &[&str]| -> Vec<String> {
            fields.iter().map(|field| format!("{}.{field}", object.name)).collect()
        };
        let told = |fields: &'static [&'static str]| if self.opt_outs { fields } else { &[] };
        let [contact, points, sources] =
            [(&CONTACT, &self.contact), (&CONTACT_POINT, &self.points), (&PROVENANCE, &self.sources)]
                .map(|(object, fields)| of(object, fields));
        [
            contact,
            points,
            sources,
            of(&OBJECTION, told(&opt_outs::FIELDS)),
            of(&BLOCK, told(&opt_outs::OF_BLOCKS)),
        ]
        .concat()
    }
}

/// What was exported.
#[derive(Clone, Debug)]
pub struct Exported {
    /// Contacts.
    pub rows: u64,
    /// What the file holds, and what it does not.
    pub columns: Columns,
    /// Contacts that a block stands on, where that is told: who read at their address, or a list, says no.
    pub blocked: u64,
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
    // A vCard has no place for them.
    let links = app.pages.public_url.is_some() && format != Format::VCard;
    let columns = Columns::of(&actor, links);
    if columns.contact.is_empty() {
        return Err(Error::new(Code::ForbiddenField, "nothing of a contact may be read").at(CONTACT.name));
    }
    let mut pages = Pages::new(app, engine, &caller, &columns.selection());
    let mut next = pages.next().await?;
    let begun = json!({"begun": true, "format": format.as_str(), "fields": columns.coordinates()});
    record(app, &actor, entry(begun)).await?;
    // What only active contacts are seen for tells of their state.
    let all_active = actor
        .purpose
        .as_ref()
        .is_some_and(|purpose| !purpose.allowed_restricted && !purpose.allowed_retained);
    let mut writer = format.begin(&columns, all_active, out)?;
    let mut exported = Exported { rows: 0, columns, blocked: 0, withheld: BTreeMap::new() };
    while let Some(page) = next {
        for mut contact in page.nodes {
            if exported.columns.opt_outs {
                exported.blocked += u64::from(opt_outs::tell(&actor.policy, &mut contact));
            }
            writer.write(&contact)?;
            exported.rows += 1;
        }
        for (coordinate, count) in page.withheld {
            *exported.withheld.entry(coordinate).or_default() += count;
        }
        next = pages.next().await?;
    }
    writer.finish()?;
    let ended = json!({"begun": false, "format": format.as_str(), "rows": exported.rows});
    record(app, &caller().await?, entry(ended)).await?;
    Ok(exported)
}

fn entry(what: Json) -> Entry {
    Entry {
        action: "exportContacts",
        entity_type: CONTACT.name,
        entity_id: None,
        contact_id: None,
        changes: Changes::one("AuditEntry.action", Category::Audit, Json::Null, what),
    }
}

async fn record(app: &App, actor: &Actor, entry: Entry) -> Result<(), Error> {
    let mut tx = audit::begin(app, Author::from(actor)).await?;
    tx.record(entry).await?;
    tx.commit().await
}
