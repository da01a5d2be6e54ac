//! Use cases that span several subjects of the domain: one function each, in the caller's transaction.
//! Room: domain/operations.
//!
//! The API, sign-ups and the demo call these, so that none has to remember what must follow a write: a new address is
//! compared with the suppression list, consents follow a changed address, a contact comes with its source and ground.
//! Imports check their rows in batches and write them by [`insert_contacts`]. Use cases of one subject are functions of
//! that subject.

mod import_undo;
mod new_contacts;
mod undo_obstacles;

use uuid::Uuid;

pub use import_undo::{ACTION as UNDO_IMPORT, Undone, undo_import};
pub use new_contacts::{CreationLog, IMPORTED as IMPORT_CREATED, NewContactRows, insert_contacts};
pub use undo_obstacles::Obstacle;

use crate::{
    audit::{LockMode, Transaction},
    auth::actor::Actor,
    base::error::Error,
    domain::{
        consents,
        contacts::{
            self, NewAddresses, NewContactPoint, Rectification, Source, Values,
            source_updates::{self, Comparison, SourceRecord, UpdateMode, UpdateSource, WrittenUpdate},
        },
        grounds::{self, NewGround},
        suppressions,
    },
    engine::Input,
    policy::{Grounds, Policy},
};

/// A contact to be created.
#[derive(Clone, Debug)]
pub struct NewContact {
    /// Its values.
    pub values: Values,
    /// Where they come from.
    pub source: Source,
    /// The fact that makes it lawful to store them (Art. 6(1)).
    pub ground: Option<NewGround>,
}

impl NewContact {
    /// The contact that a `CreateContactInput` describes.
    ///
    /// # Errors
    /// As [`Source::from_input`].
    pub fn from_input(input: &Input) -> Result<Self, Error> {
        let ground = input.nested("ground");
        Ok(Self {
            values: contacts::values_from_input(input),
            ground: ground.map(|ground| NewGround::from_input(ground, "input.ground")).transpose()?,
            source: Source::from_input(input.require_nested("source")?)?,
        })
    }
}

/// Creates a contact with its source, its ground and the blocks that the suppression list has for its addresses.
///
/// # Errors
/// `BAD_USER_INPUT` if nothing identifies the person, if a required ground is missing, and if the suppression list
/// closes the ground's purpose for one of its addresses; those of [`NewGround::check`].
pub async fn create_contact(tx: &mut Transaction, actor: &Actor, new: &NewContact) -> Result<Uuid, Error> {
    match &new.ground {
        Some(ground) => ground.check(actor, tx.now())?,
        None if actor.purpose.as_ref().is_some_and(|purpose| purpose.grounds == Grounds::EveryContact) => {}
        None => {
            return Err(
                Error::bad_input("a contact needs a ground (Art. 6(1))").with_input_path("input.ground")
            );
        }
    }
    new.source.check(tx.now())?;
    let id = tx.new_subject();
    let ground = new.ground.as_ref().map(|ground| (ground, &*actor.policy));
    create(tx, id, (&new.values, &new.source), ground).await?;
    Ok(id)
}

/// Creates the contact of a person who confirms a sign-up, with the `id` that the link stands for. Its ground is
/// the consent that the caller records next: entries of the suppression list are older, so the confirmation counts.
///
/// # Errors
/// `BAD_USER_INPUT` if nothing identifies the person.
pub async fn create_contact_of_sign_up(
    tx: &mut Transaction,
    id: Uuid,
    values: &Values,
    source: &Source,
) -> Result<(), Error> {
    create(tx, id, (values, source), None).await
}

async fn create(
    tx: &mut Transaction,
    id: Uuid,
    (values, source): (&Values, &Source),
    ground: Option<(&NewGround, &Policy)>,
) -> Result<(), Error> {
    let (contact, provenance) = contacts::new_rows(tx, id, values, source)?;
    let addresses = NewAddresses::of_contact(tx.reader(), &contact, &[]);
    tx.lock_identities(addresses.locks(), LockMode::Shared).await?;
    let found = suppressions::lookup(tx, &addresses).await?;
    if let Some((ground, policy)) = ground {
        suppressions::reject_suppressed(&found, policy, &addresses, &ground.purpose)?;
    }
    let rows = NewContactRows::new(
        tx,
        (contact, Vec::new()),
        vec![provenance],
        ground.map(|(ground, _)| ground),
        (&found, &addresses),
    );
    insert_contacts(tx, vec![rows], CreationLog::Separate).await
}

/// Rectifies a contact (Art. 16) and updates consents bound to changed addresses.
///
/// # Errors
/// As [`contacts::rectify`].
pub async fn rectify_contact(
    tx: &mut Transaction,
    actor: &Actor,
    change: &Rectification,
) -> Result<Uuid, Error> {
    if let Some(source) = &change.source {
        source.check(tx.now())?;
    }
    let rectified = contacts::rectify(tx, actor, change).await?;
    consents::invalidate_after_rectification(tx, rectified).await?;
    Ok(change.id)
}

/// Takes over what the source of contacts says of them now, and updates consents bound to changed addresses. The
/// result has the comparison of each record, `None` for a contact that does not exist.
///
/// # Errors
/// As [`source_updates::write`].
pub async fn update_from_source(
    tx: &mut Transaction,
    actor: &Actor,
    (mode, source): (UpdateMode, &UpdateSource),
    records: &[SourceRecord],
) -> Result<Vec<Option<Comparison>>, Error> {
    let all = source_updates::write(tx, actor, (mode, source), records).await?;
    let mut comparisons = Vec::with_capacity(all.len());
    for update in all {
        let Some(WrittenUpdate { comparison, written }) = update else {
            comparisons.push(None);
            continue;
        };
        if let Some((rectified, addresses)) = written {
            consents::invalidate_after_rectification(tx, rectified).await?;
            consents::apply_to_new_addresses(tx, &addresses).await?;
        }
        comparisons.push(Some(comparison));
    }
    Ok(comparisons)
}

/// Adds a contact point and applies opt-outs of the person and the suppression list to it.
///
/// # Errors
/// As [`contacts::add_point`].
pub async fn add_contact_point(
    tx: &mut Transaction,
    actor: &Actor,
    new: &NewContactPoint,
) -> Result<Uuid, Error> {
    let addresses = contacts::add_point(tx, actor, new).await?;
    consents::apply_to_new_addresses(tx, &addresses).await?;
    Ok(new.contact_id)
}

/// Records a ground of a contact that the caller can see.
///
/// # Errors
/// `NOT_FOUND`; as [`grounds::record`].
pub async fn record_ground(
    tx: &mut Transaction,
    actor: &Actor,
    contact_id: Uuid,
    new: &NewGround,
) -> Result<Uuid, Error> {
    let contact = contacts::lock(tx, actor, contact_id).await?;
    grounds::record(tx, actor, contact.id, new).await
}
