//! Whom a no meets: identities first, then every record of them, both locked before anything is decided. Room: domain/suppressions.

use entity::enums::Channel;
use sea_orm::{ConnectionTrait, DbBackend, TryGetable};
use uuid::Uuid;

use super::{blocks::holders, statements::Text};
use crate::{
    audit::{LockMode, Transaction},
    auth::actor::Actor,
    base::error::{Code, Error},
    domain::contacts::{self, Address, NewAddresses},
    policy::{Action, Grounds},
    registry::CONTACT,
};

/// Most records of one person that something declared by an address is recorded on; more are blocked alone.
const MAX_RECORDS: usize = 100;

/// Whom somebody speaks of.
#[derive(Clone, Copy, Debug)]
pub enum Whom<'a> {
    /// A contact.
    Contact(Uuid),
    /// A contact of which the caller is shown something else: whoever asks has to look whether that is there for the caller.
    Holder(Uuid),
    /// Whoever has an address.
    Address(&'a Address),
}

/// Whom a no is about, all of it locked.
#[derive(Debug)]
pub struct Meant {
    /// The records of the person who says it, as far as the caller sees them; none where the address is that of several persons.
    pub contacts: Vec<Uuid>,
    /// The identities that it is about.
    pub reached: NewAddresses,
    /// Whether anybody whom the caller sees has the address.
    pub known: bool,
}

/// A record of an identity.
struct Record {
    id: Uuid,
    names: (Option<String>, Option<String>),
    /// Whether it has the identity as a primary address.
    primary: bool,
}

/// Finds whom a no is about and locks it, in the order of locks: identities EXCLUSIVE, then every record of them by its id. What is
/// decided is decided behind that. Where channels are named, it is about what is reached on these.
///
/// # Errors
/// `NOT_FOUND` for a contact that is not there for the caller; `FORBIDDEN_FIELD` for an address under a purpose on consent; transient
/// where the contact has got another address meanwhile.
pub async fn meet(
    tx: &mut Transaction,
    actor: &Actor,
    whom: Whom<'_>,
    channels: Option<&[Channel]>,
) -> Result<Meant, Error> {
    match whom {
        Whom::Contact(id) | Whom::Holder(id) => {
            let reached = reached(tx, id).await?.narrowed(channels);
            tx.lock_identities(reached.locks(), LockMode::Exclusive).await?;
            lock_records(tx, &reached, &[id]).await?;
            let reached = self::reached(tx, id).await?.narrowed(channels);
            if !tx.has_locks(reached.locks(), LockMode::Exclusive) {
                // It has got another address meanwhile: the next attempt locks that one too.
                return Err(Error::repeat());
            }
            if matches!(whom, Whom::Contact(_)) && !tx.can_see(actor, &CONTACT, id).await? {
                return Err(contacts::unknown());
            }
            Ok(Meant { contacts: vec![id], reached, known: true })
        }
        Whom::Address(address) => {
            permit(actor, address)?;
            let named = address.reached().clone().narrowed(channels);
            // The one person whose address it is said it for every address of that person.
            let records = records(tx, &named, &[], false).await?;
            let before = speaking(tx, actor, address, records).await?;
            let reached = with_others(tx, &named, &before.ids, channels).await?;
            tx.lock_identities(reached.locks(), LockMode::Exclusive).await?;
            lock_records(tx, &reached, &before.ids).await?;
            let records = self::records(tx, &named, &[], false).await?;
            let contacts = speaking(tx, actor, address, records).await?;
            let reached = with_others(tx, &named, &contacts.ids, channels).await?;
            if contacts.ids != before.ids || !tx.has_locks(reached.locks(), LockMode::Exclusive) {
                return Err(Error::repeat());
            }
            Ok(Meant { known: contacts.known, contacts: contacts.ids, reached })
        }
    }
}

/// The identities `named`, and those of the records of the one person who has them, as far as `channels` lead there.
async fn with_others(
    tx: &Transaction,
    named: &NewAddresses,
    records: &[Uuid],
    channels: Option<&[Channel]>,
) -> Result<NewAddresses, Error> {
    let mut all = named.all().to_vec();
    for id in records {
        let Some(own) = contacts::reached(tx.connection(), tx.reader(), *id).await? else { continue };
        for reachable in own.narrowed(channels).all() {
            if !all.iter().any(|known| known.identity() == reachable.identity()) {
                all.push(reachable.clone());
            }
        }
    }
    Ok(NewAddresses::typed(all))
}

async fn reached(tx: &Transaction, id: Uuid) -> Result<NewAddresses, Error> {
    contacts::reached(tx.connection(), tx.reader(), id).await?.ok_or_else(contacts::unknown)
}

/// Under a purpose on consent nobody is found by an address: who is found would tell whose address is not covered.
fn permit(actor: &Actor, address: &Address) -> Result<(), Error> {
    if actor.purpose.as_ref().is_some_and(|own| own.grounds == Grounds::Consent) {
        let message = "contacts may not be found by an address for this purpose";
        let coordinate = format!("{}.{}", CONTACT.name, address.name());
        let place = format!("input.{}", address.name());
        return Err(Error::new(Code::ForbiddenField, message)
            .with_coordinate(coordinate)
            .with_input_path(place));
    }
    Ok(())
}

/// Who speaks by an address.
struct Speaking {
    ids: Vec<Uuid>,
    known: bool,
}

/// The records of the one person whose address it is; of several persons nobody is known to have spoken.
async fn speaking(
    tx: &Transaction,
    actor: &Actor,
    address: &Address,
    records: Vec<Record>,
) -> Result<Speaking, Error> {
    // Who may not read further addresses must not be told by who is found.
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
    let known = !ids.is_empty();
    Ok(Speaking { ids: if one_person { ids } else { Vec::new() }, known })
}

/// Ids of the contacts that have one of the identities, in their order.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn with_identities<C: ConnectionTrait>(
    connection: &C,
    reached: &NewAddresses,
) -> Result<Vec<Uuid>, Error> {
    if reached.all().is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Text::new(connection.get_database_backend());
    sql.push("SELECT contact_id FROM (");
    union(&mut sql, reached);
    sql.push(") s");
    Ok(sql.ids(connection).await?)
}

fn union(sql: &mut Text, reached: &NewAddresses) {
    for (index, reachable) in reached.all().iter().enumerate() {
        sql.push(if index == 0 { "" } else { " UNION " });
        holders(sql, reachable, None);
    }
}

/// Locks every record of the identities, and the contacts `also`, in the order of their ids.
async fn lock_records(tx: &mut Transaction, reached: &NewAddresses, also: &[Uuid]) -> Result<(), Error> {
    tx.note_contact_locks();
    records(tx, reached, also, true).await.map(|_| ())
}

/// Every record of the identities, and the contacts `also`, in the order of their ids.
async fn records(
    tx: &Transaction,
    reached: &NewAddresses,
    also: &[Uuid],
    locked: bool,
) -> Result<Vec<Record>, Error> {
    let backend = tx.connection().get_database_backend();
    let mut sql = Text::new(backend);
    sql.push("SELECT c.id, c.given_name_folded, c.family_name_folded, ");
    primary(&mut sql, reached);
    // One list of ids, which the index of the contacts is asked for: an OR beside it would have every contact looked at.
    sql.push(" FROM contact c WHERE c.state <> 'ERASED' AND c.id IN (");
    let id = if backend == DbBackend::Postgres { ("CAST(", " AS uuid)") } else { ("", "") };
    for (index, contact) in also.iter().enumerate() {
        sql.push(if index == 0 { "SELECT " } else { " UNION SELECT " });
        sql.push(id.0).bind(*contact).push(id.1).push(" AS contact_id");
    }
    if !reached.all().is_empty() {
        sql.push(if also.is_empty() { "" } else { " UNION " });
        union(&mut sql, reached);
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

/// Whether a primary address of the contact `c` is one of the identities.
fn primary(sql: &mut Text, reached: &NewAddresses) {
    use crate::base::identities::Kind;
    sql.push("(1 = 0");
    for reachable in reached.all() {
        let column = match reachable.identity().kind() {
            Kind::Mailbox => "email_key",
            Kind::Number => "phone_key",
            Kind::Postal => "postal_key",
        };
        sql.push(" OR COALESCE(c.").push(column);
        sql.within(reachable.identity().keys()).push(", FALSE)");
    }
    sql.push(")");
}
