//! What contacts have, and who recorded it. Room: domain/contacts/source_updates.

use std::collections::{HashMap, HashSet};

use entity::{contact, contact_merge, contact_point, provenance};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, Query},
};
use uuid::Uuid;

use super::{
    former_addresses::FormerAddresses,
    records::{SourceRecord, View},
};
use crate::{
    base::error::Error,
    domain::contacts::{merge, rows::get},
    engine::{self, Scope},
    registry::{CONTACT, Field},
};

/// Values in one list of a statement.
const MAX_BIND_VALUES: usize = 1_000;

/// What a contact has.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub contact: contact::Model,
    pub points: Vec<contact_point::Model>,
    /// Whether another contact was merged into it.
    pub is_merged: bool,
    /// Whether it can be seen for the purpose of the import.
    pub is_visible: bool,
    /// Addresses it had, once they were read.
    pub former: FormerAddresses,
    /// Fields that imports brought.
    imported: HashSet<String>,
    /// Fields that somebody else has recorded or cleared.
    recorded: HashSet<String>,
}

impl Snapshot {
    /// Whether imports must not write the field: somebody else has recorded or cleared it, or nobody knows where its
    /// value comes from.
    pub fn is_protected(&self, field: &Field) -> bool {
        self.recorded.contains(field.name)
            || (get(&self.contact, field).is_some() && !self.imported.contains(field.name))
    }

    fn add_source(&mut self, source: &provenance::Model) -> Result<(), Error> {
        let fields: Vec<String> = serde_json::from_str(&source.fields)
            .map_err(|_| Error::internal("the fields of a source cannot be read"))?;
        // Otherwise only the import that created a contact names an id in the source; and a merge, which names the
        // duplicate.
        let has_created = source.external_id.is_some() && source.source != merge::ACTION;
        let is_import = source.import_id.is_some() || has_created;
        let fields_of = if is_import { &mut self.imported } else { &mut self.recorded };
        fields_of.extend(fields);
        Ok(())
    }
}

/// Reads the contacts of `records`.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn read<C: ConnectionTrait>(
    view: &View<'_, C>,
    records: &[SourceRecord],
) -> Result<HashMap<Uuid, Snapshot>, Error> {
    let ids: HashSet<Uuid> = records.iter().map(|record| record.contact_id).collect();
    let mut snapshots = HashMap::new();
    for ids in Vec::from_iter(ids).chunks(MAX_BIND_VALUES) {
        read_chunk(view, ids, &mut snapshots).await?;
    }
    Ok(snapshots)
}

async fn read_chunk<C: ConnectionTrait>(
    view: &View<'_, C>,
    ids: &[Uuid],
    snapshots: &mut HashMap<Uuid, Snapshot>,
) -> Result<(), Error> {
    let ids = || ids.iter().copied();
    let visible = visible(view, ids()).await?;
    let contacts = contact::Entity::find().filter(contact::Column::Id.is_in(ids()));
    for contact in contacts.all(view.connection).await? {
        let snapshot = Snapshot {
            is_visible: visible.contains(&contact.id),
            points: Vec::new(),
            is_merged: false,
            former: FormerAddresses::default(),
            imported: HashSet::new(),
            recorded: HashSet::new(),
            contact,
        };
        snapshots.insert(snapshot.contact.id, snapshot);
    }
    let points = contact_point::Entity::find().filter(contact_point::Column::ContactId.is_in(ids()));
    for point in points.order_by_asc(contact_point::Column::Id).all(view.connection).await? {
        if let Some(snapshot) = snapshots.get_mut(&point.contact_id) {
            snapshot.points.push(point);
        }
    }
    let sources = provenance::Entity::find().filter(provenance::Column::ContactId.is_in(ids()));
    for source in sources.all(view.connection).await? {
        if let Some(snapshot) = snapshots.get_mut(&source.contact_id) {
            snapshot.add_source(&source)?;
        }
    }
    let merged = contact_merge::Entity::find()
        .select_only()
        .column(contact_merge::Column::ContactId)
        .filter(contact_merge::Column::ContactId.is_in(ids()));
    for survivor in merged.into_tuple::<Uuid>().all(view.connection).await? {
        if let Some(snapshot) = snapshots.get_mut(&survivor) {
            snapshot.is_merged = true;
        }
    }
    Ok(())
}

/// Those of `ids` that the caller can see.
async fn visible<C: ConnectionTrait>(
    view: &View<'_, C>,
    ids: impl Iterator<Item = Uuid>,
) -> Result<HashSet<Uuid>, Error> {
    let scope = Scope::for_actor(view.actor, view.now, view.connection.get_database_backend());
    let query = Query::select()
        .column(("t", contact::Column::Id))
        .from_as(contact::Entity, "t")
        .and_where(Expr::col(("t", contact::Column::Id)).is_in(ids))
        .and_where(engine::row_condition(&scope, &CONTACT))
        .to_owned();
    let rows = view.connection.query_all(&query).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index::<Uuid>(0)?)).collect()
}
