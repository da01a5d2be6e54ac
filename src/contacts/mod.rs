//! Contacts: made with source and ground, rectified, never told apart from what is not there (floor 4).

pub mod merge;
mod points;
mod reached;
mod restrictions;
mod rows;

use chrono::{DateTime, Utc};
use entity::{contact, enums::Channel, provenance};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult, Iterable, PrimaryKeyToColumn,
    QueryFilter, QuerySelect, Select,
    sea_query::{Expr, Func, Query},
};
use uuid::Uuid;

pub use points::{MOST_POINTS, NewPoint, add_point, remove_point};
pub use reached::Reached;
pub use restrictions::{Restrict, lift, restrict};
pub use rows::{blank, set};

use crate::{
    audit::{Changes, Entry, Rows, Transaction},
    context::Actor,
    error::{Code, Error},
    fold::dialled,
    policy::{Action, Grounds},
    register::{CONTACT, Field, ObjectType, PROVENANCE, RowRule},
};

/// Where values come from, as the client says; who recorded them and when is taken from the credential.
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

/// Most contacts that something declared by an address is recorded for at once.
const MOST_CONTACTS: usize = 100;

/// Checked values of given fields.
pub type Values = Vec<(&'static Field, String)>;

/// The answer for what is not there, and for what is not there for this caller.
pub fn unknown() -> Error {
    Error::new(Code::NotFound, "there is no such contact")
}

/// The contact `id`, locked until the end of the transaction, if it exists for the caller.
///
/// The lock comes first: what is visible is decided on what other writers have left.
///
/// # Errors
/// `NOT_FOUND`, the same whether there is none or it is not visible for the purpose.
pub async fn lock(tx: &Transaction, actor: &Actor, id: Uuid) -> Result<contact::Model, Error> {
    let found = contact::Entity::find_by_id(id).lock_exclusive().one(tx.connection()).await?;
    let contact = found.ok_or_else(unknown)?;
    if tx.sees(actor, &CONTACT, id).await? { Ok(contact) } else { Err(unknown()) }
}

/// Finds, and locks, the contact that the row `id` of a table names in `column`. What else is read of both is read by a later
/// statement: this one may have waited for another writer, and sees the rest as it was before.
pub fn holder<E: EntityTrait>(column: E::Column, id: Uuid) -> Select<contact::Entity> {
    let keys = E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column);
    let mut named = Query::select();
    named.column(column).from(E::default());
    for key in keys {
        named.and_where(Expr::col(key).eq(id));
    }
    let holder = contact::Entity::find().filter(contact::Column::Id.into_expr().eq(named));
    holder.lock_exclusive()
}

/// The row `id` of `object` as it is once the contact that `column` names is locked, if both exist for the caller.
///
/// # Errors
/// What `unknown` says, the same whether there is no such row, or it or its contact is not visible for the purpose.
pub async fn lock_with<E: EntityTrait>(
    tx: &Transaction,
    actor: &Actor,
    object: &ObjectType,
    id: Uuid,
    column: E::Column,
    unknown: impl Fn() -> Error,
) -> Result<E::Model, Error> {
    // These rules hold that of the contact.
    let follows =
        matches!(object.rows, RowRule::OfContact | RowRule::OfContactAndPurpose | RowRule::OfContactAndGroup);
    if !follows {
        return Err(Error::internal("a row that is visible without its contact"));
    }
    let holder = holder::<E>(column, id).select_only().column(contact::Column::Id).into_tuple::<Uuid>();
    let holder = holder.one(tx.connection()).await?.ok_or_else(&unknown)?;
    let mut select = Query::select();
    for column in E::Column::iter() {
        select.column(("t", column));
    }
    for key in E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column) {
        select.and_where(Expr::col(("t", key)).eq(id));
    }
    // A merge may have moved it until the lock was had.
    select.from_as(E::default(), "t").and_where(Expr::col(("t", column)).eq(holder));
    let row =
        tx.connection().query_one(select.and_where(tx.rule(actor, object))).await?.ok_or_else(unknown)?;
    Ok(E::Model::from_query_result(&row, "")?)
}

/// An address that contacts are found by.
#[derive(Clone)]
pub enum Address {
    /// The key of a mailbox.
    Email(String),
    /// A phone number, folded.
    Phone(String),
}

impl Address {
    /// What kind of address it is.
    pub fn channel(&self) -> Channel {
        match self {
            Self::Email(_) => Channel::Email,
            Self::Phone(_) => Channel::Phone,
        }
    }

    /// The address, normalised.
    pub fn key(&self) -> &str {
        match self {
            Self::Email(key) | Self::Phone(key) => key,
        }
    }

    /// Whether the key in `column` is this address. Numbers are kept as they were given: what only separates digits does not
    /// count, which no index helps with.
    fn is(&self, column: Expr) -> Expr {
        let Self::Phone(key) = self else { return column.eq(self.key()) };
        let bare = [" ", "\u{a0}", "-", "/", "(", ")", "."].into_iter().fold(column, |column, separator| {
            Func::cust("replace").arg(column).arg(separator).arg("").into()
        });
        let number = dialled(key);
        let abroad = number.strip_prefix('+').map(|rest| format!("00{rest}"));
        bare.is_in(std::iter::once(number).chain(abroad))
    }

    /// Name of its field and input.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Phone(_) => "phone",
        }
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({}: ***)", self.name())
    }
}

/// Contacts visible to the caller that have this address, as the primary or a further one; ordered by id.
///
/// # Errors
/// `BAD_USER_INPUT` for more than 100 contacts; `FORBIDDEN_FIELD` under a purpose on consent; `INTERNAL` from the database.
pub async fn with_address(tx: &Transaction, actor: &Actor, address: &Address) -> Result<Vec<Uuid>, Error> {
    use entity::contact_point;
    let place = format!("input.{}", address.name());
    if actor.purpose.as_ref().is_some_and(|own| own.grounds == Grounds::Consent) {
        // Whose address is not covered must not be told by who is found.
        let message = "contacts may not be found by an address for this purpose";
        let coordinate = format!("{}.{}", CONTACT.name, address.name());
        return Err(Error::new(Code::ForbiddenField, message).at(coordinate).in_input(place));
    }
    let (primary, further) = match address {
        Address::Email(_) => (contact::Column::EmailKey, contact_point::Column::EmailKey),
        Address::Phone(_) => (contact::Column::PhoneFolded, contact_point::Column::PhoneFolded),
    };
    let mut found: Vec<Uuid> = contact::Entity::find()
        .select_only()
        .column(contact::Column::Id)
        .filter(address.is(Expr::col(primary)))
        .into_tuple()
        .all(tx.connection())
        .await?;
    // Who may not read further addresses must not be told by who is found.
    if actor.may(&format!("ContactPoint.{}", address.name()), Action::Read) {
        let further: Vec<Uuid> = contact_point::Entity::find()
            .select_only()
            .column(contact_point::Column::ContactId)
            .filter(address.is(Expr::col(further)))
            .into_tuple()
            .all(tx.connection())
            .await?;
        found.extend(further);
    }
    found.sort_unstable();
    found.dedup();
    let mut visible = Vec::with_capacity(found.len());
    for id in found {
        if tx.sees(actor, &CONTACT, id).await? {
            visible.push(id);
        }
    }
    if visible.len() > MOST_CONTACTS {
        let message = format!("more than {MOST_CONTACTS} contacts have this address; name each by its id");
        return Err(Error::input(message).in_input(place));
    }
    Ok(visible)
}

/// Makes a contact with its provenance. Its ground is recorded in the same transaction by `grounds`.
///
/// # Errors
/// `BAD_USER_INPUT` when nothing tells who it is or how to reach the person.
pub async fn create(
    tx: &mut Transaction,
    action: &'static str,
    values: &Values,
    source: &Source,
) -> Result<Reached, Error> {
    let id = tx.new_subject();
    create_as(tx, action, id, values, source).await
}

/// The same with an id that the transaction gave out for it: whoever makes a contact of himself is named by it.
///
/// # Errors
/// As [`create`].
pub async fn create_as(
    tx: &mut Transaction,
    action: &'static str,
    id: Uuid,
    values: &Values,
    source: &Source,
) -> Result<Reached, Error> {
    if !values.iter().any(|(field, _)| field.identifies) {
        let message = "a contact needs a name, an e-mail address, a phone number or a postal address";
        return Err(Error::input(message).in_input("input"));
    }
    let mut model = blank(id, tx.now());
    for (field, value) in values {
        set(&mut model, field, Some(value))?;
    }
    let names: Vec<&str> = values.iter().map(|(field, _)| field.name).collect();
    let rows = Rows::default()
        .insert::<contact::Entity>(&CONTACT, &model)
        .insert::<provenance::Entity>(&PROVENANCE, &sourced(tx, model.id, source, &names));
    let changes = tx.write(rows).await?;
    tx.record(Entry {
        action,
        entity_type: CONTACT.name,
        entity_id: Some(model.id),
        contact_id: Some(model.id),
        changes,
    })
    .await?;
    Ok(Reached::of(model.id, Some(&model), &[]))
}

/// Where the named fields come from.
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
    }
}

/// A change of a contact.
#[derive(Clone, Debug)]
pub struct Rectification {
    /// Which contact.
    pub id: Uuid,
    /// The version it starts from, if the client says.
    pub expected_version: Option<i32>,
    /// Values to set; `None` to be emptied.
    pub values: Vec<(&'static Field, Option<String>)>,
    /// Where they come from; the caller otherwise.
    pub source: Option<Source>,
}

/// A contact before and after its rectification. Consents are bound to addresses: whoever gets this has to let them follow.
#[derive(Clone, Debug)]
#[must_use = "consents that are bound to an address that changed must be invalidated"]
pub struct Rectified {
    /// Before.
    pub before: contact::Model,
    /// After; the same where nothing changed.
    pub after: contact::Model,
}

impl Rectified {
    /// The addresses that came to the contact.
    pub fn reached(&self) -> Reached {
        let of = |contact: &contact::Model| Reached::of(contact.id, Some(contact), &[]);
        of(&self.after).beyond(&of(&self.before))
    }
}

/// Rectifies a contact (Art. 16). What is as asked for already is no change and makes no new version.
///
/// # Errors
/// `NOT_FOUND`; `CONFLICT` when the version is another by now; `BAD_USER_INPUT` when nothing would be left that tells who
/// it is or how to reach the person, as far as the caller sees.
pub async fn rectify(
    tx: &mut Transaction,
    actor: &Actor,
    change: &Rectification,
) -> Result<Rectified, Error> {
    let before = lock(tx, actor, change.id).await?;
    if change.expected_version.is_some_and(|expected| expected != before.version) {
        return Err(
            Error::new(Code::Conflict, "the contact has changed meanwhile").in_input("input.expectedVersion")
        );
    }
    let mut after = before.clone();
    for (field, value) in &change.values {
        set(&mut after, field, value.as_deref())?;
    }
    let changes = Changes::between(&CONTACT, Some(&before), Some(&after));
    let entry = |changes| Entry {
        action: "updateContact",
        entity_type: CONTACT.name,
        entity_id: Some(change.id),
        contact_id: Some(change.id),
        changes,
    };
    if changes.is_empty() {
        tx.record(entry(changes)).await?;
        return Ok(Rectified { after: before.clone(), before });
    }
    let empties = change.values.iter().any(|(field, value)| field.identifies && value.is_none());
    if empties && !rows::identifies(actor, &after) {
        let message = "a contact needs a name, an e-mail address, a phone number or a postal address";
        return Err(Error::input(message).in_input("input.clear"));
    }
    after.version += 1;
    after.updated_at = tx.now();
    rows::note_moves(&before, &mut after, tx.now());
    let source = change
        .source
        .clone()
        .unwrap_or_else(|| Source { name: tx.author().actor.clone(), ..Source::default() });
    let changed = changes.coordinates();
    let names: Vec<&str> =
        changed.iter().filter_map(|coordinate| coordinate.strip_prefix("Contact.")).collect();
    let rows = Rows::default()
        .update::<contact::Entity>(&CONTACT, &before, &after)?
        .insert::<provenance::Entity>(&PROVENANCE, &sourced(tx, change.id, &source, &names));
    let changes = tx.write(rows).await?;
    tx.record(entry(changes)).await?;
    Ok(Rectified { before, after })
}
