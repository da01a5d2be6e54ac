//! Audited exports of what a credential may read for a purpose, through the same path as every other read.
//! Room: exchange/exports.
//!
//! Exports and the search for duplicates (`src/exchange/duplicates.rs`) ask for pages as any client does, for the
//! fields that the caller may read in full, with the credential looked up for each page: there is no second way to a
//! value. The entry of an export is written before the first page leaves.

mod columns;
mod formats;
mod opt_outs;
mod receipts;
mod stops;
mod vcard;

use std::{collections::BTreeMap, io::Write};

pub use columns::Columns;
pub use formats::Format;
pub use receipts::{ReceiptFormat, receipt};
use serde_json::{Value as Json, json};
pub use stops::{StopFormat, acknowledge, stops};

use crate::{
    app::App,
    audit::{self, Author, ChangeSet, Entry},
    auth::actor::Actor,
    base::error::{Code, Error},
    exchange::contact_pages::ContactPages,
    graphql::Pipeline,
    registry::{CONTACT, DataCategory},
};

/// What was exported.
#[derive(Clone, Debug)]
pub struct Exported {
    /// Contacts.
    pub rows: u64,
    /// The columns of the file, and those left out.
    pub columns: Columns,
    /// Contacts with a block, if opt-outs are exported: somebody else at their address, or a list, opted out.
    pub blocked: u64,
    /// Number of values withheld for lack of consent, by coordinate.
    pub withheld: BTreeMap<String, u64>,
}

/// Writes every contact that exists for the caller to `out`, ordered by id, with what the caller may read in full.
///
/// `caller` authenticates again for each page, so an expired credential stops the export. The audit log records the
/// export before anything is written, and its size at the end.
///
/// # Errors
/// `FORBIDDEN` where contacts may not be listed, `FORBIDDEN_FIELD` where nothing of them may be read, `BAD_USER_INPUT`
/// where `out` cannot be written, and what `caller` gives.
pub async fn contacts<F, W>(
    app: &App,
    pipeline: &Pipeline,
    caller: F,
    format: Format,
    out: W,
) -> Result<Exported, Error>
where
    F: AsyncFn() -> Result<Actor, Error>,
    W: Write,
{
    let actor = caller().await?;
    // A vCard has no property for them.
    let links = app.pages.public_url.is_some() && format != Format::VCard;
    let columns = Columns::readable_by(&actor, links);
    if columns.contact.is_empty() {
        return Err(Error::new(Code::ForbiddenField, "nothing of a contact may be read")
            .with_coordinate(CONTACT.name));
    }
    let mut pages = ContactPages::new(app, pipeline, &caller, &columns.selection());
    let mut next = pages.next().await?;
    let start = json!({"begun": true, "format": format.as_str(), "fields": columns.coordinates()});
    record(app, &actor, audit_entry(start)).await?;
    // A purpose that only sees active contacts implies their state.
    let all_active = actor
        .purpose
        .as_ref()
        .is_some_and(|purpose| !purpose.allowed_restricted && !purpose.allowed_retained);
    let mut writer = format.open(&columns, all_active, out)?;
    let mut exported = Exported { rows: 0, columns, blocked: 0, withheld: BTreeMap::new() };
    while let Some(page) = next {
        for mut contact in page.nodes {
            if exported.columns.opt_outs {
                exported.blocked += u64::from(opt_outs::insert_into(&actor.policy, &mut contact));
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
    let end = json!({"begun": false, "format": format.as_str(), "rows": exported.rows});
    record(app, &caller().await?, audit_entry(end)).await?;
    Ok(exported)
}

fn audit_entry(details: Json) -> Entry {
    Entry {
        action: "exportContacts",
        entity_type: CONTACT.name,
        entity_id: None,
        contact_id: None,
        changes: ChangeSet::single("AuditEntry.action", DataCategory::Audit, Json::Null, details),
    }
}

async fn record(app: &App, actor: &Actor, audit_entry: Entry) -> Result<(), Error> {
    let mut tx = audit::begin(app, Author::from(actor)).await?;
    tx.record(audit_entry).await?;
    tx.commit().await
}
