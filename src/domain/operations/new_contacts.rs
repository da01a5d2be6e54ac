//! Writes new contacts with all their rows in one go: one contact of a client, or hundreds of a file.
//! Room: domain/operations.

use std::sync::Arc;

use entity::{contact, contact_point, ground, objection, provenance};
use uuid::Uuid;

use crate::{
    audit::{ChangeSet, Entry, RowBatch, Transaction},
    base::error::Error,
    domain::{
        contacts::NewAddresses,
        grounds::NewGround,
        suppressions::{self, SuppressionMatches},
    },
    registry::{BLOCK, CONTACT, CONTACT_POINT, GROUND, ObjectType, PROVENANCE},
};

/// The action of entries about contacts that an import creates.
pub const IMPORTED: &str = "importContact";

/// The rows of one new contact, with the blocks that the suppression list demands.
#[derive(Clone, Debug)]
pub struct NewContactRows {
    contact: contact::Model,
    /// Its further addresses.
    points: Vec<contact_point::Model>,
    /// Where its values come from.
    sources: Vec<provenance::Model>,
    /// The fact that makes it lawful to store it.
    ground: Option<ground::Model>,
    /// Blocks from the suppression list.
    blocks: Vec<objection::Model>,
}

impl NewContactRows {
    /// The rows of `contact`. `matches` is what the suppression list says of its `addresses`, looked up while their
    /// identities are locked.
    pub fn new(
        tx: &Transaction,
        (contact, points): (contact::Model, Vec<contact_point::Model>),
        sources: Vec<provenance::Model>,
        ground: Option<&NewGround>,
        (matches, addresses): (&SuppressionMatches, &NewAddresses),
    ) -> Self {
        let ground = ground.map(|ground| ground.row(tx, contact.id));
        let blocks = suppressions::block_rows(tx, contact.id, &matches.for_addresses(addresses));
        Self { contact, points, sources, ground, blocks }
    }
}

/// How the audit log describes new contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreationLog {
    /// A contact created by a client: ground and blocks have entries with their own actions.
    Separate,
    /// An imported contact: every entry has the action `importContact`, and that of the contact includes its
    /// ground.
    Import,
}

/// Writes new contacts and records them.
///
/// # Errors
/// From the database; `AUDIT_UNAVAILABLE`.
pub async fn insert_contacts(
    tx: &mut Transaction,
    all: Vec<NewContactRows>,
    log: CreationLog,
) -> Result<(), Error> {
    let all: Arc<[NewContactRows]> = all.into();
    let described = all.clone();
    let entries = move || described.iter().flat_map(|rows| rows.entries(log)).collect();
    tx.record_while_writing(entries, async |tx| tx.write(inserts(&all)).await.map(|_| ())).await
}

fn inserts(all: &[NewContactRows]) -> RowBatch {
    RowBatch::default()
        .insert_all::<contact::Entity>(all.iter().map(|rows| rows.contact.clone()))
        .insert_all::<contact_point::Entity>(all.iter().flat_map(|rows| rows.points.iter().cloned()))
        .insert_all::<provenance::Entity>(all.iter().flat_map(|rows| rows.sources.iter().cloned()))
        .insert_all::<ground::Entity>(all.iter().filter_map(|rows| rows.ground.clone()))
        .insert_all::<objection::Entity>(all.iter().flat_map(|rows| rows.blocks.iter().cloned()))
}

impl NewContactRows {
    /// One entry for the contact with its first source, one for each further row.
    fn entries(&self, log: CreationLog) -> Vec<Entry> {
        let separate = log == CreationLog::Separate;
        let entry = |action, object: &'static ObjectType, id: Uuid, changes| Entry {
            action: if separate { action } else { IMPORTED },
            entity_type: object.name,
            entity_id: Some(id),
            contact_id: Some(self.contact.id),
            changes,
        };
        let mut changes = ChangeSet::diff(&CONTACT, None, Some(&self.contact));
        let (first, further) = match self.sources.split_first() {
            Some((first, further)) => (ChangeSet::diff(&PROVENANCE, None, Some(first)), further),
            None => (ChangeSet::none(), self.sources.as_slice()),
        };
        changes = changes.merge(first);
        let ground =
            self.ground.as_ref().map(|ground| (ground.id, ChangeSet::diff(&GROUND, None, Some(ground))));
        let mut ground_entry = None;
        match ground {
            Some((id, ground)) if separate => ground_entry = Some(entry("recordGround", &GROUND, id, ground)),
            Some((_, ground)) => changes = changes.merge(ground),
            None => {}
        }
        let mut entries = vec![entry("createContact", &CONTACT, self.contact.id, changes)];
        entries.extend(self.points.iter().map(|point| {
            let changes = ChangeSet::diff(&CONTACT_POINT, None, Some(point));
            entry("addContactPoint", &CONTACT_POINT, point.id, changes)
        }));
        entries.extend(further.iter().map(|source| {
            let changes = ChangeSet::diff(&PROVENANCE, None, Some(source));
            entry("createContact", &PROVENANCE, source.id, changes)
        }));
        entries.extend(
            self.blocks.iter().map(|block| {
                entry("carryBlock", &BLOCK, block.id, ChangeSet::diff(&BLOCK, None, Some(block)))
            }),
        );
        entries.extend(ground_entry);
        entries
    }
}
