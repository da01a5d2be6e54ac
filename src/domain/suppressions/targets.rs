//! Finds the identities and records that an opt-out concerns, and locks them before anything is decided.
//! Room: domain/suppressions.

use entity::enums::Channel;
use sea_orm::{ConnectionTrait, DbBackend, TryGetable};
use uuid::Uuid;

use super::{blocks::push_contacts_with, statements::SqlText};
use crate::{
    audit::{LockMode, Transaction},
    auth::actor::Actor,
    base::error::{Code, Error},
    domain::contacts::{self, Address, NewAddresses},
    policy::{Action, Grounds},
    registry::CONTACT,
};

/// Maximum number of records of one person that a declaration by address is recorded on; more are only blocked.
const MAX_RECORDS: usize = 100;

/// Whom a declaration concerns.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A contact.
    Contact(Uuid),
    /// The contact of a row that the caller names; the caller of this function checks whether the row is visible.
    ContactOfRow(Uuid),
    /// Everybody with an address.
    Address(&'a Address),
}

/// The contacts and addresses that an opt-out concerns, all locked.
#[derive(Debug)]
pub struct Affected {
    /// The records of the person who declares it, as far as the caller sees them; none if several persons have the
    /// address.
    pub contacts: Vec<Uuid>,
    /// The identities it concerns.
    pub addresses: NewAddresses,
    /// Whether a contact visible to the caller has the address.
    pub is_known: bool,
}

/// A record of an identity.
struct Record {
    id: Uuid,
    names: (Option<String>, Option<String>),
    /// Whether the identity is its primary address.
    primary: bool,
}

/// Finds whom an opt-out concerns and locks it, in lock order: identities EXCLUSIVE, then every record of them by
/// id. Decisions are made after that. If channels are named, it concerns what is reached on them.
///
/// # Errors
/// `NOT_FOUND` for a contact that is not visible to the caller; `FORBIDDEN_FIELD` for an address under a purpose on
/// consent; transient if the contact got another address meanwhile.
pub async fn find_and_lock(
    tx: &mut Transaction,
    actor: &Actor,
    target: Target<'_>,
    channels: Option<&[Channel]>,
) -> Result<Affected, Error> {
    match target {
        Target::Contact(id) | Target::ContactOfRow(id) => {
            let addresses = load_addresses(tx, id).await?.on_channels(channels);
            tx.lock_identities(addresses.locks(), LockMode::Exclusive).await?;
            lock_records(tx, &addresses, &[id]).await?;
            let addresses = self::load_addresses(tx, id).await?.on_channels(channels);
            if !tx.has_locks(addresses.locks(), LockMode::Exclusive) {
                // It got another address meanwhile: the next attempt locks that one too.
                return Err(Error::retry());
            }
            if matches!(target, Target::Contact(_)) && !tx.can_see(actor, &CONTACT, id).await? {
                return Err(contacts::not_found());
            }
            Ok(Affected { contacts: vec![id], addresses, is_known: true })
        }
        Target::Address(address) => {
            check_lookup_permitted(actor, address)?;
            let stated = address.addresses().clone().on_channels(channels);
            // If one person has the address, the declaration covers every address of that person.
            let records = records(tx, &stated, &[], false).await?;
            let before = speaker(tx, actor, address, records).await?;
            let addresses = with_other_addresses(tx, &stated, &before.ids, channels).await?;
            tx.lock_identities(addresses.locks(), LockMode::Exclusive).await?;
            lock_records(tx, &addresses, &before.ids).await?;
            let records = self::records(tx, &stated, &[], false).await?;
            let contacts = speaker(tx, actor, address, records).await?;
            let addresses = with_other_addresses(tx, &stated, &contacts.ids, channels).await?;
            if contacts.ids != before.ids || !tx.has_locks(addresses.locks(), LockMode::Exclusive) {
                return Err(Error::retry());
            }
            Ok(Affected { is_known: contacts.is_known, contacts: contacts.ids, addresses })
        }
    }
}

/// The identities `stated`, and those of the records of the one person who has them, as far as `channels` lead
/// there.
async fn with_other_addresses(
    tx: &Transaction,
    stated: &NewAddresses,
    records: &[Uuid],
    channels: Option<&[Channel]>,
) -> Result<NewAddresses, Error> {
    let mut all = stated.all().to_vec();
    for id in records {
        let Some(addresses) = contacts::addresses_of(tx.connection(), tx.reader(), *id).await? else {
            continue;
        };
        for reachable in addresses.on_channels(channels).all() {
            if !all.iter().any(|candidate| candidate.identity() == reachable.identity()) {
                all.push(reachable.clone());
            }
        }
    }
    Ok(NewAddresses::from_text(all))
}

async fn load_addresses(tx: &Transaction, id: Uuid) -> Result<NewAddresses, Error> {
    contacts::addresses_of(tx.connection(), tx.reader(), id).await?.ok_or_else(contacts::not_found)
}

/// Under a purpose on consent nobody may be found by an address: a hit would reveal addresses that no consent
/// covers.
fn check_lookup_permitted(actor: &Actor, address: &Address) -> Result<(), Error> {
    if actor.purpose.as_ref().is_some_and(|purpose| purpose.grounds == Grounds::Consent) {
        let message = "contacts may not be found by an address for this purpose";
        let coordinate = format!("{}.{}", CONTACT.name, address.name());
        let input_path = format!("input.{}", address.name());
        return Err(Error::new(Code::ForbiddenField, message)
            .with_coordinate(coordinate)
            .with_input_path(input_path));
    }
    Ok(())
}

/// The person who declares something by an address.
struct Speaker {
    ids: Vec<Uuid>,
    is_known: bool,
}

/// The records of the person who has the address; none if several persons have it.
async fn speaker(
    tx: &Transaction,
    actor: &Actor,
    address: &Address,
    records: Vec<Record>,
) -> Result<Speaker, Error> {
    // Callers who may not read contact points must not learn of them from a hit.
    let further = actor.can(&format!("ContactPoint.{}", address.name()), Action::Read);
    let mut first: Option<&(Option<String>, Option<String>)> = None;
    let mut ids = Vec::new();
    let one_person = records.len() <= MAX_RECORDS
        && records.iter().all(|record| {
            let names = first.get_or_insert(&record.names);
            records.len() == 1 || (**names == record.names && (names.0.is_some() || names.1.is_some()))
        });
    for record in records.iter().take(MAX_RECORDS).filter(|record| record.primary || further) {
        if tx.can_see(actor, &CONTACT, record.id).await? {
            ids.push(record.id);
        }
    }
    let is_known = !ids.is_empty();
    Ok(Speaker { ids: if one_person { ids } else { Vec::new() }, is_known })
}

/// Ids of the contacts with one of the identities, sorted.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn contacts_with_addresses<C: ConnectionTrait>(
    connection: &C,
    addresses: &NewAddresses,
) -> Result<Vec<Uuid>, Error> {
    if addresses.all().is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = SqlText::new(connection.get_database_backend());
    sql.push("SELECT contact_id FROM (");
    push_contact_union(&mut sql, addresses);
    sql.push(") s");
    Ok(sql.ids(connection).await?)
}

fn push_contact_union(sql: &mut SqlText, addresses: &NewAddresses) {
    for (index, reachable) in addresses.all().iter().enumerate() {
        sql.push(if index == 0 { "" } else { " UNION " });
        push_contacts_with(sql, reachable, None);
    }
}

/// Locks every record of the identities, and the contacts `also`, in id order.
async fn lock_records(tx: &mut Transaction, addresses: &NewAddresses, also: &[Uuid]) -> Result<(), Error> {
    tx.note_contact_locks();
    records(tx, addresses, also, true).await.map(|_| ())
}

/// Every record of the identities, and the contacts `also`, in id order.
async fn records(
    tx: &Transaction,
    addresses: &NewAddresses,
    also: &[Uuid],
    locked: bool,
) -> Result<Vec<Record>, Error> {
    let backend = tx.connection().get_database_backend();
    let mut sql = SqlText::new(backend);
    sql.push("SELECT c.id, c.given_name_folded, c.family_name_folded, ");
    push_is_primary(&mut sql, addresses);
    // One list of ids, which the index of contacts serves: an OR would scan every contact.
    sql.push(" FROM contact c WHERE c.state <> 'ERASED' AND c.id IN (");
    let id = if backend == DbBackend::Postgres { ("CAST(", " AS uuid)") } else { ("", "") };
    for (index, contact) in also.iter().enumerate() {
        sql.push(if index == 0 { "SELECT " } else { " UNION SELECT " });
        sql.push(id.0).bind(*contact).push(id.1).push(" AS contact_id");
    }
    if !addresses.all().is_empty() {
        sql.push(if also.is_empty() { "" } else { " UNION " });
        push_contact_union(&mut sql, addresses);
    } else if also.is_empty() {
        return Ok(Vec::new());
    }
    sql.push(") ORDER BY c.id");
    if locked && backend == DbBackend::Postgres {
        sql.push(" FOR UPDATE");
    }
    let rows = sql.query(tx.connection()).await?;
    let records = rows.iter().map(|row| {
        Ok(Record {
            id: Uuid::try_get_by(row, 0)?,
            names: (Option::try_get_by(row, 1)?, Option::try_get_by(row, 2)?),
            primary: bool::try_get_by(row, 3)?,
        })
    });
    Ok(records.collect::<Result<_, sea_orm::TryGetError>>().map_err(sea_orm::DbErr::from)?)
}

/// Pushes whether a primary address of the contact `c` is one of the identities.
fn push_is_primary(sql: &mut SqlText, addresses: &NewAddresses) {
    use crate::base::identities::Kind;
    sql.push("(1 = 0");
    for reachable in addresses.all() {
        let column = match reachable.identity().kind() {
            Kind::Mailbox => "email_key",
            Kind::Number => "phone_key",
            Kind::Postal => "postal_key",
        };
        sql.push(" OR COALESCE(c.").push(column);
        sql.push_in(reachable.identity().keys()).push(", FALSE)");
    }
    sql.push(")");
}
