//! Contacts: created with source and ground, and rectified. Invisible ones cannot be told apart from missing ones.
//! Room: domain/contacts.
//!
//! Contact points store e-mail, phone and postal parts in separate fields, since the data category of a field must
//! not depend on the row.

mod address;
mod contact_points;
mod input;
pub mod merge;
mod new_addresses;
mod restrictions;
mod rows;
pub mod source_updates;

use chrono::{DateTime, Utc};
use entity::{
    consent, contact, contact_point,
    enums::{ConsentStatus, StopKind},
    objection, provenance,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult, Iterable, JoinType,
    PrimaryKeyToColumn, QueryFilter, QueryOrder, QuerySelect, RelationDef, Select,
    sea_query::{Condition, Expr, Query},
};
use uuid::Uuid;

pub use address::Address;
pub use contact_points::{MAX_CONTACT_POINTS, NewContactPoint, add_point, remove_point};
pub use input::values_from_input;
pub use new_addresses::{NewAddresses, Reachable, channel_of, channels_to, kind_on};
pub use restrictions::{NewRestriction, lift, restrict};
pub(crate) use rows::note_address_changes;
pub use rows::{blank, set, set_all, set_keys};

use crate::{
    audit::{ChangeSet, Entry, LockMode, RowBatch, Transaction},
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        identities::Reader,
    },
    registry::{CONTACT, Field, ObjectType, PROVENANCE, RowRule},
};

/// Where values come from, as stated by the client; who recorded them and when follows from the credential.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Name of the source.
    pub name: String,
    /// When the source collected them.
    pub collected_at: Option<DateTime<Utc>>,
    /// When the person was informed.
    pub informed_at: Option<DateTime<Utc>>,
    /// Version of the privacy notice given.
    pub notice_version: Option<String>,
}

impl Source {
    /// Checks that nothing of it lies in the future.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` that names the instant.
    pub fn check(&self, now: DateTime<Utc>) -> Result<(), Error> {
        for (name, at) in [("collectedAt", self.collected_at), ("informedAt", self.informed_at)] {
            if at.is_some_and(|at| at > now) {
                let error = Error::bad_input(format!("`{name}` is in the future"));
                return Err(error.with_input_path(format!("input.source.{name}")));
            }
        }
        Ok(())
    }
}

/// Validated values of writable fields.
pub type Values = Vec<(&'static Field, String)>;

/// The error for a missing contact, and for one that the caller cannot see.
pub fn not_found() -> Error {
    Error::new(Code::NotFound, "there is no such contact")
}

/// The contact `id`, locked until the end of the transaction, if it is visible to the caller.
///
/// The lock comes first, so that visibility is decided on what other writers have left.
///
/// # Errors
/// `NOT_FOUND`, equally for a missing and for an invisible contact.
pub async fn lock(tx: &Transaction, actor: &Actor, id: Uuid) -> Result<contact::Model, Error> {
    tx.note_contact_locks();
    let found = contact::Entity::find_by_id(id).lock_exclusive().one(tx.connection()).await?;
    let contact = found.ok_or_else(not_found)?;
    if tx.can_see(actor, &CONTACT, id).await? { Ok(contact) } else { Err(not_found()) }
}

/// Locks these contacts in id order, without reading them.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn lock_all(tx: &Transaction, mut ids: Vec<Uuid>) -> Result<(), Error> {
    tx.note_contact_locks();
    ids.sort_unstable();
    for ids in ids.chunks(10_000) {
        contact::Entity::find()
            .select_only()
            .column(contact::Column::Id)
            .filter(contact::Column::Id.is_in(ids.iter().copied()))
            .order_by_asc(contact::Column::Id)
            .lock_exclusive()
            .into_tuple::<Uuid>()
            .all(tx.connection())
            .await?;
    }
    Ok(())
}

/// The contact `id`, locked as by [`lock`] after the identities that `new_addresses` returns: these are determined
/// before the lock and again after it.
///
/// # Errors
/// As [`lock`]; those of `new_addresses`; transient if they differ by then.
pub(crate) async fn lock_with_new_addresses(
    tx: &mut Transaction,
    actor: &Actor,
    id: Uuid,
    new_addresses: impl Fn(&Reader, &contact::Model) -> Result<NewAddresses, Error>,
) -> Result<contact::Model, Error> {
    let before = contact::Entity::find_by_id(id).one(tx.connection()).await?.ok_or_else(not_found)?;
    let addresses = new_addresses(tx.reader(), &before)?;
    if !addresses.all().is_empty() {
        let mode = lock_mode_for(tx, &[id]).await?;
        tx.lock_identities(addresses.locks(), mode).await?;
    }
    let contact = lock(tx, actor, id).await?;
    let addresses = new_addresses(tx.reader(), &contact)?;
    if !addresses.all().is_empty() && !tx.has_locks(addresses.locks(), lock_mode_for(tx, &[id]).await?) {
        return Err(Error::retry());
    }
    Ok(contact)
}

/// The lock mode for identities that are added to contacts: EXCLUSIVE if one of the contacts may have opt-outs,
/// since these are then declared for the new addresses.
pub(crate) async fn lock_mode_for(tx: &Transaction, ids: &[Uuid]) -> Result<LockMode, Error> {
    let has_ended_consent = Query::select()
        .expr(Expr::val(1))
        .from(consent::Entity)
        .and_where(consent::Column::ContactId.is_in(ids.iter().copied()))
        .and_where(consent::Column::Status.ne(ConsentStatus::Granted))
        .to_owned();
    let has_objection = Query::select()
        .expr(Expr::val(1))
        .from(objection::Entity)
        .and_where(objection::Column::ContactId.is_in(ids.iter().copied()))
        .cond_where(own_opt_outs())
        .and_where(objection::Column::EndedAt.is_null())
        .to_owned();
    let either = Condition::any().add(Expr::exists(has_ended_consent)).add(Expr::exists(has_objection));
    let query = Query::select().expr(Expr::val(1)).cond_where(either).to_owned();
    let says_no = tx.connection().query_one(&query).await?.is_some();
    Ok(if says_no { LockMode::Exclusive } else { LockMode::Shared })
}

/// Condition on rows of `objection` that the person declared: objections, and blocks with a source
/// (`suppressions::block_channel`).
pub(crate) fn own_opt_outs() -> Condition {
    use objection::Column;
    let own_block = Column::Kind.eq(StopKind::Block).and(Column::Source.is_not_null());
    Condition::any().add(Column::Kind.eq(StopKind::Objection)).add(own_block)
}

/// Selects and locks the contact that the row `id` of a table names in `column`. Read anything else of both in a
/// later statement: this one may have waited for another writer, and sees the rest as it was before.
pub fn select_owner<E: EntityTrait>(column: E::Column, id: Uuid) -> Select<contact::Entity> {
    let keys = E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column);
    let mut named = Query::select();
    named.column(column).from(E::default());
    for key in keys {
        named.and_where(Expr::col(key).eq(id));
    }
    let owner = contact::Entity::find().filter(contact::Column::Id.into_expr().eq(named));
    owner.lock_exclusive()
}

/// The row `id` of `object`, read once the contact in `column` is locked, if both are visible to the caller.
///
/// # Errors
/// That of `not_found`, equally for a missing row and for an invisible row or contact.
pub async fn lock_with_contact<E: EntityTrait>(
    tx: &Transaction,
    actor: &Actor,
    object: &ObjectType,
    id: Uuid,
    column: E::Column,
    not_found: impl Fn() -> Error,
) -> Result<E::Model, Error> {
    // These row rules include that of the contact.
    let depends_on_contact = matches!(
        object.rows,
        RowRule::OfContact | RowRule::OfContactAndPurpose | RowRule::Objection | RowRule::Block
    );
    if !depends_on_contact {
        return Err(Error::internal("the row rule does not depend on the contact"));
    }
    tx.note_contact_locks();
    let owner = select_owner::<E>(column, id).select_only().column(contact::Column::Id).into_tuple::<Uuid>();
    let owner = owner.one(tx.connection()).await?.ok_or_else(&not_found)?;
    let mut select = Query::select();
    for column in E::Column::iter() {
        select.column(("t", column));
    }
    for key in E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column) {
        select.and_where(Expr::col(("t", key)).eq(id));
    }
    // A merge may have moved it before the lock was granted.
    select.from_as(E::default(), "t").and_where(Expr::col(("t", column)).eq(owner));
    let row = tx
        .connection()
        .query_one(select.and_where(tx.row_condition(actor, object)))
        .await?
        .ok_or_else(not_found)?;
    Ok(E::Model::from_query_result(&row, "")?)
}

/// The present identities of a contact, from its primary addresses and contact points; `None` if there is no such
/// contact.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn addresses_of<C: ConnectionTrait>(
    connection: &C,
    reader: &Reader,
    id: Uuid,
) -> Result<Option<NewAddresses>, Error> {
    let points: RelationDef = contact::Entity::belongs_to(contact_point::Entity)
        .from(contact::Column::Id)
        .to(contact_point::Column::ContactId)
        .into();
    let rows = contact::Entity::find_by_id(id)
        .join(JoinType::LeftJoin, points)
        .select_also(contact_point::Entity)
        .order_by_asc(contact_point::Column::Id);
    let (contacts, points): (Vec<contact::Model>, Vec<_>) = rows.all(connection).await?.into_iter().unzip();
    let points: Vec<contact_point::Model> = points.into_iter().flatten().collect();
    Ok(contacts.first().map(|contact| NewAddresses::of_contact(reader, contact, &points)))
}

/// The rows of a new contact and its provenance, not written yet: `operations` writes them with the ground and the
/// blocks.
///
/// # Errors
/// `BAD_USER_INPUT` if no value identifies or reaches the person.
pub fn new_rows(
    tx: &Transaction,
    id: Uuid,
    values: &Values,
    source: &Source,
) -> Result<(contact::Model, provenance::Model), Error> {
    if !values.iter().any(|(field, _)| field.is_identifying) {
        let message = "a contact needs a name, an e-mail address, a phone number or a postal address";
        return Err(Error::bad_input(message).with_input_path("input"));
    }
    let mut contact = blank(tx.reader(), id, tx.now());
    set_all(tx.reader(), &mut contact, values.iter().map(|(field, value)| (*field, value.as_str())))?;
    let names: Vec<&str> = values.iter().map(|(field, _)| field.name).collect();
    Ok((contact, sourced(tx, id, source, &names)))
}

/// The provenance of the named fields.
fn sourced(tx: &Transaction, contact_id: Uuid, source: &Source, fields: &[&str]) -> provenance::Model {
    provenance::Model {
        id: tx.new_id(),
        contact_id,
        source: source.name.clone(),
        external_id: None,
        collected_at: source.collected_at,
        recorded_at: tx.now(),
        recorded_by: tx.author().actor.clone(),
        fields: serde_json::json!(fields).to_string(),
        informed_at: source.informed_at,
        notice_version: source.notice_version.clone(),
        import_id: None,
    }
}

/// A rectification of a contact.
#[derive(Clone, Debug)]
pub struct Rectification {
    /// Which contact.
    pub id: Uuid,
    /// The version it is based on, if the client states it.
    pub expected_version: Option<i32>,
    /// Values to set; `None` clears a field.
    pub values: Vec<(&'static Field, Option<String>)>,
    /// Where they come from; the caller by default.
    pub source: Option<Source>,
}

/// A contact before and after its rectification. Consents are bound to addresses: the caller must update them.
#[derive(Clone, Debug)]
#[must_use = "consents that are bound to an address that changed must be invalidated"]
pub struct Rectified {
    /// Before.
    pub before: contact::Model,
    /// After; equal if nothing changed.
    pub after: contact::Model,
    /// Its contact points, if a new name changes their identities.
    points: Vec<contact_point::Model>,
}

impl Rectified {
    /// A contact before and after a change, with its contact points.
    pub(crate) fn new(
        before: contact::Model,
        after: contact::Model,
        points: Vec<contact_point::Model>,
    ) -> Self {
        Self { before, after, points }
    }

    /// The new addresses of the contact.
    pub fn addresses(&self, reader: &Reader) -> NewAddresses {
        let of = |contact: &contact::Model| NewAddresses::of_contact(reader, contact, &self.points);
        of(&self.after).except(&of(&self.before))
    }
}

/// The contact points of a contact if `values` change its name, which makes them addresses of another household.
async fn renamed_points(
    tx: &Transaction,
    id: Uuid,
    values: &[(&'static Field, Option<String>)],
) -> Result<Vec<contact_point::Model>, Error> {
    if !values.iter().any(|(field, _)| matches!(field.name, "givenName" | "familyName")) {
        return Ok(Vec::new());
    }
    let points = contact_point::Entity::find().filter(contact_point::Column::ContactId.eq(id));
    Ok(points.all(tx.connection()).await?)
}

/// Rectifies a contact (Art. 16). Without an actual change there is no new version.
///
/// # Errors
/// `NOT_FOUND`; `CONFLICT` if the version has changed; `BAD_USER_INPUT` if nothing visible to the caller would
/// identify the person or tell how to reach the person.
pub async fn rectify(
    tx: &mut Transaction,
    actor: &Actor,
    change: &Rectification,
) -> Result<Rectified, Error> {
    let points_before = renamed_points(tx, change.id, &change.values).await?;
    let before = lock_with_new_addresses(tx, actor, change.id, |reader, contact| {
        let mut after = contact.clone();
        for (field, value) in &change.values {
            set(reader, &mut after, field, value.as_deref())?;
        }
        let of = |contact: &contact::Model| NewAddresses::of_contact(reader, contact, &points_before);
        Ok(of(&after).except(&of(contact)))
    })
    .await?;
    let points = renamed_points(tx, change.id, &change.values).await?;
    if points != points_before {
        // Another address was added meanwhile: the next attempt locks it too.
        return Err(Error::retry());
    }
    if change.expected_version.is_some_and(|expected| expected != before.version) {
        return Err(Error::new(Code::Conflict, "the contact was changed in the meantime")
            .with_input_path("input.expectedVersion"));
    }
    let mut after = before.clone();
    for (field, value) in &change.values {
        set(tx.reader(), &mut after, field, value.as_deref())?;
    }
    let changes = ChangeSet::diff(&CONTACT, Some(&before), Some(&after));
    let entry = |changes| Entry {
        action: "updateContact",
        entity_type: CONTACT.name,
        entity_id: Some(change.id),
        contact_id: Some(change.id),
        changes,
    };
    if changes.is_empty() {
        tx.record(entry(changes)).await?;
        return Ok(Rectified { after: before.clone(), before, points });
    }
    let empties = change.values.iter().any(|(field, value)| field.is_identifying && value.is_none());
    if empties && !rows::identifies(actor, &after) {
        let message = "a contact needs a name, an e-mail address, a phone number or a postal address";
        return Err(Error::bad_input(message).with_input_path("input.clear"));
    }
    after.version += 1;
    after.updated_at = tx.now();
    rows::note_address_changes(&before, &mut after, tx.now());
    let source = change
        .source
        .clone()
        .unwrap_or_else(|| Source { name: tx.author().actor.clone(), ..Source::default() });
    let coordinates = changes.coordinates();
    let names: Vec<&str> =
        coordinates.iter().filter_map(|coordinate| coordinate.strip_prefix("Contact.")).collect();
    let rows = RowBatch::default()
        .update::<contact::Entity>(&CONTACT, &before, &after)?
        .insert::<provenance::Entity>(&PROVENANCE, &sourced(tx, change.id, &source, &names));
    let changes = tx.write(rows).await?;
    tx.record(entry(changes)).await?;
    Ok(Rectified { before, after, points })
}
